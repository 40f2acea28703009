# Generated from _async/objects/batches.py by scripts/unasync: DO NOT CHANGE.
"""Any number of items in batches; and objects written so in their order, what does not fit a block as a stream."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from vault._sync.objects.codec import Codec
from vault._runtime.sync_async import Returned
from vault.datatype import Datatype
from vault.errors import VaultError
from vault.store.blocks import Encoded
from vault.store.limits import MAX_BATCH_ITEMS
from vault.store.outcomes import merged
from vault.store.values import ObjectInfo

_BYTES_AT_A_TIME: Final = 16 << 20  # dumped and not yet sent

SpecT = TypeVar("SpecT")
ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


def in_batches(
    items: Sequence[ItemT | VaultError], ask: Callable[[list[ItemT]], Returned[Sequence[AnswerT]]]
) -> list[AnswerT | VaultError]:
    """What is answered about each item, of as many at a time as a batch may have; one that is an error is its own
    outcome."""
    wanted = [item for item in items if not isinstance(item, VaultError)]
    answers: list[AnswerT] = []
    for start in range(0, len(wanted), MAX_BATCH_ITEMS):
        answers += ask(wanted[start : start + MAX_BATCH_ITEMS])
    return merged(items, answers)


def write_all(
    codec: Codec,
    objects: Sequence[Datatype],
    spec_of: Callable[[int, Datatype], SpecT],
    item: Callable[[SpecT, bytes, int], ItemT],
    send: Callable[[list[ItemT]], Returned[Sequence[Any]]],
    stream: Callable[[SpecT, Datatype, Encoded | None], Returned[ObjectInfo]],
) -> list[ObjectInfo | VaultError]:
    """What became of each object; of two that get in each other's way, the first comes first.

    Args:
        spec_of: What is said of the object at a place. What it raises is that one's outcome.
        item: Makes an item of a batch.
        send: Writes a batch.
        stream: Writes what does not fit a block; `Encoded` where it is whole already.
    """
    results: list[Any] = [None] * len(objects)
    batch: dict[int, ItemT] = {}
    size = 0

    def flush() -> None:
        nonlocal size
        if batch:
            items = list(batch.values())
            for index, outcome in zip(batch, send(items), strict=True):
                results[index] = outcome
        batch.clear()
        size = 0

    for index, data in enumerate(objects):
        try:
            spec = spec_of(index, data)
            encoded = codec.encode(data)
        except VaultError as error:
            results[index] = error
            continue
        if encoded is None or not encoded.fits_block:
            flush()
            try:
                results[index] = stream(spec, data, encoded)
            except VaultError as error:
                results[index] = error
            continue
        batch[index] = item(spec, encoded.data, encoded.checksum)
        size += len(encoded.data)
        if size >= _BYTES_AT_A_TIME or len(batch) == MAX_BATCH_ITEMS:
            flush()
    flush()
    return results
