"""Batches of writes in columns over the wire: as their items are alone, whatever a peer makes of the columns."""

import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vault import ConnectionSettings
from vault._sync.remote.store import RemoteStore
from vault.errors import InvalidArgumentError, ProtocolError, VaultError
from vault.store.columns import ObjectInfos
from vault.store.limits import MAX_BATCH_ITEMS
from vault.store.specs import DeleteSpec, LoadItem, PutSpec, SmallObject, UpdateSpec, UploadSpec, new_request_id
from vault.store.values import ObjectInfo, checksum
from vault.store.write_columns import SmallPuts, SmallUploads, new_columns
from vault.v1 import vault_pb2 as pb
from vault.wire import write_columns as wire
from vault.wire.packed import pack
from vault_server import EmbeddedStore, MemoryStore, Server

UNIT = "u"
COLUMNS = ("data_ids", "request_ids", "sizes", "checksums", "data")
Items = SmallUploads | SmallPuts


class Older(grpc.aio.ServerInterceptor):
    """Lets a server have no WriteColumns, and notes what it is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = handler_call_details.method.rpartition("/")[2]
        self.calls.append(method)
        return None if method == "WriteColumns" else await continuation(handler_call_details)


def new(number: int, **more: Any) -> Any:
    columns = new_columns(range(number), [""] * number, [bytes([at]) for at in range(number)], more.get("names"), None)
    return (
        SmallPuts((*columns, (None,) * number, (more.get("expires_in"),) * number))
        if "put" in more
        else SmallUploads(columns)
    )


SPEC = {
    "data_id": st.integers(1, 6),
    "name": st.sampled_from([None, "a", "b", "ä" * 300]),
    "tags": st.sampled_from([{}, {"a": "1"}, {"ä": ""}]),
    "datatype": st.sampled_from(["", "bytes"]),
    "request_id": st.integers(0, 9).map(lambda number: bytes([number] * 16)),
}
WHEN = {"if_generation": st.sampled_from([None, None, None, 0, 1]), "expires_in": st.sampled_from([None, 60.0])}
UPLOADS = st.lists(st.builds(UploadSpec, **SPEC), min_size=2, max_size=6)
PUTS = st.lists(
    st.one_of(
        st.builds(PutSpec, **SPEC, **WHEN), st.builds(UpdateSpec, st.integers(1, 6), request_id=SPEC["request_id"])
    ),
    min_size=2,
    max_size=6,
)


@pytest.mark.parametrize("older", [False, True])
def test_any_batch_over_the_wire_is_answered_as_its_items_alone(*, older: bool) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.one_of(UPLOADS, PUTS), min_size=1, max_size=3), st.binary(max_size=2))
    def holds(groups: list[list[Any]], data: bytes) -> None:
        unit = f"u{len(names)}"
        names.append(unit)
        for specs in (*groups, *groups):
            items = [SmallObject(spec, data, checksum(data)) for spec in specs]
            if isinstance(specs[0], UploadSpec):
                got, wanted = remote.upload_many(unit, items), [alone.upload_many(unit, [each])[0] for each in items]
            else:
                got, wanted = remote.put_many(unit, items), [alone.put_many(unit, [each])[0] for each in items]
            assert told(got) == told(wanted)
        assert [each.revision for each in store.changes(0)[1]] == [each.revision for each in alone.changes(0)[1]]

    names: list[str] = []
    interceptors = [Older()] if older else []
    with (
        MemoryStore() as store,
        MemoryStore() as alone,
        Server(store, interceptors=interceptors) as server,
        RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote,
    ):
        holds()


def told(outcomes: Sequence[ObjectInfo | VaultError]) -> list[Any]:
    """What they say, but for the times, of which each store has its own."""
    times: Any = {"created_at": None, "updated_at": None, "written_at": None}
    return [
        (each.reason, str(each))
        if isinstance(each, VaultError)
        else (dataclasses.replace(each, **times, expires_at=None), each.expires_at is None)
        for each in outcomes
    ]


def test_an_older_server_is_asked_once_whether_it_takes_columns() -> None:
    older = Older()
    with MemoryStore() as store, Server(store, interceptors=[older]) as server, RemoteStore(server.address) as remote:
        for items in (new(3), new(4)):
            assert [info.data_id for info in remote.upload_many(UNIT, items)] == list(items.data_ids)  # type: ignore[union-attr]
        remote.put_many(UNIT, new(3, put=True, names=["a", "b", "c"], expires_in=5.0))
        assert older.calls == ["WriteColumns", "GetCapabilities", "UploadMany", "UploadMany", "PutMany"]
        assert store.revision == 10


def test_thousands_go_in_several_messages_and_are_answered_in_order(store: EmbeddedStore) -> None:
    items = new_items = SmallUploads(new_columns(range(2500), [""] * 2500, [b"x" * 10] * 2500, None, None))
    with Server(store) as server, RemoteStore(server.address) as remote:
        outcomes = remote.upload_many(UNIT, items)
        assert [each.data_id for each in outcomes if isinstance(each, ObjectInfo)] == list(new_items.data_ids)
        again = remote.upload_many(UNIT, items)
        assert list(again) == list(outcomes), "each was done once"
        assert store.revision == 2500


@pytest.fixture
def stub() -> Iterator[Callable[[pb.WriteColumnsRequest], pb.WriteColumnsResponse]]:
    with MemoryStore() as store, Server(store) as server, grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary(
            "/vault.v1.VaultService/WriteColumns",
            request_serializer=pb.WriteColumnsRequest.SerializeToString,
            response_deserializer=pb.WriteColumnsResponse.FromString,
        )

        def ask(request: pb.WriteColumnsRequest) -> pb.WriteColumnsResponse:
            before = store.revision
            try:
                return call(request, timeout=20)
            except grpc.RpcError:
                assert store.revision == before, "what is refused has done nothing"
                raise

        yield ask


Ask = Callable[[pb.WriteColumnsRequest], pb.WriteColumnsResponse]


@pytest.mark.parametrize("change", [-1, 1, -8, 8, 1 << 20], ids="{:+}".format)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_another_length_is_refused_by_its_name(stub: Ask, column: str, change: int) -> None:
    request = wire.write_columns_to_wire(UNIT, new(3))
    packed = getattr(request, column)
    setattr(request, column, packed[:change] if change < 0 else packed + bytes(change))
    if column == "data" and change == -8:
        request.data = b""
    with pytest.raises(grpc.RpcError) as caught:
        stub(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    if column != "data_ids":  # which says how many there are: then the others are of another length
        assert column in str(caught.value.details())


@pytest.mark.parametrize("sizes", [(0, 0, 0), (3, 1, 0), (1, 1, (1 << 64) - 1), (1 << 63, 1 << 63, 3), (4, 0, 0)])
def test_sizes_that_lie_are_refused(stub: Ask, sizes: tuple[int, ...]) -> None:
    request = wire.write_columns_to_wire(UNIT, new(3))
    request.sizes = pack(sizes)
    with pytest.raises(grpc.RpcError) as caught:
        stub(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "sizes" in str(caught.value.details())


@pytest.mark.parametrize(
    ("field", "values"),
    [("names", ["a"]), ("names", ["a"] * 4), ("datatypes", []), ("datatypes", ["a", "b"]), ("tags", [pb.Tags()])],
)
def test_texts_of_another_number_are_refused_by_their_name(stub: Ask, field: str, values: list[Any]) -> None:
    request = wire.write_columns_to_wire(UNIT, new(3))
    request.ClearField(field)  # type: ignore[arg-type]
    getattr(request, field).extend(values)
    with pytest.raises(grpc.RpcError) as caught:
        stub(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in str(caught.value.details())


def test_too_many_no_kind_and_an_expiry_of_uploads_are_refused(stub: Ask) -> None:
    many = pb.WriteColumnsRequest(
        unit=UNIT, kind=pb.WriteColumnsRequest.KIND_UPLOAD, data_ids=bytes(8 * MAX_BATCH_ITEMS + 8)
    )
    no_kind, expiring = (wire.write_columns_to_wire(UNIT, new(2)) for _ in range(2))
    no_kind.kind = pb.WriteColumnsRequest.KIND_UNSPECIFIED
    expiring.expires_in.seconds = 5
    for request, words in ((many, "at most 10000"), (no_kind, "kind"), (expiring, "expires_in")):
        with pytest.raises(grpc.RpcError) as caught:
            stub(request)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert words in str(caught.value.details())


def test_a_checksum_that_does_not_match_and_an_id_that_is_none_fail_alone(stub: Ask) -> None:
    request = wire.write_columns_to_wire(UNIT, new(3))
    request.checksums = request.checksums[:8] + bytes(8) + request.checksums[16:]
    request.data_ids = request.data_ids[:16] + bytes(8)
    reply = stub(request)
    assert (list(reply.failed), [error.reason for error in reply.errors]) == ([1, 2], ["CHECKSUM_MISMATCH", "BAD_ID"])
    assert [bool(any(reply.generations[at : at + 8])) for at in (0, 8, 16)] == [True, False, False]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_becomes_of_a_request_on_its_way_it_is_read_or_refused(data: st.DataObject) -> None:
    raw = bytearray(wire.write_columns_to_wire(UNIT, new(3, put=True, names=["a", "b", "c"])).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        request = pb.WriteColumnsRequest.FromString(bytes(raw))
    except Exception:  # noqa: BLE001  # gRPC refuses it
        return
    try:
        items = wire.write_columns_from_wire(request)
    except InvalidArgumentError:
        return
    assert len({len(column) for column in items.columns}) == 1
    assert sum(map(len, items.data)) == len(request.data)


def answered(items: Items) -> tuple[pb.WriteColumnsResponse, Any]:
    with MemoryStore() as store:
        write: Any = store.upload_many if isinstance(items, SmallUploads) else store.put_many
        outcomes: Any = ObjectInfos.of(write(UNIT, items))
    reply = pb.WriteColumnsResponse()
    wire.add_outcomes(reply, outcomes)
    reply.revision = 3
    return reply, outcomes


@pytest.mark.parametrize("put", [False, True])
@pytest.mark.parametrize("change", [-8, -1, 1, 8])
@pytest.mark.parametrize("column", ["data_ids", "generations", "checksums", "created_at", "updated_at", "expires_at"])
def test_a_reply_with_a_column_of_another_length_is_refused_by_its_name(column: str, change: int, *, put: bool) -> None:
    items = new(3, put=True, names=["a", "b", "c"], expires_in=9.0) if put else new(3)
    reply, outcomes = answered(items)
    assert list(wire.outcomes_from_wire(reply, UNIT, items)) == list(outcomes)
    packed = getattr(reply, column) or bytes(24)
    setattr(reply, column, packed[:change] if change < 0 else packed + bytes(change))
    with pytest.raises(ProtocolError, match=column):
        wire.outcomes_from_wire(reply, UNIT, items)


LIES: dict[str, Callable[[Any], object]] = {
    "another id": lambda reply: reply.__setattr__("data_ids", reply.data_ids[:16] + b"\1" * 8),
    "no generation": lambda reply: reply.__setattr__("generations", bytes(24)),
    "a generation after the newest": lambda reply: reply.__setattr__("revision", 2),
    "a generation beyond all": lambda reply: reply.__setattr__("generations", b"\xff" * 24),
    "other bytes": lambda reply: reply.__setattr__("checksums", reply.checksums[8:] + reply.checksums[:8]),
    "a time beyond all": lambda reply: reply.__setattr__("updated_at", b"\x7f" * 24),
    "an expiry": lambda reply: reply.__setattr__("expires_at", b"\0\0\1\0\0\0\0\0" * 3),
    "failures of no item": lambda reply: (reply.failed.append(3), reply.errors.add(code=5)),
    "failures out of order": lambda reply: (reply.failed.extend([1, 0]), reply.errors.add(), reply.errors.add()),
    "an item that failed twice": lambda reply: (reply.failed.extend([1, 1]), reply.errors.add(), reply.errors.add()),
    "a failure without an error": lambda reply: reply.failed.append(1),
    "an error of no item": lambda reply: reply.errors.add(code=5),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_reply_that_can_be_none_is_refused(lie: str) -> None:
    items = new(3)
    reply, _ = answered(items)
    LIES[lie](reply)
    with pytest.raises(ProtocolError):
        wire.outcomes_from_wire(reply, UNIT, items)


def test_what_failed_stands_in_its_place(store: EmbeddedStore) -> None:
    with Server(store) as server, RemoteStore(server.address) as remote:
        taken = new(3)
        remote.upload_many(UNIT, [taken[1]])
        again = SmallUploads((*taken.columns[:4], [new_request_id() for _ in range(3)], *taken.columns[5:]))
        outcomes = remote.upload_many(UNIT, again)
        assert [each.reason if isinstance(each, VaultError) else each.generation for each in outcomes] == [
            2,
            "OBJECT_EXISTS",
            3,
        ]
        loaded: Any = remote.load_many(UNIT, [LoadItem(at) for at in taken.data_ids])
        assert [each.data for each in loaded] == list(taken.data)
        assert all(remote.delete_many(UNIT, [DeleteSpec(at) for at in taken.data_ids]))
