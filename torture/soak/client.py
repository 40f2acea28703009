"""Clients and watchers in a process: `python -m torture.soak.client`, told by its standard input.

Each line, `{"seconds": …, "since": …}`, is a round: every client and watcher opens a vault of its own, clients
work for the seconds, "worked" is printed, watchers go on until they meet the marker, everything is closed, and
the round's figures are printed as one line.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import sys
import threading
import time
from typing import Any

from vault import AsyncRemoteVault, BytesWrapper, RemoteVault, TextWrapper

from torture.soak.census import Census
from torture.soak.worker import COUNTER, MARKER, Worker


def structure(unit: str) -> dict[str, Any]:
    """A unit of bytes, and the one beside it that has its counter."""
    return {unit: (BytesWrapper, 20), f"{unit}.count": (TextWrapper, 0)}


def add_one(count: TextWrapper) -> None:
    count.data = str(int(count.data) + 1)


@dataclasses.dataclass
class Round:
    """What happened in one round."""

    seconds: float
    since: int
    operations: int = 0
    counted: dict[str, int] = dataclasses.field(default_factory=dict)
    watched: dict[str, list[int]] = dataclasses.field(default_factory=dict)  # changes that each watcher saw
    errors: list[str] = dataclasses.field(default_factory=list)

    def finish(self, worker: Worker) -> None:
        self.operations += worker.operations
        self.counted[worker.unit] = self.counted.get(worker.unit, 0) + worker.counted

    def failed(self, error: BaseException) -> None:
        self.errors.append(repr(error))


async def work(worker: Worker, address: str, mean: float, opened: asyncio.Barrier, figures: Round) -> None:
    unit = worker.unit
    async with AsyncRemoteVault(address, structure(unit)) as vault:
        await opened.wait()
        ends = time.monotonic() + figures.seconds
        while time.monotonic() < ends:
            way, data_id, data = worker.decide()
            match way:
                case "upload" | "large":
                    await vault.upload(unit, BytesWrapper(data), data_id=data_id)
                    worker.wrote(data_id, data)
                case "update":
                    await vault.update(unit, data_id, BytesWrapper(data))
                    worker.wrote(data_id, data)
                case "count":
                    await vault.edit(f"{unit}.count", COUNTER, add_one, attempts=1000)
                    worker.counted += 1
                case "list":
                    async for _ in vault.list(unit):
                        continue
                case "delete":
                    assert await vault.delete(unit, data_id)
                    worker.deleted(data_id)
                case "load" | "ticket":
                    ticket = await vault.load(unit, data_id)
                    assert ticket is not None
                    async with ticket:
                        worker.read(data_id, ticket.get_data().data)
                        if way == "ticket":
                            ticket.get_ref().data = data
                    if way == "ticket":
                        worker.wrote(data_id, data)
            await asyncio.sleep(worker.pause(mean))
    figures.finish(worker)


async def watch(unit: str, address: str, opened: asyncio.Barrier, figures: Round) -> None:
    async with AsyncRemoteVault(address, structure(unit)) as vault:
        seen, revision = 0, figures.since
        async with await vault.watch(unit, since=figures.since) as changes:
            await opened.wait()
            async for change in changes:
                assert change.revision > revision, f"revision {change.revision} after {revision}"
                seen, revision = seen + 1, change.revision
                if change.name == MARKER:
                    break
    figures.watched.setdefault(unit, []).append(seen)


def work_on_thread(worker: Worker, address: str, mean: float, opened: threading.Barrier, figures: Round) -> None:
    unit = worker.unit
    with RemoteVault(address, structure(unit)) as vault:
        opened.wait()
        ends = time.monotonic() + figures.seconds
        while time.monotonic() < ends:
            way, data_id, data = worker.decide()
            match way:
                case "upload" | "large":
                    vault.upload(unit, BytesWrapper(data), data_id=data_id)
                    worker.wrote(data_id, data)
                case "update":
                    vault.update(unit, data_id, BytesWrapper(data))
                    worker.wrote(data_id, data)
                case "count":
                    vault.edit(f"{unit}.count", COUNTER, add_one, attempts=1000)
                    worker.counted += 1
                case "list":
                    for _ in vault.list(unit):
                        continue
                case "delete":
                    assert vault.delete(unit, data_id)
                    worker.deleted(data_id)
                case "load" | "ticket":
                    ticket = vault.load(unit, data_id)
                    assert ticket is not None
                    with ticket:
                        worker.read(data_id, ticket.get_data().data)
                        if way == "ticket":
                            ticket.get_ref().data = data
                    if way == "ticket":
                        worker.wrote(data_id, data)
            time.sleep(worker.pause(mean))
    figures.finish(worker)


def watch_on_thread(unit: str, address: str, opened: threading.Barrier, figures: Round) -> None:
    with RemoteVault(address, structure(unit)) as vault:
        seen, revision = 0, figures.since
        with vault.watch(unit, since=figures.since) as changes:
            opened.wait()
            for change in changes:
                assert change.revision > revision, f"revision {change.revision} after {revision}"
                seen, revision = seen + 1, change.revision
                if change.name == MARKER:
                    break
    figures.watched.setdefault(unit, []).append(seen)


class Crowd:
    """The clients and watchers of this process, for round after round."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._address: str = arguments.address
        self._mean: float = arguments.pause
        self._units = [f"u{number}" for number in range(arguments.units)]
        self._clients = range(arguments.first, arguments.first + arguments.clients)
        self._watchers = range(arguments.first, arguments.first + arguments.watchers)
        self._seed: int = arguments.seed
        self._rounds = 0

    def workers(self) -> list[Worker]:
        self._rounds += 1
        return [Worker(n * 1000 + self._rounds, self._unit(n), f"{self._seed}:{self._rounds}") for n in self._clients]

    def _unit(self, number: int) -> str:
        return self._units[number % len(self._units)]

    async def run(self, figures: Round) -> None:
        opened = asyncio.Barrier(len(self._clients) + len(self._watchers))
        works = [work(worker, self._address, self._mean, opened, figures) for worker in self.workers()]
        watches = [watch(self._unit(number), self._address, opened, figures) for number in self._watchers]
        working, watching = (asyncio.gather(*each, return_exceptions=True) for each in (works, watches))
        results = await working
        print("worked", flush=True)
        for result in [*results, *await watching]:
            if isinstance(result, BaseException):
                figures.failed(result)

    def run_on_threads(self, figures: Round) -> None:
        opened = threading.Barrier(len(self._clients) + len(self._watchers))

        def guarded(call: Any, *arguments: Any) -> threading.Thread:
            def run() -> None:
                try:
                    call(*arguments)
                except Exception as error:  # noqa: BLE001  # whatever it is, it is told
                    figures.failed(error)

            thread = threading.Thread(target=run, name="soak")
            thread.start()
            return thread

        watching = [
            guarded(watch_on_thread, self._unit(number), self._address, opened, figures) for number in self._watchers
        ]
        working = [
            guarded(work_on_thread, worker, self._address, self._mean, opened, figures) for worker in self.workers()
        ]
        for thread in working:
            thread.join()
        print("worked", flush=True)
        for thread in watching:
            thread.join()


