"""A directory on a network file system is refused, with what to do; one in user space is warned of."""

import logging
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from vault import BytesWrapper, Vault
from vault.cli.program import program
from vault.errors import StorageError
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore, StoreOptions, check_directory, opener
from vault_server.storage.files import filesystem
from vault_server.storage.files.filesystem import FUSE, NETWORK, NETWORK_FUSE, mount_type, statfs_type

from tests.faults.filesystems import KINDS, mounted, why_not
from tests.storage.objects import LARGE, UNIT, read, run, upload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")

MAGIC = {"tmpfs": 0x01021994, "ext4": 0xEF53}


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what statfs(2) and the list of mounts say: no network file system can be mounted in a test."""

    def say(kind: int, subtype: str = "") -> None:
        monkeypatch.setattr(filesystem, "statfs_type", lambda _path: kind)
        monkeypatch.setattr(filesystem, "mount_type", lambda _path: subtype)

    return say


def assert_refused(call: Callable[[], object], root: Path, name: str) -> None:
    with pytest.raises(StorageError) as raised:
        call()
    assert raised.value.reason == "NETWORK_FILESYSTEM"
    assert str(root) in str(raised.value)
    assert f"({name})" in str(raised.value)
    assert "run vault-grpc serve there" in str(raised.value)


@pytest.mark.parametrize("kind", NETWORK)
def test_each_of_a_network_is_refused_before_anything_is_made(
    tmp_path: Path, on: Callable[..., None], kind: int
) -> None:
    on(kind)
    for root in (tmp_path / "above" / "store", tmp_path):
        assert_refused(lambda root=root: EmbeddedStore(root), root, NETWORK[kind])  # type: ignore[misc]
    assert list(tmp_path.iterdir()) == []
    with EmbeddedStore(tmp_path / "store", StoreOptions(allow_network_filesystem=True)) as store:
        assert read(store, upload(store, LARGE).data_id) == LARGE


def test_every_way_to_open_a_directory_refuses_and_those_with_options_can_be_told(
    tmp_path: Path, on: Callable[..., None]
) -> None:
    root = tmp_path / "store"
    EmbeddedStore(root).close()
    on(0x6969)
    assert_refused(lambda: Vault(root, {}), root, "NFS")
    assert_refused(lambda: AsyncEmbeddedStore(root), root, "NFS")
    assert_refused(lambda: opener.open(str(root)), root, "NFS")
    assert_refused(lambda: check_directory(root, repair=True), root, "NFS")
    assert check_directory(root, StoreOptions(allow_network_filesystem=True)).ok
    with Vault(EmbeddedStore(root, StoreOptions(allow_network_filesystem=True)), {}) as vault:
        assert vault.revision == 0
    opener.open(str(root), StoreOptions(allow_network_filesystem=True)).close()


def test_the_commands_refuse_and_take_a_flag_a_variable_and_a_line_of_the_configuration(
    tmp_path: Path, on: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    EmbeddedStore(root).close()
    on(0x517B)
    config = tmp_path / "config.toml"
    config.write_text("allow_network_filesystem = true\ngroup_access = true\n")

    def call(*arguments: str | Path, **environment: str) -> Result:
        return CliRunner().invoke(program, list(map(str, arguments)), env=environment)

    for arguments in (
        ("check", root),
        ("serve", root, "--listen", "127.0.0.1:0"),
        ("ls", "--vault", root, "--unit", "u"),
    ):
        assert isinstance(call(*arguments).exception, StorageError)
    assert call("check", root, "--allow-network-filesystem").exit_code == 0
    assert call("check", root, VAULT_GRPC_CHECK_ALLOW_NETWORK_FILESYSTEM="1").exit_code == 0

    served: list[tuple[bool, bool]] = []

    async def serve(serving: object, _announce: object) -> None:
        served.append((serving.store.allow_network_filesystem, serving.store.group_access))  # type: ignore[attr-defined]
        async with AsyncEmbeddedStore(serving.directory, serving.store):  # type: ignore[attr-defined]
            pass

    monkeypatch.setattr("vault_server.cli.serve.serve_until_signal", serve)
    listen = ("--listen", "127.0.0.1:0")
    assert call("serve", root, *listen, "--allow-network-filesystem").exit_code == 0
    assert call("serve", root, *listen, VAULT_GRPC_SERVE_ALLOW_NETWORK_FILESYSTEM="1").exit_code == 0
    assert call("serve", root, *listen, "--config", config).exit_code == 0
    assert served == [(True, False), (True, False), (True, True)]


def test_in_user_space_those_that_reach_over_a_network_are_refused_and_others_warned_of(
    tmp_path: Path, on: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    for name in NETWORK_FUSE:
        on(FUSE, f"fuse.{name}")
        assert_refused(lambda: EmbeddedStore(tmp_path / "store"), tmp_path / "store", f"fuse.{name}")
    for subtype in ("fuse.mergerfs", "fuse", "fuseblk", "virtiofs", ""):
        on(FUSE, subtype)
        caplog.clear()
        with caplog.at_level(logging.WARNING), EmbeddedStore(tmp_path / "store") as store:
            upload(store, LARGE)
        (record,) = caplog.records
        assert str(tmp_path / "store") in record.getMessage()
        assert subtype in record.getMessage()


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_system_says_of_local_ones_is_told_and_passes(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    if why_not(kind):
        pytest.skip(why_not(kind))
    with mounted(tmp_path / "disk", kind, 16) as disk:
        assert statfs_type(disk.path) == MAGIC[kind]
        assert mount_type(disk.path) == kind
        with caplog.at_level(logging.WARNING), EmbeddedStore(disk.path / "store") as store:
            upload(store, LARGE)
        assert not caplog.records


MOUNTING = """
import ctypes, os, sys, threading
from pathlib import Path
from tests.storage.test_filesystem import answer
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments):
        sys.exit(print("skip", name, os.strerror(ctypes.get_errno())))
