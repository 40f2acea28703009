"""Replaced and deleted generations: kept for the grace, collected when it is over, whatever the clock does."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from vault.errors import ConflictError, InvalidArgumentError
from vault.store.contract import BlockReader
from vault.store.specs import SmallUpdate, UpdateSpec
from vault.store.values import checksum
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.index import retirement

from tests.storage.objects import LARGE, SMALL, UNIT, blob_files, delete, read, run, small, update, upload
from tests.waiting import assert_soon

HOUR = 3600 * 1_000_000


def read_generation(store: EmbeddedStore, data_id: int, generation: int) -> bytes | None:
    reader = store.load(UNIT, data_id, generation=generation)
    if reader is None:
        return None
    assert isinstance(reader, BlockReader)
    with reader:
        pieces = []
        for block in reader:
            block.verify(reader.info)
            pieces.append(bytes(block.data))
    return b"".join(pieces)


def query(store: EmbeddedStore, statement: str, *arguments: Any) -> list[Any]:
    """The rows of a statement, in a write transaction of its own."""
    return store.engine.writer.submit(lambda connection: connection.execute(statement, arguments).fetchall()).result()


def retired(store: EmbeddedStore) -> list[int]:
    return [generation for (generation,) in query(store, "SELECT generation FROM retired ORDER BY generation")]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["in the register", "in a file"])
def test_generations_stay_over_a_restart_and_go_when_they_expire(directory: Path, data: bytes) -> None:
    with EmbeddedStore(directory) as store:
        first = upload(store, data, data_id=1)
        second = update(store, 1, data[1:])
        delete(store, 1)
    with EmbeddedStore(directory, StoreOptions(retention=0)) as store:  # rows keep the term that they were retired with
        assert read_generation(store, 1, first.generation) == data
        assert read_generation(store, 1, second.generation) == data[1:]
        assert store.check(deep=True).ok
        query(store, "UPDATE retired SET collect_at = 1 WHERE generation = ?", first.generation)
    with EmbeddedStore(directory) as store:
        # Nobody writes: the first opportunity is the opening itself.
        assert_soon(lambda: read_generation(store, 1, first.generation) is None)
        assert read_generation(store, 1, second.generation) == data[1:]
        assert_soon(lambda: blob_files(directory) == ([f"1.{second.generation}.vault"] if data is LARGE else []))
        assert store.exists_many(UNIT, [1]) == [0]


def test_an_idle_store_collects_when_it_is_time_and_sleeps_until_then(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(retention=0.3)) as store:
        info = upload(store, LARGE, data_id=1)
        update(store, 1, SMALL)
        assert read_generation(store, 1, info.generation) == LARGE
        assert_soon(lambda: blob_files(directory) == [])
        with pytest.raises(ConflictError):
            store.load(UNIT, 1, generation=info.generation)
        assert read(store, 1) == SMALL
        assert_soon(lambda: store.engine.writer._sweeper.wait is None)  # nothing is left to wake up for


def test_the_writer_sleeps_while_nothing_is_due(directory: Path) -> None:
    for _ in range(2):  # what this process retired; what another did
        with EmbeddedStore(directory) as store:
            if store.revision == 0:
                upload(store, LARGE, data_id=1)
                update(store, 1, SMALL)
            assert_soon(lambda: 200 < (store.engine.writer._sweeper.wait or 0) <= 300)


def test_any_process_collects_what_another_retired(directory: Path) -> None:
    run(
        """
import sys
from tests.storage.objects import LARGE, update, upload
from vault_server.storage import EmbeddedStore, StoreOptions
with EmbeddedStore(sys.argv[1], StoreOptions(retention=0.1)) as store:
    upload(store, LARGE, data_id=1)
    update(store, 1, LARGE[1:])
    update(store, 1, LARGE[2:])