def settle() -> None:
    """Waits until what vaults had in the background is gone, which takes a moment after they are closed."""
    time.sleep(0.5)  # gRPC closes its connections a little later
    deadline = time.monotonic() + 20
    while any(thread.name.startswith("vault-") for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.1)


def report(figures: Round, census: Census) -> None:
    print(json.dumps(dataclasses.asdict(figures) | {"census": dataclasses.asdict(census)}), flush=True)


async def main_async(crowd: Crowd) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        figures = Round(**json.loads(line))
        await crowd.run(figures)
        await asyncio.to_thread(settle)
        report(figures, Census.take(asyncio.all_tasks()))


def main_on_threads(crowd: Crowd) -> None:
    for line in sys.stdin:
        figures = Round(**json.loads(line))
        crowd.run_on_threads(figures)
        settle()
        report(figures, Census.take())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, required=True, help="the number of the first client")
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--watchers", type=int, required=True)
    parser.add_argument("--units", type=int, required=True)
    parser.add_argument("--pause", type=float, required=True, help="mean seconds between two calls of a client")
    parser.add_argument("--threads", action="store_true", help="in the place of tasks")
    parsed = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        if parsed.threads:
            main_on_threads(Crowd(parsed))
        else:
            asyncio.run(main_async(Crowd(parsed)))
