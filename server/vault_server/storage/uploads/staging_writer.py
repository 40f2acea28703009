"""Taking an object's blocks in: verified one by one, staged, made durable, committed."""

import contextlib
import sys
import threading
from array import array
from collections.abc import Callable
from concurrent.futures import Future

import xxhash
from vault._runtime.fork import fork_count, is_inherited, refuse_inherited
from vault.errors import ClosedError, StorageError
from vault.store.contract import BlockWriter
from vault.store.values import Block, ObjectInfo

from vault_server.storage.decision.rows import pack_checksums
from vault_server.storage.decision.writes import Content
from vault_server.storage.files.staging import StagedFile
from vault_server.storage.os_errors import storing
from vault_server.storage.uploads.incoming import check_next, check_written


class StagingWriter(BlockWriter):
    """A write into a staged file, or into memory while it is small.

    One thread at a time writes; `abort` may come from another, and waits for the block being written. One that is
    dropped removes its file.
    """

    resumable = False

    def __init__(
        self,
        create: Callable[[], StagedFile],
        submit: Callable[[Content], "Future[ObjectInfo]"],
        *,
        durable: bool,
        inline_limit: int,
    ) -> None:
        self._create = create
        self._submit = submit
        self._durable = durable
        self._inline_limit = inline_limit
        self._size = 0
        self._checksums = array("Q")
        self._whole = xxhash.xxh3_64()
        self._small = b""
        self._staged: StagedFile | None = None
        self._over = False
        self._forks = fork_count()
        self._mutex = threading.Lock()

    @property
    def persisted_size(self) -> int:
        return self._size

    @property
    def in_memory(self) -> bool:
        """Whether the bytes so far are in memory."""
        return self._staged is None

    def stays_in_memory(self, block: Block) -> bool:
        """Whether writing this block will do no I/O; one that is refused does none."""
        if not isinstance(block.data, bytes | bytearray | memoryview):
            return True
        return self._staged is None and self._size + len(block.data) <= self._inline_limit

    def write(self, block: Block) -> None:
        self._refuse_inherited()
        with self._mutex:
            self._write(block)

    def _write(self, block: Block) -> None:
        self._require_open()
        try:
            data = check_next(block, self._size)
            self._take(data)
            self._checksums.append(block.checksum)
            self._whole.update(data)
            self._size += len(data)
            self._taken()
        except BaseException:
            self._abort()
            raise

    def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        return self.begin_commit(size, checksum).result()

    def begin_commit(self, size: int, checksum: int | None = None) -> "Future[ObjectInfo]":
        """As `commit`, up to the point where the writer's thread takes over; blocks for the fsync only."""
        self._refuse_inherited()
        with self._mutex:
            self._require_open()
            try:
                contents = self._contents(size, checksum)
            except BaseException:
                self._abort()
                raise
            self._over = True
            return self._submit(contents)

    def abort(self) -> None:
        if not is_inherited(self._forks):
            with self._mutex:
                self._abort()

    def __del__(self) -> None:
        # Nobody else has it, so there is nothing to lock. At the end of the interpreter the store's folder goes.
        if self._over or self._staged is None or is_inherited(self._forks) or sys.is_finalizing():
            return
        with contextlib.suppress(StorageError), storing("remove a staged upload"):
            self._staged.release()

    def _abort(self) -> None:
        if not self._over:
            self._over = True
            self._small = b""
            if self._staged is not None:
                with storing("remove a staged upload"):
                    self._staged.discard()

    def _require_open(self) -> None:
        if self._over:
            raise ClosedError("the write is over: it was committed or aborted")

    def _refuse_inherited(self) -> None:
        # Before the mutex, which a thread may have held that is not in the child.
        refuse_inherited(self._forks, "the write")

    def _take(self, data: memoryview) -> None:
        if self._staged is None:
            if self._size + len(data) <= self._inline_limit:
                self._small += bytes(data)
                return
            self._staged = self._create()
            self._append(self._staged, self._small)
            self._small = b""
        self._append(self._staged, data)
        if self._durable:
            self._staged.hasten()

    def _taken(self) -> None:
        """A block was taken, whole."""

    @staticmethod
    def _append(staged: StagedFile, data: bytes | memoryview) -> None:
        with storing("stage an upload"):
            staged.write(data)

    def _contents(self, size: int, checksum: int | None) -> Content:
        whole = self._whole.intdigest()
        check_written(size, checksum, written=self._size, whole=whole)
        if self._staged is not None:
            with storing("make an upload durable"):
                self._staged.finish(durable=self._durable)
        data = None if self._staged is not None else self._small
        return Content(size, whole, pack_checksums(self._checksums), data, staged=self._staged)
