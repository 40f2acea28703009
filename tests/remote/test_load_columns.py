"""Batches of loads in columns over the wire: as LoadMany answers them, whatever a peer makes of the columns."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault import ConnectionSettings
from vault._sync.remote.store import RemoteStore
from vault.errors import InvalidArgumentError, ProtocolError, UnavailableError, VaultError, object_not_found
from vault.store.columns import LoadedObjects
from vault.store.limits import BLOCK_SIZE, MAX_BATCH_ITEMS
from vault.store.specs import LoadItem, MetadataSpec, PutSpec, SmallObject
from vault.store.values import Block, Key, LoadedObject, checksum
from vault.v1 import vault_pb2 as pb
from vault.wire import load_columns as wire
from vault.wire.packed import pack, unpack
from vault_server import EmbeddedStore, MemoryStore, Server

UNIT = "u"
METHOD = "LoadColumns"
NUMBERS = ("data_ids", "generations", "revisions", "sizes", "checksums", "created_at", "updated_at")


class Older(grpc.aio.ServerInterceptor):
    """Lets a server have no LoadColumns, and notes what it is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = handler_call_details.method.rpartition("/")[2]
        self.calls.append(method)
        return None if method == METHOD else await continuation(handler_call_details)


def put(store: Any, spec: PutSpec, data: bytes) -> None:
    (outcome,) = store.put_many(UNIT, [SmallObject(spec, data, checksum(data))])
    assert not isinstance(outcome, VaultError), outcome


def filled(store: Any) -> None:
    """Objects of every kind: named, tagged, expiring, empty, of other datatypes, changed, taken over, large."""
    put(store, PutSpec(None, 1, datatype="a"), b"one")
    put(store, PutSpec("two", 2, datatype="a"), b"")
    put(store, PutSpec("ä" * 200, 3, {"k": "v", "ä": ""}, datatype="b"), b"three" * 1000)
    put(store, PutSpec("four", 4, expires_in=3600.0), b"four")
    put(store, PutSpec("five", 5), bytes(BLOCK_SIZE))
    put(store, PutSpec("six", 6, datatype="a"), bytes(range(256)) * 300)
    store.set_metadata(UNIT, MetadataSpec(1, tags={"later": "yes"}))
    with store.put(UNIT, PutSpec("seven", 7)) as writer:
        for at in range(2):
            writer.write(Block(at * BLOCK_SIZE, bytes(BLOCK_SIZE), checksum(bytes(BLOCK_SIZE))))
        writer.commit(2 * BLOCK_SIZE, checksum(bytes(2 * BLOCK_SIZE)))


KEYS = st.lists(
    st.one_of(st.integers(1, 9), st.sampled_from(["two", "ä" * 200, "four", "five", "six", "seven", "none"])),
    min_size=2,
    max_size=30,
)
ITEMS = st.one_of(
    KEYS.map(lambda keys: [LoadItem(key) for key in keys]),
    st.lists(
        st.builds(LoadItem, st.sampled_from([0, -1, "", 1, "two", "none"]), st.sampled_from([None, 1, 2])), min_size=2
    ),
)


@pytest.mark.parametrize("kind", [MemoryStore, EmbeddedStore])
def test_any_batch_is_answered_as_the_store_does_and_as_load_many_does(kind: Any, tmp_path: Any) -> None:
    @settings(max_examples=80, deadline=None)
    @given(ITEMS)
    def holds(items: list[LoadItem]) -> None:
        wanted = [told(each) for each in store.load_many(UNIT, items)]
        assert [told(each) for each in remote.load_many(UNIT, items)] == wanted
        assert [told(each) for each in older.load_many(UNIT, items)] == wanted

    where = (tmp_path / "s",) if kind is EmbeddedStore else ()
    with (
        kind(*where) as store,
        Server(store) as server,
        RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote,
        RemoteStore(server.address, ConnectionSettings(timeout=20)) as older,
    ):
        filled(store)
        older.exists_many(UNIT, [1])
        older._channel.lacking.add(METHOD)
        holds()


def told(result: Any) -> Any:
    return (result.reason, str(result)) if isinstance(result, VaultError) else result


def test_an_older_server_is_asked_once_whether_it_has_columns() -> None:
    older = Older()
    with MemoryStore() as store, Server(store, interceptors=[older]) as server, RemoteStore(server.address) as remote:
        filled(store)
        for _ in range(2):
            assert remote.load_many(UNIT, [LoadItem(1), LoadItem("two")]) == store.load_many(
                UNIT, [LoadItem(1), LoadItem("two")]
            )
        assert older.calls == [METHOD, "GetCapabilities", "LoadMany", "LoadMany"]


