"""Ways in that are none: bent headers, bent paths, what one who is not known can learn."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from vault import ConnectionSettings
from vault._sync.remote.store import RemoteStore
from vault.v1 import vault_pb2 as pb
from vault.wire.status import error_from_rpc
from vault_server import EmbeddedStore, Server, ServerSettings
from vault_server.access.settings import AccessSettings

from tests.access.raw_http2 import Header, call, grpc_headers
from tests.access.site import Identities

WHO_AM_I = b"/vault.v1.VaultService/WhoAmI"
UNAUTHENTICATED, UNIMPLEMENTED, OK = 16, 12, 0


@pytest.fixture
def identities(tmp_path: Path) -> Identities:
    return Identities(tmp_path / "tokens.toml")


@pytest.fixture
def address(identities: Identities, tmp_path: Path) -> Iterator[str]:
    access = AccessSettings(tokens=str(identities.path))
    with EmbeddedStore(tmp_path / "store") as store, Server(store, access=access) as server:
        yield server.address


@pytest.fixture
def token(identities: Identities) -> bytes:
    assert identities.right.token is not None
    return identities.right.token.encode()


def status_of(answer: bytes) -> int | None:
    """The status in what was answered; None: there is none, the stream or the connection was closed."""
    found = re.search(rb"grpc-status[\x01\x02]([0-9]+)", answer)
    return None if found is None else int(found[1])


def bearer(token: bytes, scheme: bytes = b"Bearer ") -> Header:
    return b"authorization", scheme + token


def test_the_scheme_may_be_written_in_any_case(address: str, token: bytes) -> None:
    for scheme in (b"Bearer ", b"bearer ", b"BEARER "):
        answer = call(address, grpc_headers(WHO_AM_I, bearer(token, scheme)))
        assert (status_of(answer), b"right" in answer) == (OK, True)


def bent_headers(token: bytes) -> dict[str, list[Header]]:
    return {
        "none": [],
        "empty": [(b"authorization", b"")],
        "no token": [bearer(b"", b"Bearer")],
        "an empty token": [bearer(b"")],
        "no scheme": [bearer(token, b"")],
        "another scheme": [bearer(token, b"Basic ")],
        "no space": [bearer(token, b"Bearer")],
        "two spaces": [bearer(token, b"Bearer  ")],
        "a tab": [bearer(token, b"Bearer\t")],
        "upper case": [bearer(token.upper())],
        "without its last character": [bearer(token[:-1])],
        "with one more": [bearer(token + b"A")],
        "with a NUL": [bearer(token + b"\0")],
        "with a NUL in it": [bearer(token[:20] + b"\0" + token[20:])],
        "with a line's end": [bearer(token + b"\n")],
        "with a character beyond ASCII": [bearer(token + "é".encode())],
        "of 100 KB": [bearer(b"vt_" + b"a" * 100_000)],
        "of 100 KB, with a right one in it": [bearer(token + b" " * 100_000)],
        "twice, by a comma": [bearer(token + b", Bearer " + token)],
        "two headers, the right one last": [bearer(b"vt_x"), bearer(token)],
        "two headers, the right one first": [bearer(token), bearer(b"vt_x")],
        "two headers, both right": [bearer(token), bearer(token)],
        "as bytes": [(b"authorization-bin", b"QmVhcmVyIA")],
        "another's header": [(b"x-forwarded-user", b"right"), (b"x-ssl-client-s-dn", b"CN=right")],
        "in the name": [(b"Authorization", b"Bearer " + token)],
        "of a proxy": [(b"proxy-authorization", b"Bearer " + token)],
        "as a cookie": [(b"cookie", b"authorization=Bearer " + token)],
    }


@pytest.mark.parametrize("kind", bent_headers(b""))
def test_no_bent_header_lets_anybody_in(kind: str, address: str, token: bytes) -> None:
    message = pb.ExistsRequest(unit="docs", keys=[pb.Key(name="there")]).SerializeToString()
    for path in (WHO_AM_I, b"/vault.v1.VaultService/Exists"):
        answer = call(address, grpc_headers(path, *bent_headers(token)[kind]), message)
        assert status_of(answer) != OK, answer
        if status_of(answer) is not None:  # None: gRPC itself has closed the stream
            assert status_of(answer) in (UNAUTHENTICATED, 8, 13), answer  # 8 and 13: gRPC's own, of what it cannot read
        assert token[-43:] not in answer


PATHS = [
    b"/vault.v1.VaultService/whoami",
    b"/vault.v1.VaultService/WhoAmI/",
    b"/vault.v1.VaultService//WhoAmI",
    b"//vault.v1.VaultService/WhoAmI",
    b"/vault.v1.VaultService/./WhoAmI",
    b"/grpc.health.v1.Health/../vault.v1.VaultService/WhoAmI",
    b"/grpc.health.v1.Health/Check/../../vault.v1.VaultService/WhoAmI",
    b"/vault.v1.VaultService/WhoAmI?/grpc.health.v1.Health/Check",
    b"/vault.v1.VaultService%2FWhoAmI",
    b"/vault.v1.VaultService/WhoAmI%00",
    b"/vault.v1.VaultService/WhoAmI\0",
    b"/VAULT.V1.VAULTSERVICE/WHOAMI",
    b"/grpc.health.v1.Health/WhoAmI",
    b"/grpc.health.v1.Health/Load",
    b"/other.Service/WhoAmI",
    b"/other.Service/Check",
    b"/vault.v1.AdminService/ListPrincipals",
    b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    b"/",
    b"",
    b"WhoAmI",
    b"*",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_bent_path_leads_past_the_question_who_calls(path: bytes, address: str) -> None:
    answer = call(address, grpc_headers(path))
    assert status_of(answer) in (UNAUTHENTICATED, None), answer


def test_a_method_that_is_there_and_one_that_is_not_look_alike_to_a_stranger(address: str) -> None:
    answers = [
        call(address, grpc_headers(path))
        for path in (WHO_AM_I, b"/vault.v1.VaultService/NoSuch", b"/vault.v1.AdminService/AddToken", b"/no.Such/Thing")
    ]
    assert len({_told(answer) for answer in answers}) == 1


def _told(answer: bytes) -> tuple[int | None, bytes]:
    message = re.search(rb"grpc-message(.*?)(?:\x0a|grpc-status|$)", answer, re.DOTALL)
    return status_of(answer), b"" if message is None else message[1]


def test_health_says_nothing_but_whether_it_serves(address: str) -> None:
    for service in (b"", b"vault.v1.VaultService"):
        message = bytes([10, len(service)]) + service if service else b""
        answer = call(address, grpc_headers(b"/grpc.health.v1.Health/Check"), message)
        assert status_of(answer) == OK


LOOK_AT_MODES = """
import os, signal, sys
modes, going = set(), [True]
signal.signal(signal.SIGTERM, lambda *_: going.clear())
print("looking", flush=True)
while going:
    try:
        modes.add(os.lstat(sys.argv[1]).st_mode & 0o777)
    except FileNotFoundError:
        pass
