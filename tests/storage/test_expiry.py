"""What expires in a directory: deleted within a second by whoever has it open, for good; and never for damage."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from vault.errors import CorruptionError
from vault.store.contract import Store
from vault.store.specs import DeleteSpec, MetadataSpec, PutSpec, SmallPut
from vault.store.values import Block, Change, ChangeKind, ObjectInfo, Progress, checksum
from vault_server import EmbeddedStore, MemoryStore, StoreOptions
from vault_server.storage import check_directory
from vault_server.storage.clock import DAY, StoreClock, sound_clock, wall_clock
from vault_server.storage.index import expiring

from tests.storage.objects import LARGE, SMALL, UNIT, blob_files, read, run, succeeded, upload
from tests.waiting import assert_soon

SOON = 0.05

PUTTING = """
import os, sys
from tests.storage.test_expiry import put
from vault_server import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
put(store, "theirs", float(sys.argv[2]))
os._exit(0)
"""

FORKING = """
import os, sys, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which is what is tried here
from tests.storage.test_expiry import deleted, put
from vault_server import AsyncEmbeddedStore, EmbeddedStore
store = EmbeddedStore(sys.argv[1])
for_tasks = AsyncEmbeddedStore(store)
put(store, "before", 0.3)
parents = store.clock
child = os.fork()
if not child:
    assert for_tasks.clock is store.clock is not parents
    assert store.clock.now() >= parents.latest
    events = iter(store.watch(since=0))
    assert deleted(events) == "before"
    put(store, "after", 0.05)
    assert deleted(events) == "after"
    store.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert store.stat_many("files", ["before", "after"]) == [None, None]
assert store.check(deep=True).ok
store.close()
print("ok")
"""

# Time goes on two hours in a commit, and back: the store's does not.
JUMPING = """
import sys, time
from datetime import timedelta
real_ns, hours = time.time_ns, [0]
time.time_ns = lambda: real_ns() + hours[0] * 3600 * 10**9
from tests.storage.test_expiry import put
from tests.storage.objects import UNIT, run, upload
from vault_server import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
other = EmbeddedStore(sys.argv[1])
info = put(store, "name", 3600)
late = put(store, "late", 10 * 3600)
assert store.exists_many(UNIT, ["name"]) == other.exists_many(UNIT, ["name"]) == [1]
hours[0] = 2
assert store.exists_many(UNIT, ["name"]) == [0]
hours[0] = 0
assert store.exists_many(UNIT, ["name"]) == [0], "it came back"
assert other.exists_many(UNIT, ["name"]) == [1], "nobody has told it"
hours[0] = 2
upload(store, b"x", data_id=5)  # the time of this commit is the store's from now on
hours[0] = 0
for each in (other, EmbeddedStore(sys.argv[1])):
    assert each.exists_many(UNIT, ["name"]) == [0]
    assert each.time >= info.expires_at
    assert each.stat_many(UNIT, ["late"]) == [late]
