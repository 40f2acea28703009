"""Each RPC's reply: what is in it, its revision, and that it stays under the message limit."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import grpc
import pytest
from vault.errors import InvalidArgumentError, NotFoundError, RevisionCompactedError, UnknownUnitError, VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import MetadataSpec, PutSpec, SmallPut, SmallUpload, UploadSpec
from vault.store.values import checksum, from_time
from vault.v1 import vault_pb2 as pb
from vault.wire.status import item_error_from_wire
from vault.wire.time_messages import fill_timestamp
from vault_server import AsyncMemoryStore, AsyncServer, EmbeddedStore, ServerSettings
from vault_server.rpc.reply_limits import fit_list

from tests.server.raw_calls import Stub, load, say, stub_of, told, whole


def key(of: int | str) -> pb.Key:
    return pb.Key(name=of) if isinstance(of, str) else pb.Key(data_id=of)


def small(data_id: int, data: bytes, **spec: str) -> pb.UploadManyRequest.Item:
    request_id = secrets.token_bytes(16)
    return pb.UploadManyRequest.Item(
        spec=pb.UploadSpec(data_id=data_id, request_id=request_id, name=spec.get("name")),
        data=data,
        checksum=checksum(data),
    )


def put(store: EmbeddedStore, data: dict[int, bytes], unit: str = "u", tags: dict[str, str] | None = None) -> None:
    items = [SmallUpload(UploadSpec(each, tags=tags or {}), raw, checksum(raw)) for each, raw in data.items()]
    assert not [result for result in store.upload_many(unit, items) if isinstance(result, VaultError)]


async def test_capabilities_say_who_and_how_much(stub: Stub, store: EmbeddedStore) -> None:
    reply = await stub.GetCapabilities(pb.GetCapabilitiesRequest())
    assert reply.store_id == store.capabilities().store_id
    assert (reply.block_size, reply.max_message_size, reply.max_batch_items) == (BLOCK_SIZE, 4 << 20, 10_000)
    assert list(reply.allowed_units) == []


async def test_unary_calls_answer_in_order_with_the_revision(stub: Stub) -> None:
    uploaded = await stub.UploadMany(
        pb.UploadManyRequest(unit="u", items=[small(1, b"one", name="a"), small(1, b"again"), small(2, b"")])
    )
    first, again, second = uploaded.results
    assert item_error_from_wire(again.error).reason == "OBJECT_EXISTS"
    assert uploaded.revision == second.info.revision

    existing = await stub.Exists(pb.ExistsRequest(unit="u", keys=[key("a"), key(9), key(2)]))
    assert list(existing.generations) == [first.info.generation, 0, second.info.generation]
    stated = await stub.Stat(pb.StatRequest(unit="u", keys=[key(9), key(1)]))
    assert [item.HasField("info") for item in stated.items] == [False, True]
    listed = await stub.List(pb.ListRequest(unit="u", prefix="a"))
    assert [info.data_id for info in listed.objects] == [1]
    named = await stub.SetMetadata(
        pb.SetMetadataRequest(unit="u", key=key(2), name="b", request_id=secrets.token_bytes(16))
    )
    assert (named.info.name, named.info.generation) == ("b", second.info.generation)
    assert named.revision == named.info.revision
    updated = await stub.UpdateMany(
        pb.UpdateManyRequest(
            unit="u",
            items=[
                pb.UpdateManyRequest.Item(
                    spec=pb.UpdateSpec(key=key("b"), request_id=secrets.token_bytes(16)),
                    data=b"two",
                    checksum=checksum(b"two"),
                )
            ],
        )
    )
    assert updated.revision == updated.results[0].info.generation
    deleted = await stub.Delete(
        pb.DeleteRequest(
            unit="u",
            items=[
                pb.DeleteRequest.Item(key=key(1), if_generation=99, request_id=secrets.token_bytes(16)),
                pb.DeleteRequest.Item(key=key("b"), request_id=secrets.token_bytes(16)),
                pb.DeleteRequest.Item(key=key(77), request_id=secrets.token_bytes(16)),
            ],
        )
    )
    assert item_error_from_wire(deleted.results[0].error).reason == "GENERATION_MISMATCH"
    assert deleted.results[1].revision == deleted.revision > updated.revision
    assert deleted.results[2].revision == 0
    units = await stub.ListUnits(pb.ListUnitsRequest())
    assert (list(units.units), units.revision) == (["u"], deleted.revision)


async def test_load_answers_ranges_preconditions_and_absence(stub: Stub) -> None:
    data = bytes(range(200)) * 20_000
    info = (await say(stub, whole(data)))[-1].info
    call = stub.Load(pb.LoadRequest(unit="u", key=key(1), offset=BLOCK_SIZE + 5, length=1))
    parts = [reply async for reply in call]
    assert [part.WhichOneof("part") for part in parts] == ["info", "block"]
    assert parts[1].block.offset == BLOCK_SIZE
    assert parts[1].block.data == data[BLOCK_SIZE : 2 * BLOCK_SIZE]

    known = stub.Load(pb.LoadRequest(unit="u", key=key(1), if_generation_not_match=info.generation))
    assert [reply.not_modified.generation async for reply in known] == [info.generation]

    for request, code, reason in (
        (pb.LoadRequest(unit="u", key=key("no")), grpc.StatusCode.NOT_FOUND, "OBJECT_NOT_FOUND"),
        (pb.LoadRequest(unit="u", key=key(5)), grpc.StatusCode.NOT_FOUND, "OBJECT_NOT_FOUND"),
        (pb.LoadRequest(unit="u", key=key(1), if_generation=77), grpc.StatusCode.ABORTED, "GENERATION_MISMATCH"),
        (pb.LoadRequest(unit="u", key=key(1), offset=1 << 40), grpc.StatusCode.OUT_OF_RANGE, "BAD_RANGE"),
        (pb.LoadRequest(unit="u"), grpc.StatusCode.INVALID_ARGUMENT, "BAD_ID"),
        (pb.LoadRequest(unit="u/v", key=key(1)), grpc.StatusCode.INVALID_ARGUMENT, "BAD_UNIT"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            [reply async for reply in stub.Load(request)]
        assert (caught.value.code(), told(caught.value).reason) == (code, reason)


async def test_a_missing_object_is_told_as_the_store_tells_it(stub: Stub, store: EmbeddedStore) -> None:
    for missing in (5, "no"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            [reply async for reply in stub.Load(pb.LoadRequest(unit="u", key=key(missing)))]
        with pytest.raises(NotFoundError) as stored:
            store.set_metadata("u", MetadataSpec(missing, name="x"))
        remote = told(caught.value)
        assert (remote.message, remote.context) == (stored.value.message, stored.value.context)


async def test_load_many_keeps_the_reply_under_the_limit(stub: Stub, store: EmbeddedStore) -> None:
    block = bytes(BLOCK_SIZE)
    put(store, {each: block if each % 2 else b"small" for each in range(1, 201)})
    asked = [pb.LoadManyRequest.Item(key=key(each)) for each in range(1, 203)]
    reply = await stub.LoadMany(pb.LoadManyRequest(unit="u", items=asked))
    assert reply.ByteSize() <= 4 << 20
    whole_ones = [item for item in reply.items if item.object.HasField("data")]
    assert sum(len(item.object.data) for item in whole_ones) >= 3 * BLOCK_SIZE
    assert [item.object.info.data_id for item in reply.items] == [*range(1, 201), 0, 0]
    rest = [pb.LoadManyRequest.Item(key=key(2)), pb.LoadManyRequest.Item(key=key(200))]
    again = await stub.LoadMany(pb.LoadManyRequest(unit="u", items=rest))
    assert [item.object.data for item in again.items] == [b"small", b"small"]


async def test_load_many_says_not_modified_also_past_what_fits(stub: Stub, store: EmbeddedStore) -> None:
    put(store, {each: bytes(BLOCK_SIZE) for each in range(1, 65)})
    generation = store.exists_many("u", [64])[0]
    asked = [pb.LoadManyRequest.Item(key=key(each)) for each in range(1, 64)]
    asked.append(pb.LoadManyRequest.Item(key=key(64), if_generation_not_match=generation))
    reply = await stub.LoadMany(pb.LoadManyRequest(unit="u", items=asked))
    assert reply.items[-1].not_modified.generation == generation


async def test_an_object_over_one_block_comes_as_its_info_alone(stub: Stub) -> None:
    await say(stub, whole(bytes(BLOCK_SIZE + 1)))
    reply = await stub.LoadMany(pb.LoadManyRequest(unit="u", items=[pb.LoadManyRequest.Item(key=key(1))]))
    assert reply.items[0].object.info.size == BLOCK_SIZE + 1
    assert not reply.items[0].object.HasField("data")


async def test_replies_of_heavy_metadata_stay_under_the_limit(stub: Stub, store: EmbeddedStore) -> None:
    heavy = {f"{number:03}": "x" * 1000 for number in range(64)}
    put(store, dict.fromkeys(range(1, 101), b""), tags=heavy)
    seen: list[int] = []
    token = ""
    while not seen or token:
        page = await stub.List(pb.ListRequest(unit="u", page_size=100, page_token=token))
        assert page.ByteSize() <= 4 << 20
        seen += [info.data_id for info in page.objects]
        token = page.next_page_token
    assert seen == list(range(1, 101))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Stat(pb.StatRequest(unit="u", keys=[key(each) for each in seen]))
    assert told(caught.value).reason == "MESSAGE_TOO_LARGE"
    reply = await stub.LoadMany(
        pb.LoadManyRequest(unit="u", items=[pb.LoadManyRequest.Item(key=key(each)) for each in seen])
    )
    assert reply.ByteSize() <= 4 << 20
    outcomes = {item.error.reason for item in reply.items}
    assert outcomes == {"", "OVERLOADED"}


async def test_a_level_of_heavy_entries_stays_under_the_limit(stub: Stub, store: EmbeddedStore) -> None:
    heavy = {f"{number:03}": "x" * 1000 for number in range(64)}
    specs = [UploadSpec(number, f"{number:03}", heavy) for number in range(1, 91)]
    specs += [UploadSpec(1000 + number, f"{number:03}{'/' * 900}x") for number in range(1, 91)]
    store.upload_many("u", [SmallUpload(spec, b"", checksum(b"")) for spec in specs])
    names: list[str] = []
    prefixes: list[str] = []
    token = ""
    while not names or token:
        page = await stub.List(pb.ListRequest(unit="u", page_token=token, delimiter="/"))
        assert page.ByteSize() <= 4 << 20
        names += [info.name for info in page.objects]
        prefixes += page.prefixes
        token = page.next_page_token
    assert names == [f"{number:03}" for number in range(1, 91)]
    assert prefixes == [f"{name}/" for name in names]


async def test_a_page_leaves_room_for_what_is_said_beside_it() -> None:
    async with AsyncMemoryStore() as store:
        specs = [PutSpec(f"{number}", expires_in=60) for number in range(100)]
        await store.put_many("u", [SmallPut(spec, b"", checksum(b"")) for spec in specs])
        request = pb.ListRequest(unit="u")
        whole_page, reply = await fit_list(store, request, 4 << 20)
        assert len(whole_page.objects) == 100
        limit = reply.ByteSize()
        _, shorter = await fit_list(store, request, limit)
        fill_timestamp(shorter.store_time, from_time(store.time))
        shorter.revision = 1 << 60
        assert shorter.ByteSize() <= limit


async def test_a_server_says_that_a_listing_is_in_the_order_asked_for(stub: Stub, store: EmbeddedStore) -> None:
    put(store, dict.fromkeys((3, 1, 2), b""))
    newest = pb.ListRequest(unit="u", order=pb.LIST_ORDER_REVISION, descending=True)
    page = await stub.List(newest)
    assert page.ordered
    revisions = [info.revision for info in page.objects]
    assert revisions == sorted(revisions, reverse=True)
    assert len(revisions) == 3
    newest.after_revision = revisions[0]
    assert [info.revision for info in (await stub.List(newest)).objects] == revisions[1:]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"order": 7}, "BAD_ORDER"),
        ({"after_name": "a"}, "BAD_ORDER"),
        ({"after_revision": 1}, "BAD_ORDER"),
        ({"prefix": "", "after_id": 1}, "BAD_ORDER"),
        ({"order": pb.LIST_ORDER_REVISION, "after_id": 1}, "BAD_ORDER"),
        ({"order": pb.LIST_ORDER_REVISION, "after_revision": 1 << 63}, "BAD_ORDER"),
        ({"order": pb.LIST_ORDER_ID, "delimiter": "/"}, "BAD_ORDER"),
        ({"delimiter": "x" * 1025}, "BAD_DELIMITER"),
    ],
)
async def test_an_order_that_can_be_none_is_refused(stub: Stub, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.List(pb.ListRequest(unit="u", **options))
    assert (caught.value.code(), told(caught.value).reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_a_batch_over_its_limit_changes_nothing(stub: Stub, store: EmbeddedStore) -> None:
    items = [small(each, b"") for each in range(1, 10_002)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.UploadMany(pb.UploadManyRequest(unit="u", items=items))
    assert told(caught.value).reason == "BATCH_TOO_LARGE"
    assert store.list_units() == []


async def test_watch_begins_with_its_revision_and_tells_every_change(stub: Stub) -> None:
    await say(stub, whole(b"before"))
    watch = stub.Watch(pb.WatchRequest(units=["u"]))
    events = aiter(watch)
    assert (await anext(events)).progress.revision == 1
    await say(stub, whole(b"other", unit="other"))
    info = (await say(stub, whole(b"after", 2, name="n")))[-1].info
    async with asyncio.timeout(10):
        while (event := await anext(events)).WhichOneof("event") == "progress":
            continue
    assert event.change == pb.Change(
        revision=info.revision,
        unit="u",
        data_id=2,
        kind=pb.Change.KIND_UPLOADED,
        generation=info.generation,
        name="n",
    )
    watch.cancel()


async def test_a_watch_of_a_revision_that_never_was_is_compacted(stub: Stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(stub.Watch(pb.WatchRequest(since_revision=10))))
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
    error = told(caught.value)
    assert isinstance(error, RevisionCompactedError)
    assert error.context["revision"] == 10


async def test_stored_damage_is_seen_by_the_client_not_by_the_server(
    stub: Stub, store: EmbeddedStore, tmp_path: Path
) -> None:
    """The server hands out the stored checksum; whoever shows the bytes compares."""
    data = bytes(BLOCK_SIZE) + b"tail"
    await say(stub, whole(data, unit="damaged"))
    (file,) = (tmp_path / "store" / "damaged").glob("1.*vault")
    file.write_bytes(b"!" + data[1:])
    blocks = [r.block async for r in stub.Load(pb.LoadRequest(unit="damaged", key=key(1))) if r.HasField("block")]
    assert [checksum(block.data) == block.checksum for block in blocks] == [False, True]
    file.write_bytes(data)  # so that the store's audit at the end finds it well


def connect(server: AsyncServer) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(server.address)


class TestAllowedUnits:
    """A server held to a list of units."""

    async def test_others_are_unknown(self, store: EmbeddedStore) -> None:
        put(store, {1: b"x"}, unit="secret")
        settings = ServerSettings(allowed_units=("b", "a"))
        async with (
            AsyncServer(store, settings=settings) as server,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            stub = stub_of(channel)
            assert list((await stub.GetCapabilities(pb.GetCapabilitiesRequest())).allowed_units) == ["a", "b"]
            await say(stub, whole(b"fine", unit="a"))
            assert await load(stub, 1, "a") == b"fine"
            assert list((await stub.ListUnits(pb.ListUnitsRequest())).units) == ["a"]
            for call in (
                lambda: say(stub, whole(b"no", unit="c")),
                lambda: load(stub, 1, "secret"),
                lambda: stub.Stat(pb.StatRequest(unit="secret", keys=[key(1)])),
                lambda: anext(aiter(stub.Watch(pb.WatchRequest(units=["secret"])))),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call()
                error = told(caught.value)
                assert isinstance(error, UnknownUnitError)
                assert "'a', 'b'" in str(error)

    async def test_a_watch_of_all_units_is_one_of_the_allowed(self, store: EmbeddedStore) -> None:
        settings = ServerSettings(allowed_units=("a",))
        async with (
            AsyncServer(store, settings=settings) as server,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            stub = stub_of(channel)
            watch = stub.Watch(pb.WatchRequest())
            events = aiter(watch)
            await anext(events)
            put(store, {1: b"x"}, unit="secret")
            await say(stub, whole(b"fine", unit="a"))
            while (event := await anext(events)).WhichOneof("event") == "progress":
                continue
            assert event.change.unit == "a"
            watch.cancel()

    def test_a_name_that_is_none_is_refused(self) -> None:
        with pytest.raises(InvalidArgumentError, match="bad unit name"):
            ServerSettings(allowed_units=("../x",))
