"""Resumable writes that nobody has, of the policy that engines share: in the store in memory."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from vault.errors import NotFoundError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec, new_data_id
from vault.store.values import Block, WriteStatus, checksum
from vault_server.storage.generic._sync import suspended
from vault_server.storage.memory import MemoryStore

from tests.storage.objects import LARGE, UNIT, blocks_of


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    with MemoryStore() as store:
        yield store


def test_suspended_writes_are_bounded(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspended, "MOST_BYTES", 3 * BLOCK_SIZE)
    specs = [UploadSpec(number) for number in range(1, 6)]
    for spec in specs:
        writer = store.upload(UNIT, spec, resumable=True)
        writer.write(Block(0, bytes(BLOCK_SIZE), checksum(bytes(BLOCK_SIZE))))
        writer.suspend()
    for spec in specs[:2]:
        with pytest.raises(NotFoundError):
            store.write_status(UNIT, spec.request_id)
    assert all(store.write_status(UNIT, spec.request_id).persisted_size == BLOCK_SIZE for spec in specs[2:])


def test_threads_suspend_and_resume_writes_at_the_same_time(store: MemoryStore) -> None:
    def go_on() -> None:
        specs = [UploadSpec(new_data_id()) for _ in range(30)]
        for spec in specs:
            with store.upload(UNIT, spec, resumable=True) as writer:
                writer.write(Block(0, b"x", checksum(b"x")))
                writer.suspend()
        for spec in specs:
            assert store.write_status(UNIT, spec.request_id).persisted_size == 1
            with store.upload(UNIT, spec, resumable=True) as writer:
                assert writer.commit(1).data_id == spec.data_id

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as threads:
            for done in [threads.submit(go_on) for _ in range(8)]:
                done.result()
    finally:
        sys.setswitchinterval(interval)
    assert len(store.list_page(UNIT).objects) == 240


def test_a_dropped_writer_holds_nothing(store: MemoryStore) -> None:
    spec = UploadSpec(5)
    store.upload(UNIT, spec, resumable=True).write(Block(0, b"x", checksum(b"x")))
    with pytest.raises(NotFoundError):
        store.write_status(UNIT, spec.request_id)


def test_of_suspended_writes_above_the_limit_those_that_wait_longest_go(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspended, "MOST_SUSPENDED", 2)
    first, *_ = blocks_of(LARGE)
    specs = [UploadSpec(number) for number in range(1, 5)]
    for spec in specs:
        writer = store.upload(UNIT, spec, resumable=True)
        writer.write(first)
        writer.suspend()
    for spec in specs[:2]:
        with pytest.raises(NotFoundError):
            store.write_status(UNIT, spec.request_id)
    for spec in specs[2:]:
        assert store.write_status(UNIT, spec.request_id) == WriteStatus(len(first.data))
    store.abort_write(UNIT, specs[3].request_id)
    with pytest.raises(NotFoundError):
        store.write_status(UNIT, specs[3].request_id)


def test_a_write_that_is_aborted_by_its_request_is_over_for_its_writer(store: MemoryStore) -> None:
    spec = UploadSpec(1)
    writer = store.upload(UNIT, spec, resumable=True)
    first, second, *_ = blocks_of(LARGE)
    writer.write(first)
    store.abort_write(UNIT, spec.request_id)
    with pytest.raises(NotFoundError):
        writer.write(second)
    assert store.list_units() == []
