"""What principals see of each other over the wire: nothing, in no byte of any reply."""

import base64
import contextlib
import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from vault.store.values import checksum
from vault.store.write_columns import SmallUploads, new_columns
from vault.v1 import vault_pb2
from vault.wire.write_columns import write_columns_to_wire
from vault_server import EmbeddedStore, Server, StoreOptions
from vault_server.access.grants import SCOPES, Grant, Principal, Scope
from vault_server.access.settings import AccessSettings

from tests.access.identified import IdentityFile, bearer
from tests.server.raw_calls import block, commit, start

pb: Any = vault_pb2  # messages of dicts

UNITS = ("a", "b", "a-x", "b-x", "c")
EMPTY = "empty"
PATTERNS = (*UNITS, "a*", "b*", "*", "*-x", "a*x", "nowhere")
HOLDER = b"1" * 16
PRINCIPALS = 40

Raw = bytes
Call = tuple[str, Any]


@dataclass
class Marks:
    """What is planted in a unit: in what is told of its objects, and in their bytes."""

    told: str = field(default_factory=lambda: f"told{secrets.token_hex(8)}")
    data: bytes = field(default_factory=lambda: b"data" + secrets.token_hex(8).encode())


@dataclass
class Answer:
    """What a call was answered, in every byte that came."""

    code: grpc.StatusCode
    raw: bytes
    replies: list[Any]


class Host:
    """A server with marked objects in every unit, an administrator and principals with grants by chance."""

    def __init__(self, store: EmbeddedStore, server: Server, identities: IdentityFile, drawn: random.Random) -> None:
        self.store = store
        self.address = server.address
        self.admin = identities.add("admin", f"*:{','.join(SCOPES)}")
        self.principals: list[tuple[Principal, str]] = []
        for number in range(PRINCIPALS):
            grants = [
                f"{drawn.choice(PATTERNS)}:{','.join(drawn.sample(SCOPES, drawn.randint(1, 4)))}"
                for _ in range(drawn.randint(1, 3))
            ]
            principal = Principal(f"p{number}", [Grant.parse(grant) for grant in grants])
            self.principals.append((principal, identities.add(principal.name, *grants)))
        self.marks = {unit: Marks() for unit in UNITS}
        self._channel = grpc.insecure_channel(self.address)
        while self.call(self.principals[-1][1], "WhoAmI", pb.WhoAmIRequest()).code is not grpc.StatusCode.OK:
            time.sleep(0.05)  # the server reads the file again
        for unit, marks in self.marks.items():
            for number in range(3):
                self.admin_call("PutMany", self.marked(unit, f"{marks.told}-{number}"))
            self.admin_call("PutMany", plain(unit, "plain"))
            self.admin_call("PutMany", plain(unit, "other"))

    def marked(self, unit: str, name: str) -> Any:
        marks = self.marks[unit]
        data = marks.data * 3
        spec = pb.PutSpec(
            name=name, data_id=secrets.randbits(62) + 1, tags={"tag": marks.told}, datatype=marks.told, request_id=new()
        )
        return pb.PutManyRequest(unit=unit, items=[{"put": spec, "data": data, "checksum": checksum(data)}])

    def admin_call(self, method: str, request: Any) -> Answer:
        answer = self.call(self.admin, method, request)
        assert answer.code is grpc.StatusCode.OK, answer
        return answer

    def call(self, token: str, method: str, *requests: Any, most: int = 1000, until: bytes = b"") -> Answer:
        """Makes any call with these messages, and takes at most so many replies."""
        descriptor = pb.DESCRIPTOR.services_by_name["VaultService"].methods_by_name[method]
        reply_class = getattr(pb, descriptor.output_type.name)
        begin: Any = self._channel.stream_stream(f"/vault.v1.VaultService/{method}")
        call = begin(iter([request.SerializeToString() for request in requests]), metadata=bearer(token), timeout=30)
        raw: list[bytes] = []
        code = grpc.StatusCode.OK
        try:
            for reply in call:
                raw.append(reply)
                if len(raw) >= most or (until and until in reply):
                    call.cancel()
                    break
        except grpc.RpcError:
            code = call.code()
            raw.append((call.details() or "").encode())
            for key, value in (*call.trailing_metadata(), *call.initial_metadata()):
                raw.append(f"{key}={value}".encode() if isinstance(value, str) else value)
        replies = [reply_class.FromString(each) for each in raw] if code is grpc.StatusCode.OK else []
        return Answer(code, b"\n".join(raw), replies)

    def close(self) -> None:
        self._channel.close()


