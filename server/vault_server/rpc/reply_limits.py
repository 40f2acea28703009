"""Replies that stay under the message limit, whatever was asked for."""

from collections.abc import Sequence
from typing import Final, TypeVar

from google.protobuf.message import Message
from vault.errors import InvalidArgumentError, UnavailableError
from vault.store.contract import AsyncStore, LoadResult
from vault.store.specs import LoadItem
from vault.store.values import LoadedObject, NotModified, ObjectInfo, Page
from vault.v1 import vault_pb2 as pb
from vault.wire import messages, request_messages
from vault.wire.error_table import item_error_to_wire

Item = TypeVar("Item", pb.WriteResult, pb.LoadManyResponse.Item, pb.DeleteResponse.Result, pb.ItemError)

_FRAME: Final = 8
"""Bytes that a message in a repeated field takes on top of its own: its tag and its length."""

_RESERVE: Final = 1024
"""Bytes for the rest of a reply."""

_INFO: Final = 96 << 10
"""Bytes of an ObjectInfo with the longest name and the most and longest tags."""

_PART: Final = 64
"""Bytes that a range adds to a reply beside its own: offset, length and checksum, twice where a block ends in it."""


async def load_some(store: AsyncStore, unit: str, items: Sequence[LoadItem], room: int) -> Sequence[LoadResult]:
    """Objects, while a reply has `room` bytes for them; without their data where it has none."""
    if room > _RESERVE:
        return await store.load_many(unit, items)
    infos = await store.stat_many(unit, [item.key for item in items])
    return [_without_data(item, info) for item, info in zip(items, infos, strict=True)]


def _without_data(item: LoadItem, info: ObjectInfo | None) -> LoadResult:
    if info is not None and info.generation == item.if_generation_not_match:
        return NotModified(info.generation)
    return None if info is None else LoadedObject(info, None)


def fit_objects(reply: pb.LoadManyResponse, limit: int) -> None:
    """Takes away the data that a reply of `limit` bytes has no room for; first come, first served."""
    if reply.ByteSize() <= limit - _RESERVE:
        return
    items = reply.items
    sizes = [len(item.object.data) for item in items]
    room = limit - _RESERVE - sum(item.ByteSize() + _FRAME - size for item, size in zip(items, sizes, strict=True))
    for item, size in zip(items, sizes, strict=True):
        if size > room:
            item.object.ClearField("data")
        else:
            room -= size
    fit_results(reply, items, limit)


def fit_results(reply: Message, items: Sequence[Item], limit: int) -> None:
    """Replaces the largest items of a reply by an error that says to ask again, until it fits.

    The error is OVERLOADED: a write that is sent again under its request id is answered as it was here.
    """
    if reply.ByteSize() <= limit - _RESERVE:
        return
    error = item_error_to_wire(
        UnavailableError("the outcome did not fit the reply; send the item again as it is", reason="OVERLOADED")
    )
    size = _RESERVE + sum(item.ByteSize() + _FRAME for item in items)
    for largest in sorted(items, key=lambda item: item.ByteSize(), reverse=True):
        if size <= limit:
            break
        size -= largest.ByteSize()
        (largest if isinstance(largest, pb.ItemError) else largest.error).CopyFrom(error)
        size += largest.ByteSize()


def room_for_parts(ranges: Sequence[object], limit: int) -> int:
    """Bytes of an object that the reply to a Read has room for, beside what is told of them."""
    return max(0, limit - _INFO - _PART * len(ranges))


def fit_stat(reply: pb.StatResponse, limit: int) -> pb.StatResponse:
    """The reply; MESSAGE_TOO_LARGE when it is."""
    if (size := reply.ByteSize()) > limit:
        raise InvalidArgumentError(
            f"the reply would take {size} bytes, and a message at most {limit}: ask for fewer objects at once",
            reason="MESSAGE_TOO_LARGE",
            size=size,
            limit=limit,
        )
    return reply


async def fit_list(store: AsyncStore, request: pb.ListRequest, limit: int) -> tuple[Page, pb.ListResponse]:
    """The page that was asked for, or a shorter one, whose reply fits, and the reply."""
    page_size = request.page_size
    order = request_messages.order_from_wire(request)
    while True:
        page = await store.list_page(
            request.unit,
            prefix=request.prefix if request.HasField("prefix") else None,
            tags=dict(request.tags),
            page_size=page_size,
            page_token=request.page_token,
            **order,
        )
        reply = messages.page_to_wire(page)
        entries = len(page.objects) + len(page.prefixes)
        if reply.ByteSize() <= limit - _RESERVE or entries <= 1:
            return page, reply
        page_size = max(1, entries // 2)
