# Generated from _async/writer.py by scripts/unasync: DO NOT CHANGE.
"""Taking an object's blocks in: verified one by one, kept in memory or staged, committed."""

import asyncio
from dataclasses import replace
from typing import Final

from vault._runtime.sync_async import Affinity, Lock
from vault.errors import AlreadyExistsError, ClosedError, ConflictError, InvalidArgumentError, NotFoundError, VaultError
from vault.store.contract import BlockWriter
from vault.store.limits import BLOCK_SIZE, check_commit, check_spec
from vault.store.values import Block, ObjectInfo

from vault_server.storage.decision.decide import require_same
from vault_server.storage.decision.writes import NOTHING, ContentWrite, request_hash
from vault_server.storage.generic._sync.protocols import Pending, Staged, StagingBlobs
from vault_server.storage.generic._sync.store import EngineStore
from vault_server.storage.uploads.incoming import Incoming, taken_over

_REFUSALS: Final = (AlreadyExistsError, ConflictError, NotFoundError)
"""What ends a write for good: what was staged of it is of no use."""


class StagingStore(EngineStore):
    """A Store whose writers are these."""

    blobs: StagingBlobs
    suspended: Pending

    def begin(self, write: ContentWrite, *, resumable: bool) -> BlockWriter:
        resumable = resumable and self.options.resume_window > 0
        writer = self.writer(write, resumable=resumable)
        if not resumable:
            self.answered(write)
            return writer
        answered = writer.open()
        return writer if answered is None else AnsweredWriter(answered)

    def writer(self, write: ContentWrite, *, resumable: bool) -> "StagedWriter":
        """A writer, not open yet."""
        return StagedWriter(self, write, resumable=resumable)


