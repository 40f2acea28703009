"""Stores held against a plain dict, by a Hypothesis state machine."""

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from vault.store import Store
from vault.testing.faces import SyncFace
from vault.testing.stateful import StoreMachine
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore


class EmbeddedMachine(StoreMachine):
    def open_store(self, directory: Path) -> Store:
        return EmbeddedStore(directory, durability="relaxed")

    def close_store(self, store: Store) -> None:
        if isinstance(store, EmbeddedStore):
            report = store.check(deep=True)
            assert report.ok, report.problems
        super().close_store(store)


class FilesOnlyMachine(EmbeddedMachine):
    def open_store(self, directory: Path) -> Store:
        return EmbeddedStore(directory, durability="relaxed", inline_limit=0)


class AsyncEmbeddedMachine(StoreMachine):
    def open_store(self, directory: Path) -> Store:
        return SyncFace(lambda: AsyncEmbeddedStore(directory, durability="relaxed"))


@pytest.mark.parametrize("machine", [EmbeddedMachine, FilesOnlyMachine, AsyncEmbeddedMachine])
def test_a_store_behaves_like_a_dict(machine: type[StoreMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=15, stateful_step_count=30))
