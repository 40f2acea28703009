"""Purging removes what is retained now; what is current stays, and who reads a retained generation reads on."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from vault.errors import ConflictError, InvalidArgumentError, StorageError
from vault.store.contract import BlockReader
from vault.store.specs import PutSpec
from vault.testing.store.objects import small_put
from vault_server.storage import AsyncEmbeddedStore, AsyncMemoryStore, EmbeddedStore, MemoryStore

from tests.storage.objects import LARGE, SMALL, UNIT, blob_files, blob_of, delete, read, update, upload


@pytest.fixture(params=["embedded", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with EmbeddedStore(tmp_path / "store") if request.param == "embedded" else MemoryStore() as opened:
        yield opened


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_what_is_retained_goes_now_and_what_is_current_stays(store: Any, data: bytes) -> None:
    first = upload(store, data, data_id=1)
    second = update(store, 1, data[1:])
    upload(store, data, data_id=2)
    delete(store, 2)
    revision = store.revision
    assert store.purge_retained() == (2, 2 * len(data))
    with pytest.raises(ConflictError):
        store.load(UNIT, 1, generation=first.generation)
    assert read(store, 1, generation=second.generation) == read(store, 1) == data[1:]
    assert store.revision == revision
    assert store.purge_retained() == (0, 0)


def test_a_unit_may_be_purged_alone(store: Any) -> None:
    for unit in ("one", "other"):
        upload(store, LARGE, unit=unit, data_id=1)
        delete(store, 1, unit=unit)
    assert store.purge_retained("one") == (1, len(LARGE))
    assert store.load("one", 1, generation=1) is None
    assert read(store, 1, unit="other", generation=3) == LARGE
    with pytest.raises(InvalidArgumentError):
        store.purge_retained("bad/unit")


def test_the_bytes_are_off_the_disk_when_it_returns_however_many_they_are(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        data = LARGE[:70_000]
        upload(store, data, data_id=1)
        for _ in range(600):
            update(store, 1, data)
        assert len(blob_files(tmp_path / "store")) == 601
        assert store.purge_retained() == (600, 600 * len(data))
        assert len(blob_files(tmp_path / "store")) == 1
        assert store.check(deep=True).ok


def test_readers_that_have_it_open_read_on(store: Any) -> None:
    old = upload(store, LARGE, data_id=1)
    with ExitStack() as stack:
        reader = stack.enter_context(store.load(UNIT, 1))
        retained = []
        update(store, 1, SMALL)
        retained.append(stack.enter_context(store.load(UNIT, 1, generation=old.generation)))
        assert store.purge_retained().objects == 1
        for each in (reader, *retained):
            assert isinstance(each, BlockReader)
            assert b"".join(bytes(block.data) for block in each) == LARGE
    with pytest.raises(ConflictError):
        store.load(UNIT, 1, generation=old.generation)


def test_beside_writers_and_readers_nothing_current_is_lost(store: Any) -> None:
    names = range(1, 9)
    for data_id in names:
        upload(store, LARGE, data_id=data_id)
    over = threading.Event()

    def write(data_id: int) -> int:
        for number in range(15):
            update(store, data_id, LARGE[number:])
        return data_id

    def purge() -> int:
        objects = 0
        while not over.is_set():
            objects += store.purge_retained().objects
        return objects + int(store.purge_retained().objects)

    def look() -> None:
        while not over.is_set():
            for data_id in names:
                assert LARGE.endswith(read(store, data_id))

    with ThreadPoolExecutor(12) as threads:
        purged, looking = threads.submit(purge), threads.submit(look)
        try:
            list(threads.map(write, names))
        finally:
            over.set()
        looking.result(60)
        assert purged.result(60) == 8 * 15
    assert [read(store, data_id) for data_id in names] == [LARGE[14:]] * 8
    if isinstance(store, EmbeddedStore):
        assert store.check(deep=True).ok


def test_what_cannot_be_removed_is_said_and_goes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        upload(store, LARGE, data_id=1)
        path = blob_of(tmp_path / "store", 1)
        delete(store, 1)
        path.unlink()
        path.mkdir()
        with pytest.raises(StorageError, match="1 files"):
            store.purge_retained()
        path.rmdir()
        assert store.purge_retained() == (0, 0)
        assert store.check().ok


async def test_async_stores_do_it_too(tmp_path: Path) -> None:
    for store in (AsyncEmbeddedStore(tmp_path / "store"), AsyncMemoryStore()):
        async with store:
            for data in (b"1", b"2"):
                await store.put_many(UNIT, [small_put(PutSpec(name="name"), data)])
            assert await store.purge_retained() == (1, 1)