def new() -> bytes:
    return secrets.token_bytes(16)


def plain(unit: str, name: str) -> Any:
    spec = pb.PutSpec(name=name, data_id=secrets.randbits(62) + 1, request_id=new())
    return pb.PutManyRequest(unit=unit, items=[{"put": spec, "data": b"plain", "checksum": checksum(b"plain")}])


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    seed = random.randrange(1 << 32)
    print(f"principals of seed {seed}")  # pytest shows it with a failure
    identities = IdentityFile(folder)
    with (
        EmbeddedStore(folder / "store", StoreOptions(durability="relaxed")) as store,
        Server(store, access=AccessSettings(tokens=str(identities.path))) as server,
        contextlib.closing(Host(store, server, identities, random.Random(seed))) as host,
    ):
        yield host


# -- Calls of every kind, with the scopes that each needs


@dataclass(frozen=True)
class Kind:
    """A kind of call: the messages for a unit and a key in it; what it needs there, and whether it shows something."""

    needs: tuple[Scope, ...]
    messages: Callable[[str, str], Sequence[Any]]
    shows: bool = False


def _upload(unit: str, key: str) -> Sequence[Any]:
    return [start(secrets.randbits(62) + 1, unit), block(0, b"mine"), commit(4)]


def _put(unit: str, key: str) -> Sequence[Any]:
    begun = pb.PutRequest(start={"unit": unit, "put": {"name": "mine", "data_id": 7, "request_id": new()}})
    return [begun, pb.PutRequest(block=block(0, b"mine").block), pb.PutRequest(commit=commit(4).commit)]


def _update(unit: str, key: str) -> Sequence[Any]:
    begun = pb.UpdateRequest(start={"unit": unit, "spec": {"key": {"name": "other"}, "request_id": new()}})
    return [begun, pb.UpdateRequest(block=block(0, b"mine").block), pb.UpdateRequest(commit=commit(4).commit)]


def _small(**spec: Any) -> dict[str, Any]:
    return {"spec": {"request_id": new(), **spec}, "data": b"mine", "checksum": checksum(b"mine")}


def _set(key: str, **options: Any) -> dict[str, Any]:
    return {"key": {"name": key}, "tags": {"tags": {"mine": "1"}}, "request_id": new(), **options}


