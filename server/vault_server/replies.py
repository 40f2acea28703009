"""Replies that stay under the message limit, whatever was asked for."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from vault.errors import InvalidArgumentError, UnavailableError
from vault.model import LoadedObject, LoadItem, NotModified, ObjectInfo
from vault.store import AsyncStore, LoadResult
from vault.v1 import vault_pb2 as pb
from vault.wire import messages
from vault.wire.reasons import item_error_to_wire

Item = TypeVar("Item", pb.WriteResult, pb.LoadManyResponse.Item)

_SLICE: Final = 32
"""Objects loaded at a time, so that a batch that cannot fit a reply does not fill the memory first."""

_FRAME: Final = 8
"""Bytes that a message in a repeated field takes on top of its own: its tag and its length."""

_RESERVE: Final = 1024
"""Bytes for the rest of a reply."""


async def load_many(
    store: AsyncStore, unit: str, items: Sequence[LoadItem], limit: int
) -> list[pb.LoadManyResponse.Item]:
    """Loads while the objects fit a reply of `limit` bytes; the rest comes as info alone."""
    results: list[LoadResult] = []
    room = limit - _RESERVE
    while len(results) < len(items) and room > 0:
        part = await store.load_many(unit, items[len(results) : len(results) + _SLICE])
        room -= sum(len(found.data or b"") for found in part if isinstance(found, LoadedObject))
        results += part
    rest = items[len(results) :]
    for item, info in zip(rest, await store.stat_many(unit, [item.key for item in rest]) if rest else (), strict=True):
        results.append(_without_data(item, info))
    return _fit_objects([messages.load_result_to_wire(result) for result in results], limit)


def _without_data(item: LoadItem, info: ObjectInfo | None) -> LoadResult:
    if info is not None and info.generation == item.if_generation_not_match:
        return NotModified(info.generation)
    return None if info is None else LoadedObject(info, None)


def _fit_objects(items: list[pb.LoadManyResponse.Item], limit: int) -> list[pb.LoadManyResponse.Item]:
    """The items, with the data that a reply of `limit` bytes has room for; first come, first served."""
    sizes = [len(item.object.data) for item in items]
    room = limit - _RESERVE - sum(item.ByteSize() + _FRAME - size for item, size in zip(items, sizes, strict=True))
    for item, size in zip(items, sizes, strict=True):
        if size > room:
            item.object.ClearField("data")
        else:
            room -= size
    return fit_results(items, limit)


def fit_results(items: Iterable[Item], limit: int) -> list[Item]:
    """The items, the largest replaced by an error that says to ask again until the rest fits.

    The error is OVERLOADED: a write that is sent again under its request id is answered as it was here.
    """
    error = item_error_to_wire(
        UnavailableError("the outcome did not fit the reply; send the item again as it is", reason="OVERLOADED")
    )
    fitted = list(items)
    size = _RESERVE + sum(item.ByteSize() + _FRAME for item in fitted)
    if size > limit:
        for largest in sorted(fitted, key=lambda item: item.ByteSize(), reverse=True):
            size -= largest.ByteSize()
            largest.error.CopyFrom(error)
            size += largest.ByteSize()
            if size <= limit:
                break
    return fitted


def fit_stat(reply: pb.StatResponse, limit: int) -> pb.StatResponse:
    """The reply, unless it is too large.

    Raises:
        InvalidArgumentError: MESSAGE_TOO_LARGE.
    """
    if (size := reply.ByteSize()) > limit:
        raise InvalidArgumentError(
            f"the reply would take {size} bytes, and a message at most {limit}: ask for fewer objects at once",
            reason="MESSAGE_TOO_LARGE",
            size=size,
            limit=limit,
        )
    return reply


async def fit_list(store: AsyncStore, request: pb.ListRequest, revision: int, limit: int) -> pb.ListResponse:
    """The page that was asked for, or a shorter one that fits."""
    page_size = request.page_size
    while True:
        page = await store.list_page(
            request.unit,
            prefix=request.prefix if request.HasField("prefix") else None,
            tags=dict(request.tags),
            page_size=page_size,
            page_token=request.page_token,
        )
        reply = messages.page_to_wire(page)
        reply.revision = revision
        if reply.ByteSize() <= limit or len(page.objects) <= 1:
            return reply
        page_size = max(1, len(page.objects) // 2)
