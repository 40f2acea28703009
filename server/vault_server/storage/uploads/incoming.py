"""What the blocks and the commit of a write are refused with, wherever its bytes go."""

from vault.errors import ChecksumError, ConflictError, InvalidArgumentError
from vault.store.limits import BLOCK_SIZE, check_commit
from vault.store.values import Block
from vault.store.values import checksum as checksum_of


def check_next(block: Block, size: int) -> memoryview:
    """The bytes of the block that follows `size` bytes.

    Raises:
        InvalidArgumentError: BAD_OFFSET, it is another one; BAD_SIZE, the one before it was short; it is no block.
        ChecksumError: It does not match its checksum.
    """
    block.validate()
    data = memoryview(block.data).cast("B")
    if block.offset != size:
        raise InvalidArgumentError(
            f"the next block starts at {size}, not at {block.offset}",
            reason="BAD_OFFSET",
            offset=block.offset,
            expected=size,
        )
    if size % BLOCK_SIZE:
        raise InvalidArgumentError(
            f"a block follows one of {size % BLOCK_SIZE} bytes: only the last may be under {BLOCK_SIZE}",
            reason="BAD_SIZE",
        )
    if checksum_of(data) != block.checksum:
        index = block.offset // BLOCK_SIZE
        raise ChecksumError(f"block {index} does not match the checksum it was sent with", block=index)
    return data


def check_written(size: int, checksum: int | None, *, written: int, whole: int) -> None:
    """Raises what a commit is refused with that does not say what was written.

    Args:
        size: That the commit says.
        checksum: That it says; None: it says none.
        written: Bytes that were.
        whole: Their checksum.

    Raises:
        InvalidArgumentError: BAD_SIZE; or no object could have this size or checksum.
        ChecksumError: The bytes are others.
    """
    check_commit(size, checksum)
    if size != written:
        raise InvalidArgumentError(
            f"the commit says {size} bytes, but {written} were written", reason="BAD_SIZE", size=size, written=written
        )
    if checksum is not None and checksum != whole:
        raise ChecksumError("the object does not match the checksum it was committed with")


def taken_over(unit: str) -> ConflictError:
    """The error for a writer whose write was begun again."""
    return ConflictError(
        "the write was begun again under its request id, and goes on there", reason="WRITE_TAKEN_OVER", unit=unit
    )
