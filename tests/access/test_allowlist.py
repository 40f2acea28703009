"""Who may connect from where: asked at each call, and of what runs when the networks change."""

import asyncio
from pathlib import Path

import pytest
from vault._sync.remote.store import RemoteStore
from vault.errors import InvalidArgumentError, PermissionDeniedError
from vault.v1 import vault_pb2 as pb
from vault_server import EmbeddedStore, Server
from vault_server.access.settings import AccessSettings

from tests.server.conftest import serve
from tests.server.process import Serve
from tests.waiting import assert_soon
from torture.hostile_clients.attacks import Peers, fill, upload_block, upload_start

__all__ = ["serve"]

OTHER = "127.0.0.2"
WATCHED = pb.WatchRequest(since_revision=0).SerializeToString()


def write(path: Path, *lines: str) -> None:
    path.with_suffix(".new").write_text("".join(f"{line}\n" for line in lines))
    path.with_suffix(".new").replace(path)


def refused(address: str) -> bool:
    with RemoteStore(address) as client:
        try:
            client.exists_many("u", [1])
        except PermissionDeniedError as error:
            assert error.reason == "ADDRESS_NOT_ALLOWED"  # noqa: PT017
            return True
    return False


def test_what_runs_ends_and_what_comes_is_refused_once_an_address_is_not_allowed(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    fill(store)
    path = tmp_path / "networks"
    write(path, "127.0.0.1", f"{OTHER}/32  # for now")
    with (
        Server(store, access=AccessSettings(allow_file=str(path))) as server,
        Peers(server.address, OTHER) as peers,
        RemoteStore(server.address) as client,
        client.watch() as watch,
    ):
        next(iter(watch))
        peers.calls(3, "Watch", WATCHED, end=True, each=1)
        peers.calls(3, "Upload", upload_start(), upload_block(), each=1)
        idle = peers.connect()
        calls = server._server._running._calls  # type: ignore[union-attr]
        assert_soon(lambda: len(calls._calls) == 7)
        write(path, "127.0.0.1")
        assert_soon(lambda: not peers.alive())
        assert idle.closed
        assert len(calls._calls) == 1, "what comes from an allowed address goes on"
        peers.calls(1, "Watch", WATCHED, end=True)
        assert_soon(lambda: peers.connections[-1].ended)
        assert not refused(server.address)
        write(path, OTHER)
        assert_soon(lambda: refused(server.address))
        write(path, "127.0.0.0/24", "10.0.0.1/8")
        asyncio.run(asyncio.sleep(0.5))  # the time in which a broken file is not to be taken
        assert refused(server.address)
        write(path, "127.0.0.0/24")
        assert_soon(lambda: not refused(server.address))


def test_without_a_network_only_unix_sockets_may_connect(store: EmbeddedStore, tmp_path: Path) -> None:
    path = tmp_path / "networks"
    path.write_text("# nobody\n")
    listen = ["127.0.0.1:0", f"unix:{tmp_path / 'socket'}"]
    with Server(store, listen, access=AccessSettings(allow_file=str(path))) as server:
        assert [refused(address) for address in server.addresses] == [True, False]


def test_networks_of_flags_and_of_the_file_add_up(store: EmbeddedStore, tmp_path: Path) -> None:
    path = tmp_path / "networks"
    path.write_text("10.0.0.0/8\n")
    for allow, expected in ((("127.0.0.1",), False), (("::ffff:127.0.0.0/104",), False), (("192.0.2.0/24",), True)):
        with Server(store, access=AccessSettings(allow=allow, allow_file=str(path))) as server:
            assert refused(server.address) == expected


def test_a_server_does_not_start_with_networks_that_are_none(store: EmbeddedStore, tmp_path: Path) -> None:
    path = tmp_path / "networks"
    path.write_text("10.0.0.1/8\n")
    for access in (AccessSettings(allow=("10.0.0.1/8",)), AccessSettings(allow_file=str(path))):
        with pytest.raises(InvalidArgumentError, match=r"10\.0\.0\.0/8") as caught, Server(store, access=access):
            pass
        assert caught.value.reason == "BAD_NETWORK"


def test_every_worker_goes_by_the_file_of_now(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "networks"
    write(path, "127.0.0.1")
    options = ("--listen", "127.0.0.1:0", "--workers", "2", "--allow-file", str(path))
    server = serve(tmp_path / "store", *options)
    assert not any(refused(server.address) for _ in range(8))  # each a new connection, to either of them
    write(path, OTHER)
    assert_soon(lambda: all(refused(server.address) for _ in range(8)))
    write(path, "127.0.0.0/8")
    assert_soon(lambda: not any(refused(server.address) for _ in range(8)))
