"""What is charged to principals: counted in the commit, the same for every process, mended, never over a limit."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from vault.errors import StorageFullError, VaultError
from vault.store.contract import BlockWriter
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, MetadataSpec, PutSpec, UpdateSpec, UploadSpec, new_request_id
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitLimits
from vault.store.values import Block, checksum
from vault_server import EmbeddedStore, MemoryStore, StoreOptions
from vault_server.storage import check_directory
from vault_server.storage.decision.writes import NOTHING, Delete, Put, SetMetadata, Update, Upload, Write

from tests.storage.charging import MOST_BYTES, MOST_OBJECTS, assert_never_over, write_as
from tests.storage.deciding import content
from tests.storage.objects import UNIT, start

LIMITS = PrincipalLimits(max_objects=7, max_bytes=70)

WRITING = """
import sys
from vault_server import EmbeddedStore, StoreOptions
from tests.storage.test_principal_quotas import write_all_the_time
with EmbeddedStore(sys.argv[1], StoreOptions(durability="relaxed")) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    print(write_all_the_time(store, int(sys.argv[2])), flush=True)
"""


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedStore | MemoryStore]:
    with MemoryStore() if request.param == "memory" else EmbeddedStore(tmp_path / "store") as opened:
        yield opened
        if isinstance(opened, EmbeddedStore):
            report = opened.check(deep=True)
            assert report.ok, report.problems


def upload(data_id: int, data: bytes = b"data", principal: str = "ann", name: str | None = None) -> Upload:
    return Upload(UNIT, UploadSpec(data_id, name), content(data), principal)


def committed(store: EmbeddedStore | MemoryStore, *writes: Write) -> list[str]:
    """What each write is refused for; "" where it is not."""
    return [outcome.reason if isinstance(outcome, VaultError) else "" for outcome in store.commits.commit(writes)]


def execute(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / "register.db")) as register, register:
        for statement in statements:
            register.execute(statement)


def charged(store: EmbeddedStore | MemoryStore, principal: str = "ann") -> tuple[int, int]:
    info = store.principal_info(principal)
    return info.objects, info.bytes


def test_whoever_writes_the_bytes_is_charged_for_them_until_they_go(store: EmbeddedStore | MemoryStore) -> None:
    assert (
        committed(store, upload(1, b"1"), upload(2, b"22"), upload(3, b"333", "bob"), upload(4, b"4444", ""))
        == [""] * 4
    )
    assert (charged(store), charged(store, "bob")) == ((2, 3), (1, 3))
    committed(store, SetMetadata(UNIT, MetadataSpec(1, tags={"a": "b"}), "bob"))
    assert (charged(store), charged(store, "bob")) == ((2, 3), (1, 3))
    committed(store, Update(UNIT, UpdateSpec(1), content(b"55555"), "bob"), Put(UNIT, PutSpec(None, 3), content(b"")))
    assert (charged(store), charged(store, "bob")) == ((1, 2), (1, 5))
    committed(store, Delete(UNIT, DeleteSpec(1), "ann"), Delete(UNIT, DeleteSpec(2)))
    assert (charged(store), charged(store, "bob")) == ((0, 0), (0, 0))
    assert store.principal_page().principals == []


def test_a_refusal_says_whose_limit_it_is(store: EmbeddedStore | MemoryStore) -> None:
    store.set_principal_limits("ann", PrincipalLimits(max_bytes=5))
    (refused,) = store.commits.commit([upload(1, b"123456")])
    assert isinstance(refused, StorageFullError)
    assert refused.reason == "QUOTA"
    assert refused.context == {"principal": "ann", "limit": 5, "size": 6}
    assert "'ann'" in refused.message


def test_deletes_pass_and_what_is_over_a_new_limit_stays(store: EmbeddedStore | MemoryStore) -> None:
    committed(store, *(upload(number) for number in range(1, 5)))
    assert store.set_principal_limits("ann", PrincipalLimits(0, 0)) == PrincipalInfo(
        "ann", 4, 16, PrincipalLimits(0, 0)
    )
    smaller = [
        Update(UNIT, UpdateSpec(number), content(b"x" * size), "ann") for number, size in ((1, 4), (2, 3), (3, 5))
    ]
    assert committed(store, *smaller) == ["", "", "QUOTA"]
    assert committed(store, upload(9), SetMetadata(UNIT, MetadataSpec(3, tags={"a": "b"}), "ann")) == ["QUOTA", ""]
    assert committed(store, *(Delete(UNIT, DeleteSpec(number), "ann") for number in range(1, 5))) == [""] * 4
    assert committed(store, upload(9, principal="bob"), upload(10, principal="")) == ["", ""]


def test_a_unit_evicts_nothing_for_a_write_that_its_principal_may_not_make(store: EmbeddedStore | MemoryStore) -> None:
    committed(store, upload(1), upload(2))
    store.set_unit_limits(UNIT, UnitLimits(max_objects=2, when_full="evict"))
    store.set_principal_limits("ann", PrincipalLimits(max_objects=2))
    assert committed(store, upload(3)) == ["QUOTA"]
    assert store.exists_many(UNIT, [1, 2]) != [0, 0]
    assert committed(store, upload(3, principal="bob")) == [""]
    assert (charged(store), charged(store, "bob")) == ((1, 4), (1, 4))


def test_what_has_expired_is_given_back(store: EmbeddedStore | MemoryStore) -> None:
    store.set_principal_limits("ann", PrincipalLimits(max_objects=1))
    assert committed(store, Put(UNIT, PutSpec("soon", 1, expires_in=1e-6), content(b"data"), "ann")) == [""]
    assert charged(store) == (0, 0)
    assert store.principal_page().principals == [PrincipalInfo("ann", limits=PrincipalLimits(max_objects=1))]
    assert committed(store, upload(2), upload(3)) == ["", "QUOTA"]


@pytest.mark.parametrize("resumable", [False, True])
def test_a_stream_is_refused_long_before_its_end(store: EmbeddedStore | MemoryStore, resumable: bool) -> None:
    block = b"x" * BLOCK_SIZE
    store.set_principal_limits("ann", PrincipalLimits(max_bytes=3 * BLOCK_SIZE))
    spec = UploadSpec(1)

    def begin() -> BlockWriter:
        return store.begin(Upload(UNIT, spec, NOTHING, "ann"), resumable=resumable)

    def go_on(writer: BlockWriter, until: int) -> None:
        for number in range(writer.persisted_size // BLOCK_SIZE, until):
            writer.write(Block(number * BLOCK_SIZE, block, checksum(block)))

    with begin() as writer, pytest.raises(StorageFullError) as caught:
        go_on(writer, 8)
    assert caught.value.context["principal"] == "ann"
    store.set_principal_limits("ann", PrincipalLimits(max_objects=0))
    with pytest.raises(StorageFullError):
        begin()
    spec = UploadSpec(2, request_id=new_request_id())
    store.set_principal_limits("ann", PrincipalLimits(max_bytes=9 * BLOCK_SIZE))
    with begin() as writer:
        go_on(writer, 3)
        writer.suspend()
    store.set_principal_limits("ann", PrincipalLimits(max_bytes=3 * BLOCK_SIZE))
    with begin() as writer:
        if not resumable:
            go_on(writer, 3)
        with pytest.raises(StorageFullError):
            go_on(writer, 8)
    assert charged(store) == (0, 0)


def test_limits_that_were_acknowledged_are_seen_by_other_processes_and_kept(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as one, EmbeddedStore(tmp_path) as other:
        one.set_principal_limits("ann", LIMITS)
        committed(other, upload(1))
        committed(one, upload(2))
        assert one.principal_info("ann") == other.principal_info("ann") == PrincipalInfo("ann", 2, 8, LIMITS)
    with EmbeddedStore(tmp_path) as store:
        assert store.principal_page(prefix="a").principals == [PrincipalInfo("ann", 2, 8, LIMITS)]


def write_all_the_time(store: EmbeddedStore, seed: int) -> dict[str, int]:
    """Four threads that write as one principal, and sometimes as another; how often which of it came to what."""
    by = {principal: store.for_principal(principal) if principal else store for principal in ("ann", "bob", "")}
    return write_as(by, range(seed * 4, seed * 4 + 4))


def test_eight_writers_in_two_processes_never_exceed_a_limit_by_a_byte(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        store.set_principal_limits("ann", PrincipalLimits(MOST_OBJECTS, MOST_BYTES))
        others = [start(WRITING, tmp_path, number) for number in (1, 2)]
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
        told = [other.communicate("go\n", timeout=100)[0] for other in others]
        assert [other.returncode for other in others] == [0, 0]
        assert all("put QUOTA" in each and "delete QUOTA" not in each for each in told), told
        assert_never_over(store, "ann")
        assert store.check(deep=True).ok


def test_a_register_of_before_gets_what_is_charged_to_whom_when_it_is_opened(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        committed(store, upload(1), upload(2, principal="bob"), upload(3, principal=""))
    execute(tmp_path, "DROP TABLE principals")
    failed: list[BaseException] = []
    ready = threading.Barrier(4)

    def open_it() -> None:
        try:
            ready.wait(30)
            with EmbeddedStore(tmp_path) as opened:
                assert [info.principal for info in opened.principal_page().principals] == ["ann", "bob"]
        except BaseException as error:  # noqa: BLE001  # told below
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with EmbeddedStore(tmp_path) as store:
        assert (charged(store), charged(store, "bob")) == ((1, 4), (1, 4))
        assert store.check(deep=True).ok


@pytest.mark.parametrize("wrong", [-1, 3, (1 << 63) - 1])
@pytest.mark.parametrize("column", ["objects", "bytes"])
def test_counts_that_are_wrong_are_told_and_counted_anew(tmp_path: Path, column: str, wrong: int) -> None:
    with EmbeddedStore(tmp_path) as store:
        committed(store, upload(1))
        store.set_principal_limits("ann", LIMITS)
        execute(tmp_path, f"UPDATE principals SET {column} = {wrong}")
        if wrong != 3:  # it can be none
            assert store.principal_info("ann") == PrincipalInfo("ann", 1, 4, LIMITS)
        assert [str(problem.detail) for problem in store.check().problems] == [
            "principals whose counts are not those of their objects: 1"
        ]
        report = store.check(repair=True)
        assert report.ok
        assert [repair.detail for repair in report.repairs] == ["what is charged to 1 principals is counted anew"]
        committed(store, upload(2))
        assert store.principal_info("ann") == PrincipalInfo("ann", 2, 8, LIMITS)
        assert store.check(deep=True).ok


def test_counts_that_are_damaged_refuse_no_delete(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        committed(store, upload(1), upload(2))
        for wrong in (-1, (1 << 63) - 1):
            execute(tmp_path, f"UPDATE principals SET objects = {wrong}, bytes = {wrong}")
            data_id = 1 if wrong == -1 else 2
            assert committed(store, Delete(UNIT, DeleteSpec(data_id))) == [""]
            assert charged(store)[0] == 2 - data_id
        execute(tmp_path, "DELETE FROM principals")
        assert committed(store, upload(3), Delete(UNIT, DeleteSpec(3))) == ["", ""]
        assert store.check(deep=True).ok


def test_a_limit_that_can_be_none_is_none_and_is_mended(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        store.set_principal_limits("ann", LIMITS)
        execute(tmp_path, "UPDATE principals SET max_objects = -5, max_bytes = -1")
        assert store.principal_info("ann").limits == PrincipalLimits()
        assert not store.check().ok
        report = store.check(repair=True)
        assert report.ok
        assert report.repairs
        assert store.principal_info("ann").limits == PrincipalLimits()


def test_who_is_charged_is_held_against_the_feed(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        committed(store, upload(1), upload(2, principal="bob"))
        committed(store, SetMetadata(UNIT, MetadataSpec(1, tags={"a": "b"}), "bob"))
        execute(tmp_path, "UPDATE objects SET principal = 'cho' WHERE data_id = 1")
        assert "objects that are charged to another than who wrote them: 1" in [
            problem.detail for problem in store.check().problems
        ]
        assert store.check(repair=True).ok
        assert (charged(store), charged(store, "bob"), charged(store, "cho")) == ((1, 4), (1, 4), (0, 0))


def test_an_object_that_comes_back_from_the_feed_is_charged_to_who_wrote_it(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        committed(store, upload(1), upload(2, principal="bob"))
        committed(store, SetMetadata(UNIT, MetadataSpec(1, tags={"a": "b"}), "bob"))
        execute(tmp_path, "DELETE FROM objects")
        assert store.check(repair=True).ok
        assert (charged(store), charged(store, "bob")) == ((1, 4), (1, 4))


@pytest.mark.parametrize("before", [False, True], ids=["", "of before"])
def test_a_rebuilt_register_keeps_limits_and_counts_anew(tmp_path: Path, before: bool) -> None:
    with EmbeddedStore(tmp_path, StoreOptions(durability="relaxed")) as store:
        committed(store, *(upload(number, b"x" * number, "ann" if number % 2 else "bob") for number in range(1, 9)))
        committed(store, SetMetadata(UNIT, MetadataSpec(1, name="one"), "bob"))
        store.set_principal_limits("ann", LIMITS)
        store.set_principal_limits("nobody", PrincipalLimits(max_bytes=5))
    execute(
        tmp_path,
        *(["DROP TABLE principals"] if before else []),
        "UPDATE principals SET objects = 99" if not before else "SELECT 1",
    )
    with (tmp_path / "register.db").open("r+b") as register:
        register.seek(100)
        register.write(bytes(60))  # the schema
    assert check_directory(tmp_path, repair=True).ok
    with EmbeddedStore(tmp_path) as store:
        limits = PrincipalLimits() if before else LIMITS
        expected = [PrincipalInfo("ann", 4, 16, limits), PrincipalInfo("bob", 4, 20)]
        if not before:
            expected.append(PrincipalInfo("nobody", limits=PrincipalLimits(max_bytes=5)))
        assert store.principal_page().principals == expected
        assert store.check(deep=True).ok
