"""What every method that a server has is asked, to see whether it lets in whoever asks."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from vault.store.specs import new_data_id, new_request_id
from vault.store.values import checksum
from vault.store.write_columns import SmallUploads, new_columns
from vault.v1 import admin_pb2
from vault.v1 import vault_pb2 as pb
from vault.wire.write_columns import write_columns_to_wire

from tests.access.calling import (
    BLOCK,
    DATA,
    Caller,
    Make,
    Place,
    Run,
    asking,
    asking_for_one,
    described,
    doing,
    item_done,
    sending,
)
from tests.access.model import ALLOWED, DOCS, THEIRS


def _name() -> str:
    return f"new-{new_data_id()}"


def _upload() -> pb.UploadSpec:
    return pb.UploadSpec(data_id=new_data_id(), name=_name(), request_id=new_request_id())


def _put() -> pb.PutSpec:
    return pb.PutSpec(data_id=new_data_id(), name=_name(), request_id=new_request_id())


_SENT: Final[Mapping[str, Any]] = {"data": DATA, "checksum": checksum(DATA)}
_THERE: Final = pb.Key(name="there")


async def _load(caller: Caller, _place: Place) -> bool:
    replies = await caller.call("VaultService.Load", pb.LoadRequest(unit=DOCS, key=_THERE))
    return b"".join(reply.block.data for reply in replies) == DATA


async def _own_write_status(caller: Caller, _place: Place) -> bool:
    """Of a write that the caller has just made."""
    spec = _put()
    item = pb.PutManyRequest.Item(put=spec, **_SENT)
    (reply,) = await caller.call("VaultService.PutMany", pb.PutManyRequest(unit=DOCS, items=[item]))
    item_done(reply.results[0])
    request = pb.GetWriteStatusRequest(unit=DOCS, request_id=spec.request_id)
    (status,) = await caller.call("VaultService.GetWriteStatus", request)
    return bool(status.info.data_id == spec.data_id)


async def _own_block(caller: Caller, _place: Place) -> bool:
    """A whole object, whose only block comes by WriteBlock."""
    spec = _upload()
    start = pb.UploadRequest(start=pb.UploadRequest.Start(unit=DOCS, spec=spec))
    stream = await caller.start("VaultService.Upload", start)
    try:
        about = pb.WriteBlockRequest(unit=DOCS, request_id=spec.request_id)
        (joined,) = await caller.call("VaultService.WriteBlock", about)
        about.stream = joined.stream
        about.block.CopyFrom(pb.Block(data=DATA, checksum=checksum(DATA)))
        sent = caller.begin("VaultService.WriteBlock", about)
        await stream.write(pb.UploadRequest(commit=pb.Commit(size=len(DATA), checksum=checksum(DATA))))
        await stream.done_writing()
        await sent
        reply = await stream.read()
        while not reply.HasField("info"):
            reply = await stream.read()
        return bool(reply.info.data_id == spec.data_id)
    finally:
        stream.cancel()


def _write_status(place: Place) -> Message:
    """Of a write of nobody who calls."""
    request_id = new_request_id()
    place.new(request_id=request_id)
    return pb.GetWriteStatusRequest(unit=DOCS, request_id=request_id)


def _watch(*units: str) -> Run:
    async def run(caller: Caller, place: Place) -> bool:
        since = place.store.revision
        place.new()
        newest = place.store.revision
        request = pb.WatchRequest(units=units, since_revision=since)
        replies = await caller.call(
            "VaultService.Watch",
            request,
            until=lambda reply: reply.change.unit == DOCS or reply.progress.revision >= newest,
        )
        return any(reply.change.unit == DOCS for reply in replies)

    return run


async def _stat_itself(caller: Caller, _place: Place) -> bool:
    (me,) = await caller.call("VaultService.WhoAmI", pb.WhoAmIRequest())
    request = pb.StatPrincipalsRequest(principals=[me.principal])
    (reply,) = await caller.call("VaultService.StatPrincipals", request)
    return [each.principal for each in reply.principals] == [me.principal]


async def _revoke(caller: Caller, place: Place) -> bool:
    assert place.admin is not None
    name = f"guest-{new_data_id()}"
    grants = [pb.Grant(units=THEIRS, scopes=["read"])]
    await place.admin.call("AdminService.AddToken", admin_pb2.AddTokenRequest(principal=name, grants=grants))
    (reply,) = await caller.call("AdminService.RevokeTokens", admin_pb2.RevokeTokensRequest(principal=name))
    return bool(reply.tokens == 1)


def _add_token(_place: Place) -> Message:
    grants = [pb.Grant(units=THEIRS, scopes=["read"])]
    return admin_pb2.AddTokenRequest(principal=f"guest-{new_data_id()}", grants=grants)


async def _reflect(caller: Caller, _place: Place) -> bool:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (reply,) = await caller.call("ServerReflection.ServerReflectionInfo", request)
    return bool(reply.list_services_response.service)


async def _watch_health(caller: Caller, _place: Place) -> bool:
    request = health_pb2.HealthCheckRequest(service="")
    replies = await caller.call("Health.Watch", request, until=lambda _: True)
    return bool(replies[0].status == health_pb2.HealthCheckResponse.SERVING)


def _lease() -> dict[str, Any]:
    return {"unit": DOCS, "name": _name(), "holder": new_request_id()}


def _metadata(_place: Place, item: pb.SetMetadataManyRequest.Item) -> Message:
    item.request_id = new_request_id()
    return pb.SetMetadataManyRequest(unit=DOCS, items=[item])


def _taking(place: Place) -> Message:
    name = _name()
    place.new(name)
    return _metadata(place, pb.SetMetadataManyRequest.Item(key=place.new(), name=name, replace=True))


def _copy(unit: str, key: pb.Key, to_unit: str) -> Make:
    def request(_place: Place) -> Message:
        item = pb.CopyRequest.Item(key=key, data_id=new_data_id(), request_id=new_request_id())
        return pb.CopyRequest(unit=unit, to_unit=to_unit, items=[item])

    return asking_for_one(request)


_VAULT: Final[Mapping[str, Make]] = {
    "GetCapabilities": asking(lambda _: pb.GetCapabilitiesRequest()),
    "WhoAmI": asking(lambda _: pb.WhoAmIRequest(), lambda reply: bool(reply.principal)),
    "Exists": asking(lambda _: pb.ExistsRequest(unit=DOCS, keys=[_THERE]), lambda reply: bool(reply.generations[0])),
    "Stat": asking(
        lambda _: pb.StatRequest(unit=DOCS, keys=[_THERE]), lambda reply: bool(reply.items[0].HasField("info"))
    ),
    "Load": doing(_load),
    "LoadMany": asking_for_one(lambda _: pb.LoadManyRequest(unit=DOCS, items=[pb.LoadManyRequest.Item(key=_THERE)])),
    "LoadColumns": asking(
        lambda _: pb.LoadColumnsRequest(unit=DOCS, data_ids=bytes(8), names=[_THERE.name]),
        lambda reply: any(reply.data_ids),
    ),
    "Read": asking(lambda _: pb.ReadRequest(unit=DOCS, key=_THERE, ranges=[pb.ReadRequest.Range(offset=0)])),
    "List": asking(lambda _: pb.ListRequest(unit=DOCS), lambda reply: bool(reply.objects)),
    "List a level of names": asking(
        lambda _: pb.ListRequest(unit=DOCS, prefix="there", delimiter="/"), lambda reply: bool(reply.objects)
    ),
    "ListUnits": asking(lambda _: pb.ListUnitsRequest(), lambda reply: DOCS in reply.units),
    "StatUnits": asking(
        lambda _: pb.StatUnitsRequest(),
        lambda reply: any(each.unit == DOCS and each.objects for each in reply.units),
    ),
    "StatUnits of one": asking(lambda _: pb.StatUnitsRequest(units=[DOCS]), lambda reply: bool(reply.units[0].objects)),
    "SetUnitLimits": asking(lambda _: pb.SetUnitLimitsRequest(unit=DOCS, limits=pb.UnitLimits(max_bytes=1 << 40))),
    "StatPrincipals": asking(lambda _: pb.StatPrincipalsRequest()),
    "StatPrincipals of another": asking(lambda _: pb.StatPrincipalsRequest(principals=["somebody-else"])),
    "StatPrincipals of itself": doing(_stat_itself),
    "SetPrincipalLimits": asking(
        lambda _: pb.SetPrincipalLimitsRequest(principal="somebody-else", limits=pb.PrincipalLimits(max_bytes=9))
    ),
    "Upload": sending(lambda _: pb.UploadRequest.Start(unit=DOCS, spec=_upload())),
    "Upload that can be resumed": sending(lambda _: pb.UploadRequest.Start(unit=DOCS, spec=_upload(), resumable=True)),
    "Update": sending(
        lambda place: pb.UpdateRequest.Start(
            unit=DOCS, spec=pb.UpdateSpec(key=place.new(), request_id=new_request_id())
        )
    ),
    "Put": sending(lambda _: pb.PutRequest.Start(unit=DOCS, put=_put())),
    "Put in the place of another": sending(
        lambda place: pb.PutRequest.Start(
            unit=DOCS, replace=pb.ReplaceSpec(key=place.new(), request_id=new_request_id())
        )
    ),
    "WriteBlock": doing(_own_block),
    "WriteBlock of a write that nobody streams": asking(
        lambda _: pb.WriteBlockRequest(unit=DOCS, request_id=new_request_id())
    ),
    "GetWriteStatus": doing(_own_write_status),
    "GetWriteStatus of another's": asking(_write_status),
    "AbortWrite": asking(lambda _: pb.AbortWriteRequest(unit=DOCS, request_id=new_request_id())),
    "UploadMany": asking_for_one(
        lambda _: pb.UploadManyRequest(unit=DOCS, items=[pb.UploadManyRequest.Item(spec=_upload(), **_SENT)])
    ),
    "UpdateMany": asking_for_one(
        lambda place: pb.UpdateManyRequest(
            unit=DOCS,
            items=[
                pb.UpdateManyRequest.Item(spec=pb.UpdateSpec(key=place.new(), request_id=new_request_id()), **_SENT)
            ],
        )
    ),
    "PutMany": asking_for_one(
        lambda _: pb.PutManyRequest(unit=DOCS, items=[pb.PutManyRequest.Item(put=_put(), **_SENT)])
    ),
    "WriteColumns": asking(
        lambda _: write_columns_to_wire(DOCS, SmallUploads(new_columns([0, 1], [""] * 2, [DATA] * 2, None, None)))
    ),
    "Delete": asking_for_one(
        lambda place: pb.DeleteRequest(
            unit=DOCS, items=[pb.DeleteRequest.Item(key=place.new(), request_id=new_request_id())]
        )
    ),
    "DeleteMany": asking_for_one(
        lambda place: pb.DeleteManyRequest(
            unit=DOCS, items=[pb.DeleteManyRequest.Item(key=place.new(), request_id=new_request_id())]
        )
    ),
    "SetMetadata": asking(
        lambda place: pb.SetMetadataRequest(unit=DOCS, key=place.new(), name=_name(), request_id=new_request_id())
    ),
    "SetMetadataMany": asking_for_one(
        lambda place: _metadata(place, pb.SetMetadataManyRequest.Item(key=place.new(), name=_name()))
    ),
    "SetMetadataMany that takes a name from another": asking_for_one(_taking),
    "SetMetadataMany that sets an expiry": asking_for_one(
        lambda place: _metadata(
            place, pb.SetMetadataManyRequest.Item(key=place.new(), expires_in=Duration(seconds=3600))
        )
    ),
    "Copy": _copy(DOCS, _THERE, DOCS),
    "Copy into a unit of others": _copy(DOCS, _THERE, THEIRS),
    "Copy out of a unit of others": _copy(THEIRS, pb.Key(name="own"), DOCS),
    "AcquireLease": asking(
        lambda _: pb.AcquireLeaseRequest(**_lease(), duration=Duration(seconds=5)),
        lambda reply: bool(reply.acquired),
    ),
    "ReleaseLease": asking(lambda _: pb.ReleaseLeaseRequest(**_lease())),
    "Watch": doing(_watch(DOCS)),
    "Watch of all units": doing(_watch()),
    "Watch of two units": doing(_watch(DOCS, THEIRS)),
}

_ADMIN: Final[Mapping[str, Make]] = {
    "ListPrincipals": asking(lambda _: admin_pb2.ListPrincipalsRequest(), lambda reply: bool(reply.principals)),
    "AddToken": asking(_add_token, lambda reply: bool(reply.token)),
    "RevokeTokens": doing(_revoke),
    "GetAllowlist": asking(lambda _: admin_pb2.GetAllowlistRequest()),
    "SetAllowlist": asking(lambda _: admin_pb2.SetAllowlistRequest(networks=ALLOWED)),
    "ListCalls": asking(lambda _: admin_pb2.ListCallsRequest(), lambda reply: bool(reply.calls)),
    "CutCalls": asking(lambda _: admin_pb2.CutCallsRequest(principal="nobody-who-calls")),
    "PurgeRetained": asking(lambda _: admin_pb2.PurgeRetainedRequest(unit=DOCS)),
}

PROBES: Final[Mapping[str, Run]] = {
    **{f"VaultService.{use}": make(f"VaultService.{use.split()[0]}") for use, make in _VAULT.items()},
    **{f"AdminService.{use}": make(f"AdminService.{use}") for use, make in _ADMIN.items()},
    "Health.Check": asking(lambda _: health_pb2.HealthCheckRequest())("Health.Check"),
    "Health.Watch": _watch_health,
    "Health.List": asking(lambda _: health_pb2.HealthListRequest())("Health.List"),
    "ServerReflection.ServerReflectionInfo": _reflect,
}
"""By use, as in the model."""


Start = Callable[[Place], list[Message]]


def _started(method: str, **start: Any) -> tuple[str, Start]:
    """A streamed write that has come as far as its first block."""
    message: Any = GetMessageClass(described(method).input_type)

    def messages(place: Place) -> list[Message]:
        made = message.Start(**{key: value(place) if callable(value) else value for key, value in start.items()})
        return [message(start=made), message(block=pb.Block(offset=0, data=BLOCK, checksum=checksum(BLOCK)))]

    return method, messages


RUNNING: Final[tuple[tuple[str, Start], ...]] = (
    _started("VaultService.Upload", unit=DOCS, spec=lambda _: _upload()),
    _started("VaultService.Upload", unit=DOCS, spec=lambda _: _upload(), resumable=True),
    _started(
        "VaultService.Update",
        unit=DOCS,
        spec=lambda place: pb.UpdateSpec(key=place.new(), request_id=new_request_id()),
    ),
    _started("VaultService.Put", unit=DOCS, put=lambda _: _put()),
    ("VaultService.Watch", lambda _: [pb.WatchRequest(units=[DOCS])]),
    ("VaultService.Watch", lambda _: [pb.WatchRequest(groups=True)]),
    (
        "ServerReflection.ServerReflectionInfo",
        lambda _: [reflection_pb2.ServerReflectionRequest(list_services="")],
    ),
    ("VaultService.Load", lambda place: [pb.LoadRequest(unit=DOCS, key=place.large())]),
)
"""Calls that go on for as long as they are let: what they begin with. The last one is over once it is read."""
