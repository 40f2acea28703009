"""Pages of a listing as one listing, and work in batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from vault.store.contract import Store
from vault.store.limits import MAX_PAGE_SIZE
from vault.store.values import ObjectInfo

T = TypeVar("T")

BATCH_ITEMS: Final = 1000
BATCH_BYTES: Final = 8 << 20
"""Of small objects that are in memory together."""


def batches(
    items: Iterable[T], most: int = BATCH_ITEMS, size_of: Callable[[T], int] = lambda _: 0
) -> Iterator[list[T]]:
    """The items in lists of at most `most`, each ended by the item that makes it BATCH_BYTES or more."""
    batch: list[T] = []
    size = 0
    for item in items:
        batch.append(item)
        size += size_of(item)
        if len(batch) >= most or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def listed(store: Store, unit: str, *, prefix: str | None, tags: Mapping[str, str]) -> Iterator[ObjectInfo]:
    """A unit's objects, page by page: by id, or by name under a prefix."""
    token = ""
    while True:
        page = store.list_page(unit, prefix=prefix, tags=tags, page_size=MAX_PAGE_SIZE, page_token=token)
        yield from page.objects
        token = page.next_page_token
        if not token:
            return
