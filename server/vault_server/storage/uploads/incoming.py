"""The bytes of a write as they come, wherever they go, and what they are refused with."""

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import xxhash
from vault.errors import ChecksumError, ConflictError, InvalidArgumentError, VaultError
from vault.store.limits import BLOCK_SIZE, check_commit, check_small, check_spec
from vault.store.specs import SmallWrite
from vault.store.values import Block
from vault.store.values import checksum as checksum_of
from vault.store.write_columns import SmallPuts, SmallUploads

from vault_server.storage.decision.rows import pack_checksums
from vault_server.storage.decision.writes import Content


def check_next(block: Block, size: int) -> memoryview:
    """The bytes of the block that follows `size` bytes.

    Raises:
        InvalidArgumentError: BAD_OFFSET, it is another one; BAD_SIZE, the one before it was short; it is no block.
        ChecksumError: It does not match its checksum.
    """
    check_spec(block, Block)
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


class Incoming:
    """What is known of the bytes of a write so far, and where they are: in `data` while they are few, then in `staged`.

    Attributes:
        size: Bytes.
        checksums: Of each block.
        whole: The hash of all of them.
        staged: Its engine's; None: they are in `data`.
    """

    __slots__ = ("checksums", "data", "size", "staged", "whole")

    def __init__(self, staged: Any = None) -> None:
        self.size = 0
        self.checksums = array("Q")
        self.whole = xxhash.xxh3_64()
        self.data = b""
        self.staged = staged

    def add(self, block: Block) -> memoryview:
        """Counts the next block in; its bytes. Raises what `check_next` does."""
        data = check_next(block, self.size)
        self.checksums.append(block.checksum)
        self.whole.update(data)
        self.size += len(data)
        return data

    def content(self, size: int, checksum: int | None) -> Content:
        """All of them, to be committed. Raises what a commit is refused with that does not say what was written.

        Args:
            size: That the commit says.
            checksum: That it says; None: it says none.

        Raises:
            InvalidArgumentError: BAD_SIZE; or no object could have this size or checksum.
            ChecksumError: The bytes are others.
        """
        check_commit(size, checksum)
        if size != self.size:
            raise InvalidArgumentError(
                f"the commit says {size} bytes, but {self.size} were written",
                reason="BAD_SIZE",
                size=size,
                written=self.size,
            )
        whole = self.whole.intdigest()
        if checksum is not None and checksum != whole:
            raise ChecksumError("the object does not match the checksum it was committed with")
        return Content(size, whole, pack_checksums(self.checksums), None if self.staged is not None else self.data)


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
    items: Sequence[SmallWrite], stage: Callable[[Content], None] | None = None
) -> list[Content | VaultError]:
    """The content of each item of a batch, or what refuses it.

    Args:
        items: Columns are valid, as their `are_valid` says.
        stage: Takes the bytes out of a content that is not to have them in itself.
    """
    contents = None
    if type(items) is not list and isinstance(items, (SmallUploads, SmallPuts)):
        contents = _of_columns(items)
    if contents is None:
        contents = []
        for item in items:
            try:
                item.spec.validate()
                contents.append(small_content(item.data, item.checksum))
            except VaultError as error:
                contents.append(error)
    if stage is not None:
        for at, content in enumerate(contents):
            if isinstance(content, Content):
                try:
                    stage(content)
                except VaultError as error:
                    contents[at] = error
    return contents


def _of_columns(items: SmallUploads | SmallPuts) -> list[Content | VaultError] | None:
    """None: not all of them match their checksums."""
    data, checksums = items.data, items.checksums
    if list(map(xxhash.xxh3_64_intdigest, data)) != list(checksums):
        return None
    blocks = [checksum.to_bytes(8, "little") if each else b"" for each, checksum in zip(data, checksums, strict=True)]
    return list(map(Content, map(len, data), checksums, blocks, data))


def taken_over(unit: str) -> ConflictError:
    """The error for a writer whose write was begun again."""
    return ConflictError(
        "the write was begun again under its request id, and goes on there", reason="WRITE_TAKEN_OVER", unit=unit
    )
