"""A server with TLS: what it shows, whom it lets in, and what it does when its files change."""

import asyncio
import datetime as dt
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from vault.store.limits import BLOCK_SIZE
from vault.store.values import checksum
from vault.v1 import vault_pb2 as pb
from vault.v1.vault_pb2_grpc import VaultServiceStub
from vault_server import AccessSettings, AsyncServer, EmbeddedStore, Server, ServerSettings

from tests.server.process import Serve, Served
from tests.server.raw_calls import Stub, load, say, stub_of, whole
from tests.tls import Authority, Pair, replace
from tests.waiting import assert_ended, assert_soon

ALONE = [("grpc.use_local_subchannel_pool", 1)]


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def first(authority: Authority, tmp_path: Path) -> Pair:
    """What the server begins with, in the files of `access`."""
    pair = authority.server()
    pair.write(tmp_path, "server")
    return pair


@pytest.fixture
def access(first: Pair, tmp_path: Path) -> AccessSettings:
    return AccessSettings(tls_cert=tmp_path / "server.crt", tls_key=tmp_path / "server.key")


def channel_to(address: str, authority: bytes, pair: Pair | None = None) -> grpc.aio.Channel:
    """A connection of its own."""
    credentials = grpc.ssl_channel_credentials(authority, *((pair.key, pair.cert) if pair else ()))
    return grpc.aio.secure_channel(address.removeprefix("grpcs://"), credentials, ALONE)


def is_answered(address: str, authority: bytes, pair: Pair | None = None) -> bool:
    """Whether a call on a new connection is answered; otherwise its handshake fails."""
    credentials = grpc.ssl_channel_credentials(authority, *((pair.key, pair.cert) if pair else ()))
    with grpc.secure_channel(address.removeprefix("grpcs://"), credentials, ALONE) as channel:
        try:
            VaultServiceStub(channel).GetCapabilities(pb.GetCapabilitiesRequest(), timeout=20)
        except grpc.RpcError as refused:
            error = refused
        else:
            return True
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    return False


def connect(address: str) -> socket.socket:
    host, _, port = address.removeprefix("grpcs://").rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), 30)


