"""Stores and vaults held against a plain dict, by Hypothesis state machines."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from vault import RemoteStore, RemoteVault, Vault
from vault.store.contract import Store
from vault.testing.store.stateful import StoreMachine
from vault.testing.store.sync_and_async import SyncFace
from vault.testing.vault.stateful import STRUCTURE, VaultMachine
from vault_server import AsyncEmbeddedStore, EmbeddedStore, Server, StoreOptions


class EmbeddedMachine(StoreMachine):
    def open_store(self, directory: Path) -> Store:
        return EmbeddedStore(directory, StoreOptions(durability="relaxed"))

    def close_store(self, store: Store) -> None:
        if isinstance(store, EmbeddedStore):
            report = store.check(deep=True)
            assert report.ok, report.problems
        super().close_store(store)


class FilesOnlyMachine(EmbeddedMachine):
    def open_store(self, directory: Path) -> Store:
        return EmbeddedStore(directory, StoreOptions(durability="relaxed", inline_limit=0))


class AsyncEmbeddedMachine(StoreMachine):
    def open_store(self, directory: Path) -> Store:
        return SyncFace(lambda: AsyncEmbeddedStore(directory, StoreOptions(durability="relaxed")))


class RemoteMachine(StoreMachine):
    """A server that goes and comes back with the store."""

    def open_store(self, directory: Path) -> Store:
        self.behind = ExitStack()
        store = self.behind.enter_context(EmbeddedStore(directory, StoreOptions(durability="relaxed")))
        server = self.behind.enter_context(Server(store, listen="127.0.0.1:0"))
        return RemoteStore(server.address)

    def close_store(self, store: Store) -> None:
        super().close_store(store)
        self.behind.close()


class EmbeddedVaultMachine(VaultMachine):
    def open_vault(self, directory: Path) -> Vault:
        return Vault(directory, STRUCTURE)


class RemoteVaultMachine(VaultMachine):
    """With a cache that follows the server's feed."""

    def open_vault(self, directory: Path) -> Vault:
        self.behind = ExitStack()
        store = self.behind.enter_context(EmbeddedStore(directory, StoreOptions(durability="relaxed")))
        server = self.behind.enter_context(Server(store, listen="127.0.0.1:0"))
        return RemoteVault(server.address, STRUCTURE)

    def close_vault(self, vault: Vault) -> None:
        super().close_vault(vault)
        self.behind.close()


@pytest.mark.parametrize("machine", [EmbeddedMachine, FilesOnlyMachine, AsyncEmbeddedMachine, RemoteMachine])
def test_a_store_behaves_like_a_dict(machine: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=10, stateful_step_count=20))


@pytest.mark.parametrize("machine", [EmbeddedVaultMachine, RemoteVaultMachine])
def test_a_vault_behaves_like_a_dict(machine: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=10, stateful_step_count=20))