KINDS: dict[str, Kind] = {
    "Exists": Kind(("read",), lambda u, k: [pb.ExistsRequest(unit=u, keys=[{"name": k}, {"name": "no"}])], True),
    "Stat": Kind(("read",), lambda u, k: [pb.StatRequest(unit=u, keys=[{"name": k}, {"data_id": 7}])], True),
    "Load": Kind(("read",), lambda u, k: [pb.LoadRequest(unit=u, key={"name": k})], True),
    "Load, at a generation": Kind(
        ("read",), lambda u, k: [pb.LoadRequest(unit=u, key={"name": k}, if_generation=1 << 40)], True
    ),
    "Read": Kind(("read",), lambda u, k: [pb.ReadRequest(unit=u, key={"name": k}, ranges=[{"length": 50}])], True),
    "LoadMany": Kind(
        ("read",),
        lambda u, k: [pb.LoadManyRequest(unit=u, items=[{"key": {"name": k}}, {"key": {"data_id": 7}}])],
        True,
    ),
    "LoadColumns": Kind(
        ("read",),
        lambda u, k: [pb.LoadColumnsRequest(unit=u, data_ids=bytes(8) + b"\7" + bytes(7), names=[k, ""])],
        True,
    ),
    "List": Kind(("list",), lambda u, k: [pb.ListRequest(unit=u, page_size=2)], True),
    "List, by name": Kind(("list",), lambda u, k: [pb.ListRequest(unit=u, prefix="", delimiter="-")], True),
    "StatUnits": Kind(("list",), lambda u, k: [pb.StatUnitsRequest(units=[u])], True),
    "Watch": Kind(("watch",), lambda u, k: [pb.WatchRequest(units=[u], since_revision=0, groups=True)], True),
    "Upload": Kind(("write",), _upload),
    "Put": Kind(("write",), _put),
    "Update": Kind(("write",), _update),
    "UploadMany": Kind(
        ("write",), lambda u, k: [pb.UploadManyRequest(unit=u, items=[_small(data_id=secrets.randbits(62) + 1)])]
    ),
    "UploadMany, under a name that is taken": Kind(
        ("write",),
        lambda u, k: [pb.UploadManyRequest(unit=u, items=[_small(data_id=secrets.randbits(62) + 1, name=k)])],
    ),
    "UpdateMany": Kind(("write",), lambda u, k: [pb.UpdateManyRequest(unit=u, items=[_small(key={"name": "other"})])]),
    "PutMany": Kind(("write",), lambda u, k: [plain(u, "mine")]),
    "WriteColumns": Kind(
        ("write",), lambda u, k: [write_columns_to_wire(u, SmallUploads(new_columns([0], [""], [b"x"], None, None)))]
    ),
    "SetMetadata": Kind(
        ("write",), lambda u, k: [pb.SetMetadataRequest(unit=u, key={"name": "other"}, request_id=new())]
    ),
    "SetMetadataMany": Kind(("write",), lambda u, k: [pb.SetMetadataManyRequest(unit=u, items=[_set("other")])]),
    "SetMetadataMany, over a name": Kind(
        ("write", "delete"),
        lambda u, k: [pb.SetMetadataManyRequest(unit=u, items=[_set("mine", name="mine-too", replace=True)])],
    ),
    "Copy": Kind(
        ("read", "write"),
        lambda u, k: [pb.CopyRequest(unit=u, items=[{"key": {"name": k}, "data_id": 9, "request_id": new()}])],
    ),
    "Delete": Kind(
        ("delete",), lambda u, k: [pb.DeleteRequest(unit=u, items=[{"key": {"name": "mine"}, "request_id": new()}])]
    ),
    "DeleteMany": Kind(
        ("delete",), lambda u, k: [pb.DeleteManyRequest(unit=u, items=[{"key": {"data_id": 9}, "request_id": new()}])]
    ),
    "WriteBlock": Kind(("write",), lambda u, k: [pb.WriteBlockRequest(unit=u, request_id=HOLDER)]),
    "GetWriteStatus": Kind(("write",), lambda u, k: [pb.GetWriteStatusRequest(unit=u, request_id=HOLDER)]),
    "AbortWrite": Kind(("write",), lambda u, k: [pb.AbortWriteRequest(unit=u, request_id=HOLDER)]),
    "AcquireLease": Kind(
        ("write",), lambda u, k: [pb.AcquireLeaseRequest(unit=u, name=k, holder=HOLDER, duration={"seconds": 1})]
    ),
    "ReleaseLease": Kind(("write",), lambda u, k: [pb.ReleaseLeaseRequest(unit=u, name=k, holder=HOLDER)]),
    "SetUnitLimits": Kind(("admin",), lambda u, k: [pb.SetUnitLimitsRequest(unit=u, limits={})]),
}
OF_NO_UNIT: dict[str, Callable[[], Any]] = {
    "GetCapabilities": pb.GetCapabilitiesRequest,
    "ListUnits": pb.ListUnitsRequest,
    "StatUnits": lambda: pb.StatUnitsRequest(page_size=2),
    "Watch": lambda: pb.WatchRequest(since_revision=0, groups=True),
    "WhoAmI": pb.WhoAmIRequest,
    "StatPrincipals": pb.StatPrincipalsRequest,
    "SetPrincipalLimits": lambda: pb.SetPrincipalLimitsRequest(principal="p1", limits={}),
}