fresh = put(other, "fresh", 3600)
assert fresh.expires_at - info.expires_at >= timedelta(hours=1), "it counts from the store's time"
assert other.exists_many(UNIT, ["fresh", "late"]) != [0, 0]
hours[0] = 24 * 365 * 20
assert other.list_page(UNIT).objects == store.stat_many(UNIT, [5])
hours[0] = 0
assert other.exists_many(UNIT, ["late"]) == [0]
print("ok")
"""


def put(store: Store, name: str, seconds: float | None, data: bytes = SMALL) -> ObjectInfo:
    (outcome,) = store.put_many(UNIT, [SmallPut(PutSpec(name, expires_in=seconds), data, checksum(data))])
    return succeeded(outcome)


def deleted(events: Iterator[Change | Progress]) -> str | None:
    """The name of the next object that a watch tells to be deleted."""
    for event in events:
        if isinstance(event, Change) and event.kind is ChangeKind.DELETED:
            return event.name
    raise AssertionError("the watch ended")


def wait_for_rows(directory: Path, count: int) -> None:
    """Waits until the register has so many objects, looking past the store."""
    deadline = time.monotonic() + 60
    while rows(directory) != count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def rows(directory: Path) -> int:
    with closing(sqlite3.connect(directory / "register.db")) as register:
        return int(register.execute("SELECT count(*) FROM objects").fetchone()[0])


@contextmanager
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """When it is looked for what has expired."""
    found: list[float] = []
    real = expiring.find_expired

    def find(*arguments: object) -> object:
        found.append(time.monotonic())
        return real(*arguments)  # type: ignore[arg-type]  # as they come

    with monkeypatch.context() as patch:
        patch.setattr("vault_server.storage.commit.expiry.find_expired", find)
        yield found


def test_what_another_process_put_is_deleted_by_who_follows_the_feed(directory: Path) -> None:
    with EmbeddedStore(directory) as store, store.watch() as watch:
        run(PUTTING, directory, 0.3)
        assert deleted(iter(watch)) == "theirs"
        assert rows(directory) == 0
        assert store.check(deep=True).ok


def test_what_expired_while_nobody_had_the_store_open_is_absent_and_deleted_when_somebody_has(directory: Path) -> None:
    run(PUTTING, directory, 0.000_001)
    with closing(sqlite3.connect(directory / "register.db")) as register:
        register.execute("SELECT 1 FROM objects").fetchone()
    with EmbeddedStore(directory) as store:
        assert store.list_units() == []
        assert store.exists_many(UNIT, ["theirs"]) == [0]
        wait_for_rows(directory, 0)
        (kind,) = [change.kind for change in store.changes(1)[1]]
        assert kind is ChangeKind.DELETED
        assert store.check(deep=True).ok


def test_several_processes_delete_it_once(directory: Path) -> None:
    stores = [EmbeddedStore(directory) for _ in range(3)]
    try:
        watches = [iter(store.watch()) for store in stores]
        for events in watches:
            next(events)
        for number in range(20):
            put(stores[number % 3], f"n{number}", SOON)
        for events in watches:
            assert {deleted(events) for _ in range(20)} == {f"n{number}" for number in range(20)}
        assert [change.kind for change in stores[0].changes(0)[1]].count(ChangeKind.DELETED) == 20
        assert stores[0].check(deep=True).ok
    finally:
        for store in stores:
            store.close()


def test_a_forked_child_deletes_what_expires(directory: Path) -> None:
    assert run(FORKING, directory) == "ok\n"


def test_the_stores_time_does_not_go_back_and_nothing_comes_back(directory: Path) -> None:
    assert run(JUMPING, directory) == "ok\n"


def test_a_transaction_that_fails_before_it_is_time_puts_nothing_off(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        put(store, "name", 0.5)
        with pytest.raises(ZeroDivisionError):
            store.engine.writer.submit(lambda _: 1 / 0).result()
        assert_soon(lambda: store.changes(0)[1][-1].kind is ChangeKind.DELETED, 20)


def test_bytes_in_files_go_with_the_retention(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(retention=0)) as store:
        with store.put(UNIT, PutSpec("name", expires_in=SOON)) as writer:
            for start_at in range(0, len(LARGE), 1 << 20):
                data = LARGE[start_at : start_at + (1 << 20)]
                writer.write(_block(start_at, data))
            info = writer.commit(len(LARGE))
        assert len(blob_files(directory)) == 1
        deadline = time.monotonic() + 60
        while blob_files(directory):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert store.load(UNIT, info.data_id, generation=info.generation) is None
        assert store.check(deep=True).ok


def _block(offset: int, data: bytes) -> Block:
    return Block(offset, data, checksum(data))


def test_a_store_is_closed_at_once_though_something_expires(directory: Path) -> None:
    begun = time.monotonic()
    with EmbeddedStore(directory) as store:
        put(store, "name", 1000)
        put(store, "soon", SOON)
    with MemoryStore() as memory:
        put(memory, "name", 1000)
    assert time.monotonic() - begun < 30
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vault-writer")]


def test_nobody_looks_before_it_is_time(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with looks(monkeypatch) as looked, EmbeddedStore(directory) as store, store.watch() as watch:
        put(store, "later", 1000)
        upload(store, SMALL)
        info = put(store, "name", 4 * SOON)
        assert deleted(iter(watch)) == "name"
        assert info.expires_at is not None
        ahead = time.monotonic() - (datetime.now(UTC) - info.expires_at).total_seconds()
        assert looked
        assert min(looked) >= ahead - 0.001
        assert len(looked) <= 4


def test_a_process_for_which_nothing_expires_starts_no_thread_and_looks_at_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, SMALL, data_id=1)
    before = threading.active_count()
    with looks(monkeypatch) as looked, EmbeddedStore(directory) as store:
        assert read(store, 1) == SMALL
        assert store.time <= datetime.now(UTC)
        assert threading.active_count() == before
        assert store.engine.writer.expiry.wait is None
        assert not looked


# Damage

MOMENT = 1_000_000_000_000_000  # in 2001


def damage(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / "register.db")) as register, register:
        register.execute(statement)


@pytest.mark.parametrize("seconds", [None, 1000])
def test_an_object_is_not_deleted_for_a_moment_that_its_row_was_damaged_to(
    directory: Path, seconds: float | None
) -> None:
    with EmbeddedStore(directory) as store:
        data = checksum(SMALL)
        (kept,) = store.put_many(UNIT, [SmallPut(PutSpec("name", 1, expires_in=seconds), SMALL, data)])
        damage(directory, f"UPDATE objects SET expires_at = {MOMENT}")
    with EmbeddedStore(directory) as store, store.watch() as watch:
        put(store, "other", SOON)
        assert deleted(iter(watch)) == "other"  # and so this one would be by now
        calls: tuple[Callable[[], object], ...] = (
            lambda: store.set_metadata(UNIT, MetadataSpec(1, tags={"a": "b"})),
            lambda: store.set_metadata(UNIT, MetadataSpec("name", expires_in=1000)),
        )
        for call in calls:
            with pytest.raises(CorruptionError):
                call()
        for outcome in (
            *store.put_many(UNIT, [SmallPut(PutSpec("name"), b"", checksum(b""))]),
            *store.delete_many(UNIT, [DeleteSpec(1)]),
        ):
            assert isinstance(outcome, CorruptionError)
        report = store.check()
        assert [problem.data_id for problem in report.problems] == [1]
    assert rows(directory) == 1
    check_directory(directory, repair=True)
    with EmbeddedStore(directory) as store:
        assert store.stat_many(UNIT, ["name"]) == [kept]
        assert read(store, 1) == SMALL
        assert store.check(deep=True).ok
        damage(directory, f"UPDATE changes SET expires_at = {MOMENT} WHERE revision = 1")
        assert store.stat_many(UNIT, ["name"]) == [kept]
        assert not store.check().ok
        assert store.check(repair=True).ok
        assert store.stat_many(UNIT, ["name"]) == [kept]


def test_a_damaged_row_that_has_expired_is_left_and_looked_at_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "damaged"
    with EmbeddedStore(directory) as store:
        put(store, "name", 1000)
        for table in ("objects", "changes"):
            damage(directory, f"UPDATE {table} SET expires_at = {MOMENT}, size = -5")
    with looks(monkeypatch) as looked, EmbeddedStore(directory) as store, store.watch() as watch:
        events = iter(watch)
        for number in range(4):
            put(store, f"n{number}", SOON)
            assert deleted(events) == f"n{number}"
        assert len(looked) < 40
    assert rows(directory) == 1


def test_a_clock_that_was_damaged_makes_nothing_expire(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        info = put(store, "name", 1000)
        for clock in (1 << 60, -5, (1 << 63) - 1):
            damage(directory, f"UPDATE meta SET clock = {clock}")
            assert store.stat_many(UNIT, ["name"]) == [info]
            with EmbeddedStore(directory) as other:
                assert other.list_page(UNIT).objects == [info]
        assert store.time < datetime.now(UTC) + timedelta(seconds=10)
        upload(store, SMALL)
        assert store.exists_many(UNIT, ["name"]) == [info.generation]
        assert store.check(deep=True).ok


@pytest.mark.parametrize("hours", [0, 30])
def test_a_rebuilt_register_keeps_when_things_expire(directory: Path, hours: int) -> None:
    with EmbeddedStore(directory) as store:
        kept = put(store, "kept", hours * 3600 + 1000)
        put(store, "gone", 0.000_001)
        never = upload(store, LARGE, data_id=7)
    for pages in ("register.db",):
        with (directory / pages).open("r+b") as register:
            register.seek(100)
            register.write(os.urandom(60))  # the schema
    check_directory(directory, repair=True)
    with EmbeddedStore(directory) as store:
        (found,) = store.stat_many(UNIT, ["kept"])
        assert found is not None
        assert (found.expires_at, found.data_id) == (kept.expires_at, kept.data_id)
        assert store.exists_many(UNIT, ["gone"]) == [0]
        assert [info.expires_at for info in store.stat_many(UNIT, [7]) if info] == [never.expires_at]
        report = store.check(deep=True)
        assert report.ok, report.problems


# The clock


def test_a_clock_never_goes_back() -> None:
    wall = [100]
    clock = StoreClock(lambda: wall[0])
    seen = [clock.now()]
    for wall[0], commit in ((90, 0), (110, 0), (95, 200), (150, 0), (201, 150)):
        clock.raise_to(commit)
        seen.append(clock.now())
    assert seen == [100, 100, 110, 200, 200, 201]
    assert StoreClock(lambda: 5, since=clock.latest).now() == 201


def test_a_time_that_an_index_keeps_is_believed_when_it_can_be() -> None:
    now = wall_clock()
    assert sound_clock(now, now) == now
    assert sound_clock(now - DAY, None) == now - DAY
    assert sound_clock(now + 400 * DAY, now + 400 * DAY) == now + 400 * DAY  # the last commit was really then
    assert sound_clock(now + 400 * DAY, now) == now
    assert sound_clock(now + 400 * DAY, None) == 0
    assert sound_clock("x", now) == now
    assert sound_clock(-1, "y") == 0
