"""The writer of a directory's files, which waits for its commit by a future, so that tasks can await it."""

from concurrent.futures import Future

from vault.errors import VaultError
from vault.store.values import ObjectInfo

from vault_server.storage.commit.writer import Writer
from vault_server.storage.decision.writes import ContentWrite
from vault_server.storage.generic._sync.writer import AnsweredWriter, StagedWriter, StagingStore


class FileWriter(StagedWriter):
    """See StagedWriter. Its lock is free while the commit is waited for."""

    def __init__(self, store: StagingStore, request: ContentWrite, writer: Writer, *, resumable: bool) -> None:
        super().__init__(store, request, resumable=resumable)
        self._writer = writer
        self._committing: Future[ObjectInfo] | None = None

    def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        return self.begin_commit(size, checksum).result()

    def begin_commit(self, size: int, checksum: int | None = None) -> "Future[ObjectInfo]":
        """As `commit`, up to the point where the writer's thread takes over; blocks for the fsync only."""
        self._affinity.require()
        with self._lock:
            info = self.answered()
            if info is not None:
                again: Future[ObjectInfo] = Future()
                again.set_result(AnsweredWriter(info).commit(size, checksum))
                return again
            write = self.ready(size, checksum)
            if not self.resumable:
                return self._writer.write(write)
            try:
                self._committing = self._writer.write(write)
            except BaseException:
                self._pending.release(self)
                raise
            self._committing.add_done_callback(lambda _: self._pending.release(self))
            return self._committing

    def hand_over(self) -> None:
        super().hand_over()
        self._wait()

    def end(self, error: VaultError) -> None:
        super().end(error)
        self._wait()

    def abandon(self) -> None:
        """In a forked child: the write is the parent's."""
        if self._incoming.staged is not None:
            self._incoming.staged.abandon()

    def _wait(self) -> None:
        if self._committing is not None:
            self._committing.exception()  # waits
