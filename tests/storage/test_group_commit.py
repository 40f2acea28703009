"""Many callers in one transaction: nobody waits for nothing, and nobody pays for another's failure."""

import asyncio
import signal
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from vault.errors import AlreadyExistsError, ClosedError, ConflictError, StorageError
from vault.store.specs import SmallUpload, UpdateSpec, UploadSpec
from vault.store.values import ChangeKind, ObjectInfo, checksum
from vault_server.storage import EmbeddedStore, failpoints
from vault_server.storage.decision.writes import Upload
from vault_server.storage.failpoints import Point
from vault_server.storage.generic._async.commits import AsyncCommits
from vault_server.storage.memory import AsyncMemoryStore
from vault_server.storage.uploads.incoming import small_content

from tests.storage.objects import (
    INLINE,
    LARGE,
    SMALL,
    UNIT,
    queue_uploads,
    read,
    small,
    start,
    succeeded,
    update,
    upload,
)


def held(store: EmbeddedStore, submit: Callable[[], None]) -> None:
    """Calls `submit` while the writer is busy, so that all that it submits goes into one transaction."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(_connection: sqlite3.Connection) -> None:
        begun.set()
        assert go_on.wait(30)

    holding = store.engine.writer.submit(hold)
    assert begun.wait(30)
    submit()
    go_on.set()
    holding.result()


def test_writes_of_many_threads_are_all_there_in_one_order(store: EmbeddedStore) -> None:
    with ThreadPoolExecutor(16) as pool:
        infos = list(pool.map(lambda number: upload(store, b"%d" % number, data_id=number + 1), range(400)))
    assert sorted(info.revision for info in infos) == list(range(1, 401))
    revision, changes = store.changes(0)
    assert revision == 400
    assert [(change.revision, change.data_id) for change in changes] == sorted(
        (info.revision, info.data_id) for info in infos
    )
    assert all(read(store, number + 1) == b"%d" % number for number in range(0, 400, 37))


def test_one_failing_write_or_job_takes_nobody_with_it(store: EmbeddedStore) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM objects")
        raise ConflictError("on purpose")

    upload(store, SMALL, data_id=99)
    futures: list[Future[Any]] = []

    def submit() -> None:
        for number in range(3):
            futures.append(queue_uploads(store, [small(data_id=number + 1), small(data_id=99)]))
            futures.append(store.engine.writer.submit(fail))

    held(store, submit)
    for number in range(3):
        outcome, refused = futures[2 * number].result()
        assert succeeded(outcome).revision == number + 2
        assert isinstance(refused, AlreadyExistsError)
        with pytest.raises(ConflictError):
            futures[2 * number + 1].result()
    assert store.revision == 4
    assert store.exists_many(UNIT, [99]) == [1]


def test_a_damaged_row_in_the_way_of_one_write_costs_the_others_nothing_of_their_files(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store"):
        pass
    with closing(sqlite3.connect(tmp_path / "store" / "register.db", isolation_level=None)) as connection:
        connection.execute("INSERT INTO tags VALUES (?, 'k', 'v', 3)", (UNIT,))
    data = {data_id: LARGE[data_id : data_id + INLINE + 1] for data_id in range(1, 9)}
    items = [SmallUpload(UploadSpec(data_id, tags={"k": "v"}), each, checksum(each)) for data_id, each in data.items()]
    with EmbeddedStore(tmp_path / "store") as store:
        outcomes = dict(zip(data, store.upload_many(UNIT, items), strict=True))
        assert isinstance(outcomes.pop(3), StorageError)
        assert all(isinstance(outcome, ObjectInfo) for outcome in outcomes.values())
        upload(store, SMALL)  # the file that is not needed goes with it
        assert all(read(store, data_id) == data[data_id] for data_id in outcomes)
        assert len(list((tmp_path / "store").rglob("*.vault"))) == len(outcomes)


def test_a_transaction_that_cannot_commit_fails_its_writes_and_no_others(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_the_commit(point: Point) -> None:
        if point == "change recorded":
            error = sqlite3.OperationalError("the transaction is gone")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

    futures: list[Future[Any]] = []

    def submit() -> None:
        monkeypatch.setattr(failpoints, "_call", break_the_commit)
        futures.append(queue_uploads(store, [small(data_id=1), small(LARGE[: 1 << 20], data_id=2)]))
        futures.append(queue_uploads(store, [small(data_id=3)]))

    held(store, submit)
    for future in futures:
        assert "the transaction is gone" in str(future.result()[0])
    monkeypatch.undo()
    assert store.exists_many(UNIT, [1, 2, 3]) == [0, 0, 0]
    upload(store, LARGE, data_id=2)
    assert read(store, 2) == LARGE


def test_of_a_group_that_meets_a_damaged_row_only_the_write_on_it_is_refused(store: EmbeddedStore) -> None:
    def damage(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO tags VALUES (?, 'k', 'v', 5)", (UNIT,))

    store.engine.writer.submit(damage).result()
    items = [small(data_id=number, name=f"{number}") for number in range(1, 9)]
    items[4] = replace(items[4], spec=replace(items[4].spec, tags={"k": "v"}))
    outcomes = store.upload_many(UNIT, items)
    assert [type(outcome) for outcome in outcomes] == [*[ObjectInfo] * 4, StorageError, *[ObjectInfo] * 3]
    assert store.exists_many(UNIT, [5]) == [0]
    assert store.revision == 7
    store.engine.writer.submit(lambda connection: connection.execute("DELETE FROM tags")).result()


def test_of_many_racing_writers_of_one_generation_one_wins(store: EmbeddedStore) -> None:
    info = upload(store, b"0")
    barrier = threading.Barrier(8)

    def race(number: int) -> bool:
        barrier.wait()
        try:
            update(store, info.data_id, b"%d" % number, if_generation=info.generation)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(race, range(8))) == 1


def test_of_many_racing_writers_of_one_name_one_wins(store: EmbeddedStore) -> None:
    barrier = threading.Barrier(8)

    def race(_: int) -> bool:
        barrier.wait()
        try:
            upload(store, LARGE, name="one")
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(race, range(8))) == 1


def test_closing_finishes_what_was_submitted(store: EmbeddedStore) -> None:
    futures = [queue_uploads(store, [small(data_id=number + 1)]) for number in range(50)]
    writer = store.update(UNIT, UpdateSpec(succeeded(futures[0].result()[0]).data_id))
    store.close()
    store.close()
    assert all(succeeded(future.result()[0]) for future in futures)
    for call in (lambda: store.exists_many(UNIT, [1]), lambda: store.changes(0), lambda: writer.commit(0)):
        with pytest.raises(ClosedError):
            call()
    with EmbeddedStore(store.directory) as again:
        assert all(again.exists_many(UNIT, list(range(1, 51))))
        assert {change.kind for change in again.changes(0)[1]} == {ChangeKind.UPLOADED}


ROOM = """
import os, signal, sys
from tests.storage.objects import INLINE, LARGE, UNIT, blocks_of, queue_deletes, upload
from tests.storage.test_group_commit import held
from vault.store.specs import DeleteSpec, UpdateSpec
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.failpoints import switch_on

