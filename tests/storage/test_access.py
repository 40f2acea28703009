"""What a store makes is its owner's alone, or its group's when that is asked for; whatever the umask, and all of it."""

import asyncio
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from vault import RemoteStore
from vault.store.specs import UploadSpec
from vault.store.values import Block, checksum
from vault_server import Server, ServerSettings
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore, StoreOptions, check_directory, opener
from vault_server.storage.commit.collection import SETTLING_COMMITS
from vault_server.storage.files.access import widen
from vault_server.storage.maintenance.rebuild.resolve import Resolver
from vault_server.storage.maintenance.scrub import Scrubber

from tests.storage.objects import LARGE, SMALL, UNIT, blob_of, delete, read, small, start, succeeded, update, upload

UMASKS = (0o000, 0o077, 0o777)
GROUP_OF_OTHERS = 31_415
OTHERS = (31_416, 31_417)

PRIVATE = {"file": 0o600, "folder": 0o700}
SHARED = {"file": 0o660, "folder": 0o2770}


@pytest.fixture(params=UMASKS, ids=[f"{mask:03o}" for mask in UMASKS])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def kind_of(path: Path) -> str:
    return "folder" if path.is_dir() else "file"


def modes_other_than(wanted: dict[str, int], root: Path) -> dict[str, str]:
    """Everything below the directory, and that itself, that has another mode than its kind should."""
    found = {}
    for path in (root, *root.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode != wanted[kind_of(path)]:
            found[str(path.relative_to(root))] = f"{mode:04o}"
    return found


def names_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def begin_resumable(store: EmbeddedStore) -> None:
    writer = store.upload(UNIT, UploadSpec(50), resumable=True)
    for offset in (0, 1 << 20):
        data = LARGE[offset : offset + (1 << 20)]
        writer.write(Block(offset, data, checksum(data)))
    writer.suspend()


@pytest.mark.parametrize("group", [False, True])
def test_after_every_kind_of_work_everything_in_the_directory_has_its_mode(
    tmp_path: Path, umask: int, group: bool
) -> None:
    wanted = SHARED if group else PRIVATE
    root = tmp_path / "store"
    seen: set[str] = set()

    def look() -> None:
        assert modes_other_than(wanted, root) == {}
        seen.update(names_in(root))

    with EmbeddedStore(root, StoreOptions(group_access=group)) as store:
        look()
        upload(store, SMALL, data_id=1)
        upload(store, LARGE, data_id=2)
        look()
        succeeded(store.upload_many("others", [small(LARGE[:200_000], data_id=3)])[0])
        update(store, 2, LARGE[1:])
        delete(store, 1)
        begin_resumable(store)
        look()
        upload(store, LARGE, data_id=4)
        open_writer = store.upload(UNIT, UploadSpec(5))
        open_writer.write(Block(0, LARGE[: 1 << 20], checksum(LARGE[: 1 << 20])))
        look()
        open_writer.abort()
        followed = store.watch(since=0)
        assert next(iter(followed))
        followed.close()
        store.start_scrub(1000)
        (scrubber,) = store.engine.background
        assert isinstance(scrubber, Scrubber)
        while scrubber._lock is None:
            continue
        for _ in range(SETTLING_COMMITS):
            upload(store, SMALL)
        shutil.copyfile(next((root / UNIT).glob("*.vault")), root / UNIT / "999.vault")
        (root / UNIT / "999.vault").chmod(wanted["file"])
        assert store.check(repair=True).ok
        look()
    look()
    with EmbeddedStore(root) as again:  # whoever opens it next makes files alike
        upload(again, LARGE, data_id=6)
        look()
    (root / "register.db").write_bytes(b"damaged" * 1000)
    assert check_directory(root, repair=True).repairs
    look()
    with EmbeddedStore(root) as again:
        assert read(again, 6) == LARGE
        upload(again, LARGE, data_id=7)
        look()
    tops = {name.partition("/")[0] for name in seen}
    assert {".staging", ".lost", UNIT, "others", "register.db", "register.db-wal", "register.db-shm"} <= tops
    assert {"register.db-turn", "register.db-scrub", "register.db-reserve"} <= tops
    assert any(name.startswith("register.db.damaged-") for name in seen)
    assert any(name.endswith("/blocks") for name in seen)
    assert any(name.endswith("/intents") for name in seen)


def test_a_rebuild_makes_nothing_that_others_can_read_while_it_works(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    with EmbeddedStore(root) as store:
        upload(store, LARGE, data_id=1)
    (root / "register.db").write_bytes(b"damaged" * 1000)
    looked: list[str] = []

    def look(*arguments: object) -> object:
        assert modes_other_than(PRIVATE, root) == {}
        looked.extend(names_in(root / ".rebuild"))
        return Resolver(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("vault_server.storage.maintenance.rebuild.rebuild.Resolver", look)
    assert check_directory(root, repair=True).repairs
    assert {"copy.db", "work.db", "register.db", "register.db-wal"} <= set(looked)


def test_folders_above_a_new_store_are_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with EmbeddedStore(tmp_path / "above" / "store"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "above").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "above" / "store").stat().st_mode) == 0o700


def test_a_directory_that_was_there_keeps_its_mode_and_what_is_made_in_it_is_private(
    tmp_path: Path, umask: int
) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    root.chmod(0o777)
    (root / "notes").write_text("not the store's")
    (root / "notes").chmod(0o644)
    with EmbeddedStore(root) as store:
        upload(store, LARGE)
        assert modes_other_than(PRIVATE, root) == {".": "0777", "notes": "0644"}


def test_a_private_store_is_given_to_the_group_whole_and_strangers_files_are_left(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with EmbeddedStore(root) as store:
        upload(store, LARGE, data_id=1)
        upload(store, SMALL, data_id=2)
        begin_resumable(store)
    (root / "notes").write_text("not the store's")
    (root / "notes").chmod(0o600)
    with EmbeddedStore(root, StoreOptions(group_access=True)) as store:
        assert modes_other_than(SHARED, root) == {"notes": "0600"}
        upload(store, LARGE, data_id=3)
    with EmbeddedStore(root) as store:  # and stays so
        upload(store, LARGE, data_id=4)
        assert modes_other_than(SHARED, root) == {"notes": "0600"}


def test_giving_it_to_the_group_is_done_again_where_it_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    with EmbeddedStore(root) as store:
        upload(store, LARGE, data_id=1)
    left = [2]

    def cut_off(path: Path, group: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        widen(path, group)

    monkeypatch.setattr("vault_server.storage.files.directory.widen", cut_off)
    with pytest.raises(KeyboardInterrupt):
        EmbeddedStore(root, StoreOptions(group_access=True))
    monkeypatch.undo()
    assert modes_other_than(SHARED, root)
    with EmbeddedStore(root, StoreOptions(group_access=True)):
        assert modes_other_than(SHARED, root) == {}


def test_pyvaults_files_are_given_to_the_group_and_otherwise_left_as_they_are(tmp_path: Path) -> None:
    for name, group in (("private", False), ("shared", True)):
        root = tmp_path / name
        (root / UNIT).mkdir(parents=True)
        (root / UNIT / "7.vault").write_bytes(SMALL)
        (root / UNIT / "7.vault").chmod(0o640)
        (root / UNIT).chmod(0o750)
        root.chmod(0o750)
        with EmbeddedStore(root, StoreOptions(group_access=group)) as store:
            assert read(store, 7) == SMALL
            expected = {} if group else {".": "0750", UNIT: "0750", f"{UNIT}/7.vault": "0640"}
            assert modes_other_than(SHARED if group else PRIVATE, root) == expected


def test_an_older_store_that_everybody_can_read_is_told_of_and_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "store"
    with EmbeddedStore(root) as store:
        upload(store, SMALL, data_id=1)
        with caplog.at_level(logging.WARNING), EmbeddedStore(root):
            assert not caplog.records
    root.chmod(0o755)
    (root / "register.db").chmod(0o644)
    with caplog.at_level(logging.WARNING), EmbeddedStore(root) as store:
        assert [str(root) in record.getMessage() for record in caplog.records] == [True]
        upload(store, LARGE, data_id=2)
        assert stat.S_IMODE(blob_of(root, 2).stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "register.db").stat().st_mode) == 0o644


USING = """
import os, sys
from tests.storage.objects import LARGE, read, update, upload
from vault.errors import StorageError
from vault_server.storage import EmbeddedStore
root, private, user, group, number = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
EmbeddedStore(private).close()  # what is imported late may lie where another user cannot read it
os.setgroups([group])
os.setgid(user)
os.setuid(user)
os.umask(0o077)
try:
    store = EmbeddedStore(root)
except StorageError as error:
    print(error)
else:
    with store:
        if number > 1:
            assert read(store, number - 1) == LARGE
            update(store, number - 1, LARGE[1:])
        upload(store, LARGE, data_id=number)
        update(store, number, LARGE)
        upload(store, b"small", data_id=1000 + number)
    print("done")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run programs as two other users")
def test_users_of_the_group_work_on_one_store_and_others_are_kept_out() -> None:
    with TemporaryDirectory() as folder:  # not pytest's, which are private
        Path(folder).chmod(0o755)
        root = Path(folder) / "store"
        EmbeddedStore(root, StoreOptions(group_access=True)).close()
        for path in (root, *root.rglob("*")):
            os.chown(path, OTHERS[0], GROUP_OF_OTHERS)
            path.chmod(SHARED[kind_of(path)])  # `chown` takes the set-group-ID bit away

        def use(user: int, group: int, number: int) -> str:
            with start(USING, root, f"{folder}/own {number}", user, group, number) as process:
                return process.communicate(timeout=60)[0]

        for number, user in enumerate((*OTHERS, *OTHERS), 1):
            assert use(user, GROUP_OF_OTHERS, number) == "done\n"
        assert "Permission denied" in use(31_418, 31_418, 9)
        with EmbeddedStore(root) as store:
            assert store.check(deep=True).ok
            assert all(store.exists_many(UNIT, [1, 2, 3, 4]))


@pytest.mark.parametrize("group", [False, True])
def test_a_servers_unix_socket_is_its_owners_or_its_groups(umask: int, group: bool) -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o700)
        path = Path(folder) / "socket"
        settings = ServerSettings(group_access=group)
        with EmbeddedStore(Path(folder) / "store") as store, Server(store, f"unix:{path}", settings=settings) as server:
            assert stat.S_IMODE(path.stat().st_mode) == (SHARED if group else PRIVATE)["file"]
            with RemoteStore(server.address) as remote:
                assert remote.revision == 0


def test_the_async_store_and_the_opener_take_it_too(tmp_path: Path) -> None:
    async def use() -> None:
        async with AsyncEmbeddedStore(tmp_path / "a", StoreOptions(group_access=True)):
            assert modes_other_than(SHARED, tmp_path / "a") == {}

    asyncio.run(use())
    with opener.open(str(tmp_path / "b"), StoreOptions(group_access=True)):
        assert modes_other_than(SHARED, tmp_path / "b") == {}
