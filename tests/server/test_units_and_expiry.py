"""Units, limits and expiries as raw calls: what is in a reply, and what no client of ours would send is refused."""

import secrets
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from vault.store.usage import UnitInfo, UnitLimits
from vault.store.values import checksum
from vault.v1 import vault_pb2 as pb
from vault.wire.status import error_from_rpc, item_error_from_wire
from vault_server import EmbeddedStore

from tests.server.raw_calls import Stub

MOST = (1 << 64) - 1


def put(name: str, seconds: Duration | None = None) -> pb.PutManyRequest:
    spec = pb.PutSpec(data_id=secrets.randbits(62) + 1, name=name, request_id=secrets.token_bytes(16))
    if seconds is not None:
        spec.expires_in.CopyFrom(seconds)
    return pb.PutManyRequest(unit="u", items=[pb.PutManyRequest.Item(put=spec, data=b"x", checksum=checksum(b"x"))])


async def assert_refused(call: object, reason: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        await call  # type: ignore[misc]  # a call of grpc's
    assert error_from_rpc(raised.value).reason == reason


async def test_limits_that_can_be_none_are_refused_and_change_nothing(stub: Stub, store: EmbeddedStore) -> None:
    kept = UnitLimits(max_objects=7)
    store.set_unit_limits("u", kept)
    for limits in (
        pb.UnitLimits(max_objects=MOST),
        pb.UnitLimits(max_bytes=1 << 63),
        pb.UnitLimits(max_objects=1, when_full=99),  # type: ignore[arg-type]  # as a later client may say
    ):
        await assert_refused(stub.SetUnitLimits(pb.SetUnitLimitsRequest(unit="u", limits=limits)), "BAD_LIMIT")
    for unit in ("", "../u", "u\n"):
        await assert_refused(stub.SetUnitLimits(pb.SetUnitLimitsRequest(unit=unit)), "BAD_UNIT")
    assert store.unit_page().units == [UnitInfo("u", limits=kept)]
    reply = await stub.SetUnitLimits(pb.SetUnitLimitsRequest(unit="u"))
    assert not reply.info.HasField("limits")
    assert store.unit_info("u").limits == UnitLimits()


async def test_units_are_told_in_the_order_that_was_asked_for_or_in_pages(stub: Stub, store: EmbeddedStore) -> None:
    for name in ("b", "a", "c"):
        store.set_unit_limits(name, UnitLimits(max_bytes=5, when_full="evict"))
    reply = await stub.StatUnits(pb.StatUnitsRequest(units=["c", "none", "a", "c"]))
    assert [info.unit for info in reply.units] == ["c", "none", "a", "c"]
    assert [info.HasField("limits") for info in reply.units] == [True, False, True, True]
    assert reply.units[0].limits.when_full == pb.UnitLimits.WHEN_FULL_EVICT
    assert not reply.units[0].limits.HasField("max_objects")
    first = await stub.StatUnits(pb.StatUnitsRequest(page_size=2))
    assert [info.unit for info in first.units] == ["a", "b"]
    token = first.next_page_token
    assert [info.unit for info in (await stub.StatUnits(pb.StatUnitsRequest(page_token=token))).units] == ["c"]
    await assert_refused(stub.StatUnits(pb.StatUnitsRequest(units=["a"] * 10_001)), "BATCH_TOO_LARGE")
    await assert_refused(stub.StatUnits(pb.StatUnitsRequest(units=["a", ""])), "BAD_UNIT")
    await assert_refused(stub.StatUnits(pb.StatUnitsRequest(page_size=1001)), "BAD_PAGE_SIZE")
    await assert_refused(stub.StatUnits(pb.StatUnitsRequest(page_token="x")), "BAD_PAGE_TOKEN")
    await assert_refused(stub.StatUnits(pb.StatUnitsRequest(prefix="a" * 2000)), "BAD_NAME")
    await assert_refused(stub.StatUnits(pb.StatUnitsRequest(prefix="a", page_token=token)), "BAD_PAGE_TOKEN")


async def test_a_reply_says_the_time_where_an_object_in_it_expires(stub: Stub) -> None:
    reply = await stub.PutMany(put("lasting"))
    assert not reply.HasField("store_time")
    begun = datetime.now(UTC)
    reply = await stub.PutMany(put("name", Duration(seconds=1000)))
    said = reply.store_time.ToDatetime(tzinfo=UTC)
    assert begun - timedelta(seconds=1) <= said <= datetime.now(UTC)
    until = reply.results[0].info.expires_at.ToDatetime(tzinfo=UTC)
    assert timedelta(0) <= until - said + timedelta(seconds=1) <= timedelta(seconds=1001)
    key = pb.Key(name="name")
    stated = await stub.Stat(pb.StatRequest(unit="u", keys=[pb.Key(name="none"), key]))
    loaded = await stub.LoadMany(pb.LoadManyRequest(unit="u", items=[pb.LoadManyRequest.Item(key=key)]))
    listed = await stub.List(pb.ListRequest(unit="u"))
    (opened, *_) = [message async for message in stub.Load(pb.LoadRequest(unit="u", key=key))]
    for each in (stated, loaded, listed, opened):
        assert each.store_time.ToDatetime(tzinfo=UTC) >= said
    other = await stub.Stat(pb.StatRequest(unit="u", keys=[pb.Key(name="lasting")]))
    assert not other.HasField("store_time")


@pytest.mark.parametrize(
    "seconds",
    [
        Duration(),
        Duration(seconds=-1),
        Duration(nanos=-5),
        Duration(seconds=315_576_000_001),
        Duration(seconds=1 << 62),
        Duration(seconds=-(1 << 63)),
    ],
    ids=str,
)
async def test_a_time_to_live_that_can_be_none_is_refused(stub: Stub, store: EmbeddedStore, seconds: Duration) -> None:
    await stub.PutMany(put("name"))
    before = store.revision
    (result,) = (await stub.PutMany(put("name", seconds))).results
    assert item_error_from_wire(result.error).reason == "BAD_EXPIRY"
    item = pb.SetMetadataManyRequest.Item(
        key=pb.Key(name="name"), expires_in=seconds, request_id=secrets.token_bytes(16)
    )
    (result,) = (await stub.SetMetadataMany(pb.SetMetadataManyRequest(unit="u", items=[item]))).results
    assert item_error_from_wire(result.error).reason == "BAD_EXPIRY"
    assert store.revision == before
