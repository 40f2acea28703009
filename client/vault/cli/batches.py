"""What a unit holds: an object, pages of a listing as one listing; and work in batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from vault.errors import object_not_found
from vault.store.contract import Store
from vault.store.limits import MAX_PAGE_SIZE
from vault.store.values import Key, ListOrder, ObjectInfo, Page

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


def pages(
    store: Store,
    unit: str,
    *,
    prefix: str | None,
    tags: Mapping[str, str],
    order: ListOrder | None = None,
    descending: bool = False,
    delimiter: str | None = None,
) -> Iterator[Page]:
    """All pages of a listing; see `list_page`."""
    token = ""
    while True:
        page = store.list_page(
            unit,
            prefix=prefix,
            tags=tags,
            page_size=MAX_PAGE_SIZE,
            page_token=token,
            order=order,
            descending=descending,
            delimiter=delimiter,
        )
        yield page
        token = page.next_page_token
        if not token:
            return


def found(store: Store, unit: str, key: Key) -> ObjectInfo:
    """What is known of an object; NotFoundError when there is none."""
    info = store.stat_many(unit, [key])[0]
    if info is None:
        raise object_not_found(unit, key)
    return info


def revision_now(store: Store) -> int:
    """A revision that is at least that of everything committed before."""
    store.capabilities()  # whose reply shows it
    return store.revision
