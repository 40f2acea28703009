"""Who has a directory open: every open store shares a lock on it, and a rebuild of its register has it alone.

The lock is an flock on the directory itself, so that there is no file of it that could be lost. It belongs
to what `open` returned, which a fork shares: the directory counts as open until the parent and all its
children have closed it, whichever of them still use the store.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vault.errors import StorageError

from vault_server.storage.os_errors import storing

_PATIENCE: Final = 5.0
"""Seconds to wait for the other side: openers come and go, and a rebuild takes longer than anybody should hang."""


def enter(root: Path) -> int:
    """Shares the directory; the descriptor is to be closed when the store is.

    Raises:
        StorageError: REGISTER_BUSY, its register is being rebuilt.
    """
    with storing(f"open the directory {str(root)!r}"):
        descriptor = _open(root)
        entered = False
        try:
            entered = _locked(descriptor, fcntl.LOCK_SH)
        finally:
            if not entered:
                os.close(descriptor)
    if not entered:
        raise StorageError(
            f"the register of {str(root)!r} is being rebuilt by another process: try again when that is done",
            reason="REGISTER_BUSY",
        )
    return descriptor


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Has the directory for the block, with every opener kept out.

    Raises:
        StorageError: REGISTER_BUSY, somebody has the store open.
    """
    with storing(f"open the directory {str(root)!r}"):
        descriptor = _open(root)
    try:
        with storing(f"lock the directory {str(root)!r}"):
            locked = _locked(descriptor, fcntl.LOCK_EX)
        if not locked:
            raise StorageError(
                f"the store in {str(root)!r} is open in this or another process: a damaged register is rebuilt when "
                "nobody uses it; stop servers and programs on it first",
                reason="REGISTER_BUSY",
            )
        yield
    finally:
        os.close(descriptor)


def _open(root: Path) -> int:
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _locked(descriptor: int, operation: int) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
        time.sleep(0.02)
