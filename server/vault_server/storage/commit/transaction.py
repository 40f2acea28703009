"""One write transaction: its revisions, the files it names, and what to undo when a job in it fails."""

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from vault.store.values import ChangeKind, ObjectInfo

from vault_server.storage.failpoints import reached
from vault_server.storage.files.blobs import Blobs
from vault_server.storage.files.staging import StagedFile, Staging
from vault_server.storage.index.objects import Row, find_file, from_time, pack_tags, to_time
from vault_server.storage.index.retirement import give_up_file, retire
from vault_server.storage.os_errors import room_helps, storage_error

FEED_HISTORY: Final = 100_000
"""Changes that the feed keeps. It is also how far back a retried write is recognised: a retry that
comes after 100,000 other changes is decided by its preconditions alone."""

_COMPACT_EVERY: Final = 1000

T = TypeVar("T")


class Transaction:
    """What a job may use: the connection, the next revision, and the placing and dropping of files.

    Lives between BEGIN IMMEDIATE and COMMIT, on the writer's thread.

    Args:
        retention: Seconds for which what it replaces and deletes is kept.
        gives_up_when_full: A job that fails for want of room ends all of it, with nothing undone.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        blobs: Blobs,
        staging: Staging,
        *,
        feed_history: int,
        retention: float,
        gives_up_when_full: bool = False,
    ) -> None:
        self.connection = connection
        self.directory = blobs.directory
        self.root = blobs.root
        self.now = to_time(time.time_ns() // 1000)
        self.placed: list[str] = []
        self.abandoned: list[str] = []
        self.has_trash = False
        self.has_retired = False
        self.inlined = 0
        """Bytes by which retired generations have made the register grow."""
        self.dropped: set[str] = set()
        """Files of generations that it replaces and deletes: until its COMMIT they are objects' present bytes."""
        self.retention = retention
        self.gives_up_when_full = gives_up_when_full
        self._blobs = blobs
        self._staging = staging
        self._feed_history = feed_history
        self._folders: set[Path] = set()
        self.begun_at, self._floor = connection.execute("SELECT revision, feed_floor FROM meta").fetchone()
        self.revision = int(self.begun_at)

    def take_revision(self) -> int:
        """The next revision; the job that takes it must record a change under it."""
        self.revision += 1
        return self.revision

    def place(self, staged: StagedFile, unit: str, data_id: int, generation: int, *, first: bool) -> str:
        """Gives staged bytes their final name and returns it."""
        file = self._blobs.choose(unit, data_id, generation, first=first)
        reached("before intent")
        self._staging.intend([file])
        reached("intent noted")
        self._folders.add(self._blobs.place(staged, file))
        self.placed.append(file)
        # The name may have been in the trash from an object of the same id, and gone from the disk.
        self.connection.execute("DELETE FROM trash WHERE file = ?", (file,))
        give_up_file(self.connection, file)  # likewise
        reached("placed")
        return file

    def retire(self, row: Row) -> None:
        """Keeps the bytes of an object that is about to be replaced or deleted, for as long as the store retains.

        Without a retention a file is left to be removed once this transaction is durable.
        """
        reached("before retirement")
        file = find_file(self.connection, row.number)
        if file is not None:
            self.dropped.add(file)
        if self.retention:
            now = from_time(self.now)
            self.inlined += retire(self.connection, row.number, now=now, retention=self.retention)
            self.has_retired = True
        elif file is not None:
            self.connection.execute("INSERT OR REPLACE INTO trash VALUES (?, ?)", (file, self.revision))
            self.has_trash = True
        reached("retired")

    def unlink(self, file: str) -> None:
        """Removes a file that nothing references."""
        reached("before unlink")
        folder = self._blobs.remove(file)
        reached("unlinked")
        if folder is not None:
            self._folders.add(folder)

    def record(self, kind: ChangeKind, info: ObjectInfo, revision: int, request_id: bytes | None) -> None:
        """Puts a change into the feed, with what its request is answered."""
        reached("before the change is recorded")
        answer = [
            info.size,
            info.checksum,
            info.datatype,
            pack_tags(info.tags),
            from_time(info.created_at),
            from_time(info.updated_at),
        ]
        self.connection.execute(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                revision,
                info.unit,
                info.data_id,
                kind.value,
                info.generation,
                info.name,
                request_id,
                json.dumps(answer, ensure_ascii=False, separators=(",", ":")),
            ),
        )
        reached("change recorded")

    def attempt(self, job: Callable[["Transaction"], T]) -> T:
        """Runs a job so that nothing of it stays when it raises, and the others' work does."""
        self.connection.execute("SAVEPOINT job")
        revision, placed = self.revision, len(self.placed)
        try:
            result = job(self)
        except BaseException as error:
            if self.must_give_up(error):
                raise
            for file in self.placed[placed:]:
                self._undo(file)
            self.revision = revision
            if self.connection.in_transaction:  # some failures (full disk, I/O) end the whole transaction
                self.connection.execute("ROLLBACK TO job")
                self.connection.execute("RELEASE job")
            raise
        self.connection.execute("RELEASE job")
        return result

    def must_give_up(self, error: BaseException) -> bool:
        """Whether this error of a job ends the transaction, so that all of it is tried again when there is room."""
        if not self.gives_up_when_full or not isinstance(error, sqlite3.Error | OSError):
            return False
        return room_helps(storage_error(error, "write"))

    def _undo(self, file: str) -> None:
        self.placed.remove(file)
        try:
            self.unlink(file)
        except OSError:
            self.abandoned.append(file)  # the collection tries again

    def finish(self) -> None:
        """What must be done before COMMIT: names durable, revision kept, the feed held to its length."""
        reached("before the fsync of folders")
        for folder in self._folders:
            self._blobs.sync_folder(folder)
        reached("folders durable")
        if self.revision == self.begun_at:
            return
        self.connection.execute("UPDATE meta SET revision = ?", (self.revision,))
        floor = self.revision - self._feed_history
        if floor >= self._floor + min(_COMPACT_EVERY, self._feed_history):
            self.connection.execute("DELETE FROM changes WHERE revision <= ?", (floor,))
            self.connection.execute("UPDATE meta SET feed_floor = ?", (floor,))
        reached("revision kept")
