"""Unix sockets: whatever their path, the address that is told reaches that very socket."""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from vault import AsyncVault, ConnectionSettings, RemoteVault, TextWrapper, Vault
from vault._grpc.address import MAX_UNIX_PATH, parse_address, unix_address, unix_path
from vault.errors import InvalidArgumentError
from vault.v1 import vault_pb2 as pb
from vault.v1.vault_pb2_grpc import VaultServiceStub
from vault_server import EmbeddedStore, Server

from tests.cli.program import Program
from tests.server.process import Served

STRUCTURE = {"notes": (TextWrapper, 0)}
AWKWARD = ["a?b", "a#b", "a%b", "a%20b", "a%2Fb", "a b", "ä", "a:b", "a?b=c&d", "[a]", "a@b", "a;b", "a\\b", "%"]


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Paths of sockets have little room."""
    folder = tempfile.mkdtemp(prefix="v", dir="/tmp")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)


names = st.text(st.characters(exclude_characters="\0/,", exclude_categories=["Cs"]), min_size=1, max_size=15).filter(
    lambda name: name not in (".", "..")
)


def as_given(path: Path) -> str:
    """A path as people type it, where that says what they mean."""
    return unix_address(str(path)) if "%" in path.name else f"unix:{path}"


@settings(max_examples=15)
@given(names)
@example("a?b")
@example("a%41b")
@example("a%2Fb#c d")
def test_the_address_of_a_server_reaches_its_socket_and_no_other(name: str) -> None:
    with short_folder() as folder, EmbeddedStore(folder / "store") as store:
        path = folder / name
        with Server(store, listen=as_given(path)) as server:
            assert path.is_socket()
            assert server.address == unix_address(str(path))
            assert set(server.address) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%/._-~:")
            for location in {server.address, as_given(path), server.address.replace("unix:", "unix://")}:
                with Vault(location, STRUCTURE, connection=ConnectionSettings(timeout=20)) as vault:
                    assert vault.exists("notes", vault.upload("notes", TextWrapper("x")))
            with grpc.insecure_channel(server.address) as channel:  # any other client
                assert VaultServiceStub(channel).ListUnits(pb.ListUnitsRequest(), timeout=20).units
        assert sorted(each.name for each in folder.iterdir()) == ["store"], "nothing is left, and nothing else was made"


@pytest.mark.parametrize("name", AWKWARD)
def test_addresses_come_back(name: str) -> None:
    address = unix_address(f"/run/{name}")
    assert unix_path(address) == f"/run/{name}"
    assert parse_address(address).shown == parse_address(address).target == address


@given(st.binary(min_size=1, max_size=MAX_UNIX_PATH).filter(lambda path: not {0, 44} & {*path} and path[:2] != b"//"))
def test_every_path_has_an_address(path: bytes) -> None:
    assert os.fsencode(unix_path(unix_address(os.fsdecode(path)))) == path


async def test_the_command_prints_what_every_client_can_be_given(tmp_path: Path) -> None:
    with short_folder() as folder:
        served = Served(tmp_path / "store", "--listen", f"unix:{folder}/a?b c#d%.sock")
        try:
            assert served.line == f"vault-grpc listening on unix:{folder}/a%3Fb%20c%23d%25.sock\n"
            assert (folder / "a?b c#d%.sock").is_socket()
            with RemoteVault(served.address, STRUCTURE) as vault:
                data_id = vault.upload("notes", TextWrapper("x"))
            async with AsyncVault(served.address, STRUCTURE) as other:
                assert await other.exists("notes", data_id)
            assert Program(served.address).text("units") == "notes\n"
        finally:
            assert served.terminate()[0] == 0


def test_a_relative_path_is_told_as_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with short_folder() as folder, EmbeddedStore(tmp_path / "store") as store:
        monkeypatch.chdir(folder)
        with Server(store, listen="unix:so cket") as server:
            monkeypatch.chdir(tmp_path)
            assert server.address == f"unix:{folder}/so%20cket"
            with RemoteVault(server.address, STRUCTURE) as vault:
                assert vault.units() == []


@pytest.mark.parametrize(
    "address",
    [
        "unix:",
        "unix://",
        "unix://host/path",
        "unix://relative",
        "unix:a\0b",
        "unix:a%00b",
        f"unix:/{'x' * MAX_UNIX_PATH}",
        f"unix:/{'ä' * 54}",
        f"unix:/{'%61' * MAX_UNIX_PATH}",
        "unix:/run/a,b",
        "unix:/run/a%2Cb",
        "unix-abstract:name",
        "unix-abstract:50051",
        "vsock:1:2",
    ],
)
def test_what_is_no_path_of_a_socket_is_refused_on_both_sides(address: str, tmp_path: Path) -> None:
    for use in (
        lambda: RemoteVault(address, STRUCTURE),
        lambda: Vault(address, STRUCTURE),
        lambda: Server(EmbeddedStore(tmp_path / "store"), listen=address),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            use()
        assert caught.value.reason in ("BAD_ADDRESS", "BAD_LOCATION")


def test_the_command_refuses_them_before_it_makes_anything(tmp_path: Path) -> None:
    for address in (f"unix:{tmp_path}/a,b", "unix://host/path"):
        assert "cannot listen" in Program(None).assert_fails(2, "serve", tmp_path / "new", "--listen", address)
    assert not (tmp_path / "new").exists()


def test_the_longest_path_works_and_its_encoding_may_be_longer() -> None:
    with short_folder() as folder, EmbeddedStore(folder / "store") as store:
        path = str(folder / "?").ljust(MAX_UNIX_PATH, "?")
        with Server(store, listen=unix_address(path)) as server:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
            with RemoteVault(server.address, STRUCTURE) as vault:
                assert vault.units() == []