def test_more_than_a_reply_holds_comes_in_several_and_in_order() -> None:
    with MemoryStore() as store, Server(store) as server, RemoteStore(server.address) as remote:
        for number in range(1, 21):
            put(store, PutSpec(None, number), bytes([number]) * (700 << 10))
        keys = [*range(20, 0, -1), 99, 3]
        loaded: Any = remote.load_many(UNIT, [LoadItem(key) for key in keys])
        assert type(loaded) is LoadedObjects
        assert [each and each.data[:1] for each in list[Any](loaded)] == [
            None if key == 99 else bytes([key]) for key in keys
        ]


def test_a_reply_that_texts_alone_would_fill_says_to_ask_again() -> None:
    tags = {f"{at:02}" + "k" * 40: "v" * 1000 for at in range(40)}
    with MemoryStore() as store, Server(store) as server, RemoteStore(server.address) as remote:
        for number in range(1, 201):
            put(store, PutSpec(None, number, tags=tags), b"x")
        loaded: Any = remote.load_many(UNIT, [LoadItem(number) for number in range(1, 201)])
        assert [each.info.data_id for each in loaded] == list(range(1, 201))
        assert {each.data for each in loaded} == {b"x"}
        assert all(each.info.tags == tags for each in loaded)


@pytest.fixture
def stub() -> Iterator[Callable[[pb.LoadColumnsRequest], pb.LoadColumnsResponse]]:
    with MemoryStore() as store, Server(store) as server, grpc.insecure_channel(server.address) as channel:
        filled(store)
        call = channel.unary_unary(
            f"/vault.v1.VaultService/{METHOD}",
            request_serializer=pb.LoadColumnsRequest.SerializeToString,
            response_deserializer=pb.LoadColumnsResponse.FromString,
        )
        yield lambda request: call(request, timeout=20)