class StagedWriter(BlockWriter):
    """A write into memory while it is small, and then into a staged blob.

    Calls take their turns. One that is resumable has its request id for itself in this process while it lives: who
    begins the same write again takes it over. One that still is in memory then may be committed (it is applied once),
    but not be staged.

    Attributes:
        request: What was begun; `request_hash` tells it from others under its id.
        resumable: What was staged outlives the writer.
    """

    def __init__(self, store: StagingStore, request: ContentWrite, *, resumable: bool) -> None:
        self.request = request
        self.request_key = request.principal, request.spec.request_id
        self.resumable = resumable
        self._store = store
        self._blobs = store.blobs
        self._pending = store.suspended
        self._incoming = Incoming()
        self._over = False
        self._look_at = 2 * BLOCK_SIZE  # bytes at which it is looked whether there is room for them
        self._ended: VaultError | None = None
        self._affinity = Affinity.here("the write")
        self._lock = Lock()

    @property
    def request_hash(self) -> int:
        return request_hash(self.request)

    @property
    def persisted_size(self) -> int:
        return 0 if self.resumable and self._incoming.staged is None else self._incoming.size

    @property
    def in_memory(self) -> bool:
        """Whether the bytes so far are in memory."""
        return self._incoming.staged is None

    def stays_in_memory(self, block: Block) -> bool:
        """Whether writing this block will do no I/O; one that is refused does none."""
        if not isinstance(block, Block) or not isinstance(block.data, (bytes, bytearray, memoryview)):
            return True
        return self.in_memory and self._incoming.size + len(block.data) <= self._blobs.inline_limit

    def open(self) -> ObjectInfo | None:
        """Takes the write over from whoever has it in this process, and what is kept of it and sound.

        Returns:
            What it was answered, when it was committed: then the writer is over.

        Raises:
            InvalidArgumentError: BAD_REQUEST_ID, it was begun with another spec.
            UnavailableError: WRITE_BUSY, another process has it.
            ConflictError: WRITE_TAKEN_OVER, it was begun once more meanwhile; or a precondition.
        """
        with self._lock:
            try:
                self._pending.acquire(self)
                info = self._store.answered(self.request)
                if info is None and (found := self._pending.resume(self)) is not None:
                    self._incoming = found
                    info = self._store.answered(self.request)  # whoever had it may have committed it
            except BaseException as error:
                if isinstance(error, _REFUSALS) and error is not self._ended:
                    self._give_up()
                    self._pending.drop(self.request_key)
                else:
                    self._suspend()
                raise
            if info is not None:
                self._give_up()
                self._pending.drop(self.request_key)
            return info

    def write(self, block: Block) -> None:
        self._affinity.require()
        with self._lock:
            self._require_not_over()
            try:
                self._take(block)
            except asyncio.CancelledError:
                if not self.resumable:  # of one that is, whoever has the writer decides
                    self._give_up()
                raise
            except BaseException:
                self._give_up()
                raise

    def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        self._affinity.require()
        self._store.require_open()
        return self._store.finish(self._commit(size, checksum))

    def abort(self) -> None:
        if not self._affinity.is_inherited:
            with self._lock:
                self._give_up()

    def suspend(self) -> None:
        if not self._affinity.is_inherited:
            with self._lock:
                self._suspend()

    def hand_over(self) -> None:
        """A newer writer goes on with this write: lets go of what is staged. A commit that was begun ends first."""
        self._ended = taken_over(self.request.unit)
        with self._lock:
            if not self.in_memory:
                self._suspend()

    def end(self, error: VaultError) -> None:
        """Aborts it, whoever has it; later calls raise the error. A commit that was begun ends first."""
        self._ended = error
        self.abort()

    def raise_if_ended(self) -> None:
        """Raises what it was ended with, by somebody else."""
        if self._ended is not None:
            raise self._ended

    def answered(self) -> ObjectInfo | None:
        """What it was answered when it is over because somebody took it over, who may have committed it."""
        return self._store.answered(self.request) if self._over and self._ended is not None else None

    def ready(self, size: int, checksum: int | None) -> ContentWrite:
        """Ends writing, with the lock held: the write with its content, whose bytes are the committer's."""
        self._require_not_over()
        try:
            content = self._incoming.content(size, checksum)
            if self._incoming.staged is not None:
                content.staged = self._incoming.staged.finish()
        except BaseException:
            self._give_up()
            raise
        self._over = True
        return replace(self.request, content=content)

    def _commit(self, size: int, checksum: int | None) -> ObjectInfo:
        with self._lock:
            info = self.answered()
            if info is not None:
                return AnsweredWriter(info).commit(size, checksum)
            write = self.ready(size, checksum)
            try:
                return self._store.commit(write)
            finally:
                self._pending.release(self)

    def _take(self, block: Block) -> None:
        incoming = self._incoming
        data = incoming.add(block)
        if incoming.size >= self._look_at:
            self._look_at = 2 * incoming.size
            self._store.require_room(replace(self.request, content=replace(NOTHING, size=incoming.size)))
        if incoming.staged is None:
            if incoming.size <= self._blobs.inline_limit:
                incoming.data += bytes(data)
                return
            self.raise_if_ended()
            first: Staged = self._pending.stage(self) if self.resumable else self._blobs.stage(self.request.unit)
            incoming.staged = first
            if incoming.data:
                incoming.staged.append(incoming.data, incoming.checksums[:-1])
                incoming.data = b""
        incoming.staged.append(data, incoming.checksums)

    def _require_not_over(self) -> None:
        if self._over:
            self.raise_if_ended()
            self._store.require_open()
            raise ClosedError("the write is over: it was committed or aborted")

    def _suspend(self) -> None:
        if not self.resumable:
            self._give_up()
        elif not self._over:
            self._over = True
            incoming, self._incoming.data = self._incoming, b""
            if incoming.staged is not None:
                incoming.staged.release()
            self._pending.suspend(self, incoming)

    def _give_up(self) -> None:
        if not self._over:
            self._over = True
            self._incoming.data = b""
            if self.resumable:
                self._pending.release(self)
            if self._incoming.staged is not None:
                self._incoming.staged.discard()


class AnsweredWriter(BlockWriter):
    """A write that was committed before: there is nothing to write, and a commit is answered as it was then."""

    def __init__(self, info: ObjectInfo) -> None:
        self.info = info

    @property
    def persisted_size(self) -> int:
        return self.info.size

    def write(self, block: Block) -> None:
        check_spec(block, Block)
        raise InvalidArgumentError(
            f"the write was committed with {self.info.size} bytes: no block follows them",
            reason="BAD_OFFSET",
            offset=block.offset,
            expected=self.info.size,
        )

    def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        check_commit(size, checksum)
        return require_same(self.info, size, checksum)

    def abort(self) -> None:
        """It is committed."""
