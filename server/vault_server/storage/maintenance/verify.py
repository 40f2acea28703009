"""Reading one object to find out whether its bytes are those that were stored."""

from collections.abc import Iterator
from typing import NamedTuple

import xxhash
from vault.errors import CorruptionError, StorageError
from vault.store.limits import BLOCK_SIZE

from vault_server.storage.files.reader import StoredReader
from vault_server.storage.maintenance.report import Problem, ProblemKind


class Verified(NamedTuple):
    """One block that was read: its number, its size, and what is wrong with it."""

    block: int
    size: int
    problem: Problem | None


def is_damage(error: CorruptionError | StorageError) -> bool:
    """Whether it is of the stored bytes: a sector that cannot be read is, the system's other troubles are not."""
    return isinstance(error, CorruptionError) or error.context.get("errno") == "EIO"


def verify(reader: StoredReader, first: int = 0) -> Iterator[Verified]:
    """Reads the blocks from `first` on; a damaged one does not end it.

    From the first block on, the checksum of the whole is compared too: the last item, of no bytes, when it differs.
    """
    info = reader.info
    whole = xxhash.xxh3_64()
    complete = first == 0
    reader.skip_to(first)
    for index in range(first, info.block_count):
        problem = None
        try:
            block = reader.next_block()
            if block is None:
                return  # it was closed
            whole.update(block.data)
            block.verify(info)
        except (CorruptionError, StorageError) as error:
            if not is_damage(error):
                raise
            complete = False
            problem = Problem(ProblemKind.BAD_BLOCK, error.message, info.unit, info.data_id, index)
            reader.skip_to(index + 1)
        yield Verified(index, min(BLOCK_SIZE, info.size - index * BLOCK_SIZE), problem)
    if complete and whole.intdigest() != info.checksum:
        detail = "its blocks are as they were stored, but the checksum of the whole is another"
        problem = Problem(ProblemKind.BAD_CHECKSUM, detail, info.unit, info.data_id)
        yield Verified(info.block_count, 0, problem)
