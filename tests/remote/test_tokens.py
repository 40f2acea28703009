"""Who calls: where a token comes from, where it is sent and where not, and what comes of one that is not accepted."""

import asyncio
import base64
import contextlib
import itertools
import logging
import pickle
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from vault import AsyncRemoteStore, AsyncRemoteVault, BytesWrapper, ConnectionSettings, RemoteStore, RemoteVault
from vault._grpc.address import parse_address
from vault._grpc.credentials import Credentials
from vault.errors import (
    InvalidArgumentError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
    VaultError,
)
from vault.store import open_store
from vault.store.contract import AsyncBlockReader, AsyncBlockWriter, AsyncStore
from vault.store.specs import SmallUpload, UploadSpec
from vault.store.values import ChangeKind, checksum
from vault.testing.store.objects import blocks_of
from vault.testing.store.sync_and_async import AsyncFace
from vault_server import AccessSettings, EmbeddedStore, Server

from tests.access.identified import IdentityFile
from tests.cli.program import Program
from tests.remote.test_http_proxy import ConnectProxy
from tests.remote.transfers import PART
from tests.tls import Authority, replace
from tests.waiting import assert_soon

STRUCTURE = {"files": (BytesWrapper, 0)}
ALL = "*:read,write,list,watch,delete"
AUTHORITY = Authority()
LONG = 1000.0
"""Seconds: who waits for as long is found out by the test's own time."""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VAULT_GRPC_TOKEN", "VAULT_GRPC_TOKEN_FILE", "VAULT_GRPC_CA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def identities(tmp_path: Path) -> IdentityFile:
    return IdentityFile(tmp_path)