def serial_at(address: str, authority: Authority) -> int:
    """The serial number of the certificate in a new handshake."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.set_alpn_protocols(["h2"])
    with connect(address) as plain, context.wrap_socket(plain, server_hostname="localhost") as wrapped:
        found = wrapped.getpeercert()
        assert found is not None
        return int(str(found["serialNumber"]), 16)


def assert_soon_shown(address: str, authority: Authority, pair: Pair) -> None:
    assert_soon(lambda: serial_at(address, authority) == pair.serial)


def openssl(address: str, authority: Authority, folder: Path, *options: str) -> str:
    """What `openssl s_client` says of a handshake."""
    command = ["openssl", "s_client", "-connect", address.removeprefix("grpcs://"), "-servername", "localhost"]
    trust = ["-CAfile", str(authority.write(folder)), "-verify_hostname", "localhost", "-verify_return_error"]
    done = subprocess.run(
        [*command, *trust, "-alpn", "h2", *options],
        input="Q\n",
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_is_shown_tls_1_3_and_1_2_and_nothing_older(
    access: AccessSettings, authority: Authority, first: Pair, store: EmbeddedStore, tmp_path: Path
) -> None:
    with Server(store, access=access) as server:
        for version in ("1.3", "1.2"):
            said = openssl(server.address, authority, tmp_path, f"-tls{version.replace('.', '_')}")
            assert f"New, TLSv{version}" in said, said
            assert "ALPN protocol: h2" in said, said
            assert "Verify return code: 0 (ok)" in said, said
        for version in ("1_1", "1"):
            said = openssl(server.address, authority, tmp_path, f"-tls{version}", "-cipher", "ALL:@SECLEVEL=0")
            assert "CONNECTED" in said, said
            assert "Cipher is (NONE)" in said, said
        new = authority.server()
        new.write(tmp_path, "server")
        assert_soon_shown(server.address, authority, new)
        assert "Verify return code: 0 (ok)" in openssl(server.address, authority, tmp_path)


async def test_running_calls_go_on_over_a_change_of_the_certificate(
    access: AccessSettings, authority: Authority, first: Pair, store: EmbeddedStore, tmp_path: Path
) -> None:
    async with AsyncServer(store, access=access) as server, channel_to(server.address, authority.pem) as channel:
        stub = stub_of(channel)
        watch = stub.Watch(pb.WatchRequest(units=["u"]))
        await watch.read()
        go_on = asyncio.Event()
        data = os.urandom(BLOCK_SIZE + 1)
        writing = asyncio.create_task(assert_uploaded(stub, 1, data, go_on))
        new = authority.server()
        new.write(tmp_path, "server")
        await asyncio.to_thread(assert_soon_shown, server.address, authority, new)
        go_on.set()
        await writing
        while (event := await watch.read()) and event.change.data_id != 1:  # type: ignore[attr-defined]  # or EOF
            continue
        assert await load(stub, 1) == data
        watch.cancel()


def swap(folder: Path, cert: bytes | None = None, key: bytes | None = None) -> None:
    for name, content in (("server.crt", cert), ("server.key", key)):
        if content is not None:
            replace(folder / name, content)


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


BROKEN: dict[str, Callable[[Path, Authority, Pair], None]] = {
    "another's key": lambda folder, authority, first: swap(folder, key=authority.server().key),
    "another's certificate": lambda folder, authority, first: swap(folder, cert=authority.server().cert),
    "no certificate": lambda folder, authority, first: swap(folder, cert=b"nothing"),
    "an empty key": lambda folder, authority, first: swap(folder, key=b""),
    "half a certificate": lambda folder, authority, first: swap(folder, cert=first.cert[:200]),
    "an expired one": lambda folder, authority, first: swap(folder, *authority.expired()),
    "one that is not valid yet": lambda folder, authority, first: swap(folder, *authority.not_yet_valid()),
    "nothing": lambda folder, authority, first: (folder / "server.crt").unlink(),
    "a folder": lambda folder, authority, first: make_a_folder(folder / "server.key"),
}


@pytest.mark.parametrize("harm", BROKEN)
def test_what_is_broken_leaves_the_last_good_pair_with_one_line(
    harm: str,
    access: AccessSettings,
    authority: Authority,
    first: Pair,
    store: EmbeddedStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def lines() -> list[str]:
        ours = ("vault._runtime.watched_file", "vault_server.access.certificates")
        return [record.message.partition(":")[0] for record in caplog.records if record.name in ours]

    caplog.set_level("INFO")
    with Server(store, access=access) as server:
        caplog.clear()
        BROKEN[harm](tmp_path, authority, first)
        assert_soon(lambda: lines() == ["file is not usable, the last good one stays"])
        assert serial_at(server.address, authority) == first.serial
        if harm == "a folder":
            (tmp_path / "server.key").rmdir()
        new = authority.server()
        new.write(tmp_path, "server")
        assert_soon_shown(server.address, authority, new)
        assert_soon(lambda: lines()[1:3] == ["file is good again", "certificate was read again"])
    for secret in (first.key, new.key):
        assert secret.decode().splitlines()[1] not in caplog.text


def test_a_certificate_that_is_not_valid_yet_is_shown_as_soon_as_it_is(
    access: AccessSettings, authority: Authority, first: Pair, store: EmbeddedStore, tmp_path: Path
) -> None:
    with Server(store, access=access) as server:
        new = authority.issue("localhost", begins=dt.timedelta(seconds=2))
        new.write(tmp_path, "server")
        assert_soon_shown(server.address, authority, new)
        assert dt.datetime.now(dt.UTC) > dt.datetime.fromtimestamp(new_begin(new), dt.UTC)


def new_begin(pair: Pair) -> float:
    return x509.load_pem_x509_certificate(pair.cert).not_valid_before_utc.timestamp()


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (dt.timedelta(days=100), ""),
        (dt.timedelta(days=13), "expires soon"),
        (dt.timedelta(days=-1), "has expired"),
    ],
)
def test_a_start_says_when_the_certificate_ends_within_two_weeks(
    ends: dt.timedelta,
    said: str,
    authority: Authority,
    store: EmbeddedStore,
    access: AccessSettings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    authority.issue("localhost", begins=dt.timedelta(days=-30), ends=ends).write(tmp_path, "server")
    with Server(store, access=access):
        pass
    found = [record.message for record in caplog.records if "certificate" in record.message]
    assert [said in line for line in found] == ([True] if said else [])


@pytest.mark.parametrize("harm", sorted(BROKEN.keys() - {"an expired one", "one that is not valid yet"}))
def test_a_server_does_not_start_with_what_is_broken(
    harm: str, access: AccessSettings, authority: Authority, first: Pair, store: EmbeddedStore, tmp_path: Path
) -> None:
    BROKEN[harm](tmp_path, authority, first)
    with pytest.raises(Exception, match=r"server\.crt") as caught, Server(store, access=access):
        pass
    assert caught.value.reason in ("BAD_CERTIFICATE", "BAD_SETTING")  # type: ignore[attr-defined]


def test_clients_without_a_certificate_of_the_authority_are_not_let_in(
    access: AccessSettings, authority: Authority, store: EmbeddedStore, tmp_path: Path
) -> None:
    clients, others = Authority("Clients'"), Authority("Others'")
    mutual = AccessSettings(
        tls_cert=access.tls_cert, tls_key=access.tls_key, tls_client_ca=str(clients.write(tmp_path, "clients"))
    )
    listen = ["127.0.0.1:0?identity=none", "127.0.0.1:0?client-certs=none", "grpc://127.0.0.1:0"]
    with Server(store, listen, access=mutual) as server:
        asking, other, plain = server.addresses
        mine, foreign = clients.issue("worker.example"), others.issue("worker.example")
        assert [is_answered(asking, authority.pem, pair) for pair in (None, mine, foreign)] == [False, True, False]
        assert is_answered(other, authority.pem)
        assert not is_answered(plain, authority.pem)
        with grpc.insecure_channel(plain) as channel:
            VaultServiceStub(channel).GetCapabilities(pb.GetCapabilitiesRequest(), timeout=20)
        with grpc.insecure_channel(other.removeprefix("grpcs://")) as channel, pytest.raises(grpc.RpcError):
            VaultServiceStub(channel).GetCapabilities(pb.GetCapabilitiesRequest(), timeout=20)
        for expired in (clients.expired("worker.example"), clients.not_yet_valid("worker.example")):
            assert not is_answered(asking, authority.pem, expired)
        others.write(tmp_path, "clients")
        assert_soon(lambda: is_answered(asking, authority.pem, foreign))
        assert not is_answered(asking, authority.pem, mine)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_handshake_has_an_end(access: AccessSettings, sent: bytes, store: EmbeddedStore) -> None:
    settings = ServerSettings(handshake_timeout=0.5)
    with Server(store, access=access, settings=settings) as server, connect(server.address) as silent:
        silent.sendall(sent)
        assert_ended(silent)


class TestServe:
    """`vault-grpc serve` with TLS."""

    def served(self, serve: Serve, access: AccessSettings, tmp_path: Path, *more: str) -> Served:
        files = ("--tls-cert", str(access.tls_cert), "--tls-key", str(access.tls_key))
        return serve(tmp_path / "own", "--listen", "127.0.0.1:0", *files, *more)

    def test_its_line_is_an_address_for_clients_and_every_worker_shows_what_is_new(
        self, serve: Serve, access: AccessSettings, authority: Authority, tmp_path: Path
    ) -> None:
        served = self.served(serve, access, tmp_path, "--workers", "2")
        assert served.line.startswith("vault-grpc listening on grpcs://127.0.0.1:")
        new = authority.server()
        new.write(tmp_path, "server")
        assert_soon(lambda: {serial_at(served.address, authority) for _ in range(20)} == {new.serial})

    def test_what_is_wrong_with_a_file_is_one_line(self, access: AccessSettings, tmp_path: Path, serve: Serve) -> None:
        (tmp_path / "server.key").write_bytes(b"nothing")
        served = self.served(serve, access, tmp_path)
        code, out, err = served.end()
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1, err
        assert "server.key: the key is none in PEM" in err

    def test_handshakes_that_fail_leave_no_line_each(
        self, serve: Serve, access: AccessSettings, tmp_path: Path
    ) -> None:
        served = self.served(serve, access, tmp_path)
        for _ in range(20):
            with connect(served.address) as other:
                other.sendall(b"GET / HTTP/1.1\r\n\r\n")
                while other.recv(4096):
                    continue
        _, _, err = served.terminate()
        assert "Handshake failed" not in err, err

    def test_each_insecure_way_that_is_used_is_said(self, serve: Serve, access: AccessSettings, tmp_path: Path) -> None:
        served = self.served(serve, access, tmp_path, "--insecure-anonymous", "--listen", "[::]:0")
        _, _, err = served.terminate()
        lines = [line for line in err.splitlines() if "--insecure" in line]
        assert len(lines) == 2, err  # one of the log's
        assert [line for line in lines if line.startswith("warning: --insecure-anonymous: on [::]:0 whoever can")], err
        assert "--insecure-plaintext" not in err


async def assert_uploaded(stub: Stub, data_id: int, data: bytes, go_on: asyncio.Event) -> None:
    async def requests() -> AsyncIterator[pb.UploadRequest]:
        head, *rest = whole(data, data_id)
        yield head
        yield rest[0]
        await go_on.wait()
        for each in rest[1:]:
            yield each

    replies = [reply async for reply in stub.Upload(requests())]
    assert replies[-1].info.checksum == checksum(data)


async def assert_downloaded(
    stub: Stub, data_id: int, data: bytes, go_on: asyncio.Event, began: asyncio.Semaphore
) -> None:
    found = b""
    async for reply in stub.Load(pb.LoadRequest(unit="u", key=pb.Key(data_id=data_id))):
        if reply.WhichOneof("part") == "block":
            found += reply.block.data
        if len(found) == BLOCK_SIZE:
            began.release()
            await go_on.wait()
    assert found == data


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
async def test_no_transfer_of_fifty_fails_when_the_certificate_changes_under_them(
    rounds: int, access: AccessSettings, authority: Authority, first: Pair, store: EmbeddedStore, tmp_path: Path
) -> None:
    data = os.urandom(2 * BLOCK_SIZE + 1)
    async with AsyncServer(store, access=access) as server, AsyncExitStack() as stack:
        stubs = [stub_of(await stack.enter_async_context(channel_to(server.address, authority.pem))) for _ in range(50)]
        await say(stubs[0], whole(data, 1))
        for number in range(rounds):
            go_on, began = asyncio.Event(), asyncio.Semaphore(0)
            async with asyncio.TaskGroup() as transfers:
                for index, stub in enumerate(stubs[:25]):
                    transfers.create_task(assert_downloaded(stub, 1, data, go_on, began))
                    transfers.create_task(assert_uploaded(stubs[25 + index], 2 + 25 * number + index, data, go_on))
                for _ in range(25):
                    await began.acquire()
                new = authority.server()
                new.write(tmp_path, "server")
                await asyncio.to_thread(assert_soon_shown, server.address, authority, new)
                go_on.set()
