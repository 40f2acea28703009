"""Owners at work in a process of their own: `python -m torture.crash.client`, told by its standard input.

"pause" lets running calls end, and is answered with "paused"; "go" goes on; the end of the input ends it.
Exits 1 when a promise was broken, which is then in the journal and on standard error.
"""

import argparse
import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from vault import AsyncRemoteVault, BytesWrapper, RemoteVault, UnitSettings, Vault, VaultError

from torture.crash.ledger import OWN, SHARED, SLOTS, Journal
from torture.crash.owner import Owner, Step

STRUCTURE: Final = {unit: UnitSettings(BytesWrapper, 50) for unit in (OWN, SLOTS, SHARED)}
_ATTEMPTS: Final = 1000  # at an edit, which many want


class Gate:
    """Where owners stop between two calls, when told to."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._open = True
        self._ended = False
        self._inside = 0

    def follow_input(self) -> None:
        """Until the standard input ends."""
        for line in sys.stdin:
            with self._condition:
                self._open = line.strip() == "go"
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._open or not self._inside)
            if not self._open:
                print("paused", flush=True)
        with self._condition:
            self._open = self._ended = True
            self._condition.notify_all()

    def enter(self) -> bool:
        """Waits until it is open; False when it is all over. `leave` follows when True."""
        with self._condition:
            self._condition.wait_for(lambda: self._open)
            if not self._ended:
                self._inside += 1
            return not self._ended

    def leave(self) -> None:
        with self._condition:
            self._inside -= 1
            self._condition.notify_all()


def work(owner: Owner, vault: Vault, gate: Gate) -> None:
    """An owner on a thread."""
    while gate.enter():
        try:
            step = owner.next()
            try:
                generation = _take(owner, vault, step)
            except VaultError as error:
                owner.failed(step, error)
            else:
                owner.done(step, generation)
        finally:
            gate.leave()


def _take(owner: Owner, vault: Vault, step: Step) -> int | None:
    unit, data_id = step.unit, step.data_id
    match step.way:
        case "upload":
            vault.upload(unit, BytesWrapper(step.data), name=step.name, data_id=data_id)
            return None
        case "update" | "compare":
            return vault.update(unit, data_id, BytesWrapper(step.data), if_generation=step.generation).generation
        case "edit" | "append":
            return vault.edit(unit, data_id, _editing(owner, step), attempts=_ATTEMPTS).generation
        case "rename":
            vault.set_metadata(unit, data_id, name=step.name)
            return None
        case "delete":
            if not vault.delete(unit, data_id):
                owner.missed(step)
            return None
    ticket = vault.load(unit, data_id)
    if ticket is None:
        owner.missed(step)
        return None
    with ticket:
        owner.read(step, ticket.get_data().data, ticket.info)
        if step.way == "ticket":
            ticket.get_ref().data = step.data
    return ticket.generation


async def work_async(owner: Owner, vault: AsyncRemoteVault, gate: Gate) -> None:
    """An owner in a task."""
    while gate.enter():
        try:
            step = owner.next()
            try:
                generation = await _take_async(owner, vault, step)
            except VaultError as error:
                owner.failed(step, error)
            else:
                owner.done(step, generation)
        finally:
            gate.leave()


async def _take_async(owner: Owner, vault: AsyncRemoteVault, step: Step) -> int | None:
    unit, data_id = step.unit, step.data_id
    match step.way:
        case "upload":
            await vault.upload(unit, BytesWrapper(step.data), name=step.name, data_id=data_id)
            return None
        case "update" | "compare":
            info = await vault.update(unit, data_id, BytesWrapper(step.data), if_generation=step.generation)
            return info.generation
        case "edit" | "append":
            return (await vault.edit(unit, data_id, _editing(owner, step), attempts=_ATTEMPTS)).generation
        case "rename":
            await vault.set_metadata(unit, data_id, name=step.name)
            return None
        case "delete":
            if not await vault.delete(unit, data_id):
                owner.missed(step)
            return None
    ticket = await vault.load(unit, data_id)
    if ticket is None:
        owner.missed(step)
        return None
    async with ticket:
        owner.read(step, ticket.get_data().data, ticket.info)
        if step.way == "ticket":
            ticket.get_ref().data = step.data
    return ticket.generation


def _editing(owner: Owner, step: Step) -> Callable[[BytesWrapper], None]:
    def change(held: BytesWrapper) -> None:
        owner.read_bytes(step, held.data)
        held.data = held.data + step.data if step.way == "append" else step.data

    return change


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("location", help="a directory, or host:port of a server")
    parser.add_argument("journals", type=Path)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--owners", type=int, nargs="+", help="their numbers")
    parser.add_argument("--async", dest="colour", action="store_true", help="tasks in the place of threads")
    arguments = parser.parse_args()
    gate = Gate()
    threading.Thread(target=gate.follow_input, daemon=True).start()
    owners = [
        Owner(number, arguments.seed, Journal(arguments.journals / f"{number}.journal")) for number in arguments.owners
    ]
    broken: list[Exception] = []

    def on_violation(owner: Owner, error: Exception) -> None:
        owner.journal.violate(f"{error!r}, after {error.__cause__!r}")
        broken.append(error)

    def run(owner: Owner) -> None:
        try:
            with _open(arguments.location) as vault:
                work(owner, vault, gate)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told
            on_violation(owner, error)

    async def run_async(owner: Owner) -> None:
        try:
            async with AsyncRemoteVault(arguments.location, STRUCTURE) as vault:
                await work_async(owner, vault, gate)
        except Exception as error:  # noqa: BLE001
            on_violation(owner, error)

    async def run_all() -> None:
        await asyncio.gather(*map(run_async, owners))

    print("ready", flush=True)
    if arguments.colour:
        asyncio.run(run_all())
    else:
        threads = [threading.Thread(target=run, args=(owner,)) for owner in owners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for error in broken:
        print(repr(error), file=sys.stderr, flush=True)
    print(sum(owner.loads for owner in owners), sum(owner.lost for owner in owners), flush=True)
    return 1 if broken else 0


def _open(location: str) -> Any:
    return Vault(location, STRUCTURE) if location.startswith("/") else RemoteVault(location, STRUCTURE)


if __name__ == "__main__":
    sys.exit(main())
