"""Reading parts of a vault's objects as bytes, without the Datatype and without the cache."""

from collections.abc import Iterable
from typing import Final, Literal

from vault._async.files.object_reader import AsyncObjectReader, open_reader
from vault._async.files.range_reader import STREAMED, AsyncRangeReader
from vault._async.vault.base import AsyncVaultBase, listed
from vault._async.vault.near_names import not_found
from vault.errors import InvalidArgumentError
from vault.store.blocks import check_parts
from vault.store.limits import EXACT_BELOW, MAX_RANGES, check_key, check_ranges
from vault.store.ranges import located_in
from vault.store.values import Key

Verify = Literal["auto", "end_to_end"]

_EXACT_BELOW: Final = {"auto": EXACT_BELOW, "end_to_end": 0}


class AsyncPartialReading(AsyncVaultBase):
    """The calls that read parts of objects, whatever their Datatype."""

    async def read(
        self, unit: str, key: Key, *, offset: int = 0, length: int | None = None, verify: Verify = "auto"
    ) -> bytes:
        """Bytes of an object as they are stored, in one request; 2 MiB and more are streamed, after a look at it.

        Args:
            offset: Bytes. Negative: from the end, as far as the object reaches.
            length: Bytes; None, or more than there is: to the end.
            verify: By what the bytes are verified. "end_to_end": by the checksums that their writer made, which are of
                whole blocks, so that whole blocks are moved. "auto": so as well, but of a block of which under a
                quarter is wanted; a server verifies that one, and sends just what is wanted, with a checksum of it.

        Raises:
            NotFoundError: There is no such object.
            InvalidArgumentError: BAD_RANGE, it begins past the end.
            CorruptionError: The stored bytes, of whole blocks, do not match their checksums; or all were read, and they
                are not what the whole's checksum is of.

        Example:
            >>> await vault.read("files", "lines", offset=-6)
            b'world\\n'
        """
        return (await self._read(unit, key, [(offset, length)], verify))[0]

    async def read_ranges(
        self, unit: str, key: Key, ranges: Iterable[tuple[int, int | None]], *, verify: Verify = "auto"
    ) -> list[bytes]:
        """Several parts of one generation of an object; up to 1,000 of them in one request, each block read once, while
        they are under 2 MiB each, and 3 MiB together.

        Args:
            ranges: Of offset and length, as for `read`; in any order, also such that overlap.
            verify: As for `read`.

        Raises:
            As `read`.

        Example:
            >>> await vault.read_ranges("files", "lines", [(0, 5), (6, 5)])
            [b'hello', b'world']
        """
        return await self._read(unit, key, listed("ranges", ranges), verify)

    async def open(self, unit: str, key: Key, *, verify: Verify = "auto") -> AsyncObjectReader:
        """A seekable binary reader on the object's present generation, to be closed.

        Only the blocks that are asked for are fetched; each is verified before it is seen.

        Args:
            verify: As for `read`.

        Raises:
            NotFoundError: There is no such object.
            InvalidArgumentError: The unit, or the key, can be none.

        Example:
            >>> async with await vault.open("notes", "greeting") as reader:
            ...     print(await reader.read())
            b'hello'
        """
        self._require_unit(unit)
        check_key(key)
        return await open_reader(self._store, unit, key, _exact_below(verify))

    async def _read(self, unit: str, key: Key, ranges: list[tuple[int, int | None]], verify: Verify) -> list[bytes]:
        self._require_unit(unit)
        check_key(key)
        exact_below = _exact_below(verify)
        groups = [ranges[start : start + MAX_RANGES] for start in range(0, len(ranges), MAX_RANGES)]
        for group in groups:
            check_ranges(group)
        if len(groups) == 1 and all((length or 0) < STREAMED for _, length in ranges):
            try:
                found = await self._store.read(unit, key, ranges, exact_below=exact_below)
            except InvalidArgumentError as error:
                if error.reason != "MESSAGE_TOO_LARGE":
                    raise
            else:
                if found is None:
                    raise await not_found(self._store, unit, key)
                check_parts(found.info, found.parts)
                return found.parts
        (info,) = await self._store.stat_many(unit, [key])
        if info is None:
            raise await not_found(self._store, unit, key)
        reader = AsyncRangeReader(self._store, info, exact_below)
        located = [[located_in(info.size, *each) for each in group] for group in groups]
        return [part for group in located for part in await reader.read_many(group)]


def _exact_below(verify: str) -> int:
    """As `Store.read` takes it."""
    if not isinstance(verify, str) or verify not in _EXACT_BELOW:
        raise InvalidArgumentError(f'bad verify {verify!r}: "auto" or "end_to_end"', reason="BAD_SETTING")
    return _EXACT_BELOW[verify]
