"""Tokens taken back, ended and given other grants while calls run by them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from vault.errors import PermissionDeniedError, UnauthenticatedError, UnavailableError, VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import new_request_id
from vault.store.values import checksum
from vault.v1 import vault_pb2 as pb
from vault.wire.status import error_from_rpc
from vault_server import AsyncServer, EmbeddedStore, Service
from vault_server.access.settings import AccessSettings
from vault_server.access.tokens import id_of

from tests.access.identified import IdentityFile, asking, bearer
from tests.server.raw_calls import Stub, block, commit, start, stub_of, whole
from tests.tls import LOOPBACK, Authority
from torture.revocation.harness import revoking

HANGS = 30.0


@pytest.fixture
def identities(tmp_path: Path) -> IdentityFile:
    return IdentityFile(tmp_path)


async def end_of(call: Any) -> VaultError:
    """What a running call is ended with."""
    async with asyncio.timeout(HANGS):
        try:
            while await call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            return error_from_rpc(error)
    raise AssertionError("the call ended well")


class Running:
    """A call of each kind that runs by one token."""

    def __init__(self, channel: grpc.aio.Channel, token: str, data_id: int) -> None:
        self.stub = stub_of(channel)
        self.by = bearer(token)
        self.data_id = data_id
        self.calls: dict[str, Any] = {}

    async def begin(self) -> None:
        stub, by = self.stub, self.by
        await _answers(stub.Upload(_each(whole(b"x" * (8 * BLOCK_SIZE), self.data_id)), metadata=by))
        self.go_on = asyncio.Event()
        upload = stub.Upload(self._slowly(), metadata=by)
        watch = stub.Watch(pb.WatchRequest(units=["u"]), metadata=by)
        await watch.read()
        # The client reads the head alone: the rest waits in the server for room.
        load = stub.Load(pb.LoadRequest(unit="u", key=pb.Key(data_id=self.data_id)), metadata=by)
        await load.read()
        silent = stub.Put(_silent(), metadata=by)
        self.calls = {"upload": upload, "watch": watch, "load": load, "silent": silent}
        await self._taken.wait()

    async def _slowly(self) -> AsyncIterator[pb.UploadRequest]:
        self._taken = asyncio.Event()
        yield start(self.data_id + 1, name=f"half {self.data_id}")
        yield block(0, b"x" * BLOCK_SIZE)
        self._taken.set()
        await self.go_on.wait()
        yield block(BLOCK_SIZE, b"tail")
        yield commit(BLOCK_SIZE + 4, checksum(b"x" * BLOCK_SIZE + b"tail"))


async def _answers(call: Any) -> list[Any]:
    return [reply async for reply in call]


async def _each(requests: list[pb.UploadRequest]) -> AsyncIterator[pb.UploadRequest]:
    for request in requests:
        yield request


async def _silent() -> AsyncIterator[Any]:
    await asyncio.get_running_loop().create_future()
    yield None


async def refused(stub: Stub, token: str) -> bool:
    """Whether a new call by a token is refused."""
    call = stub.WhoAmI(pb.WhoAmIRequest(), metadata=bearer(token), timeout=HANGS)
    code = await call.code()
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED)
    return code is not grpc.StatusCode.OK


@pytest.mark.parametrize("how", ["principal", "token", "expiry"])
async def test_what_runs_by_a_token_ends_with_it_and_nothing_else_does(
    store: EmbeddedStore, identities: IdentityFile, how: str
) -> None:
    lost = identities.add("lost", "u:*", expires_in=4 if how == "expiry" else None)
    stays = identities.add("lost" if how == "token" else "stays", *(() if how == "token" else ("u:*",)))
    async with asking(store, identities) as (_, channel):
        ends, goes_on = Running(channel, lost, 100), Running(channel, stays, 200)
        await ends.begin()
        await goes_on.begin()
        if how == "principal":
            identities.revoke("lost")
        elif how == "token":
            identities.revoke("lost", id_of(lost))
        for what, call in ends.calls.items():
            error = await end_of(call)
            assert isinstance(error, UnauthenticatedError), (what, error)
            assert error.reason == "REVOKED", what
        assert await refused(ends.stub, lost)
        assert not await refused(goes_on.stub, stays)
        goes_on.go_on.set()
        replies = await _answers(goes_on.calls["upload"])
        assert replies[-1].info.data_id == 201
        assert not goes_on.calls["watch"].done()
        assert not goes_on.calls["silent"].done()
    assert store.stat_many("u", [101]) == [None]


async def test_what_runs_by_a_certificate_ends_when_the_file_does_not_name_it_any_more(
    store: EmbeddedStore, identities: IdentityFile, tmp_path: Path
) -> None:
    identities.add_certificate("lost", "dns:lost.example", "u:*")
    identities.add_certificate("stays", "dns:stays.example", "u:*")
    authority = Authority()
    cert, key = authority.issue(*LOOPBACK).write(tmp_path)
    access = AccessSettings(
        tls_cert=cert, tls_key=key, tls_client_ca=authority.write(tmp_path), tokens=identities.path
    )  # fmt: skip
    async with AsyncServer(store, access=access) as server, AsyncExitStack() as stack:
        watches: dict[str, Any] = {}
        for name in ("lost", "stays"):
            own = authority.issue(f"{name}.example")
            credentials = grpc.ssl_channel_credentials(authority.pem, own.key, own.cert)
            address = server.address.removeprefix("grpcs://")
            channel = await stack.enter_async_context(grpc.aio.secure_channel(address, credentials))
            watches[name] = stub_of(channel).Watch(pb.WatchRequest(units=["u"]))
            await watches[name].read()
        identities.revoke("lost")
        assert (await end_of(watches["lost"])).reason == "REVOKED"
        assert not watches["stays"].done()


async def test_a_write_of_who_was_revoked_is_in_nobodys_way(store: EmbeddedStore, identities: IdentityFile) -> None:
    lost, other = identities.add("lost", "u:*"), identities.add("other", "u:*")
    async with asking(store, identities) as (_, channel):
        stub = stub_of(channel)
        request_id = new_request_id()

        async def begin() -> AsyncIterator[pb.UploadRequest]:
            first = start(1, name="wanted")
            first.start.resumable = True
            first.start.spec.request_id = request_id
            yield first
            for offset in range(0, 8 * BLOCK_SIZE, BLOCK_SIZE):
                yield block(offset, b"x" * BLOCK_SIZE)
            await asyncio.get_running_loop().create_future()

        call: Any = stub.Upload(begin(), metadata=bearer(lost))
        while not (await call.read()).persisted_size:  # from then on it could be resumed
            pass
        identities.revoke("lost")
        assert (await end_of(call)).reason == "REVOKED"
        replies = await _answers(stub.Upload(_each(whole(b"mine", 1, name="wanted")), metadata=bearer(other)))
        assert (replies[-1].info.data_id, replies[-1].info.name) == (1, "wanted")


def add_holding(server: grpc.aio.Server) -> None:
    async def hold(request: bytes, context: Any) -> Any:
        for use in request.decode().split():
            context.used(*use.split(":"))
        yield context.principal.name.encode()
        await asyncio.get_running_loop().create_future()

    handlers: dict[str, Any] = {"Hold": grpc.unary_stream_rpc_method_handler(hold)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("own.Holding", handlers),))


async def test_with_other_grants_watches_end_and_so_do_calls_that_are_not_allowed_any_more(
    store: EmbeddedStore, identities: IdentityFile
) -> None:
    token = identities.add("a", "u:*", "v:*")
    own = Service("own.Holding", add_holding, scope="identity")
    async with asking(store, identities, [own]) as (_, channel):
        hold: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/own.Holding/Hold")
        kept, cut, both = (hold(uses, metadata=bearer(token)) for uses in (b"u:read", b"v:write", b"u:read v:write"))
        for call in (kept, cut, both):
            assert await call.read() == b"a"
        watch = stub_of(channel).Watch(pb.WatchRequest(units=["u"]), metadata=bearer(token))
        await watch.read()
        identities.grant("a", "u:*", "v:read")
        ended = await end_of(watch)
        assert isinstance(ended, UnavailableError)
        assert "watch anew" in ended.message
        for call in (cut, both):
            error = await end_of(call)
            assert isinstance(error, PermissionDeniedError)
            assert (error.context["unit"], error.context["scope"]) == ("v", "write")
        again = stub_of(channel).Watch(pb.WatchRequest(units=["u"]), metadata=bearer(token))
        await again.read()
        identities.grant("a", "u:write")  # what goes on was let in by the first grants, and is held to the newest
        error = await end_of(kept)
        assert (error.context["unit"], error.context["scope"]) == ("u", "read")
        assert isinstance(await end_of(again), UnavailableError)


async def test_what_no_grant_allows_any_more_is_cut_before_it_says_what_it_is_about(
    store: EmbeddedStore, identities: IdentityFile
) -> None:
    token = identities.add("a", "u:*")
    async with asking(store, identities) as (_, channel):
        silent = stub_of(channel).Put(_silent(), metadata=bearer(token))
        while await refused(stub_of(channel), token):  # so that the call before it is begun
            pass
        identities.grant("a", "u:read")
        error = await end_of(silent)
        assert isinstance(error, PermissionDeniedError)
        assert error.context["scope"] == "write"


async def test_a_file_that_is_broken_changes_nothing(
    store: EmbeddedStore, identities: IdentityFile, caplog: pytest.LogCaptureFixture
) -> None:
    token = identities.add("a", "u:*")
    good = identities.path.read_bytes()
    async with asking(store, identities) as (_, channel):
        watch = stub_of(channel).Watch(pb.WatchRequest(units=["u"]), metadata=bearer(token))
        await watch.read()
        for broken in (good + b"oops", good.replace(b"u:", b"u/:")):
            lines = len(caplog.records)
            identities.path.write_bytes(broken)
            await until(lambda lines=lines: len(caplog.records) > lines)  # type: ignore[misc]
            assert "last good one stays" in caplog.records[-1].message
        identities.path.chmod(0o644)
        await until(lambda: "0644" in str(vars(caplog.records[-1])))
        assert not watch.done()
        assert not await refused(stub_of(channel), token)
        identities.path.unlink()
        identities.add("b", "u:*")
        assert (await end_of(watch)).reason == "REVOKED"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANGS):
        while not holds():  # noqa: ASYNC110  # of another thread
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_every_worker_ends_what_runs_by_a_token_that_does_not_hold_any_more(tmp_path: Path) -> None:
    figures = await revoking(tmp_path, 1, rounds=6)
    assert len(figures.ended) > 2
    assert sum(figures.ended.values()) == 6 * 16
