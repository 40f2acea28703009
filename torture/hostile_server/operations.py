"""Public calls against a store whose contents are known, with what each has to answer."""

import io
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import patch

from vault import AsyncVault, Datatype
from vault._async.remote import writer as async_writer
from vault._sync.remote import writer as sync_writer
from vault.errors import BatchError, VaultError
from vault.store.contract import AsyncBlockReader, AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import (
    CopySpec,
    DeleteSpec,
    LoadItem,
    MetadataSpec,
    PutSpec,
    SmallUpload,
    Times,
    UpdateSpec,
    UploadSpec,
)
from vault.store.usage import PrincipalLimits, UnitLimits
from vault.store.values import Block, Change, LoadedObject, NotModified, ObjectInfo, Progress, checksum
from vault.testing.store.objects import blocks_of, small_put
from vault_server import EmbeddedStore

from tests.vault.places import Note

LARGE: Final = bytes(range(256)) * (10 * BLOCK_SIZE // 1024)  # 2.5 blocks
SUSPENDED: Final = b"suspended write."


class Raw(Datatype):
    """Bytes as they are."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def _dump(self) -> bytes:
        return self.data

    @classmethod
    def _load(cls, raw: bytes) -> "Raw":
        return cls(raw)


STRUCTURE: Final[dict[str, tuple[type[Datatype], int]]] = {"notes": (Note, 0), "files": (Raw, 0)}


def fill(store: EmbeddedStore) -> None:
    """Puts in what the operations expect."""
    for data_id, name, text in ((1, "a/one", b"1"), (2, "a/two", b"22"), (3, None, b"333"), (4, "b/four", b"4444")):
        spec = UploadSpec(data_id, name, {"kind": "note"}, Note.datatype_tag)
        store.upload_many("notes", [SmallUpload(spec, text, checksum(text))])
    with store.upload("files", UploadSpec(1, "large", {}, Raw.datatype_tag)) as writer:
        for block in blocks_of(LARGE):
            writer.write(block)
        writer.commit(len(LARGE), checksum(LARGE))
    with store.upload("files", UploadSpec(9, None, {}, "", SUSPENDED), resumable=True) as suspended:
        suspended.write(next(iter(blocks_of(LARGE))))
        suspended.suspend()
    for principal in ("ann", "anne"):
        store.set_principal_limits(principal, PrincipalLimits(5, 6))


Run = Callable[[AsyncVault, AsyncStore], Awaitable[Any]]


@dataclass(frozen=True)
class Operation:
    """One call.

    Attributes:
        run: Makes it; what it answers.
        writes: It changes the store; `restore` undoes that.
    """

    name: str
    run: Run
    writes: bool = False


def restore(store: EmbeddedStore) -> None:
    """Undoes what an operation has written."""
    store.set_unit_limits("notes", UnitLimits())
    store.set_principal_limits("ann", PrincipalLimits(5, 6))
    store.delete_many("notes", [DeleteSpec(data_id) for data_id in (50, 51)])
    store.delete_many("files", [DeleteSpec(50)])
    now = {info.data_id: info for info in store.list_page("notes").objects}
    if (
        4 in now
        and now[4].checksum == checksum(b"4444")
        and now[4].tags == {"kind": "note"}
        and now[4].expires_at is None
    ):
        return
    store.delete_many("notes", [DeleteSpec(4)])
    spec = UploadSpec(4, "b/four", {"kind": "note"}, Note.datatype_tag)
    store.upload_many("notes", [SmallUpload(spec, b"4444", checksum(b"4444"))])


def _plain(value: Any) -> Any:
    """An answer, without what differs each time."""
    if isinstance(value, ObjectInfo):
        never = datetime(1970, 1, 1, tzinfo=UTC)
        if value.data_id > 3:  # it is written
            expires = None if value.expires_at is None else never
            value = replace(value, generation=1, revision=1, created_at=never, updated_at=never, expires_at=expires)
            value = replace(value, written_at=never)
        return replace(value, tags=dict(value.tags))
    return value


async def _ticket(vault: AsyncVault, unit: str, key: int | str) -> Any:
    ticket = await vault.load(unit, key)
    if ticket is None:
        return None
    async with ticket:
        data = ticket.get_data()
        return data.text if isinstance(data, Note) else data.data


async def load_many(vault: AsyncVault, _: AsyncStore) -> Any:
    try:
        tickets: list[Any] = await vault.load_many("notes", [1, "a/two", 99])
    except BatchError as error:
        for each in error.results:
            if each is not None and not isinstance(each, VaultError):
                await each.close()
        raise
    found: list[Any] = []
    for ticket in tickets:
        if ticket is None:
            found.append(None)
            continue
        async with ticket:
            found.append(ticket.get_data().text)
    return found


async def load_again_strict(_: AsyncVault, store: AsyncStore) -> Any:
    async with AsyncVault(store, STRUCTURE, consistency="strict") as strict:
        return [await _ticket(strict, "notes", 1), await _ticket(strict, "notes", 1)]


async def read(vault: AsyncVault, _: AsyncStore) -> Any:
    async with await vault.open("files", "large") as file:
        file.seek(BLOCK_SIZE + 5)
        part = await file.read(10)
        file.seek(0)
        return part, await file.read()


async def download(vault: AsyncVault, _: AsyncStore) -> Any:
    target = io.BytesIO()
    info = await vault.download_file("files", 1, target)
    return target.getvalue(), _plain(info)


async def list_by_id(vault: AsyncVault, _: AsyncStore) -> Any:
    return [_plain(info) async for info in vault.list("notes", tags={"kind": "note"})]


async def list_by_name(vault: AsyncVault, _: AsyncStore) -> Any:
    return [_plain(info) async for info in vault.list("notes", prefix="a/")]


async def list_newest(vault: AsyncVault, _: AsyncStore) -> Any:
    listed = vault.list("notes", order="changed", descending=True)
    return [info.data_id if info.data_id > 3 else _plain(info) async for info in listed]


async def list_level(vault: AsyncVault, _: AsyncStore) -> Any:
    level = await vault.list_level("files")
    below = await vault.list_level("notes")
    return level.prefixes, [_plain(info) for info in level.objects], below.prefixes, below.objects


async def upload(vault: AsyncVault, _: AsyncStore) -> Any:
    return await vault.upload("notes", Note("fifty"), data_id=50, name="fifty", tags={"t": "x"})


async def upload_large(vault: AsyncVault, _: AsyncStore) -> Any:
    return await vault.upload("files", Raw(LARGE), data_id=50, name="fifty")


async def upload_by_several(_: AsyncVault, store: AsyncStore) -> Any:
    """The last block goes by a further connection."""
    channel: Any = getattr(store, "_store", store)
    channel._channel._for_transfer = 2
    with ExitStack() as soon:
        for module in (async_writer, sync_writer):
            soon.enter_context(patch.multiple(module, LEAD=1, JOIN=2))
        async with await store.upload("files", UploadSpec(50, "fifty", {}, Raw.datatype_tag)) as writer:
            for block in blocks_of(LARGE):
                await writer.write(block)
            return _plain(await writer.commit(len(LARGE), checksum(LARGE)))


async def upload_file(vault: AsyncVault, _: AsyncStore) -> Any:
    return await vault.upload_file("files", io.BytesIO(LARGE), data_id=50)


async def write_file(vault: AsyncVault, _: AsyncStore) -> Any:
    async with await vault.open_writer("files", data_id=50) as file:
        await file.write(LARGE)
    return _plain(file.info)


async def update(vault: AsyncVault, _: AsyncStore) -> Any:
    return _plain(await vault.update("notes", 4, Note("new")))


async def update_large(vault: AsyncVault, store: AsyncStore) -> Any:
    async with await store.update("notes", UpdateSpec("b/four", datatype="raw")) as writer:
        for block in blocks_of(LARGE):
            await writer.write(block)
        return _plain(await writer.commit(len(LARGE), checksum(LARGE)))


async def edit(vault: AsyncVault, _: AsyncStore) -> Any:
    return _plain(await vault.edit("notes", 4, lambda _: Note("edited")))


async def upload_many(_: AsyncVault, store: AsyncStore) -> Any:
    items = [SmallUpload(UploadSpec(data_id), b"x", checksum(b"x")) for data_id in (50, 51)]
    return [_plain(outcome) for outcome in await store.upload_many("notes", items)]


async def delete(vault: AsyncVault, _: AsyncStore) -> Any:
    return await vault.delete("notes", 4), await vault.delete("notes", 99)


async def set_metadata(vault: AsyncVault, _: AsyncStore) -> Any:
    return _plain(await vault.set_metadata("notes", 4, name="b/renamed", tags={"a": "b"}))


async def put(_: AsyncVault, store: AsyncStore) -> Any:
    async with await store.put("notes", PutSpec("b/four", 51, {"t": "x"}, "d", expires_in=3600)) as writer:
        for block in blocks_of(LARGE):
            await writer.write(block)
        return _plain(await writer.commit(len(LARGE), checksum(LARGE)))


async def put_many(_: AsyncVault, store: AsyncStore) -> Any:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    specs: list[PutSpec | UpdateSpec] = [
        PutSpec("fifty", 50, {"t": "x"}, "d", 0, times=Times(*[long_ago] * 3)),
        PutSpec("b/four", 51),
        UpdateSpec(4, tags={"a": "b"}),
    ]
    return [_plain(outcome) for outcome in await store.put_many("notes", [small_put(spec, b"x") for spec in specs])]


async def set_metadata_many(_: AsyncVault, store: AsyncStore) -> Any:
    specs = [MetadataSpec(4, "b/renamed", {"a": "b"}, replace=True), MetadataSpec(4, expires_in=3600)]
    return [_plain(outcome) for outcome in await store.set_metadata_many("notes", specs)]


async def delete_unchanged(_: AsyncVault, store: AsyncStore) -> Any:
    (info,) = await store.stat_many("notes", [4])
    revision = info.revision if info else 1
    (outcome,) = await store.delete_many("notes", [DeleteSpec(4, if_revision=revision)])
    return isinstance(outcome, int) and outcome > 0


async def unit_infos(vault: AsyncVault, _: AsyncStore) -> Any:
    return [replace(info, revision=1) async for info in vault.unit_infos()]


async def set_unit_limits(vault: AsyncVault, _: AsyncStore) -> Any:
    return replace(await vault.set_unit_limits("notes", max_objects=1000), revision=1)


async def principal_page(_: AsyncVault, store: AsyncStore) -> Any:
    return (await store.principal_page(prefix="a")).principals


async def set_principal_limits(_: AsyncVault, store: AsyncStore) -> Any:
    return await store.set_principal_limits("ann", PrincipalLimits(max_bytes=1 << 40))


async def watch(_: AsyncVault, store: AsyncStore) -> Any:
    seen: list[Change] = []
    async with AsyncVault(store, STRUCTURE) as vault, await vault.watch("notes", since=0) as changes:
        while not seen or seen[-1].revision < 3:
            seen.append(await anext(changes))
    async with await store.watch(["notes"], since=0) as events:  # and on, until the server says that this is all
        async for event in events:
            if isinstance(event, Progress) and event.revision >= 3:
                break
    return seen


async def load_range(_: AsyncVault, store: AsyncStore) -> Any:
    reader = await store.load("files", 1, offset=BLOCK_SIZE, length=1)
    if not isinstance(reader, AsyncBlockReader):
        return reader
    async with reader:
        blocks = [block async for block in reader]
        for block in blocks:
            block.verify(reader.info)
        return [bytes(block.data) for block in blocks]


async def read_parts(_: AsyncVault, store: AsyncStore) -> Any:
    found = await store.read("files", "large", [(5, 10), (BLOCK_SIZE - 5, BLOCK_SIZE), (-7, None)])
    return None if found is None else found.parts


async def copy(_: AsyncVault, store: AsyncStore) -> Any:
    specs = [CopySpec("a/one", "c/five", 50), CopySpec(2, "b/four", 51, replace=True)]
    return [_plain(outcome) for outcome in await store.copy_many("notes", specs)]


async def unchanged(_: AsyncVault, store: AsyncStore) -> Any:
    held = await store.stat_many("notes", [1])
    generation = held[0].generation if held[0] else 1
    one = await store.load("notes", 1, if_generation_not_match=generation)
    many = await store.load_many("notes", [LoadItem(1, generation), LoadItem(2)])
    assert isinstance(one, NotModified | None), one
    return one, [outcome.data if isinstance(outcome, LoadedObject) else outcome for outcome in many]


async def resume(_: AsyncVault, store: AsyncStore) -> Any:
    status = await store.write_status("files", SUSPENDED)
    writer = await store.upload("files", UploadSpec(9, None, {}, "", SUSPENDED), resumable=True)
    size = writer.persisted_size
    await writer.suspend()
    return status.persisted_size, size


async def abort_write(_: AsyncVault, store: AsyncStore) -> Any:
    await store.abort_write("files", b"there is none...")


async def leases(_: AsyncVault, store: AsyncStore) -> Any:
    one, other = b"1" * 16, b"2" * 16
    try:
        first = await store.acquire_lease("notes", "lease", one, 60)
        return first > 0, await store.acquire_lease("notes", "lease", other, 60) > 0
    finally:
        for holder in (one, other):
            await store.release_lease("notes", "lease", holder)


def _of_vault(name: str, *args: Any) -> Operation:
    async def run(vault: AsyncVault, _: AsyncStore) -> Any:
        return _plain(await getattr(vault, name)(*args))

    return Operation(f"{name}{args}", run)


def _of_store(name: str, *args: Any) -> Operation:
    async def run(_: AsyncVault, store: AsyncStore) -> Any:
        return await getattr(store, name)(*args)

    return Operation(f"{name}{args}", run)


def _load(unit: str, key: int | str) -> Operation:
    async def run(vault: AsyncVault, _: AsyncStore) -> Any:
        return await _ticket(vault, unit, key)

    return Operation(f"load({unit!r}, {key!r})", run)


OPERATIONS: Final = [
    _of_vault("exists", "notes", 1),
    _of_vault("stat", "notes", 1),
    _of_vault("stat", "notes", "a/two"),
    _of_vault("find", "notes", "a/one"),
    _of_vault("units"),
    Operation("unit_infos", unit_infos),
    _of_store("unit_info", "other"),
    _of_store("principal_info", "ann"),
    Operation("principal_page", principal_page),
    _of_vault("exists_many", "notes", [1, 99, "a/two"]),
    _of_store("capabilities"),
    _load("notes", 1),
    _load("notes", "a/two"),
    _load("files", 1),
    Operation("load_many", load_many),
    Operation("load_again_strict", load_again_strict),
    Operation("open", read),
    Operation("download_file", download),
    Operation("list by id", list_by_id),
    Operation("list by name", list_by_name),
    Operation("list the newest first", list_newest),
    Operation("list_level", list_level),
    Operation("watch", watch),
    Operation("load a range", load_range),
    Operation("read", read_parts),
    Operation("load if changed", unchanged),
    Operation("upload", upload, writes=True),
    Operation("upload, large", upload_large, writes=True),
    Operation("upload_file", upload_file, writes=True),
    Operation("upload by several connections", upload_by_several, writes=True),
    Operation("open_writer", write_file, writes=True),
    Operation("update", update, writes=True),
    Operation("update, large", update_large, writes=True),
    Operation("edit", edit, writes=True),
    Operation("upload_many", upload_many, writes=True),
    Operation("delete", delete, writes=True),
    Operation("set_metadata", set_metadata, writes=True),
    Operation("put", put, writes=True),
    Operation("put_many", put_many, writes=True),
    Operation("set_metadata_many", set_metadata_many, writes=True),
    Operation("delete, unchanged", delete_unchanged, writes=True),
    Operation("copy", copy, writes=True),
    Operation("set_unit_limits", set_unit_limits, writes=True),
    Operation("set_principal_limits", set_principal_limits, writes=True),
    Operation("resume", resume),
    Operation("abort_write", abort_write),
    Operation("leases", leases),
]


async def outcome(operation: Operation, vault: AsyncVault, store: AsyncStore) -> Any:
    """What a call answers, or the VaultError that it raises. Nothing else may be raised."""
    try:
        return await operation.run(vault, store)
    except VaultError as error:
        return error


__all__ = ["OPERATIONS", "STRUCTURE", "Block", "Operation", "fill", "outcome", "restore"]