class Seen(grpc.aio.ServerInterceptor):
    """Which methods were called, with which tokens."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None]] = []

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        sent = [str(value) for key, value in details.invocation_metadata if key == "authorization"]
        assert len(sent) < 2
        self.calls.append((details.method.rpartition("/")[2], sent[0] if sent else None))
        return await continuation(details)

    def of(self, method: str) -> list[str | None]:
        return [token for called, token in self.calls if called == method]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def asking(store: EmbeddedStore, identities: IdentityFile, seen: Seen) -> Iterator[Server]:
    """A server that asks who calls."""
    access = AccessSettings(tokens=str(identities.path))
    with Server(store, access=access, interceptors=[seen]) as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def open_face(request: pytest.FixtureRequest) -> Callable[..., AsyncStore]:
    def make(address: str, **settings: Any) -> AsyncStore:
        connection = ConnectionSettings(**{"timeout": LONG, **settings})
        if request.param == "sync":
            return AsyncFace(RemoteStore(address, connection))
        return AsyncRemoteStore(address, connection)

    return make


async def call_all(store: AsyncStore) -> None:
    """A call of each kind: one reply, a stream of replies, messages both ways."""
    writer = await store.upload("files", UploadSpec(1))
    for block in blocks_of(PART[: 3 << 20]):
        await writer.write(block)
    await writer.commit(3 << 20)
    reader = await store.load("files", 1)
    assert isinstance(reader, AsyncBlockReader)
    async with reader:
        assert [block.offset async for block in reader] == [0, 1 << 20, 2 << 20]
    watch = await store.watch()
    await watch.close()


def others_in_environment(patch: pytest.MonkeyPatch) -> str | None:
    patch.setenv("VAULT_GRPC_TOKEN", "other")
    patch.setenv("VAULT_GRPC_TOKEN_FILE", "/nowhere")
    return None


SOURCES: dict[str, Callable[[Path, pytest.MonkeyPatch], Any]] = {
    "text": lambda folder, patch: "planted",
    "a file": lambda folder, patch: replace(folder / "token", b"planted\n"),
    "a function": lambda folder, patch: lambda: "planted",
    "VAULT_GRPC_TOKEN": lambda folder, patch: patch.setenv("VAULT_GRPC_TOKEN", "planted"),
    "VAULT_GRPC_TOKEN_FILE": lambda folder, patch: patch.setenv(
        "VAULT_GRPC_TOKEN_FILE", str(replace(folder / "token", b"  planted\n\n"))
    ),
    "text, whatever the environment says": lambda folder, patch: others_in_environment(patch) or "planted",
}


@pytest.mark.parametrize("source", SOURCES)
async def test_a_token_goes_with_each_call_whatever_it_comes_from(
    source: str,
    open_face: Callable[..., AsyncStore],
    store: EmbeddedStore,
    seen: Seen,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = SOURCES[source](tmp_path, monkeypatch)
    with Server(store, interceptors=[seen]) as server:
        async with open_face(server.address, token=token) as client:
            await call_all(client)
    assert {method for method, _ in seen.calls} >= {"Upload", "Load", "Watch"}
    assert {sent for _, sent in seen.calls} == {"Bearer planted"}


@pytest.mark.parametrize("channel", ["a unix socket", "TLS"])
async def test_a_token_goes_over_a_channel_that_nobody_else_reads(
    channel: str, open_face: Callable[..., AsyncStore], store: EmbeddedStore, seen: Seen, tmp_path: Path
) -> None:
    cert, key = AUTHORITY.server().write(tmp_path)
    access = AccessSettings(tls_cert=str(cert), tls_key=str(key)) if channel == "TLS" else None
    listen = "127.0.0.1:0" if channel == "TLS" else f"unix:{tmp_path}/s"
    with Server(store, listen, access=access, interceptors=[seen]) as server:
        settings = {"ca": AUTHORITY.pem} if channel == "TLS" else {}
        async with open_face(server.address, token="planted", **settings) as client:
            await call_all(client)
    assert {sent for _, sent in seen.calls} == {"Bearer planted"}


LOCAL = ["localhost:1", "LOCALHOST.:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/tmp/x"]
REMOTE = ["storage.example:1", "10.0.0.1:1", "0.0.0.0:1", "[::]:1", "[2001:db8::1]:1", "localhost.example:1"]


@pytest.mark.parametrize(
    ("address", "is_sent"),
    [
        *((address, True) for address in LOCAL),
        *((f"grpcs://{address}", True) for address in REMOTE),
        *((address, False) for address in REMOTE),
        ("localhost:1?proxy=http://127.0.0.1:1", False),
        ("grpcs://storage.example:1?proxy=http://127.0.0.1:1", True),
    ],
)
def test_a_token_stays_here_where_others_could_read_it(
    address: str, is_sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (RemoteVault, AsyncRemoteVault, RemoteStore, AsyncRemoteStore):
        if is_sent:
            kind(address, connection=ConnectionSettings(token="planted"))
            continue
        with pytest.raises(InvalidArgumentError, match=r"not sent to .*channel is not encrypted") as caught:
            kind(address, connection=ConnectionSettings(token="planted"))
        assert caught.value.reason == "BAD_SETTING"
        assert "planted" not in str(caught.value)
    monkeypatch.setenv("VAULT_GRPC_TOKEN", "planted")
    sent = Credentials(parse_address(address), ConnectionSettings()).metadata()
    assert sent == ((("authorization", "Bearer planted"),) if is_sent else None)


async def test_a_token_of_the_environment_is_not_sent_to_another_machine_in_the_clear(
    open_face: Callable[..., AsyncStore], store: EmbeddedStore, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_GRPC_TOKEN", "planted")
    with Server(store, interceptors=[seen]) as server, contextlib.closing(ConnectProxy(server.address)) as proxy:
        async with open_face(f"storage.example:50051?proxy=http://{proxy.address}") as client:
            await call_all(client)
    assert {sent for _, sent in seen.calls} == {None}


NO_TOKENS = ["", "two words", "line\nend", "ümlaut", "nul\0", "x" * 4097]


@pytest.mark.parametrize("token", NO_TOKENS, ids=range(len(NO_TOKENS)))
def test_what_no_header_can_hold_is_refused_and_not_told(
    token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = replace(tmp_path / "token", token.encode())

    def of_variable() -> object:
        if not token or "\0" in token:
            return ConnectionSettings(token="")  # no variable can be so
        monkeypatch.setenv("VAULT_GRPC_TOKEN", token)
        return RemoteStore("127.0.0.1:1")

    for attempt in (
        lambda: ConnectionSettings(token=token),
        lambda: RemoteStore("127.0.0.1:1", ConnectionSettings(token=path)),
        lambda: RemoteStore("127.0.0.1:1", ConnectionSettings(token=lambda: token)).list_units(),
        of_variable,
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            attempt()
        assert caught.value.reason == "BAD_SETTING"
        assert not token or token not in str(caught.value)


@pytest.mark.parametrize("given", [5, b"bytes", ["t"], object()])
def test_what_is_no_token_is_refused(given: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="bad token: text, the Path of a file, or a function"):
        ConnectionSettings(token=given)

    async def asynchronous() -> str:
        return "t"

    with pytest.raises(InvalidArgumentError, match="a function that is not asynchronous"):
        ConnectionSettings(token=asynchronous)  # type: ignore[arg-type]  # that is what is tried
    with pytest.raises(InvalidArgumentError, match="returned is no text"):
        RemoteStore("127.0.0.1:1", ConnectionSettings(token=lambda: given)).list_units()
    with pytest.raises(InvalidArgumentError, match="bad token: /nowhere: No such file"):
        RemoteStore("127.0.0.1:1", ConnectionSettings(token=Path("/nowhere")))
    with pytest.raises(InvalidArgumentError, match="token: for a server, grpcs://host:port, and this is none"):
        open_store("memory://", ConnectionSettings(token="t"))


def test_a_function_that_fails_is_who_nobody_knows() -> None:
    failing = RemoteStore("127.0.0.1:1", ConnectionSettings(token=lambda: str(1 / 0), timeout=LONG))
    with pytest.raises(UnauthenticatedError, match="the token's function failed: ZeroDivisionError"):
        failing.list_units()


def test_two_variables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_GRPC_TOKEN", "a")
    monkeypatch.setenv("VAULT_GRPC_TOKEN_FILE", "b")
    with pytest.raises(InvalidArgumentError, match="VAULT_GRPC_TOKEN and VAULT_GRPC_TOKEN_FILE are both set"):
        open_store("grpcs://127.0.0.1:1")


async def test_who_is_not_known_or_may_not_is_told_at_once_and_not_asked_again(
    open_face: Callable[..., AsyncStore], asking: Server, identities: IdentityFile, seen: Seen
) -> None:
    reader = identities.add("reader", "files:read")
    await asyncio.to_thread(assert_soon, lambda: is_known(asking.address, reader))
    for token, error, reason in (
        (None, UnauthenticatedError, "UNAUTHENTICATED"),
        ("unknown", UnauthenticatedError, "UNAUTHENTICATED"),
        (reader, PermissionDeniedError, "PERMISSION_DENIED"),
    ):
        async with open_face(asking.address, token=token) as client:
            seen.calls.clear()
            for call in (client.list_page("files"), client.upload("files", UploadSpec(1)), client.watch(["files"])):
                with pytest.raises(error) as caught:
                    await call
                assert caught.value.reason == reason
            assert sorted(method for method, _ in seen.calls) == ["List", "Upload", "Watch"]


def is_known(address: str, token: str) -> bool:
    with RemoteStore(address, ConnectionSettings(token=token)) as store, contextlib.suppress(UnauthenticatedError):
        return bool(store.capabilities())
    return False


# Rotation


async def test_a_call_that_meets_a_rotation_is_sent_once_more(
    open_face: Callable[..., AsyncStore], asking: Server, identities: IdentityFile, seen: Seen, tmp_path: Path
) -> None:
    first = identities.add("writer", ALL)
    path = replace(tmp_path / "token", first.encode())
    await asyncio.to_thread(assert_soon, lambda: is_known(asking.address, first))
    async with open_face(asking.address, token=path) as client:
        await call_all(client)
        second = identities.add("writer")
        await asyncio.to_thread(assert_soon, lambda: is_known(asking.address, second))
        identities.revoke("writer", first.split("_")[1])
        await asyncio.to_thread(assert_soon, lambda: not is_known(asking.address, first))
        for method, call in (
            ("Exists", lambda: client.exists_many("files", [1])),
            ("Load", lambda: client.load("files", 1)),
            ("Upload", lambda: client.upload("files", UploadSpec(2))),
        ):
            replace(path, first.encode())  # as long as nobody looks
            await asyncio.to_thread(assert_soon, lambda: not is_known(asking.address, first))
            with contextlib.suppress(UnauthenticatedError):
                await client.list_units()
            replace(path, second.encode())
            seen.calls.clear()
            opened = await call()
            assert seen.of(method) in ([f"Bearer {first}", f"Bearer {second}"], [f"Bearer {second}"])
            if isinstance(opened, AsyncBlockReader):
                await opened.close()
            elif isinstance(opened, AsyncBlockWriter):
                await opened.abort()


async def test_a_function_with_a_new_token_each_time_is_asked_twice_and_no_more(
    open_face: Callable[..., AsyncStore], asking: Server, seen: Seen
) -> None:
    numbers = itertools.count()
    async with open_face(asking.address, token=lambda: f"unknown-{next(numbers)}") as client:
        for method, call in (
            ("Exists", lambda: client.exists_many("files", [1])),
            ("Load", lambda: client.load("files", 1)),
            ("Upload", lambda: client.upload("files", UploadSpec(2))),
        ):
            with pytest.raises(UnauthenticatedError):
                await call()
            assert len(seen.of(method)) == 2


async def test_transfers_go_on_over_a_rotation_and_are_applied_once(
    open_face: Callable[..., AsyncStore], asking: Server, identities: IdentityFile, store: EmbeddedStore, tmp_path: Path
) -> None:
    token = identities.add("writer", ALL)
    path = replace(tmp_path / "token", token.encode())

    async def rotate() -> None:
        nonlocal token
        old, token = token, identities.add("writer")
        await asyncio.to_thread(assert_soon, lambda: is_known(asking.address, token))
        replace(path, token.encode())
        identities.revoke("writer", old.split("_")[1])
        await asyncio.to_thread(assert_soon, lambda: not is_known(asking.address, old))

    await asyncio.to_thread(assert_soon, lambda: is_known(asking.address, token))
    async with open_face(asking.address, token=path) as client:
        watch = await client.watch(["files"])
        writer = await client.upload("files", UploadSpec(1), resumable=True)
        for index, block in enumerate(blocks_of(PART)):
            if index in (3, 14):
                await rotate()
            await writer.write(block)
        await rotate()
        await writer.commit(len(PART), checksum(PART))
        reader = await client.load("files", 1)
        assert isinstance(reader, AsyncBlockReader)
        data = bytearray()
        async with reader:
            async for block in reader:
                if block.offset >> 20 in (3, 14):
                    await rotate()
                data += block.data
        assert data == PART
        with pytest.raises(UnavailableError):  # a follower would ask anew, with the token of now
            _ = [event async for event in watch]
    assert [change.kind for change in store.changes(0)[1]] == [ChangeKind.UPLOADED]


# What was cached


def test_a_cache_serves_nothing_more_to_who_was_revoked(asking: Server, identities: IdentityFile) -> None:
    token = identities.add("reader", ALL)
    assert_soon(lambda: is_known(asking.address, token))
    with RemoteVault(asking.address, STRUCTURE, connection=ConnectionSettings(token=token, timeout=LONG)) as vault:
        data_id = vault.upload("files", BytesWrapper(b"x"), name="name")
        with vault.watch("files") as changes:

            def hit() -> bool:
                before = vault.cache_stats().hits
                assert vault.get("files", "name").data == b"x"
                return vault.cache_stats().hits > before and vault._coherence.epoch() > 0

            assert_soon(hit)
            identities.revoke("reader")
            assert_soon(lambda: not is_known(asking.address, token))
            assert_soon(lambda: refused(lambda: vault.get("files", data_id)))
            for key in (data_id, "name"):
                for call in (vault.get, vault.load, vault.open_ticket, vault.stat):
                    with pytest.raises(UnauthenticatedError):
                        call("files", key)
            assert vault.cache_stats().entries == 0
            with pytest.raises(UnauthenticatedError):
                next(iter(changes))


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except UnauthenticatedError:
        return True
    return False


def test_a_cache_asks_again_for_what_was_hidden_when_grants_change(
    asking: Server, identities: IdentityFile, store: EmbeddedStore
) -> None:
    """Absent, because the unit is nobody's whom the server knows; then there; then hidden again: all of it cached."""
    token = identities.add("reader", "other:read,watch")
    assert_soon(lambda: is_known(asking.address, token))
    settings = ConnectionSettings(token=token, timeout=LONG)
    with RemoteVault(asking.address, STRUCTURE, connection=settings) as vault:
        store.upload_many("files", [SmallUpload(UploadSpec(1, "name"), b"x", checksum(b"x"))])

        def shown() -> Any:
            return vault.get("files", "name", default=None)

        for _ in range(3):
            assert shown() is None
        identities.grant("reader", "other:read,watch", "files:read,watch")
        assert_soon(shown)
        assert_soon(lambda: vault._coherence.epoch() > 0)
        assert shown().data == b"x"
        identities.grant("reader", "other:read,watch")
        assert_soon(lambda: shown() is None)


