"""The leases on names, in a file beside the register that all processes on the directory share.

It is neither fsynced nor part of a transaction: a lease is worth nothing after the machine was started again, and its
checksums tell then that it is of before. So is what is damaged: that costs leases, which are taken anew. Each call
locks the file, reads one page of it and writes that page; see docs/decisions/2026-11-27-leases.md.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from vault._runtime.elapsed import elapsed_ns
from vault.errors import StorageError

from vault_server.storage.decision import leases
from vault_server.storage.decision.leases import PAGE_BYTES, Lease, lease_key
from vault_server.storage.files.directory import REGISTER, StoreDirectory
from vault_server.storage.os_errors import storing

_NAME: Final = f"{REGISTER}-leases"

_PATIENCE: Final = 5.0
"""Seconds to wait for the lock, which others have for microseconds, unless they are stopped meanwhile."""

_PAUSE: Final = 0.001

T = TypeVar("T")


def _boot_id() -> bytes:
    """Tells one run of the machine from the next, at which the clock begins anew; nothing where that is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return b""


class Leases:
    """Those of one directory. Safe to share between threads."""

    def __init__(self, directory: StoreDirectory) -> None:
        self._directory = directory
        self._boot = _boot_id()
        self._lock = threading.Lock()
        self._paused = False

    def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        """See `generic`'s Leases."""
        key = lease_key(unit, name)

        def acquired(page: bytes) -> tuple[float, bytes]:
            now = elapsed_ns()
            return leases.acquire(page, self._boot, Lease(key, holder, leases.ends_after(seconds, now)), now)

        return self._changed(leases.page_number(key), acquired)

    def release_lease(self, unit: str, name: str, holder: bytes) -> None:
        """See `generic`'s Leases."""
        key = lease_key(unit, name)

        def released(page: bytes) -> tuple[None, bytes]:
            return None, leases.release(page, self._boot, key, holder, elapsed_ns())

        self._changed(leases.page_number(key), released)

    def pause(self) -> None:
        """Waits until the file is closed, and leaves it so until `resume`: a forked child would share its lock."""
        self._paused = True
        with self._lock:
            return

    def resume(self) -> None:
        """Ends a pause."""
        self._paused = False

    def _changed(self, number: int, change: Callable[[bytes], tuple[T, bytes]]) -> T:
        """Makes `change` of a page; what it answers.

        Raises:
            StorageError: REGISTER_BUSY, another process has locked the file for seconds; or it cannot be made or
                written.
        """
        self._directory.require_same()
        while True:
            with self._lock, storing(f"keep leases in {str(self._directory.root / _NAME)!r}"):
                if not self._paused:
                    file = self._directory.open(_NAME, os.O_RDWR)
                    try:
                        if self._locked(file):
                            page = os.pread(file, PAGE_BYTES, number * PAGE_BYTES)
                            answer, now = change(page)
                            if now != page:
                                os.pwrite(file, now.ljust(PAGE_BYTES, b"\0"), number * PAGE_BYTES)
                            return answer
                    finally:
                        os.close(file)
            time.sleep(_PAUSE)

    def _locked(self, file: int) -> bool:
        """Locks the file, with its closing for an end; False: somebody removed it, and others lock another one."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self._directory.has(_NAME, file)
            if time.monotonic() > deadline:
                raise StorageError(
                    f"another process has locked {str(self._directory.root / _NAME)!r} for {_PATIENCE:.0f} s",
                    reason="REGISTER_BUSY",
                )
            time.sleep(_PAUSE)
