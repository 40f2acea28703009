"""A unit's folder, or the one for staging, on another file system: its objects are stored as any other's."""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vault.store.specs import CopySpec, UploadSpec
from vault.store.values import Block, checksum
from vault_server.storage import EmbeddedStore, StoreOptions

from tests.faults.filesystems import why_not
from tests.storage.objects import LARGE, UNIT, blob_of, delete, read, run, small, start, succeeded, update, upload

pytestmark = pytest.mark.skipif(bool(why_not("tmpfs")), reason=why_not("tmpfs") or "it can")
Elsewhere = Callable[[Path], None]


@pytest.fixture(params=["mounted", "bound", "linked"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Elsewhere]:
    """Puts a folder on another file system, or behind another mount of the same."""
    mounts: list[Path] = []

    def mount(path: Path, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(path)], check=True, capture_output=True)
        mounts.append(path)

    def put(folder: Path) -> None:
        other = tmp_path / f"other{len(mounts)}"
        other.mkdir()
        if request.param == "linked":
            mount(other, "-t", "tmpfs", "tmpfs")
            folder.symlink_to(other)
            return
        folder.mkdir(parents=True, exist_ok=True)
        if request.param == "mounted":
            mount(folder, "-t", "tmpfs", "tmpfs")
        else:
            mount(folder, "--bind", str(other))

    yield put
    for path in reversed(mounts):
        subprocess.run(["umount", str(path)], check=True, capture_output=True)


def staged_in(root: Path) -> list[Path]:
    """Files and links anywhere in folders for staging, but for lists of intents."""
    folders = [root / ".staging", *(unit / ".staging" for unit in root.iterdir() if unit.is_dir())]
    return [
        path
        for folder in folders
        for path in folder.rglob("*")
        if (path.is_file() or path.is_symlink()) and path.name != "intents"
    ]


def begin(store: EmbeddedStore, spec: UploadSpec, blocks: int, *, resumable: bool = True) -> object:
    writer = store.upload(UNIT, spec, resumable=resumable)
    for index in range(writer.persisted_size >> 20, blocks):
        data = LARGE[index << 20 : (index + 1) << 20]
        writer.write(Block(index << 20, data, checksum(data)))
    return writer


def assert_stored_replaced_resumed_and_removed(root: Path) -> None:
    with EmbeddedStore(root, StoreOptions(retention=0)) as store:
        upload(store, LARGE, data_id=1)
        update(store, 1, LARGE[::-1])
        succeeded(store.upload_many(UNIT, [small(LARGE[:200_000], data_id=2)])[0])
        upload(store, LARGE, data_id=3)
        delete(store, 3)
        upload(store, LARGE, unit="here", data_id=1)
        spec = UploadSpec(4)
        writer = begin(store, spec, 2)
        assert len(staged_in(root)) >= 3
        writer.suspend()  # type: ignore[attr-defined]
        assert store.write_status(UNIT, spec.request_id).persisted_size == 2 << 20
    with EmbeddedStore(root) as store:
        again = begin(store, spec, 3)
        again.commit(len(LARGE), checksum(LARGE))  # type: ignore[attr-defined]
        for resumable in (False, True):
            begin(store, UploadSpec(5), 2, resumable=resumable).abort()  # type: ignore[attr-defined]
        assert read(store, 1) == LARGE[::-1]
        assert read(store, 2) == LARGE[:200_000]
        assert read(store, 4) == LARGE
        shutil.copyfile(blob_of(root, 4), root / UNIT / "99.vault")
        assert len(store.check(repair=True).repairs) == 1
        report = store.check(deep=True)
        assert report.ok, report.problems
        assert staged_in(root) == []


def test_objects_of_a_unit_elsewhere_are_stored_replaced_resumed_and_removed(
    tmp_path: Path, elsewhere: Elsewhere
) -> None:
    root = tmp_path / "store"
    root.mkdir()
    elsewhere(root / UNIT)
    assert_stored_replaced_resumed_and_removed(root)


def test_they_are_with_the_folder_for_staging_elsewhere(tmp_path: Path, elsewhere: Elsewhere) -> None:
    root = tmp_path / "store"
    root.mkdir()
    elsewhere(root / ".staging")
    assert_stored_replaced_resumed_and_removed(root)


def test_a_folder_that_goes_elsewhere_while_the_store_is_open_and_comes_back(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with EmbeddedStore(root) as store:
        upload(store, LARGE, data_id=1)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(root / UNIT)], check=True)
        try:
            upload(store, LARGE, data_id=2)
            assert read(store, 2) == LARGE
            delete(store, 2)
        finally:
            subprocess.run(["umount", "-l", str(root / UNIT)], check=True)
        upload(store, LARGE, data_id=3)
        assert read(store, 1) == read(store, 3) == LARGE


