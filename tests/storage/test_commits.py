"""Commits of the policy that engines share: an engine that fails at any step costs nobody else anything."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from vault.errors import AlreadyExistsError, StorageError
from vault.store.specs import UploadSpec
from vault_server.storage import StoreOptions
from vault_server.storage.clock import wall_clock
from vault_server.storage.memory import MemoryStore
from vault_server.storage.memory._sync.engine import MemoryBlob

from tests.storage.objects import LARGE, SMALL, UNIT, blocks_of, delete, read, update, upload

BEFORE = ["index.facts", "blobs.place", "index.apply"]
AFTER = ["index.claim", "blobs.remove", "index.forget"]


@pytest.fixture
def memory() -> Iterator[MemoryStore]:
    with MemoryStore(StoreOptions(retention=0)) as store:
        yield store


@contextmanager
def failing(memory: MemoryStore, step: str) -> Iterator[None]:
    """Lets a step of the engine fail; it must be reached."""
    owner, name = step.split(".")
    failures = []

    def fail(*_: object, **__: object) -> None:
        failures.append(step)
        raise StorageError("it broke")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(getattr(memory, owner), name, fail)
        yield
    assert failures


@pytest.mark.parametrize("step", BEFORE)
def test_a_commit_that_fails_changes_nothing_and_the_next_one_works(memory: MemoryStore, step: str) -> None:
    upload(memory, LARGE, data_id=1)
    with failing(memory, step), pytest.raises(StorageError, match="it broke"):
        update(memory, 1, LARGE[1:])
    assert (read(memory, 1), memory.revision) == (LARGE, 1)
    assert update(memory, 1, SMALL).revision == 2
    delete(memory, 1)
    assert len(memory.blobs.blobs) == (step == "index.apply"), "whether that was applied, not every engine knows"


@pytest.mark.parametrize("step", AFTER)
def test_what_cannot_be_collected_after_a_commit_refuses_nobody_and_is_tried_again(
    memory: MemoryStore, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(memory, LARGE, data_id=1)
    with failing(memory, step):
        assert update(memory, 1, LARGE[1:]).revision == 2
    assert (read(memory, 1), memory.revision) == (LARGE[1:], 2)
    monkeypatch.setattr(memory.collection, "_clock", lambda: wall_clock() + 2_000_000)
    delete(memory, 1)
    assert memory.blobs.blobs == {}


def test_what_was_staged_for_a_refused_write_and_cannot_be_removed_changes_no_answer(
    memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (memory.upload(UNIT, UploadSpec(1, name="n")) for _ in range(2))
    for writer in (first, second):
        for block in blocks_of(LARGE):
            writer.write(block)
    first.commit(len(LARGE))
    discarded = []

    def fail(staged: MemoryBlob) -> None:
        discarded.append(staged)
        raise StorageError("it broke")

    monkeypatch.setattr(MemoryBlob, "discard", fail)
    with pytest.raises(AlreadyExistsError):
        second.commit(len(LARGE))
    assert discarded
    assert (read(memory, 1), memory.revision) == (LARGE, 1)
