"""The vault suite: embedded and remote, sync and async, with and without a cache, and over a Store of one's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from vault import AsyncRemoteVault, AsyncVault, RemoteVault, Vault
from vault.testing import OpenVault, VaultConformance
from vault_server import AsyncEmbeddedStore, EmbeddedStore, Server, StoreOptions

from tests.conformance.raw import RawDirectory


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of this module's vaults, sound when they are done with it."""
    raw = RawDirectory(tmp_path_factory.mktemp("store"))
    yield raw.path
    raw.assert_sound()


@pytest.fixture(scope="module")
def served(directory: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(directory, StoreOptions(durability="relaxed")) as store:
        yield store


@pytest.fixture(scope="module")
def address(served: EmbeddedStore) -> Iterator[str]:
    with Server(served, listen="127.0.0.1:0") as server:
        yield server.address


class TestVault(VaultConformance):
    @pytest.fixture
    def open_vault(self, directory: Path) -> OpenVault:
        return lambda structure: Vault(directory, structure, cache=self.cached)


class TestVaultWithoutCache(TestVault):
    cached: ClassVar[bool] = False


class TestAsyncVault(VaultConformance):
    @pytest.fixture
    def open_vault(self, directory: Path) -> OpenVault:
        return lambda structure: AsyncVault(directory, structure, cache=self.cached)


@pytest.mark.slow
class TestAsyncVaultWithoutCache(TestAsyncVault):
    cached: ClassVar[bool] = False


class TestRemoteVault(VaultConformance):
    @pytest.fixture
    def open_vault(self, address: str) -> OpenVault:
        return lambda structure: RemoteVault(address, structure, cache=self.cached)


class TestRemoteVaultWithoutCache(TestRemoteVault):
    cached: ClassVar[bool] = False


class TestAsyncRemoteVault(VaultConformance):
    @pytest.fixture
    def open_vault(self, address: str) -> OpenVault:
        return lambda structure: AsyncRemoteVault(address, structure, cache=self.cached)


@pytest.mark.slow
class TestAsyncRemoteVaultWithoutCache(TestAsyncRemoteVault):
    cached: ClassVar[bool] = False


@pytest.mark.slow
class TestVaultThroughUnits(TestVault):
    through_units: ClassVar[bool] = True


class TestRemoteVaultThroughUnits(VaultConformance):
    """Without a structure: units are declared where they are used, and followed from then on."""

    through_units: ClassVar[bool] = True
    structured: ClassVar[bool] = False

    @pytest.fixture
    def open_vault(self, address: str) -> OpenVault:
        return lambda _structure: RemoteVault(address, cache=self.cached)


@pytest.mark.slow
class TestAsyncRemoteVaultThroughUnits(TestRemoteVaultThroughUnits):
    @pytest.fixture
    def open_vault(self, address: str) -> OpenVault:
        return lambda _structure: AsyncRemoteVault(address, cache=self.cached)


class TestStrictRemoteVault(VaultConformance):
    """Revalidated at every load."""

    @pytest.fixture
    def open_vault(self, address: str) -> OpenVault:
        return lambda structure: RemoteVault(address, structure, consistency="strict")


class TestVaultOverAStore(VaultConformance):
    """A Store that is handed over stays open, and vaults share it."""

    @pytest.fixture
    def open_vault(self, served: EmbeddedStore) -> Iterator[OpenVault]:
        yield lambda structure: Vault(served, structure)
        assert served.list_units() is not None, "the store is still open"


class TestAsyncVaultOverAStore(VaultConformance):
    @pytest.fixture
    def open_vault(self, served: EmbeddedStore) -> OpenVault:
        def open_one(structure: dict[str, Any]) -> AsyncVault:
            return AsyncVault(AsyncEmbeddedStore(served), structure)

        return open_one