""",
        directory,
    )
    with EmbeddedStore(directory) as store:
        assert_soon(lambda: blob_files(directory) == ["1.3.vault"])
        assert read(store, 1) == LARGE[2:]


def test_a_clock_that_jumps_forward_only_shortens_the_grace(store: EmbeddedStore) -> None:
    info = upload(store, LARGE, data_id=1)
    update(store, 1, SMALL)
    query(store, "UPDATE retired SET retired_at = retired_at - ?, collect_at = collect_at - ?", HOUR, HOUR)
    store.engine.writer._sweeper._due = 0.0  # the writer sleeps by a clock that does not jump
    assert_soon(lambda: retired(store) == [])
    assert_soon(lambda: blob_files(store.directory) == [])
    with pytest.raises(ConflictError):
        store.load(UNIT, 1, generation=info.generation)


def test_what_was_retired_in_the_future_counts_as_retired_now(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        info = upload(store, LARGE, data_id=1)
        update(store, 1, SMALL)
        query(store, "UPDATE retired SET retired_at = retired_at + ?, collect_at = collect_at + ?", *[24 * HOUR] * 2)
    before = time.time_ns() // 1000
    with EmbeddedStore(directory) as store:
        upload(store, SMALL)  # the first transaction looks
        ((retired_at, collect_at),) = query(store, "SELECT retired_at, collect_at FROM retired")
        assert before <= retired_at <= time.time_ns() // 1000
        assert collect_at - retired_at == 300 * 1_000_000
        assert read_generation(store, 1, info.generation) == LARGE


def test_without_a_retention_nothing_is_kept(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(retention=0)) as store:
        for data in (SMALL, LARGE):
            info = upload(store, data)
            update(store, info.data_id, b"new")
            with pytest.raises(ConflictError):
                store.load(UNIT, info.data_id, generation=info.generation)
        assert retired(store) == []
        assert_soon(lambda: blob_files(directory) == [])


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), True, "300", None, 1e9])
def test_a_retention_that_is_none_is_refused(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="bad retention") as raised:
        EmbeddedStore(tmp_path, StoreOptions(retention=bad))
    assert raised.value.reason == "BAD_SETTING"


def test_a_reader_and_a_collection_do_not_meet(directory: Path) -> None:
    """Readers of generations that are collected under their hands read all of one, or are told."""
    with EmbeddedStore(directory, StoreOptions(retention=0.02)) as store:
        newest = upload(store, LARGE, data_id=1)
        generations = [newest.generation]
        stop = threading.Event()
        wrong: list[object] = []

        def look() -> None:
            while not stop.is_set():
                wanted = generations[max(-2, -len(generations))]
                try:
                    found = read_generation(store, 1, wanted)
                except ConflictError:
                    continue
                if found != LARGE[wanted:] and found != LARGE:
                    wrong.append(wanted)

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(40):
            following = generations[-1] + 1
            newest = update(store, 1, LARGE[following:])
            assert newest.generation == following
            generations.append(following)
        stop.set()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_replaced_small_objects_do_not_grow_the_register_for_ever(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 1 << 20
    monkeypatch.setattr(retirement, "INLINED_LIMIT", limit)
    data = bytes(50_000)
    with EmbeddedStore(directory) as store:
        store.upload_many(UNIT, [small(data, data_id=1)])
        large = upload(store, LARGE, data_id=2)
        update(store, 2, SMALL)
        for number in range(100):
            changed = number.to_bytes(4) + data
            store.update_many(UNIT, [SmallUpdate(UpdateSpec(1), changed, checksum(changed))])
        ((held, newest),) = query(
            store, "SELECT sum(size), max(generation) FROM retired JOIN contents ON number = content WHERE file IS NULL"
        )
        assert limit // 2 < held <= limit + limit // 4 + 2 * len(data)
        assert newest == store.revision - 1, "the oldest go first"
        assert read_generation(store, 2, large.generation) == LARGE, "files are not the register's growth"


def test_a_collection_tells_watchers_nothing(store: EmbeddedStore) -> None:
    upload(store, LARGE, data_id=1)
    update(store, 1, SMALL)
    feed = store.engine.feed
    assert store.changes(2) == (2, [])
    window, wakes = feed._window, feed._moves._count
    query(store, "UPDATE retired SET collect_at = 1")
    store.engine.writer._sweeper._due = 0.0
    assert_soon(lambda: retired(store) == [] and blob_files(store.directory) == [])
    assert store.changes(2) == (2, [])
    assert feed._window is window, "nothing was read anew"
    assert feed._moves._count == wakes, "and nobody was woken"
