"""Parts of one object, put together of whole blocks and of pieces of blocks. No I/O."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vault.errors import InvalidArgumentError
from vault.store.blocks import spans
from vault.store.limits import BLOCK_SIZE, check_range
from vault.store.values import Block, ObjectInfo, ObjectRanges


class Piece(NamedTuple):
    """What a range wants of one block.

    Attributes:
        part: Which range it is of.
        at: Where in that part it begins.
        block: Its index.
        start, stop: Where in the block it is.
    """

    part: int
    at: int
    block: int
    start: int
    stop: int

    @property
    def offset(self) -> int:
        """Where in the object it begins."""
        return self.block * BLOCK_SIZE + self.start

    @property
    def size(self) -> int:
        return self.stop - self.start


class RangeAssembly:
    """Which blocks ranges of an object touch, which of them are moved whole, and the parts made of them.

    A block is moved whole when at least `exact_below` of its bytes are wanted, or all that it has; of the others, just
    the pieces are. Both sides of a connection come to the same from the same arguments.

    Attributes:
        touched: The blocks that are needed, in order.
        whole: Those of them that are moved whole.
        pieces: What is wanted of the others, in order of the ranges.
    """

    def __init__(
        self, info: ObjectInfo, ranges: Sequence[tuple[int, int | None]], *, exact_below: int, max_bytes: int
    ) -> None:
        """
        Raises:
            InvalidArgumentError: BAD_RANGE, a range begins past the end; MESSAGE_TOO_LARGE, the parts, or what is
                moved for them, are over `max_bytes`.
        """
        self.info = info
        located = [located_in(info.size, *each) for each in ranges]
        self._require(sum(length for _, length in located), max_bytes)  # before they are looked at piece by piece
        self._by_block: dict[int, list[Piece]] = {}
        wanted: dict[int, int] = {}
        pieces = []
        for part, (offset, length) in enumerate(located):
            for index, start, stop in spans(offset, length):
                piece = Piece(part, index * BLOCK_SIZE + start - offset, index, start, stop)
                pieces.append(piece)
                self._by_block.setdefault(index, []).append(piece)
                wanted[index] = wanted.get(index, 0) + stop - start
        self.touched = sorted(wanted)
        self.whole = [index for index in self.touched if wanted[index] >= min(exact_below, self.size_of(index))]
        self._whole = whole = frozenset(self.whole)
        self.pieces = [piece for piece in pieces if piece.block not in whole]
        moved = [self.size_of(index) if index in whole else wanted[index] for index in self.touched]
        self._require(sum(moved), max_bytes)
        self._found: list[dict[int, bytes]] = [{} for _ in located]

    def size_of(self, index: int) -> int:
        """Bytes of a block."""
        return min(BLOCK_SIZE, self.info.size - index * BLOCK_SIZE)

    def is_whole(self, index: int) -> bool:
        """Whether a block is one of `whole`."""
        return index in self._whole

    def runs(self) -> Iterable[tuple[int, int]]:
        """The blocks that are needed as runs of neighbours: the first one and how many."""
        first = count = 0
        for index in self.touched:
            if count and index != first + count:
                yield first, count
                count = 0
            if not count:
                first = index
            count += 1
        if count:
            yield first, count

    def take(self, index: int, data: bytes | bytearray | memoryview) -> None:
        """What is wanted of a block, of which these are all bytes, verified."""
        for piece in self._by_block[index]:
            self.put(piece, data[piece.start : piece.stop])

    def put(self, piece: Piece, data: bytes | bytearray | memoryview) -> None:
        """A piece, verified."""
        self._found[piece.part][piece.at] = bytes(data)

    def finish(self, blocks: list[Block]) -> ObjectRanges:
        """The parts, once all pieces were taken.

        Args:
            blocks: The whole ones.
        """
        parts = [b"".join(found[at] for at in sorted(found)) for found in self._found]
        return ObjectRanges(self.info, parts, blocks)

    def _require(self, size: int, max_bytes: int) -> None:
        if size > max_bytes:
            raise InvalidArgumentError(
                f"{size} bytes of object {self.info.data_id} in unit {self.info.unit!r} in one answer: at most "
                f"{max_bytes}, more is streamed",
                reason="MESSAGE_TOO_LARGE",
                size=size,
                limit=max_bytes,
            )


def located_in(size: int, offset: int, length: int | None) -> tuple[int, int]:
    """Where a range is in an object of `size` bytes, and how many it has of it.

    Raises:
        InvalidArgumentError: BAD_RANGE, it begins past the end.
    """
    start = max(size + offset, 0) if offset < 0 else offset
    check_range(start, length, size)
    left = size - start
    return start, left if length is None else min(length, left)