store = EmbeddedStore(sys.argv[1], StoreOptions(retention=float(sys.argv[2])))
upload(store, LARGE, data_id=1)
upload(store, LARGE, data_id=2)
writer = store.update(UNIT, UpdateSpec(1))
for block in blocks_of(LARGE[1:]):
    writer.write(block)
done = []

def submit():
    # As a thread asks that stages an upload, and finds the disk full: before, and together with what replaces.
    for _ in range(2):
        done.append(store.engine.writer._submit(store.engine.writer._sweeper.make_room))
        if len(done) == 1:
            writer.begin_commit(len(LARGE) - 1)
            queue_deletes(store, [DeleteSpec(2)])

def at(point):
    if point == "before COMMIT" and done:
        finishing.append(point)
        if len(finishing) == int(sys.argv[3]):  # the first is that of `held`
            os.kill(os.getpid(), signal.SIGKILL)

finishing = []
switch_on(at)
held(store, submit)
done[1].result()
"""


@pytest.mark.parametrize("retention", [300, 0])
@pytest.mark.parametrize("killed", [2, 3, 4])
def test_room_is_not_made_of_what_is_not_replaced_for_good(directory: Path, retention: int, killed: int) -> None:
    with start(ROOM, directory, retention, killed) as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    with EmbeddedStore(directory) as store:
        if killed == 4:  # the replacing transaction is durable
            assert store.revision == 4
            assert read(store, 1) == LARGE[1:]
            assert store.exists_many(UNIT, [2]) == [0]
        else:
            assert store.revision == 2
            assert read(store, 1) == read(store, 2) == LARGE


def writes_of(principal: str, first: int, count: int) -> list[Upload]:
    return [Upload(UNIT, UploadSpec(first + n), small_content(b"x", checksum(b"x")), principal) for n in range(count)]


def test_one_principals_many_writes_delay_anothers_by_one_group(store: EmbeddedStore) -> None:
    writer = store.engine.writer
    futures: list[Future[Sequence[Any]]] = []

    def submit() -> None:
        futures.extend(writer.write_many(writes_of("greedy", 1000 * n + 1, 1000)) for n in range(4))
        futures.extend(writer.write_many(writes_of("polite", 10_001 + n, 1)) for n in range(2))

    held(store, submit)
    revisions = [succeeded(future.result()[0]).revision for future in futures]
    assert max(revisions[4:]) <= 2002
    assert revisions[:4] == sorted(revisions[:4])


async def test_one_principals_many_writes_delay_anothers_by_one_group_in_every_engine() -> None:
    async with AsyncMemoryStore() as memory:
        commits = memory.commits
        assert isinstance(commits, AsyncCommits)
        async with commits._lock:
            waiting = [asyncio.ensure_future(commits.commit(writes_of("greedy", 1000 * n + 1, 1000))) for n in range(4)]
            await asyncio.sleep(0)
            waiting += [asyncio.ensure_future(commits.commit(writes_of("polite", 10_001 + n, 1))) for n in range(2)]
            await asyncio.sleep(0)
        revisions = [succeeded(outcomes[0]).revision for outcomes in await asyncio.gather(*waiting)]  # type: ignore[arg-type]  # of uploads
    assert max(revisions[4:]) <= 2002
    assert revisions[:4] == sorted(revisions[:4])
