"""A call of each method of VaultService that comes to something."""

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

from google.protobuf.duration_pb2 import Duration
from vault.store.values import checksum
from vault.store.write_columns import SmallUploads, new_columns
from vault.v1 import vault_pb2 as pb
from vault.wire.write_columns import write_columns_to_wire

from tests.server.raw_calls import Stub, whole

SECRET = b"bytes of an object, which are nobody's business"


def new() -> dict[str, Any]:
    return {"request_id": secrets.token_bytes(16)}


def batch(kind: Any, *items: Any, unit: str = "u", **more: Any) -> Any:
    """A request of items, each with a request id."""
    return kind(unit=unit, items=[kind.Item(**item) for item in items], **more)


def calls_of(stub: Stub) -> dict[str, Callable[[], Any]]:
    """A call of each method that comes to something."""
    key = pb.Key(name="name")
    bytes_of: dict[str, Any] = {"data": SECRET, "checksum": checksum(SECRET)}

    async def all_of(requests: Any) -> AsyncIterator[Any]:
        for request in requests:
            yield request

    def stream(kind: Any, start: Any) -> Any:
        block = kind(block=pb.Block(data=SECRET, checksum=checksum(SECRET)))
        return all_of([kind(start=start), block, kind(commit=pb.Commit(size=len(SECRET)))])

    def put(name: str) -> pb.PutSpec:
        return pb.PutSpec(name=name, data_id=secrets.randbelow(1 << 60) + 1, **new())

    return {
        "GetCapabilities": lambda: stub.GetCapabilities(pb.GetCapabilitiesRequest()),
        "Exists": lambda: stub.Exists(pb.ExistsRequest(unit="u", keys=[key])),
        "Stat": lambda: stub.Stat(pb.StatRequest(unit="u", keys=[key])),
        "List": lambda: stub.List(pb.ListRequest(unit="u")),
        "ListUnits": lambda: stub.ListUnits(pb.ListUnitsRequest()),
        "StatUnits": lambda: stub.StatUnits(pb.StatUnitsRequest()),
        "StatPrincipals": lambda: stub.StatPrincipals(pb.StatPrincipalsRequest()),
        "WhoAmI": lambda: stub.WhoAmI(pb.WhoAmIRequest()),
        "Load": lambda: stub.Load(pb.LoadRequest(unit="u", key=key)),
        "LoadMany": lambda: stub.LoadMany(pb.LoadManyRequest(unit="u", items=[pb.LoadManyRequest.Item(key=key)])),
        "LoadColumns": lambda: stub.LoadColumns(pb.LoadColumnsRequest(unit="u", data_ids=bytes(8), names=["name"])),
        "Read": lambda: stub.Read(pb.ReadRequest(unit="u", key=key, ranges=[pb.ReadRequest.Range(length=5)])),
        "GetWriteStatus": lambda: stub.GetWriteStatus(pb.GetWriteStatusRequest(unit="u", **new())),
        "Watch": lambda: stub.Watch(pb.WatchRequest(units=["u"]), timeout=0.2),
        "AcquireLease": lambda: stub.AcquireLease(
            pb.AcquireLeaseRequest(unit="u", name="n", holder=bytes(16), duration=Duration(seconds=1))
        ),
        "ReleaseLease": lambda: stub.ReleaseLease(pb.ReleaseLeaseRequest(unit="u", name="n", holder=bytes(16))),
        "Upload": lambda: stub.Upload(all_of(whole(SECRET, secrets.randbelow(1 << 60) + 1, name="streamed"))),
        "Update": lambda: stub.Update(
            stream(pb.UpdateRequest, pb.UpdateRequest.Start(unit="u", spec=pb.UpdateSpec(key=key, **new())))
        ),
        "Put": lambda: stub.Put(stream(pb.PutRequest, pb.PutRequest.Start(unit="u", put=put("put")))),
        "WriteBlock": lambda: stub.WriteBlock(pb.WriteBlockRequest(unit="u", **new())),
        "AbortWrite": lambda: stub.AbortWrite(pb.AbortWriteRequest(unit="u", **new())),
        "UploadMany": lambda: stub.UploadMany(
            batch(pb.UploadManyRequest, {"spec": {"data_id": 5, "name": "many", **new()}, **bytes_of})
        ),
        "UpdateMany": lambda: stub.UpdateMany(
            batch(pb.UpdateManyRequest, {"spec": {"key": key, **new()}, **bytes_of})
        ),
        "PutMany": lambda: stub.PutMany(
            batch(pb.PutManyRequest, *({"put": put(f"put{n}"), **bytes_of} for n in range(30)))
        ),
        "WriteColumns": lambda: stub.WriteColumns(
            write_columns_to_wire("u", SmallUploads(new_columns([0, 1], [""] * 2, [SECRET] * 2, None, None)))
        ),
        "SetMetadata": lambda: stub.SetMetadata(
            pb.SetMetadataRequest(unit="u", key=key, tags=pb.Tags(tags={"a": "b"}), **new())
        ),
        "SetMetadataMany": lambda: stub.SetMetadataMany(
            batch(pb.SetMetadataManyRequest, {"key": pb.Key(name="put"), "name": "renamed", **new()})
        ),
        "Copy": lambda: stub.Copy(
            batch(pb.CopyRequest, {"key": key, "name": "copied", "data_id": 9, **new()}, to_unit="v")
        ),
        "SetUnitLimits": lambda: stub.SetUnitLimits(
            pb.SetUnitLimitsRequest(unit="u", limits=pb.UnitLimits(max_objects=500))
        ),
        "SetPrincipalLimits": lambda: stub.SetPrincipalLimits(
            pb.SetPrincipalLimitsRequest(principal="somebody", limits=pb.PrincipalLimits(max_objects=500))
        ),
        "Delete": lambda: stub.Delete(batch(pb.DeleteRequest, {"key": pb.Key(name="streamed"), **new()})),
        "DeleteMany": lambda: stub.DeleteMany(
            batch(pb.DeleteManyRequest, {"key": pb.Key(data_id=5), **new()}, {"key": key, **new()})
        ),
    }  # fmt: skip
