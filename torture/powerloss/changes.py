"""What is made different in the recorded process: protocols that are wrong on purpose, and faults at one place."""

import errno
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from vault_server.storage.engine import engine
from vault_server.storage.files import blobs
from vault_server.storage.files.blobs import Blobs
from vault_server.storage.files.staged_file import StagedFile
from vault_server.storage.index.connections import Connections


def _replace(owner: Any, name: str, put: Any) -> None:
    assert hasattr(owner, name), name
    setattr(owner, name, put)


def _staged_bytes_unsynced() -> None:
    def finish(self: StagedFile, *, durable: bool) -> None:
        self._file.close()

    _replace(StagedFile, "finish", finish)


def _folder_unsynced() -> None:
    sync = Blobs.sync_folder

    def sync_root_only(self: Blobs, folder: Path) -> None:
        if folder == self.root:
            sync(self, folder)

    _replace(Blobs, "sync_folder", sync_root_only)


def _root_unsynced() -> None:
    sync = Blobs.sync_folder

    def sync_units_only(self: Blobs, folder: Path) -> None:
        if folder != self.root:
            sync(self, folder)

    _replace(Blobs, "sync_folder", sync_units_only)


def _register_unsynced() -> None:
    connect = Connections.connect

    def connect_off(self: Connections) -> sqlite3.Connection:
        connection = connect(self)
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    _replace(Connections, "connect", connect_off)


def _no_folder_synced() -> None:
    for module in (engine, blobs):
        _replace(module, "sync_folder", lambda folder: None)


def _synced_after_the_commit() -> None:
    place = Blobs.place

    def placed(self: Blobs, staged: StagedFile, file: str) -> Path:
        folder = place(self, staged, file)
        threading.Timer(0.05, _sync, [self.root / file]).start()
        return folder

    _staged_bytes_unsynced()
    _replace(Blobs, "place", placed)


def _sync(path: Path) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _killed_before_the_directory_is_synced() -> None:
    def die(folder: Path) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    _replace(engine, "sync_folder", die)


def _sync_of_the_root_fails() -> None:
    sync = Blobs.sync_folder
    failures = [OSError(errno.EIO, "on purpose")] * 2

    def fail(self: Blobs, folder: Path) -> None:
        if folder == self.root and failures:
            raise failures.pop()
        sync(self, folder)

    _replace(Blobs, "sync_folder", fail)


BREAKAGES: Final[dict[str, Callable[[], None]]] = {
    "the staged bytes are not synced": _staged_bytes_unsynced,
    "the unit's folder is not synced": _folder_unsynced,
    "the unit's folder has no durable name": _root_unsynced,
    "the register is not synced": _register_unsynced,
    "no folder is synced": _no_folder_synced,
    "the bytes are synced after the commit": _synced_after_the_commit,
}
"""Wrong protocols: what tells a right one from a wrong one must tell these."""

KILLS: Final[dict[str, Callable[[], None]]] = {
    "killed before the directory is synced": _killed_before_the_directory_is_synced,
}
"""What the next process has to finish."""

FAILURES: Final[dict[str, Callable[[], None]]] = {
    "the sync of the root fails twice": _sync_of_the_root_fails,
}
"""What the next try has to finish."""

CHANGES: Final = BREAKAGES | KILLS | FAILURES
