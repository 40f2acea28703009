"""Objects for a suite to store, and the shortest way to put them in and get them out again."""

import functools
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from vault.errors import VaultError
from vault.store.contract import AsyncBlockReader, AsyncBlockWriter, AsyncStore
from vault.store.limits import BLOCK_SIZE, MAX_PAGE_SIZE
from vault.store.outcomes import single
from vault.store.specs import (
    DeleteSpec,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    new_data_id,
    new_request_id,
)
from vault.store.values import Block, Key, ListOrder, NotModified, ObjectInfo, checksum

E = TypeVar("E", bound=VaultError)

SIZES = {
    "empty": 0,
    "one_byte": 1,
    "small": 1000,
    "64KiB": 65536,
    "block_less_1": BLOCK_SIZE - 1,
    "block": BLOCK_SIZE,
    "block_and_1": BLOCK_SIZE + 1,
    "three_blocks": 3 * BLOCK_SIZE,
    "four_blocks_short": 3 * BLOCK_SIZE + 17,
}
"""Sizes on both sides of every boundary, in bytes, by a name for the test's id."""

WAYS = ("stream", "resumable", "batch")
"""How an object is put."""

every_size = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
"""Runs a test once for each of SIZES."""


@functools.lru_cache(maxsize=64)
def payload(size: int, seed: int = 0) -> bytes:
    """`size` bytes that look random and are the same every time; another `seed` gives others."""
    return random.Random(f"{size} {seed}").randbytes(size)  # noqa: S311  # test data, not secrets


def blocks_of(data: bytes) -> list[Block]:
    """`data` cut into blocks, checksums right."""
    pieces = ((start, data[start : start + BLOCK_SIZE]) for start in range(0, len(data), BLOCK_SIZE))
    return [Block(start, piece, checksum(piece)) for start, piece in pieces]


def upload_spec(
    *,
    data_id: int | None = None,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    datatype: str = "",
    request_id: bytes | None = None,
) -> UploadSpec:
    """An UploadSpec with a new id and request id, unless told."""
    return UploadSpec(
        data_id=new_data_id() if data_id is None else data_id,
        name=name,
        tags={} if tags is None else tags,
        datatype=datatype,
        request_id=new_request_id() if request_id is None else request_id,
    )


def small_upload(data: bytes, spec: UploadSpec | None = None) -> SmallUpload:
    """One item for `upload_many`, checksum right."""
    return SmallUpload(upload_spec() if spec is None else spec, data, checksum(data))


def small_update(spec: UpdateSpec, data: bytes) -> SmallUpdate:
    """One item for `update_many`, checksum right."""
    return SmallUpdate(spec, data, checksum(data))


def small_put(spec: PutSpec | UpdateSpec, data: bytes) -> SmallPut:
    """One item for `put_many`, checksum right."""
    return SmallPut(spec, data, checksum(data))


async def send(writer: AsyncBlockWriter, data: bytes) -> ObjectInfo:
    """Writes `data` in blocks and commits it; aborts when that fails."""
    async with writer:
        for block in blocks_of(data):
            if block.offset >= writer.persisted_size:  # of one that was committed before, there is nothing to write
                await writer.write(block)
        return await writer.commit(len(data), checksum(data))


async def put_by(store: AsyncStore, unit: str, way: str, spec: PutSpec | UpdateSpec, data: bytes) -> ObjectInfo:
    """Puts an object by a stream, or in a batch of one."""
    if way == "batch":
        return single(await store.put_many(unit, [small_put(spec, data)]))
    return await send(await store.put(unit, spec, resumable=way == "resumable"), data)


async def put(store: AsyncStore, unit: str, data: bytes, spec: UploadSpec | None = None) -> ObjectInfo:
    """Uploads `data` as a stream of blocks."""
    return await send(await store.upload(unit, upload_spec() if spec is None else spec), data)


async def replace(store: AsyncStore, unit: str, spec: UpdateSpec | Key, data: bytes) -> ObjectInfo:
    """Updates an object as a stream of blocks."""
    return await send(await store.update(unit, spec if isinstance(spec, UpdateSpec) else UpdateSpec(spec)), data)


async def remove(store: AsyncStore, unit: str, spec: DeleteSpec | Key) -> int:
    """Deletes one object: the revision of the deletion, 0 where there was none. Raises what its outcome is."""
    outcome = (await store.delete_many(unit, [spec if isinstance(spec, DeleteSpec) else DeleteSpec(spec)]))[0]
    if isinstance(outcome, VaultError):
        raise outcome
    return outcome


