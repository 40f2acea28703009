"""An administrator sees and changes who may do what, and what runs, in all workers; and nobody else does."""

import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from vault.v1 import admin_pb2 as pb
from vault.v1 import vault_pb2
from vault.v1.admin_pb2_grpc import AdminServiceStub
from vault.v1.vault_pb2_grpc import VaultServiceStub
from vault_server import AccessSettings, AsyncServer, EmbeddedStore

from tests.access.identified import IdentityFile, asking, bearer, ended, refusal
from tests.server.conftest import serve, serving
from tests.server.process import Serve, Served
from tests.server.raw_calls import say, stub_of, told, whole
from tests.server.test_workers import workers
from tests.waiting import assert_soon

__all__ = ["serve"]

SERVICE = pb.DESCRIPTOR.services_by_name["AdminService"]
METHODS = [f"/{SERVICE.full_name}/{method.name}" for method in SERVICE.methods]


@pytest.fixture
def identities(tmp_path: Path) -> IdentityFile:
    return IdentityFile(tmp_path)


async def services_of(channel: grpc.aio.Channel, token: str) -> set[str]:
    """What reflection shows."""
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(metadata=bearer(token))
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    reply = await call.read()
    call.cancel()
    return {service.name for service in reply.list_services_response.service}


async def test_only_who_has_admin_on_all_units_by_one_grant_may_administer(
    store: EmbeddedStore, identities: IdentityFile
) -> None:
    root = identities.add("root", "*:admin")
    others = [
        identities.add("all-but-admin", "*:*"),
        identities.add("owner", "docs*:admin", "d*:read"),
        identities.add("nothing", "x:list"),
    ]
    async with asking(store, identities) as (_, channel):
        for method in METHODS:
            for token in others:
                refused = await refusal(channel, method, bearer(token), b"")
                assert refused is not None, method
                assert refused[0] is grpc.StatusCode.PERMISSION_DENIED, (method, refused)
            for metadata in ((), bearer(f"{root}x")):
                refused = await refusal(channel, method, metadata, b"")
                assert refused is not None, method
                assert refused[0] is grpc.StatusCode.UNAUTHENTICATED, (method, refused)
        assert SERVICE.full_name in await services_of(channel, root)
        reply = await AdminServiceStub(channel).ListPrincipals(pb.ListPrincipalsRequest(), metadata=bearer(root))
        assert [each.name for each in reply.principals] == ["root", "all-but-admin", "owner", "nothing"]