@pytest.mark.parametrize("resumable", [False, True])
def test_what_a_killed_process_staged_elsewhere_is_removed_or_resumed(
    tmp_path: Path, elsewhere: Elsewhere, resumable: bool
) -> None:
    root = tmp_path / "store"
    root.mkdir()
    elsewhere(root / UNIT)
    script = """
import os, signal, sys
from pathlib import Path
from tests.storage.test_other_devices import begin, staged_in
from vault.store.specs import UploadSpec
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
writer = begin(store, UploadSpec(1, request_id=b"0" * 16), 2, resumable=sys.argv[2] == "True")
assert any("documents" in str(path) for path in staged_in(Path(sys.argv[1])))
os.kill(os.getpid(), signal.SIGKILL)
"""
    with start(script, root, resumable) as process:
        assert process.wait(60) == -signal.SIGKILL
    with EmbeddedStore(root) as store:
        if resumable:
            writer = store.upload(UNIT, UploadSpec(1, request_id=b"0" * 16), resumable=True)
            assert writer.persisted_size == 2 << 20
            writer.abort()
        assert staged_in(root) == []


def test_a_killed_commit_elsewhere_leaves_nothing(tmp_path: Path, elsewhere: Elsewhere) -> None:
    root = tmp_path / "store"
    root.mkdir()
    elsewhere(root / UNIT)
    script = """
import os, signal, sys
from tests.storage.objects import LARGE, upload
from vault_server.storage import EmbeddedStore, failpoints
store = EmbeddedStore(sys.argv[1])
failpoints.switch_on(lambda point: os.kill(os.getpid(), signal.SIGKILL) if point == sys.argv[2] else None)
upload(store, LARGE, data_id=1)
"""
    for point in ("staged file durable", "before COMMIT"):
        with start(script, root, point) as process:
            assert process.wait(60) == -signal.SIGKILL
        with EmbeddedStore(root) as store:
            upload(store, LARGE, data_id=2)
            delete(store, 2)
            assert store.check(deep=True).ok
            assert staged_in(root) == []


def test_a_cleaner_elsewhere_is_healed_from(tmp_path: Path, elsewhere: Elsewhere) -> None:
    root = tmp_path / "store"
    root.mkdir()
    elsewhere(root / UNIT)
    with EmbeddedStore(root) as store:
        number = 0
        for resumable in (False, True):
            for cleaned in (root / ".staging", root / UNIT / ".staging"):
                number += 1
                writer = begin(store, UploadSpec(number), 3, resumable=resumable)
                shutil.rmtree(cleaned)
                writer.commit(len(LARGE), checksum(LARGE))  # type: ignore[attr-defined]
                assert read(store, number) == LARGE
                writer = begin(store, UploadSpec(1000), 2, resumable=resumable)
                shutil.rmtree(cleaned)
                writer.abort()  # type: ignore[attr-defined]
        assert staged_in(root) == []
        assert store.check(deep=True).ok


def test_both_faces_and_a_server_store_there(tmp_path: Path, elsewhere: Elsewhere) -> None:
    root = tmp_path / "store"
    root.mkdir()
    elsewhere(root / UNIT)
    out = run(
        """
import sys
from vault import RemoteStore
from vault_server import EmbeddedStore, Server
from tests.storage.objects import LARGE, read, update, upload
with EmbeddedStore(sys.argv[1]) as store, Server(store) as server, RemoteStore(server.address) as remote:
    upload(remote, LARGE, data_id=1)
    update(remote, 1, LARGE[1:])
    print(read(remote, 1) == LARGE[1:])
""",
        root,
    )
    assert out == "True\n"


def test_copies_between_units_on_several_file_systems(tmp_path: Path, elsewhere: Elsewhere) -> None:
    root = tmp_path / "store"
    with EmbeddedStore(root, StoreOptions(retention=0)) as store:
        elsewhere(root / UNIT)
        info = upload(store, LARGE)
        for unit, from_unit, key in (("near", UNIT, info.data_id), (UNIT, UNIT, info.data_id), (UNIT, "near", "near")):
            (outcome,) = store.copy_many(from_unit, [CopySpec(key, unit if unit == "near" else None)], to_unit=unit)
            made = succeeded(outcome)
            assert read(store, made.data_id, unit=unit) == LARGE
        assert staged_in(root) == []
        assert store.check(deep=True).problems == []
