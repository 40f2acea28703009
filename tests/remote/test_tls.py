"""grpcs://: what is trusted, what is not and what is said of it; certificates that change while it is used."""

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from vault import AsyncRemoteStore, AsyncRemoteVault, BytesWrapper, ConnectionSettings, RemoteStore, RemoteVault
from vault._grpc.credentials import LOOK
from vault.errors import InvalidArgumentError, UnavailableError, UntrustedError
from vault.store import open_store
from vault_server import AccessSettings, EmbeddedStore, Server

from tests.cli.program import Program
from tests.remote.test_http_proxy import ConnectProxy
from tests.tls import Authority, Pair, replace
from tests.waiting import assert_soon

STRUCTURE = {"files": (BytesWrapper, 0)}
LONG = 1000.0
"""Seconds: who waits for as long is found out by the test's own time."""

OURS, OTHERS = Authority(), Authority("Others")
SERVER, CLIENT = OURS.server(), OURS.issue("client.example")


def serving(store: EmbeddedStore, folder: Path, pair: Pair, client_ca: bytes | None = None, port: int = 0) -> Server:
    """A server with this certificate, which asks nobody who he is; with `client_ca` whether that has signed his."""
    cert, key = pair.write(folder, "server")
    clients = None if client_ca is None else str(replace(folder / "clients.crt", client_ca))
    access = AccessSettings(tls_cert=str(cert), tls_key=str(key), tls_client_ca=clients)
    return Server(store, f"127.0.0.1:{port}?identity=none", access=access)


def sync_units(address: str, settings: ConnectionSettings) -> list[str]:
    with RemoteVault(address, STRUCTURE, connection=settings) as vault:
        return vault.units()


def async_units(address: str, settings: ConnectionSettings) -> list[str]:
    async def ask() -> list[str]:
        async with AsyncRemoteVault(address, STRUCTURE, connection=settings) as vault:
            return await vault.units()

    return asyncio.run(ask())


@pytest.fixture(params=[sync_units, async_units])
def units(request: pytest.FixtureRequest) -> Callable[[str, ConnectionSettings], list[str]]:
    function: Callable[[str, ConnectionSettings], list[str]] = request.param
    return function


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    with contextlib.closing(ConnectProxy()) as running:
        yield running


def shown(pair: Pair | None) -> dict[str, Any]:
    return {} if pair is None else {"cert": pair.cert, "key": pair.key}


GOOD: dict[str, tuple[Pair, dict[str, Any]]] = {
    "in order": (SERVER, {}),
    "with a certificate that nobody asked for": (SERVER, shown(CLIENT)),
    "for the name that is given": (OURS.wrong_name(), {"server_name": "elsewhere.example"}),
    "for the address that is given as a name": (SERVER, {"server_name": "127.0.0.1"}),
    "of an intermediate's trusted root among others": (SERVER, {"ca": OTHERS.pem + OURS.pem}),
}


@pytest.mark.parametrize("case", GOOD)
@pytest.mark.parametrize("way", ["directly", "through a proxy"])
def test_a_server_that_is_trusted_answers(
    case: str,
    way: str,
    units: Callable[..., list[str]],
    proxy: ConnectProxy,
    store: EmbeddedStore,
    tmp_path: Path,
) -> None:
    pair, settings = GOOD[case]
    url = f"http://{proxy.address}" if way == "through a proxy" else None
    with serving(store, tmp_path, pair) as server:
        for host in ("127.0.0.1", "localhost"):
            address = server.address.replace("127.0.0.1", host)
            assert (
                units(address, ConnectionSettings(**{"ca": OURS.pem, "proxy": url, "timeout": LONG, **settings})) == []
            )


