"""Functions that count how often, and how many at once, they are run; and programs that compute."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from vault import Vault

from tests.vault.places import Note

HOLDER: Final = b"somebody else..."


class Counting:
    """A function that computes a note. Call it from any thread.

    Attributes:
        calls: How often it was called.
        most: How many calls there were at once, at most.
    """

    def __init__(self, text: str = "value", seconds: float = 0.0, then: Callable[[], object] | None = None) -> None:
        self.text = text
        self.calls = 0
        self.most = 0
        self._seconds = seconds
        self._then = then
        self._running = 0
        self._lock = threading.Lock()

    def __call__(self) -> Note:
        with self._lock:
            self.calls += 1
            self._running += 1
            self.most = max(self.most, self._running)
        try:
            time.sleep(self._seconds)
            if self._then is not None:
                self._then()
            return Note(self.text)
        finally:
            with self._lock:
                self._running -= 1

    async def awaited(self) -> Note:
        """The same as a coroutine function."""
        self.calls += 1
        self._running += 1
        self.most = max(self.most, self._running)
        try:
            await asyncio.sleep(self._seconds)
            if self._then is not None:
                self._then()
            return Note(self.text)
        finally:
            self._running -= 1


def together(*functions: Callable[[], Any]) -> list[Any]:
    """What the functions return, or raise, each in a thread of its own."""
    outcomes: list[Any] = [None] * len(functions)

    def run(index: int, function: Callable[[], Any]) -> None:
        try:
            outcomes[index] = function()
        except BaseException as error:  # noqa: BLE001  # looked at by the test
            outcomes[index] = error

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "it hangs"
    return outcomes


def is_free(vault: Vault, name: str) -> bool:
    """Whether nobody has the lease on the name."""
    if vault._store.acquire_lease("notes", name, HOLDER, 1):
        return False
    vault._store.release_lease("notes", name, HOLDER)
    return True


PROGRAM: Final = """
import os, sys, time
from vault import Vault
from vault._sync.objects import computing, lease_renewal
from tests.vault.places import STRUCTURE, Note
location, log, seconds, lease, name = sys.argv[1:]
computing.LEASE = lease_renewal.LEASE = float(lease)

def note(what):
    with open(log, "a") as file:
        file.write(f"{what} {os.getpid()}\\n")

def function():
    note("begin")
    time.sleep(float(seconds))
    note("end")
    return Note(f"of {os.getpid()}")

with Vault(location, STRUCTURE) as vault:
    print("ready", flush=True)
    sys.stdin.readline()
    print(vault.get_or_compute("notes", name, function).text, flush=True)
"""
"""Computes a note when it is told to. Its arguments: location, log, seconds it takes, seconds of a lease, name."""