print(*map(oct, modes))
"""


@pytest.mark.parametrize(("group_access", "mode"), [(False, "0o600"), (True, "0o660")])
def test_a_unix_socket_is_open_to_others_at_no_moment_whatever_the_umask(
    group_access: bool, mode: str, tmp_path: Path
) -> None:
    path = tmp_path / "vault.sock"
    looking = subprocess.Popen([sys.executable, "-c", LOOK_AT_MODES, path], stdout=subprocess.PIPE, text=True)
    assert looking.stdout is not None
    looking.stdout.readline()
    before = os.umask(0)
    try:
        settings = ServerSettings(group_access=group_access)
        with EmbeddedStore(tmp_path / "store") as store:
            for _ in range(20):
                with Server(store, f"unix:{path}", settings=settings):
                    pass
    finally:
        os.umask(before)
        looking.terminate()
        modes, _ = looking.communicate(timeout=30)
    assert modes.split() == [mode]


def test_a_stranger_holds_few_watches_of_health_in_nobodys_way(address: str, identities: Identities) -> None:
    request = health_pb2.HealthCheckRequest()
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        held = [health.Watch(request, timeout=60) for _ in range(400)]
        reasons = Counter(map(_reason, held))
        assert reasons.keys() == {"", "RATE_LIMITED"}
        assert reasons["RATE_LIMITED"] > 100
        assert health.Check(request).status == health_pb2.HealthCheckResponse.SERVING
        with RemoteStore(address, ConnectionSettings(token=identities.right.token)) as store:
            assert not store.exists_many("docs", ["none"])[0]


def _reason(call: Any) -> str:
    """Why a stream was refused; empty: it goes on."""
    try:
        next(call)
    except grpc.RpcError as error:
        return error_from_rpc(error).reason
    return ""