BAD: dict[str, tuple[Pair, bytes | None, dict[str, Any], str]] = {
    "expired": (OURS.expired(), None, {}, "has expired: it needs a new one"),
    "not yet valid": (OURS.not_yet_valid(), None, {}, "not valid yet: look at the clocks"),
    "another name": (OURS.wrong_name(), None, {}, "not for '127.0.0.1'.*server_name"),
    "another server_name": (SERVER, None, {"server_name": "evil.example"}, "not for 'evil.example'"),
    "another authority": (OTHERS.server(), None, {}, "not of an authority that is trusted here: ca=FILE"),
    "the system's authorities": (SERVER, None, {"ca": None}, "not of an authority that is trusted here: ca=FILE"),
    "no certificate of ours": (SERVER, OURS.pem, {}, "wants to see a client's certificate: cert=FILE and key=FILE"),
    "ours of another authority": (
        SERVER,
        OURS.pem,
        shown(OTHERS.issue("c")),
        "does not accept the client's certificate",
    ),
    "ours expired": (SERVER, OURS.pem, shown(OURS.expired("c")), "does not accept the client's certificate"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("way", ["directly", "through a proxy"])
def test_a_channel_that_is_not_trusted_is_an_error_at_once_that_says_why(
    case: str,
    way: str,
    units: Callable[..., list[str]],
    proxy: ConnectProxy,
    store: EmbeddedStore,
    tmp_path: Path,
) -> None:
    pair, client_ca, settings, text = BAD[case]
    url = f"http://{proxy.address}" if way == "through a proxy" else None
    with serving(store, tmp_path, pair, client_ca) as server:
        with pytest.raises(UntrustedError, match=text) as caught:
            units(server.address, ConnectionSettings(**{"ca": OURS.pem, "proxy": url, "timeout": LONG, **settings}))
        assert caught.value.context == {"address": server.address}


def test_tls_at_a_server_without_it_and_none_at_one_with_it_are_told_apart(
    units: Callable[..., list[str]], store: EmbeddedStore, tmp_path: Path
) -> None:
    with Server(store) as server, pytest.raises(UntrustedError, match=f"not speak TLS.* grpc://{server.address}"):
        units(f"grpcs://{server.address}", ConnectionSettings(ca=OURS.pem, timeout=LONG))
    with (
        serving(store, tmp_path, SERVER) as server,
        pytest.raises(UntrustedError, match=f"speaks TLS: its address is {server.address}"),
    ):
        units(server.address.removeprefix("grpcs://"), ConnectionSettings(timeout=LONG))


def test_a_server_that_is_away_is_unavailable_and_is_waited_for(
    units: Callable[..., list[str]], store: EmbeddedStore, tmp_path: Path
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        address = f"127.0.0.1:{port}"
    with pytest.raises(UnavailableError):
        units(f"grpcs://{address}", ConnectionSettings(ca=OURS.pem, timeout=0.5))
    server = serving(store, tmp_path, SERVER, port=port)
    late = threading.Timer(0.3, server.start)
    late.start()
    try:
        assert units(f"grpcs://{address}", ConnectionSettings(ca=OURS.pem, timeout=60)) == []
    finally:
        late.join()
        server.stop()


class Silent:
    """A peer that hangs up on the first who connects, and says nothing to those after him."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.examined = threading.Event()
        self.held: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            first, _ = self._listener.accept()
            first.recv(1)
            first.close()
            while True:
                peer, _ = self._listener.accept()
                self.held.append(peer)
                if b"\x16\x03\x01" in peer.recv(3):  # TLS's first record
                    self.examined.set()

    def close(self) -> None:
        self._listener.close()
        for each in self.held:
            each.close()


async def test_the_event_loop_is_not_held_up_by_the_look_at_a_handshake() -> None:
    with contextlib.closing(Silent()) as peer:
        settings = ConnectionSettings(ca=OURS.pem, timeout=LONG)
        async with AsyncRemoteVault(f"grpcs://{peer.address}", STRUCTURE, connection=settings) as vault:
            call = asyncio.ensure_future(vault.units())
            await asyncio.to_thread(peer.examined.wait, 60)
            for _ in range(100):  # the handshake is open all the time: nobody goes on with it, or gives it up
                await asyncio.sleep(0)
            assert not call.done()
            peer.held[-1].setblocking(False)  # its name
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call


def test_one_handshake_is_looked_at_for_all_who_fail_at_once(store: EmbeddedStore, tmp_path: Path) -> None:
    async def ask(address: str) -> list[BaseException | Any]:
        settings = ConnectionSettings(ca=OURS.pem, timeout=LONG)
        async with AsyncRemoteVault(address, STRUCTURE, connection=settings) as vault:
            return await asyncio.gather(*(vault.units() for _ in range(50)), return_exceptions=True)

    with contextlib.closing(ConnectProxy()) as proxy, serving(store, tmp_path, OTHERS.server()) as server:
        outcomes = asyncio.run(ask(f"{server.address}?proxy=http://{proxy.address}"))
        assert [type(each) for each in outcomes] == [UntrustedError] * 50
        assert len(proxy.requests) <= 6  # gRPC's own, and one


LARGE = bytes(range(256)) * (80 << 10)  # 20 MiB


def test_files_are_read_again_and_nothing_that_runs_is_cut(store: EmbeddedStore, tmp_path: Path) -> None:
    """One vault, whose certificate becomes another, a broken one, one that is refused, and a good one again."""
    cert, key = CLIENT.write(tmp_path)
    settings = ConnectionSettings(ca=OURS.write(tmp_path), cert=str(cert), key=key, timeout=60)
    with (
        serving(store, tmp_path, SERVER, OURS.pem) as server,
        RemoteVault(server.address, STRUCTURE, connection=settings) as vault,
    ):
        data_id = vault.upload("files", BytesWrapper(LARGE))
        with vault.open("files", data_id) as reader:
            begun = reader.read(1 << 20)
            for content in (b"half a certifi", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None):
                cert.unlink() if content is None else replace(cert, content)
                time.sleep(2 * LOOK)
                assert vault.units() == ["files"]
            OTHERS.issue("client.example").write(tmp_path)
            assert_soon(lambda: refused(vault))
            OURS.issue("client.example").write(tmp_path)
            assert_soon(lambda: not refused(vault))
            assert begun + reader.read() == LARGE


def refused(vault: RemoteVault) -> bool:
    try:
        return vault.units() != ["files"]
    except UntrustedError as error:
        return "does not accept the client's certificate" in error.message


def test_an_authority_that_is_new_is_trusted_when_its_file_says_so(store: EmbeddedStore, tmp_path: Path) -> None:
    ca = OURS.write(tmp_path)
    with serving(store, tmp_path, SERVER) as server:
        port = int(server.address.rpartition(":")[2])
        vault = RemoteVault(server.address, STRUCTURE, connection=ConnectionSettings(ca=ca, timeout=60))
        assert vault.units() == []
    with vault, serving(store, tmp_path, OTHERS.server(), port=port):
        with pytest.raises(UntrustedError, match="not of an authority that is trusted here"):
            vault.units()
        replace(ca, OURS.pem + OTHERS.pem)

        def trusts() -> bool:
            with contextlib.suppress(UntrustedError):
                return vault.units() == []
            return False

        assert_soon(trusts)


def test_the_command_says_in_one_line_what_is_not_trusted_and_takes_files_from_flags_and_variables(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    ca, other = OURS.write(tmp_path), OTHERS.write(tmp_path, "other")
    cert, key = CLIENT.write(tmp_path)
    with serving(store, tmp_path, SERVER, OURS.pem) as server:
        command = Program(server.address)
        variables = {"VAULT_GRPC_CA": str(ca), "VAULT_GRPC_CERT": str(cert), "VAULT_GRPC_KEY": str(key)}
        flags = ("--ca", str(ca), "--cert", str(cert), "--key", str(key))
        assert command.run("units", env=variables).returncode == 0
        assert command.run("units", *flags, env=dict.fromkeys(variables, "/nowhere")).returncode == 0
        for arguments, code, text in (
            (("--ca", str(other)), 9, "not of an authority that is trusted here"),
            (("--server-name", "other.example"), 9, "not for 'other.example'"),
            (("--key", str(ca)), 2, "there is no private key in the second, in PEM"),
        ):
            done = command.run("units", *flags, *arguments)
            assert (done.returncode, done.stderr.count(b"\n")) == (code, 1)
            assert text in done.stderr.decode()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"cert": "c.crt"}, "a cert without a key"),
        ({"key": b"-----BEGIN "}, "a key without a cert"),
        ({"ca": ""}, "bad ca: not the path of a file"),
        ({"ca": 5}, "bad ca: the path of a file, or its bytes, not int"),
        ({"ca": b"PEM"}, "bad ca: the bytes given are no PEM"),
        ({"ca": OURS.pem.decode()}, "bad ca: text is the path of a file"),
        ({"server_name": "a:1"}, "bad server_name"),
        ({"server_name": ""}, "bad server_name"),
        ({"ca": "/nowhere/ca"}, "bad ca: /nowhere/ca: No such file or directory"),
        ({"ca": "/"}, "bad ca: /: "),
        ({"ca": CLIENT.key}, "bad ca: there is no certificate in it"),
        ({"cert": CLIENT.key, "key": CLIENT.key}, "bad cert and key: there is no certificate in the first"),
        ({"cert": CLIENT.cert, "key": CLIENT.cert}, "bad cert and key: there is no private key in the second"),
        ({"cert": CLIENT.cert, "key": SERVER.key}, "bad cert and key: the key is not that of the certificate"),
        ({"cert": CLIENT.cert, "key": "/nowhere/key"}, "bad cert and key: /nowhere/key: No such file"),
    ],
)
def test_what_can_be_no_certificates_is_refused_before_anything_is_sent(given: dict[str, Any], text: str) -> None:
    for kind in (RemoteVault, AsyncRemoteVault, RemoteStore, AsyncRemoteStore):
        with pytest.raises(InvalidArgumentError, match=re.escape(text)) as caught:
            kind("grpcs://127.0.0.1:1", connection=ConnectionSettings(**given))
        assert caught.value.reason == "BAD_SETTING"


@pytest.mark.parametrize("address", ["grpc://127.0.0.1:1", "unix:/tmp/nowhere"])
@pytest.mark.parametrize("given", [{"ca": OURS.pem}, shown(CLIENT), {"server_name": "a"}])
def test_certificates_are_refused_where_nothing_is_encrypted(
    address: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{next(iter(given))} is for an encrypted channel, grpcs://"):
        open_store(address, ConnectionSettings(**given))
    with pytest.raises(InvalidArgumentError, match="for a server, grpcs://host:port, and this is none"):
        open_store("memory://", ConnectionSettings(**given))
    monkeypatch.setenv("VAULT_GRPC_CA", "/nowhere")
    open_store(address).close()
    with pytest.raises(InvalidArgumentError, match="/nowhere"):
        open_store("grpcs://127.0.0.1:1")


def test_one_variable_of_a_pair_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_GRPC_KEY", "key")
    with pytest.raises(InvalidArgumentError, match="VAULT_GRPC_CERT without VAULT_GRPC_KEY, or the other way round"):
        open_store("grpcs://127.0.0.1:1")
