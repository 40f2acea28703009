"""Taking an object's blocks in: verified one by one, staged, committed."""

from array import array
from collections.abc import Callable
from typing import Any, Protocol

import xxhash
from vault._runtime.sync_async import AsyncLock
from vault.errors import ClosedError, InvalidArgumentError, VaultError
from vault.store.contract import AsyncBlockWriter
from vault.store.limits import check_commit
from vault.store.values import Block, ObjectInfo

from vault_server.storage.decision.decide import require_same
from vault_server.storage.decision.rows import pack_checksums
from vault_server.storage.decision.writes import NOTHING, Content, Update, Upload, request_hash
from vault_server.storage.generic._async.protocols import AsyncStaged
from vault_server.storage.uploads.incoming import check_next, check_written, taken_over


class AsyncIncoming:
    """The bytes of a write so far, and what is known of them."""

    def __init__(self, staged: AsyncStaged) -> None:
        self.staged = staged
        self.size = 0
        self._checksums = array("Q")
        self._whole = xxhash.xxh3_64()

    async def take(self, block: Block) -> None:
        """Takes the next block; raises what refuses it."""
        data = check_next(block, self.size)
        await self.staged.append(bytes(data))
        self._checksums.append(block.checksum)
        self._whole.update(data)
        self.size += len(data)

    def content(self, size: int, checksum: int | None) -> Content:
        """All of them; raises what a commit is refused with that says others."""
        whole = self._whole.intdigest()
        check_written(size, checksum, written=self.size, whole=whole)
        return Content(size, whole, pack_checksums(self._checksums), None, staged=self.staged)

    async def discard(self) -> None:
        await self.staged.discard()


class AsyncWriting(Protocol):
    """What a writer needs of its store."""

    def require_open(self) -> None: ...

    async def commit(self, write: Upload | Update) -> ObjectInfo: ...

    async def answered(self, write: Upload | Update) -> ObjectInfo | None: ...

    async def keep(self, writer: Any, incoming: AsyncIncoming) -> None: ...

    def leave(self, writer: Any) -> None: ...


class AsyncStagedWriter(AsyncBlockWriter):
    """A write into a staged blob. Calls take their turns; a commit that was begun ends before the write is taken over.

    Args:
        make: The write, of its content.
    """

    def __init__(self, store: AsyncWriting, make: Callable[[Content], Upload | Update], *, resumable: bool) -> None:
        write = make(NOTHING)
        self.unit = write.unit
        self.request_id = write.spec.request_id
        self.request_hash = request_hash(write)
        self._store = store
        self._make = make
        self._resumable = resumable
        self._incoming: AsyncIncoming | None = None
        self._ended: VaultError | None = None
        self._lock = AsyncLock()

    @property
    def persisted_size(self) -> int:
        return 0 if self._incoming is None else self._incoming.size

    def begin(self, incoming: AsyncIncoming) -> None:
        """Goes on with these bytes."""
        self._incoming = incoming

    async def write(self, block: Block) -> None:
        async with self._lock:
            incoming = self._require_going_on()
            try:
                await incoming.take(block)
            except BaseException:
                await self._give_up()
                raise

    async def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        async with self._lock:
            if self._incoming is None and self._ended is not None:  # who took it over may have committed it
                info = await self._store.answered(self._make(NOTHING))
                if info is not None:
                    return await AsyncAnsweredWriter(info).commit(size, checksum)
            incoming = self._require_going_on()
            try:
                content = incoming.content(size, checksum)
                return await self._store.commit(self._make(content))
            finally:
                await self._give_up()

    async def abort(self) -> None:
        async with self._lock:
            await self._give_up()

    async def suspend(self) -> None:
        async with self._lock:
            if self._resumable and self._incoming is not None:
                incoming, self._incoming = self._incoming, None
                await self._store.keep(self, incoming)
            else:
                await self._give_up()

    async def give_way(self) -> AsyncIncoming | None:
        """A newer writer goes on with this write: what there is of it; None: it is over."""
        self._ended = taken_over(self.unit)
        async with self._lock:
            incoming, self._incoming = self._incoming, None
            return incoming

    async def end(self, error: VaultError) -> None:
        """Aborts it, whoever has it; later calls raise the error."""
        self._ended = error
        await self.abort()

    def _require_going_on(self) -> AsyncIncoming:
        self._store.require_open()
        if self._incoming is None:
            raise self._ended or ClosedError("the write is over: it was committed or aborted")
        return self._incoming

    async def _give_up(self) -> None:
        incoming, self._incoming = self._incoming, None
        self._store.leave(self)
        if incoming is not None:
            await incoming.discard()  # harmless where it was placed


class AsyncAnsweredWriter(AsyncBlockWriter):
    """A write that was committed before: there is nothing to write, and a commit is answered as it was then."""

    def __init__(self, info: ObjectInfo) -> None:
        self._info = info

    @property
    def persisted_size(self) -> int:
        return self._info.size

    async def write(self, block: Block) -> None:
        block.validate()
        raise InvalidArgumentError(
            f"the write was committed with {self._info.size} bytes: no block follows them",
            reason="BAD_OFFSET",
            offset=block.offset,
            expected=self._info.size,
        )

    async def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        check_commit(size, checksum)
        return require_same(self._info, size, checksum)

    async def abort(self) -> None:
        """It is committed."""
