"""What the blocks and the commit of a write are refused with, wherever its bytes go."""

from collections.abc import Callable, Sequence

from vault.errors import ChecksumError, ConflictError, InvalidArgumentError, VaultError
from vault.store.limits import BLOCK_SIZE, check_commit, check_small
from vault.store.values import Block, SmallUpdate, SmallUpload
from vault.store.values import checksum as checksum_of

from vault_server.storage.decision.writes import Content


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


def small_content(data: bytes, checksum: int) -> Content:
    """The content of an object of at most one block.

    Raises:
        InvalidArgumentError: BAD_SIZE, it is over one block; BAD_DATA, BAD_CHECKSUM.
        ChecksumError: It does not match its checksum.
    """
    check_small(data, checksum)
    if checksum_of(data) != checksum:
        raise ChecksumError("the object does not match the checksum it was sent with")
    return Content(len(data), checksum, checksum.to_bytes(8, "little") if data else b"", bytes(data))


def small_contents(
    items: Sequence[SmallUpload] | Sequence[SmallUpdate], stage: Callable[[Content], None] = lambda _: None
) -> list[Content | VaultError]:
    """The content of each item of a batch, or what refuses it.

    Args:
        stage: Takes the bytes out of a content that is not to have them in itself.
    """
    contents: list[Content | VaultError] = []
    for item in items:
        try:
            item.spec.validate()
            content = small_content(item.data, item.checksum)
            stage(content)
            contents.append(content)
        except VaultError as error:
            contents.append(error)
    return contents


def taken_over(unit: str) -> ConflictError:
    """The error for a writer whose write was begun again."""
    return ConflictError(
        "the write was begun again under its request id, and goes on there", reason="WRITE_TAKEN_OVER", unit=unit
    )
