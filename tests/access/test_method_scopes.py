"""Every method of every service that a server has, by whoever may not call it: refused, but for health."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor
from grpc.aio._server import Server  # what `grpc.aio.server` makes
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from vault.v1 import admin_pb2, vault_pb2
from vault_server import AsyncServer, EmbeddedStore, Service
from vault_server.access.grants import Principal
from vault_server.rpc.method_scopes import METHOD_SCOPES, require_method

from tests.access.identified import IdentityFile, Metadata, asking, bearer, refusal

OPEN = {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"}
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
STATUS = grpc.StatusCode


@pytest.fixture
def identities(tmp_path: Path) -> IdentityFile:
    return IdentityFile(tmp_path)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The methods that a server gets, by whatever adds them."""
    methods: set[str] = set()
    add = Server.add_generic_rpc_handlers

    def note(server: Server, handlers: Any) -> None:
        for handler in handlers:
            methods.update(handler._method_handlers)
        add(server, handlers)

    monkeypatch.setattr(Server, "add_generic_rpc_handlers", note)
    return methods


def methods_of(*files: FileDescriptor) -> set[str]:
    services = [each for file in files for each in file.services_by_name.values()]
    return {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}


def test_every_method_has_a_scope_and_none_that_is_not_there() -> None:
    described = methods_of(vault_pb2.DESCRIPTOR, admin_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)
    assert set(METHOD_SCOPES) == described
    assert {method for method, scope in METHOD_SCOPES.items() if scope == "open"} == OPEN


async def reflected(channel: grpc.aio.Channel, metadata: Metadata) -> set[str]:
    """The services that a server tells of."""
    asked = reflection_pb2.ServerReflectionRequest(list_services="")

    async def ask() -> AsyncIterator[Any]:
        yield asked

    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    return {
        service.name
        async for reply in stub.ServerReflectionInfo(ask(), metadata=metadata)
        for service in reply.list_services_response.service
    }


async def test_every_method_is_refused_to_whoever_is_not_known(
    store: EmbeddedStore, identities: IdentityFile, registered: set[str]
) -> None:
    good = identities.add("good", "*:*", "*:admin")
    expired = identities.add_expired("good")
    revoked = identities.add("revoked", "*:*", "*:admin")
    identities.revoke("revoked")
    shown: dict[str, Metadata] = {
        "none": (),
        "wrong": bearer(good[:-2] + ("AA" if good[-2:] != "AA" else "BB")),
        "expired": bearer(expired),
        "revoked": bearer(revoked),
        "two": (*bearer(good), *bearer(good)),
        "basic": (("authorization", f"Basic {good}"),),
    }
    async with asking(store, identities) as (_, channel):
        told = await reflected(channel, bearer(good))
        assert told == {method[1:].rpartition("/")[0] for method in registered}
        assert registered <= set(METHOD_SCOPES)
        for method in registered - OPEN:
            for what, metadata in shown.items():
                refused = await refusal(channel, method, metadata)
                assert refused is not None, (method, what)
                assert refused[0] is STATUS.UNAUTHENTICATED, (method, what)
                assert refused[1].reason == "UNAUTHENTICATED", (method, what)
        for method in OPEN:
            assert await refusal(channel, method, message=b"") is None, method
            assert await refusal(channel, method, shown["wrong"], message=b"") is None, method


async def test_what_no_grant_allows_anywhere_is_refused_before_a_message(
    store: EmbeddedStore, identities: IdentityFile, registered: set[str]
) -> None:
    tokens = {
        scope: identities.add(f"only-{scope}", f"other:{scope}") for scope in ("read", "write", "delete", "admin")
    }
    needs = {"write": "write", "delete": "delete", "unit admin": "admin", "admin": "nobody"}
    async with asking(store, identities) as (_, channel):
        for method in registered - OPEN:
            scope = METHOD_SCOPES[method]
            for has, token in tokens.items():
                if scope in needs and needs[scope] != has:
                    refused = await refusal(channel, method, bearer(token))  # says nothing, and is answered
                    assert refused is not None, (method, has)
                    assert refused[0] is STATUS.PERMISSION_DENIED, (method, has)
                    assert refused[1].reason == "PERMISSION_DENIED", (method, has)
                elif method != REFLECTION and scope == "identity":
                    refused = await refusal(channel, method, bearer(token), message=b"")
                    assert refused is None or refused[0] is not STATUS.UNAUTHENTICATED, (method, has)


def test_an_administrators_grant_is_for_all_units_at_once() -> None:
    from vault_server.access.grants import Grant  # noqa: PLC0415  # of this test alone

    method = "/vault.v1.AdminService/ListCalls"
    require_method(Principal("a", [Grant.parse("*:admin")]), method, "admin")
    for grants in (["*:*"], ["a*:admin", "b*:admin"], ["**:read"], []):
        with pytest.raises(Exception, match="no scope admin"):
            require_method(Principal("a", map(Grant.parse, grants)), method, "admin")


def add_own(name: str) -> Any:
    async def answer(request: bytes, context: Any) -> bytes:
        name: str = context.principal.name
        return name.encode()

    def blocking(request: bytes, context: Any) -> bytes:
        return b"let in"

    def add(server: grpc.aio.Server) -> None:
        handlers: dict[str, Any] = {
            "Answer": grpc.unary_unary_rpc_method_handler(answer),
            "Blocking": grpc.unary_unary_rpc_method_handler(blocking),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))

    return add


async def test_own_services_are_for_administrators_unless_they_say_otherwise(
    store: EmbeddedStore, identities: IdentityFile
) -> None:
    admin, somebody = identities.add("admin", "*:admin"), identities.add("somebody", "x:read")
    services = [
        Service("own.Closed", add_own("own.Closed")),
        Service("own.Known", add_own("own.Known"), scope="identity"),
        Service("own.Open", add_own("own.Open"), scope="open"),
        Service("own", add_own("other.Unnamed")),  # adds what it does not name
    ]
    answers = {
        "own.Closed": [STATUS.UNAUTHENTICATED, STATUS.PERMISSION_DENIED, "admin"],
        "own.Known": [STATUS.UNAUTHENTICATED, "somebody", "admin"],
        "own.Open": ["", "", ""],
        "other.Unnamed": [STATUS.UNAUTHENTICATED, STATUS.PERMISSION_DENIED, STATUS.PERMISSION_DENIED],
        "no.Such": [STATUS.UNAUTHENTICATED, STATUS.UNIMPLEMENTED, STATUS.UNIMPLEMENTED],
    }
    async with asking(store, identities, services) as (_, channel):

        async def answer(method: str, token: str | None) -> object:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
            try:
                return (await call(b"", metadata=bearer(token) if token else (), timeout=30)).decode()
            except grpc.aio.AioRpcError as error:
                return error.code()

        for service, expected in answers.items():
            assert [await answer(f"/{service}/Answer", token) for token in (None, somebody, admin)] == expected
        # Not written with async: it could not be cut when a token is revoked.
        assert await answer("/own.Known/Blocking", None) is STATUS.UNAUTHENTICATED
        assert await answer("/own.Known/Blocking", somebody) is STATUS.UNIMPLEMENTED


async def test_where_nobody_is_asked_every_method_is_open(store: EmbeddedStore) -> None:
    services = [Service("own", add_own("other.Unnamed"))]
    async with AsyncServer(store, services=services) as server, grpc.aio.insecure_channel(server.address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/other.Unnamed/Answer")
        assert await call(b"") == b""
        blocking: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/other.Unnamed/Blocking")
        assert await blocking(b"") == b"let in"
        assert "vault.v1.VaultService" in await reflected(channel, ())