async def test_it_is_not_offered_where_nobody_is_named_for_it(store: EmbeddedStore, identities: IdentityFile) -> None:
    token = identities.add("ann", "*:*")
    async with asking(store, identities) as (_, channel):
        assert SERVICE.full_name not in await services_of(channel, token)
        refused = await refusal(channel, METHODS[0], bearer(token), b"")
        assert refused is not None
        assert refused[0] is grpc.StatusCode.UNIMPLEMENTED
    async with AsyncServer(store) as server, grpc.aio.insecure_channel(server.address) as channel:
        refused = await refusal(channel, METHODS[0], (), b"")
        assert refused is not None
        assert refused[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_whoever_calls_where_nobody_is_asked_is_no_administrator(
    store: EmbeddedStore, identities: IdentityFile
) -> None:
    identities.add("root", "*:admin")
    access = AccessSettings(tokens=str(identities.path))
    async with (
        AsyncServer(store, "127.0.0.1:0?identity=none", access=access) as server,
        grpc.aio.insecure_channel(server.address.partition("?")[0]) as channel,
    ):
        await stub_of(channel).ListUnits(vault_pb2.ListUnitsRequest())
        for method in METHODS:
            refused = await refusal(channel, method, (), b"")
            assert refused is not None
            assert refused[0] is grpc.StatusCode.PERMISSION_DENIED


async def test_tokens_are_made_listed_without_secrets_and_taken_back(
    store: EmbeddedStore, identities: IdentityFile
) -> None:
    root = identities.add("root", "*:admin")
    async with asking(store, identities) as (_, channel):
        admin = AdminServiceStub(channel)
        request: Any = pb.AddTokenRequest(
            principal="ann", grants=[vault_pb2.Grant(units="docs*", scopes=["read", "watch", "write"])]
        )
        made = await admin.AddToken(request, metadata=bearer(root))
        ann = bearer(made.token)
        await stub_of(channel).WhoAmI(vault_pb2.WhoAmIRequest(), metadata=ann)  # at once
        second = await admin.AddToken(pb.AddTokenRequest(principal="ann"), metadata=bearer(root))
        shown = await admin.ListPrincipals(pb.ListPrincipalsRequest(), metadata=bearer(root))
        assert [[token.id for token in each.tokens] for each in shown.principals][1] == [
            made.token.split("_")[1], second.token.split("_")[1],
        ]  # fmt: skip
        for token in (made.token, second.token, root):
            assert token not in str(shown)
            assert token.split("_", 2)[2] not in str(shown)
            assert token not in identities.path.read_text()
        begin: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream("/vault.v1.VaultService/Watch")
        watch: Any = begin(_watching(), metadata=ann)
        await watch.read()
        since = time.monotonic()
        revoked = await admin.RevokeTokens(
            pb.RevokeTokensRequest(principal="ann", id=made.token.split("_")[1]), metadata=bearer(root)
        )
        assert revoked.tokens == 1
        error, seconds = await ended(watch, since=since)
        assert (error.reason, seconds < 1) == ("REVOKED", True)
        await stub_of(channel).WhoAmI(vault_pb2.WhoAmIRequest(), metadata=bearer(second.token))
        await admin.RevokeTokens(pb.RevokeTokensRequest(principal="ann"), metadata=bearer(root))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub_of(channel).WhoAmI(vault_pb2.WhoAmIRequest(), metadata=bearer(second.token))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def _watching() -> AsyncIterator[bytes]:
    yield vault_pb2.WatchRequest().SerializeToString()


async def test_what_cannot_be_done_is_said_without_a_path_of_the_server(
    store: EmbeddedStore, identities: IdentityFile, tmp_path: Path
) -> None:
    root = bearer(identities.add("root", "*:admin"))
    async with asking(store, identities) as (_, channel):
        admin = AdminServiceStub(channel)
        calls: list[tuple[Any, str]] = [
            (lambda: admin.AddToken(pb.AddTokenRequest(principal="new"), metadata=root), "BAD_GRANT"),
            (lambda: admin.AddToken(pb.AddTokenRequest(principal="a/b"), metadata=root), "BAD_PRINCIPAL"),
            (
                lambda: admin.RevokeTokens(pb.RevokeTokensRequest(principal="nobody"), metadata=root),
                "PRINCIPAL_NOT_FOUND",
            ),
            (lambda: admin.SetAllowlist(pb.SetAllowlistRequest(networks=["::/0"]), metadata=root), "UNSUPPORTED"),
            (lambda: admin.CutCalls(pb.CutCallsRequest(), metadata=root), "INVALID_ARGUMENT"),
            (lambda: admin.CutCalls(pb.CutCallsRequest(address="10.0.0.1/8"), metadata=root), "BAD_NETWORK"),
            (lambda: admin.PurgeRetained(pb.PurgeRetainedRequest(unit="a/b"), metadata=root), "BAD_UNIT"),
        ]
        for call, reason in calls:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call()
            assert told(refused.value).reason == reason
        identities.path.write_text("no TOML")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await admin.ListPrincipals(pb.ListPrincipalsRequest(), metadata=root)
        assert told(refused.value).reason == "STORAGE_FAILED"
        assert str(tmp_path) not in str(refused.value)


async def test_the_allowlist_is_replaced_and_nobody_shuts_himself_out(
    store: EmbeddedStore, identities: IdentityFile, tmp_path: Path
) -> None:
    root = bearer(identities.add("root", "*:admin"))
    path = tmp_path / "allowed"
    path.write_text("127.0.0.1\n10.0.0.0/8 # office\n")
    path.chmod(0o640)
    access = AccessSettings(tokens=str(identities.path), allow_file=str(path), allow=("fd00::/8",))
    async with (
        AsyncServer(store, access=access) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        admin = AdminServiceStub(channel)

        async def networks() -> list[str]:
            return list((await admin.GetAllowlist(pb.GetAllowlistRequest(), metadata=root)).networks)

        assert await networks() == ["fd00::/8", "127.0.0.1/32", "10.0.0.0/8"]
        for wrong in ([], ["fd00::/8", "10.0.0.0/8"], ["127.0.0.1"], ["fd00::/8", "127.0.0.1", "10.0.0.1/8"]):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await admin.SetAllowlist(pb.SetAllowlistRequest(networks=wrong), metadata=root)
            assert told(refused.value).reason == "BAD_NETWORK"
        wanted = ["fd00::/8", "127.0.0.0/8", "192.0.2.7"]
        await admin.SetAllowlist(pb.SetAllowlistRequest(networks=wanted), metadata=root)
        assert await networks() == ["fd00::/8", "127.0.0.0/8", "192.0.2.7/32"]
    assert path.read_text() == "127.0.0.0/8\n192.0.2.7/32\n"
    assert path.stat().st_mode & 0o777 == 0o640


async def test_purging_removes_what_is_retained(store: EmbeddedStore, identities: IdentityFile) -> None:
    root = bearer(identities.add("root", "*:admin"))
    ann = bearer(identities.add("ann", "*:write,delete"))
    async with asking(store, identities) as (_, channel):
        admin = AdminServiceStub(channel)
        for data_id, unit in enumerate(("u", "v"), 1):
            await say(stub_of(channel), whole(bytes(100_000), data_id, unit), ann)
            item = vault_pb2.DeleteRequest.Item(
                key=vault_pb2.Key(data_id=data_id), request_id=bytes(15) + bytes([data_id])
            )
            await stub_of(channel).Delete(vault_pb2.DeleteRequest(unit=unit, items=[item]), metadata=ann)
        purged = await admin.PurgeRetained(pb.PurgeRetainedRequest(unit="u"), metadata=root)
        assert (purged.objects, purged.bytes) == (1, 100_000)
        purged = await admin.PurgeRetained(pb.PurgeRetainedRequest(), metadata=root)
        assert (purged.objects, purged.bytes) == (1, 100_000)
    assert store.purge_retained() == (0, 0)


class Administered:
    """A server with two workers, an administrator, and whom that makes."""

    def __init__(self, serve: Serve, folder: Path) -> None:
        self.identities = IdentityFile(folder)
        self.root = bearer(self.identities.add("root", "*:admin"))
        self.audit = folder / "audit"
        self.served: Served = serve(
            folder / "own", "--listen", "127.0.0.1:0", "--workers", "2", "--tokens", self.identities.path,
            "--audit", self.audit,
        )  # fmt: skip
        self._channels: list[grpc.Channel] = []

    def channel(self) -> grpc.Channel:
        """One of its own, so that workers share them."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels.append(grpc.insecure_channel(self.served.address, options))
        return self._channels[-1]

    def admin(self) -> Any:
        return AdminServiceStub(self.channel())

    def token(self, principal: str) -> str:
        """Of a new one."""
        grants = [vault_pb2.Grant(units="*", scopes=["read", "watch"])]
        request = pb.AddTokenRequest(principal=principal, grants=grants)
        token: str = self.admin().AddToken(request, metadata=self.root).token
        assert_soon(lambda: self.is_known(token))
        return token

    def is_known(self, token: str) -> bool:
        """Whether ten connections in a row, at whichever worker, take it."""
        try:
            for _ in range(10):
                stub = VaultServiceStub(self.channel())
                stub.WhoAmI(vault_pb2.WhoAmIRequest(), metadata=tuple(bearer(token)), timeout=20)
        except grpc.RpcError:
            return False
        return True

    def watches(self, principal: str, token: str) -> list[Any]:
        """Calls that run, at both workers."""
        found: list[Any] = []

        def run_at_both() -> bool:
            call = VaultServiceStub(self.channel()).Watch(vault_pb2.WatchRequest(), metadata=tuple(bearer(token)))
            next(iter(call))
            found.append(call)
            return {each.worker for each in self.running(principal)} == {0, 1}

        assert_soon(run_at_both)
        return found

    def running(self, principal: str) -> list[pb.RunningCall]:
        while True:  # until the connection is one to a worker that answers
            with contextlib.suppress(grpc.RpcError):
                reply = self.admin().ListCalls(pb.ListCallsRequest(), metadata=self.root, timeout=3)
                return [call for call in reply.calls if call.principal == principal]

    def close(self) -> None:
        for channel in self._channels:
            channel.close()


@pytest.fixture(scope="module")
def administered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Administered]:
    with (
        contextlib.contextmanager(serving)() as begin,
        contextlib.closing(Administered(begin, tmp_path_factory.mktemp("administered"))) as made,
    ):
        yield made


def assert_ended(watches: list[Any], reason: str) -> None:
    for watch in watches:
        with pytest.raises(grpc.RpcError) as ended:
            for _ in watch:
                pass
        assert told(ended.value).reason == reason


def test_calls_are_listed_and_cut_in_all_workers_within_a_second(administered: Administered) -> None:
    token = administered.token("ann")
    watches = administered.watches("ann", token)
    listed = administered.running("ann")
    assert len(listed) == len(watches)
    assert {call.method for call in listed} == {"/vault.v1.VaultService/Watch"}
    assert all(call.peer.startswith("ipv4:127.0.0.1:") and call.began_at.seconds > 1 for call in listed)
    for by in (pb.CutCallsRequest(principal="nobody"), pb.CutCallsRequest(principal="ann", address="10.0.0.0/8")):
        assert administered.admin().CutCalls(by, metadata=administered.root).calls == 0
    for by in (pb.CutCallsRequest(principal="ann"), pb.CutCallsRequest(principal="ann", address="127.0.0.1")):
        began = time.monotonic()
        assert administered.admin().CutCalls(by, metadata=administered.root).calls == len(watches)
        assert_ended(watches, "CANCELLED")
        assert time.monotonic() - began < 10  # 7 and 200 ms at the most, measured
        watches = administered.watches("ann", token)
    assert administered.admin().CutCalls(pb.CutCallsRequest(address="::/0"), metadata=administered.root).calls == 0
    lines = [json.loads(line) for line in administered.audit.read_text().splitlines()]
    assert {"principal": "ann", "address": "10.0.0.0/8"} in [
        line["request"]
        for line in lines
        if line.get("method", "").endswith("/CutCalls")  # counts of refusals have none
    ]
    assert token not in administered.audit.read_text()


def test_a_worker_that_is_killed_or_hangs_is_left_out_until_it_is_back(administered: Administered) -> None:
    token = administered.token("bob")
    watches = administered.watches("bob", token)
    victim = workers(administered.served)[0]
    victim.send_signal(signal.SIGSTOP)
    try:
        assert len({each.worker for each in administered.running("bob")}) == 1
    finally:
        victim.send_signal(signal.SIGCONT)
    assert_soon(lambda: {each.worker for each in administered.running("bob")} == {0, 1})
    victim.kill()
    psutil.wait_procs([victim])
    assert len(administered.watches("bob", token) + watches) > 2  # at both again


def test_what_an_administrator_changes_holds_in_all_workers_within_a_second(administered: Administered) -> None:
    token = administered.token("cid")
    watches = administered.watches("cid", token)
    began = time.monotonic()
    administered.admin().RevokeTokens(pb.RevokeTokensRequest(principal="cid"), metadata=administered.root)
    assert_ended(watches, "REVOKED")
    assert time.monotonic() - began < 10  # 7 and 200 ms at the most, measured
    assert not administered.is_known(token)


def test_the_folder_of_the_workers_is_theirs_alone_and_goes_with_them(serve: Serve, tmp_path: Path) -> None:
    with contextlib.closing(Administered(serve, tmp_path)) as own:
        sockets = {
            Path(str(each.laddr))
            for worker in workers(own.served)
            for each in worker.net_connections("unix")
            if str(each.laddr).endswith(".sock")
        }
        (folder,) = {path.parent for path in sockets}
        assert len(sockets) == 2
        assert folder.stat().st_mode & 0o777 == 0o700
        own.served.process.kill()  # the workers end by themselves
        assert_soon(lambda: not folder.exists())