# What is told


@pytest.mark.parametrize("face", ["sync", "async"])
def test_nothing_that_is_printed_logged_or_pickled_holds_a_secret(
    face: str, asking: Server, identities: IdentityFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = ["vt_planted_token", "planted-password", base64.b64encode(b"me:planted-password").decode()]
    path = replace(tmp_path / "token", b"vt_planted_token")
    texts: list[str] = []
    for token in ("vt_planted_token", path, lambda: "vt_planted_token"):
        settings = ConnectionSettings(token=token, timeout=LONG)
        through = ConnectionSettings(proxy="http://me:planted-password@127.0.0.1:1", timeout=0.1)
        texts += [repr(settings), str(settings), repr(through)]
        for address, connection in ((asking.address, settings), ("127.0.0.1:1", through)):
            error = failure_of(face, address, connection, texts)
            texts += [str(error), repr(error), str(error.context), repr(pickle.dumps(error))]
            trace = traceback.TracebackException.from_exception(error, capture_locals=True)
            texts += list(trace.format())
    texts += [str(record.__dict__) for record in caplog.records]
    assert texts
    for secret in secrets:
        assert [text for text in texts if secret in text] == []


def failure_of(face: str, address: str, connection: ConnectionSettings, texts: list[str]) -> VaultError:
    """What a call fails with, with its traceback."""
    try:
        if face == "sync":
            with RemoteVault(address, STRUCTURE, connection=connection) as vault:
                texts.extend([repr(vault), repr(vault._store), repr(vars(vault._store))])
                vault.units()
        else:

            async def ask() -> None:
                async with AsyncRemoteVault(address, STRUCTURE, connection=connection) as vault:
                    texts.extend([repr(vault), repr(vault._store), repr(vars(vault._store))])
                    await vault.units()

            asyncio.run(ask())
    except VaultError as error:
        return error
    raise AssertionError("it did not fail")


def test_the_command_takes_a_token_from_a_file_and_ends_with_8_where_it_is_not_accepted(
    asking: Server, identities: IdentityFile, tmp_path: Path
) -> None:
    token = identities.add("lister", "files:list")
    path = replace(tmp_path / "token", token.encode())
    assert_soon(lambda: is_known(asking.address, token))
    command = Program(f"grpc://{asking.address}")
    assert command.run("ls", "--token-file", str(path), "-u", "files").returncode == 0
    assert command.run("ls", "-u", "files", env={"VAULT_GRPC_TOKEN_FILE": str(path)}).returncode == 0
    for arguments, env, code, text in (
        (["units"], {"VAULT_GRPC_TOKEN": "unknown"}, 8, "no token of a server like this one"),
        (["rm", "5", "-u", "files", "--token-file", str(path)], {}, 8, "no scope delete"),
        (["units", "--vault", "grpc://storage.example:1", "--token-file", str(path)], {}, 2, "is not encrypted"),
    ):
        done = command.run(*arguments, env=env)
        assert (done.returncode, done.stderr.count(b"\n")) == (code, 1), done.stderr
        assert re.search(text, done.stderr.decode())
        assert token.encode() not in done.stderr