def test_every_method_is_called_here() -> None:
    methods = {method.name for method in pb.DESCRIPTOR.services_by_name["VaultService"].methods}
    assert methods == {name.partition(",")[0] for name in KINDS} | set(OF_NO_UNIT)


def made(host: Host, token: str, name: str, messages: Sequence[Any]) -> Answer:
    method = name.partition(",")[0]
    if method == "Watch":  # until it is as far as the store was
        now = host.store.revision
        answer = Answer(grpc.StatusCode.OK, b"", [])
        for most in range(2, 50):
            answer = host.call(token, method, *messages, most=most)
            if answer.code is not grpc.StatusCode.OK or any(
                reply.HasField("progress") and reply.progress.revision >= now for reply in answer.replies
            ):
                break
        return answer
    return host.call(token, method, *messages)


def assert_tells_nothing(host: Host, principal: Principal, answer: Answer, named: str = "") -> None:
    raw = answer.raw + b"".join(map(unpacked, answer.replies))
    for unit, marks in host.marks.items():
        scopes = principal.scopes(unit)
        if not scopes & {"read", "list", "write", "watch"}:
            assert marks.told.encode() not in raw, f"{principal.grants}: what is in {unit} is told of"
        if "read" not in scopes:
            assert marks.data not in raw, f"{principal.grants}: the bytes in {unit} are shown"
        if not scopes and unit != named and len(unit) > 1:
            assert unit.encode() not in raw, f"{principal.grants}: that there is {unit} is told"


def unpacked(reply: Any) -> bytes:
    """What a reply's page token says."""
    token = getattr(reply, "next_page_token", "")
    return base64.urlsafe_b64decode(token) if token else b""


@given(data=st.data())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # the seed and the calls say all; to shrink takes minutes
)
def test_no_reply_holds_anything_of_a_unit_without_a_scope(host: Host, data: st.DataObject) -> None:
    principal, token = data.draw(st.sampled_from(host.principals), label="principal")
    calls = data.draw(
        st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(UNITS)), min_size=4, max_size=12),
        label="calls",
    )
    for name, unit in calls:
        kind, scopes = KINDS[name], principal.scopes(unit)
        may = set(kind.needs) <= scopes
        key = "plain" if name == "Copy" and may else f"{host.marks[unit].told}-0"
        if not may:
            before = host.store.revision
        answer = made(host, token, name, kind.messages(unit, key))
        # A name that the caller said himself comes back in an error.
        told = Answer(
            answer.code, answer.raw.replace(key.encode(), b"").replace(f"'{unit}'".encode(), b""), answer.replies
        )
        if may:
            assert answer.code not in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED), answer
            if name in ("Load", "Read", "LoadMany", "LoadColumns"):
                assert host.marks[unit].data in answer.raw, "or nothing would be shown by what is looked for"
            if name == "Watch":
                assert host.marks[unit].told.encode() in answer.raw
        else:
            assert host.store.revision == before
            if scopes or not kind.shows:
                assert answer.code is grpc.StatusCode.PERMISSION_DENIED, answer
            else:
                of_empty = made(host, host.admin, name, kind.messages(EMPTY, key))
                assert answer.code == of_empty.code
                assert plainly(answer, unit) == plainly(of_empty, EMPTY)
        assert_tells_nothing(host, principal, told, unit)
    for name, request in OF_NO_UNIT.items():
        assert_tells_nothing(host, principal, made(host, token, name, [request()]))


def plainly(answer: Answer, unit: str) -> list[Any]:
    """The replies without the store's revision and the unit's name."""
    if not answer.replies:
        return []
    replies = []
    for reply in answer.replies:
        if reply.DESCRIPTOR.name == "WatchResponse":
            if not reply.HasField("progress"):
                replies.append(reply)
            continue
        reply.ClearField("revision")
        replies.append(str(reply).replace(f'"{unit}"', "unit"))
    return replies