Ask = Callable[[pb.LoadColumnsRequest], pb.LoadColumnsResponse]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (pb.LoadColumnsRequest(unit=UNIT, data_ids=bytes(15)), "data_ids has 15 bytes"),
        (pb.LoadColumnsRequest(unit=UNIT, data_ids=bytes(16), names=["a"]), "names has 1 values where 2"),
        (pb.LoadColumnsRequest(unit=UNIT, data_ids=bytes(8), names=["a", "b"]), "names has 2 values where 1"),
        (pb.LoadColumnsRequest(unit=UNIT, data_ids=pack([1]), names=["a"]), "an id and a name"),
        (pb.LoadColumnsRequest(unit=UNIT, data_ids=bytes(8 * MAX_BATCH_ITEMS + 8)), "at most 10000"),
        (pb.LoadColumnsRequest(unit="", data_ids=bytes(16)), "unit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_columns_that_do_not_go_together_are_refused(stub: Ask, request_: pb.LoadColumnsRequest, words: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub(request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in str(caught.value.details())


def test_a_key_that_can_be_none_fails_alone(stub: Ask) -> None:
    reply = stub(pb.LoadColumnsRequest(unit=UNIT, data_ids=pack([1, 0, (1 << 64) - 1, 2])))
    assert (list(reply.failed), [error.reason for error in reply.errors]) == ([1, 2], ["BAD_ID", "BAD_ID"])
    assert unpack("", reply.data_ids, 4, ProtocolError).tolist() == [1, 0, 0, 2]
    assert reply.data == b"one"


WANTED: list[Key] = [1, "two", 3, "four", 8, "seven", 6]


def answered(stub: Ask) -> pb.LoadColumnsResponse:
    return stub(wire.keys_to_wire(UNIT, WANTED))


def test_numbers_are_as_the_proto_says(stub: Ask) -> None:
    reply = answered(stub)
    loaded = wire.loaded_from_wire(reply, UNIT, WANTED)
    assert list(reply.not_sent) == [5]
    assert loaded[4] is None
    assert isinstance(loaded[5], LoadedObject)
    assert loaded[5].data is None
    assert unpack("", reply.sizes, 7, ProtocolError).tolist() == [3, 0, 5000, 4, 0, 2 * BLOCK_SIZE, 76800]
    assert len(reply.data) == 3 + 5000 + 4 + 76800
    assert list(reply.datatypes) == ["a", "a", "b", "", "", "", "a"]
    expires = unpack("", reply.expires_at, 7, ProtocolError, signed=True)
    assert [bool(moment) for moment in expires] == [False, False, False, True, False, False, False]
    written = unpack("", reply.written_at, 7, ProtocolError, signed=True)
    updated = unpack("", reply.updated_at, 7, ProtocolError, signed=True)
    assert written[0] < updated[0], "its tags were changed since"
    assert isinstance(loaded[0], LoadedObject)
    assert loaded[0].info.updated_at - loaded[0].info.written_at == timedelta(microseconds=updated[0] - written[0])  # type: ignore[operator]


@pytest.mark.parametrize("change", [-8, -1, 1, 8], ids="{:+}".format)
@pytest.mark.parametrize("column", [*NUMBERS, "written_at", "expires_at", "data"])
def test_a_reply_with_a_column_of_another_length_is_refused_by_its_name(stub: Ask, column: str, change: int) -> None:
    reply = answered(stub)
    packed = getattr(reply, column)
    setattr(reply, column, packed[:change] if change < 0 else packed + bytes(change))
    with pytest.raises(ProtocolError, match=column):
        wire.loaded_from_wire(reply, UNIT, WANTED)


def number_at(reply: Any, column: str, at: int, value: int) -> None:
    packed = getattr(reply, column)
    setattr(reply, column, packed[: 8 * at] + value.to_bytes(8, "little") + packed[8 * at + 8 :])


LIES: dict[str, Callable[[Any], object]] = {
    "another object": lambda reply: number_at(reply, "data_ids", 0, 2),
    "an id beyond all": lambda reply: number_at(reply, "data_ids", 1, (1 << 64) - 1),
    "another name": lambda reply: reply.names.__setitem__(1, "three"),
    "no generation": lambda reply: number_at(reply, "generations", 0, 0),
    "a generation after its revision": lambda reply: number_at(reply, "generations", 0, 1 << 40),
    "a revision beyond all": lambda reply: number_at(reply, "revisions", 0, (1 << 64) - 1),
    "another size": lambda reply: number_at(reply, "sizes", 0, 4),
    "a size beyond all": lambda reply: number_at(reply, "sizes", 5, (1 << 64) - 1),
    "nothing, of another checksum": lambda reply: number_at(reply, "checksums", 1, 5),
    "a time beyond all": lambda reply: number_at(reply, "updated_at", 0, (1 << 63) - 1),
    "an expiry beyond all": lambda reply: number_at(reply, "expires_at", 0, (1 << 63) - 1),
    "a datatype that is too long": lambda reply: reply.datatypes.__setitem__(0, "x" * 100_000),
    "too few datatypes": lambda reply: reply.datatypes.pop(),
    "too few names": lambda reply: reply.names.pop(),
    "too few tags": lambda reply: reply.tags.pop(),
    "too many tags": lambda reply: reply.tags[0].tags.update({str(at): "" for at in range(1000)}),
    "bytes that are not sent of nobody": lambda reply: reply.not_sent.append(7),
    "bytes that are not sent of what is not there": lambda reply: reply.not_sent.__setitem__(0, 4),
    "not sent out of order": lambda reply: reply.not_sent.extend([0]),
    "bytes of what is larger than a block": lambda reply: (
        reply.not_sent.pop(),
        reply.__setattr__("data", reply.data + bytes(2 * BLOCK_SIZE)),
    ),
    "a failure of what is there": lambda reply: (reply.failed.append(0), reply.errors.add(code=5)),
    "a failure of no item": lambda reply: (reply.failed.append(7), reply.errors.add(code=5)),
    "a failure without an error": lambda reply: reply.failed.append(4),
    "an error of no item": lambda reply: reply.errors.add(code=5),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_reply_that_can_be_none_is_refused(stub: Ask, lie: str) -> None:
    reply = answered(stub)
    LIES[lie](reply)
    with pytest.raises(ProtocolError):
        wire.loaded_from_wire(reply, UNIT, WANTED)


def test_whatever_becomes_of_messages_on_their_way_they_are_read_or_refused(stub: Ask) -> None:
    wanted: list[Key] = [1, "two", 8, "four", "seven"]
    request = wire.keys_to_wire(UNIT, wanted)
    reply = stub(request)

    def bent(message: Any, draw: Callable[[Any], Any]) -> Any:
        raw = bytearray(message.SerializeToString())
        for _ in range(draw(st.integers(1, 4))):
            place = draw(st.integers(0, len(raw) - 1))
            raw[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
        try:
            return type(message).FromString(bytes(raw))
        except Exception:  # noqa: BLE001  # gRPC refuses it
            return None

    @settings(max_examples=500, deadline=None)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        asked = bent(request, data.draw)
        if asked is not None:
            with contextlib.suppress(InvalidArgumentError):
                assert len(wire.keys_from_wire(asked)) == len(asked.data_ids) // 8
        said = bent(reply, data.draw)
        if said is not None:
            try:
                loaded = wire.loaded_from_wire(said, UNIT, wanted)
            except ProtocolError:
                return
            for key, each in zip(wanted, loaded, strict=True):
                if isinstance(each, LoadedObject):
                    assert key in (each.info.data_id, each.info.name)
                    assert each.data is None or len(each.data) == each.info.size
                else:
                    assert each is None or isinstance(each, VaultError)

    holds()


def test_what_has_no_room_is_left_out_first_come_first_served() -> None:
    with MemoryStore() as store:
        filled(store)
        loaded: Any = store.load_many(UNIT, [LoadItem(key) for key in (5, 6, 1, 3)])
    for limit in range(0, 3 << 20, 40_000):
        reply = pb.LoadColumnsResponse()
        wire.fill_loaded(reply, LoadedObjects.of(loaded), limit)
        assert reply.ByteSize() <= max(limit, 4096)
        found = wire.loaded_from_wire(reply, UNIT, [5, 6, 1, 3])
        for got, wanted in zip(found, loaded, strict=True):
            if isinstance(got, UnavailableError):
                assert got.reason == "OVERLOADED"
            else:
                assert isinstance(got, LoadedObject)
                assert got in (wanted, LoadedObject(wanted.info, None))
    assert list(found) == list(loaded)


KINDS = st.lists(
    st.tuples(
        st.integers(1, 700),  # so many alike
        st.sampled_from([0, 500, 4100, 9000, 16_000, BLOCK_SIZE]),
        st.sampled_from(["", "n", "ä" * 200]),
        st.sampled_from(["", "d", "é" * 60]),
        st.sampled_from([{}, {"k": "v"}, {f"{at:02}": "v" * 1000 for at in range(60)}]),
        st.sampled_from([None, object_not_found(UNIT, 1), UnavailableError("w" * 2000)]),
        st.booleans(),  # one of them is another outcome, or all are
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(KINDS, st.sampled_from([2 * BLOCK_SIZE, 4 * BLOCK_SIZE]))
def test_no_reply_is_larger_than_a_message_whatever_is_asked_for(kinds: Any, limit: int) -> None:
    rows: list[Any] = []
    for number, size, name, datatype, tags, other, all_other in kinds:
        data = bytes(size)
        for at in range(number):
            if all_other or not at:
                rows.append(other)
                continue
            data_id = len(rows) + 1
            info = (UNIT, data_id, data_id, data_id, size, checksum(data), datatype, name and f"{name}{data_id}", tags)
            rows.append((*info, 1, 2, None, 3, data))
    loaded = LoadedObjects.of_rows(rows)
    reply = pb.LoadColumnsResponse()
    wire.fill_loaded(reply, loaded, limit)
    assert reply.ByteSize() <= limit
    found = wire.loaded_from_wire(reply, UNIT, list(range(1, len(rows) + 1)))
    for got, wanted in zip(found.rows(), loaded.rows(), strict=True):
        if isinstance(wanted, tuple) and not isinstance(got, VaultError):
            sent = got.data if isinstance(got, LoadedObject) else got[-1]
            assert sent is None or sent == wanted[-1]
        else:
            assert got is wanted or isinstance(got, VaultError)


@pytest.mark.parametrize("size", [9000, 16_000])
def test_a_batch_that_fills_its_reply_is_answered_within_the_limit(size: int) -> None:
    data = bytes(size)
    with MemoryStore() as store, Server(store) as server, grpc.insecure_channel(server.address) as channel:
        for number in range(1, 1001):
            put(store, PutSpec(None, number), data)
        call = channel.unary_unary(
            f"/vault.v1.VaultService/{METHOD}",
            request_serializer=pb.LoadColumnsRequest.SerializeToString,
            response_deserializer=pb.LoadColumnsResponse.FromString,
        )
        reply = call(wire.keys_to_wire(UNIT, list(range(1, 1001))), timeout=20)  # refused where it is larger than 4 MiB
        assert not reply.errors
        assert (1000 - len(reply.not_sent)) * size == len(reply.data) > (3 << 20)
