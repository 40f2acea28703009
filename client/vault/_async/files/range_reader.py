"""Parts of one generation of an object, each asked for by itself."""

from collections.abc import Sequence
from typing import Final

from vault._async.files.block_stream import AsyncBlockSource
from vault._runtime.gathered_bytes import gathered_bytes
from vault.errors import ConflictError, InvalidArgumentError
from vault.store._async.reopening import deleted, reopener, replaced
from vault.store.blocks import check_parts, check_same, spans
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.values import ObjectInfo

STREAMED: Final = 2 * BLOCK_SIZE
"""Bytes from which on a part is streamed: blocks of a stream are copied less often than those of one reply."""

_AT_ONCE: Final = 3 * BLOCK_SIZE  # bytes of parts that one request is for: a reply holds as much


class AsyncRangeReader:
    """Reads parts of what `info` shows, for any number of threads (or tasks) at a time."""

    def __init__(self, store: AsyncStore, info: ObjectInfo, exact_below: int) -> None:
        self._store = store
        self._info = info
        self._exact_below = exact_below

    async def read(self, offset: int, length: int) -> bytes:
        """A part that is all there.

        Raises:
            CorruptionError: A block does not match its stored checksum, or the whole, where it is all of it, does not.
            ConflictError: The object was replaced or deleted, and its old bytes are not retained any more.
        """
        if length == 0:
            return b""
        if length < STREAMED:
            parts = await self._at_once([(offset, length)])
            if parts is not None:
                return parts[0]
        source = AsyncBlockSource(self._info, reopener(self._store, self._info), kept=0)
        gathered = gathered_bytes(length)
        through = (offset + length - 1) // BLOCK_SIZE
        try:
            for index, start, stop in spans(offset, length):
                gathered.write(memoryview(await source.passing_block(index, through))[start:stop])
        finally:
            await source.close()
        return gathered.getvalue()

    async def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Parts that are all there, as many of them in one request as a reply holds. Raises as `read`."""
        parts: list[bytes] = []
        group: list[tuple[int, int]] = []
        size = 0
        for each in ranges:
            if group and size + each[1] > _AT_ONCE:
                parts += await self._read_group(group)
                group, size = [], 0
            group.append(each)
            size += each[1]
        return parts + await self._read_group(group)

    async def _read_group(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        if len(ranges) <= 1:
            return [await self.read(*each) for each in ranges]
        parts = await self._at_once(ranges)
        if parts is None:  # where whole blocks are moved for them
            half = len(ranges) // 2
            parts = [*await self._read_group(ranges[:half]), *await self._read_group(ranges[half:])]
        return parts

    async def _at_once(self, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """In one request; None where its answer would be too large."""
        info = self._info
        try:
            found = await self._store.read(
                info.unit,
                info.data_id,
                ranges,
                if_generation=info.generation,
                generation=info.generation,
                exact_below=self._exact_below,
            )
        except ConflictError as error:
            raise replaced(info, error) from error
        except InvalidArgumentError as error:
            if error.reason == "MESSAGE_TOO_LARGE":
                return None
            raise
        if found is None:
            raise deleted(info)
        check_same(info, found.info)
        check_parts(info, found.parts)
        return found.parts