async def reading(store: AsyncStore, unit: str, key: Key) -> AsyncBlockReader:
    """The reader of an object that must be there."""
    reader = await store.load(unit, key)
    assert isinstance(reader, AsyncBlockReader), f"{key!r} should be in {unit!r}, load gave {reader!r}"
    return reader


async def drain(reader: AsyncBlockReader) -> bytes:
    """Every byte that a reader gives, verified; closes it."""
    async with reader:
        data = bytearray()
        async for block in reader:
            block.verify(reader.info)
            data += block.data
        return bytes(data)


async def fetch(store: AsyncStore, unit: str, key: Key) -> bytes | None:
    """The object's bytes, verified; None when there is no such object."""
    reader = await store.load(unit, key)
    assert not isinstance(reader, NotModified)
    return None if reader is None else await drain(reader)


async def stat(store: AsyncStore, unit: str, key: Key) -> ObjectInfo | None:
    """What the store knows of one object."""
    return (await store.stat_many(unit, [key]))[0]


async def listed(
    store: AsyncStore,
    unit: str,
    *,
    prefix: str | None = None,
    tags: Mapping[str, str] | None = None,
    page_size: int = 0,
) -> list[ObjectInfo]:
    """Every page of a listing, as one."""
    objects: list[ObjectInfo] = []
    token = ""
    while True:
        page = await store.list_page(unit, prefix=prefix, tags=tags, page_size=page_size, page_token=token)
        objects += page.objects
        token = page.next_page_token
        if not token:
            return objects


def expected_entries(
    infos: Iterable[ObjectInfo],
    *,
    prefix: str | None = None,
    tags: Mapping[str, str] | None = None,
    order: ListOrder | None = None,
    descending: bool = False,
    after: Key | None = None,
    delimiter: str | None = None,
) -> list[ObjectInfo | str]:
    """The objects and prefixes of a listing, found the plain way: everything is looked at, and sorted."""
    if order is None:
        order = ListOrder.ID if prefix is None and delimiter is None else ListOrder.NAME
    found: dict[Any, ObjectInfo | str] = {}
    for info in infos:
        name = info.name
        if (prefix is not None or order is ListOrder.NAME) and (name is None or not name.startswith(prefix or "")):
            continue
        if not (tags or {}).items() <= info.tags.items():
            continue
        head, ends, _ = (name or "").removeprefix(prefix or "").partition(delimiter or "\0")
        if delimiter is not None and ends:
            text = f"{prefix or ''}{head}{delimiter}"
            found[text] = text
        else:
            found[{ListOrder.ID: info.data_id, ListOrder.NAME: name, ListOrder.REVISION: info.revision}[order]] = info
    places = sorted(found, reverse=descending)
    return [found[at] for at in places if after is None or (at < after if descending else at > after)]


async def entries(store: AsyncStore, unit: str, *, page_size: int = 0, **query: Any) -> list[ObjectInfo | str]:
    """Every page of a listing, as one: its objects and its prefixes, each page's put in order."""
    listed: list[ObjectInfo | str] = []
    token = ""
    while True:
        page = await store.list_page(unit, page_size=page_size, page_token=token, **query)
        assert len(page.objects) + len(page.prefixes) <= (page_size or MAX_PAGE_SIZE)
        both: list[ObjectInfo | str] = [*page.objects, *page.prefixes]
        if page.prefixes:
            both.sort(key=_text_of, reverse=query.get("descending", False))
        assert [entry for entry in both if isinstance(entry, str)] == page.prefixes
        assert [entry for entry in both if not isinstance(entry, str)] == page.objects
        listed += both
        token = page.next_page_token
        if not token:
            return listed


def _text_of(entry: ObjectInfo | str) -> str:
    return entry if isinstance(entry, str) else entry.name or ""


@contextmanager
def raises_refusal(kind: type[E], reason: str, *words: str) -> Iterator[pytest.ExceptionInfo[E]]:
    """The block must raise an error of exactly this class and reason, with all of `words` in its text."""
    with pytest.raises(kind) as caught:
        yield caught
    assert_failed_with(caught.value, kind, reason, *words)


def assert_failed_with(error: object, kind: type[VaultError], reason: str, *words: str) -> None:
    """Asserts that an item's outcome is an error of exactly this class and reason."""
    assert isinstance(error, VaultError), f"{error!r} should be a {kind.__name__}"
    assert (type(error), error.reason) == (kind, reason), f"{error!r} with reason {error.reason}"
    for word in words:
        assert word in str(error), f"{word!r} is not in {str(error)!r}"