call("unshare", 0x00020000)  # mounts of its own
call("mount", None, b"/", None, 0x44000, None)  # private, and all below
root = Path(sys.argv[1])
device = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
call("mount", b"tried", os.fsencode(root), sys.argv[2].encode(), 0, options)
threading.Thread(target=answer, args=(device,), daemon=True).start()
from vault.errors import StorageError
from vault_server.storage import EmbeddedStore
from vault_server.storage.files import filesystem
print(filesystem.statfs_type(root) == filesystem.FUSE, filesystem.mount_type(root), flush=True)
try:
    EmbeddedStore(root)
except StorageError as error:
    print(error.reason, flush=True)
os._exit(0)
"""


def answer(device: int) -> None:
    """A file system in user space, as far as it takes to be asked what it is: fuse_kernel.h, version 7.31."""
    attributes = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
    answers = {
        26: struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 8, 8, 1 << 16, 1, 0, 0, *[0] * 8),  # INIT
        3: struct.pack("<Q2I", 1, 0, 0) + attributes,  # GETATTR
        17: struct.pack("<5Q4I6I", 1, 1, 1, 1, 1, 4096, 255, 4096, 0, *[0] * 6),  # STATFS
    }
    while True:
        _, opcode, unique = struct.unpack_from("<2IQ", os.read(device, 1 << 17))
        reply = answers.get(opcode, b"")
        os.write(device, struct.pack("<IiQ", 16 + len(reply), 0 if reply else -38, unique) + reply)


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/fuse").exists(), reason="only root mounts without a helper")
@pytest.mark.parametrize(("kind", "told"), [("fuse.sshfs", "NETWORK_FILESYSTEM"), ("fuse", "STORAGE_FAILED")])
def test_a_real_mount_of_a_file_system_in_user_space_is_recognised(tmp_path: Path, kind: str, told: str) -> None:
    out = run(MOUNTING, tmp_path, kind)
    if out.startswith("skip"):
        pytest.skip(out)
    assert out.split() == ["True", kind, told]  # this one cannot make files


def test_on_windows_importing_it_is_refused_in_so_many_words() -> None:
    script = """
import sys
sys.platform = "win32"
for use in ("import vault", "from vault import Vault", "from vault.cli import main", "import vault_server"):
    try:
        exec(use)
    except ImportError as error:
        print("Linux" in str(error), "Windows" in str(error))
"""
    assert run(script).splitlines() == ["True True"] * 4


def test_where_there_is_a_sync_as_far_as_the_disk_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F_FULLFSYNC is macOS's: here the call is looked at on its way to the system."""
    asked: list[int] = []
    monkeypatch.setattr("vault._runtime.fsync.FULL", 51)
    monkeypatch.setattr("fcntl.fcntl", lambda _descriptor, command: asked.append(command))
    with EmbeddedStore(tmp_path / "store") as store:
        upload(store, LARGE, data_id=1)
    assert set(asked) == {51}
    asked.clear()
    with Vault(tmp_path / "store", {UNIT: (BytesWrapper, 0)}) as vault:
        vault.download_file(UNIT, 1, tmp_path / "copy")
    assert asked == [51]
