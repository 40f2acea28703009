"""The conformance suites of whichever version runs this, over a server at VAULT_ADDRESS; `test_older` runs them."""

import os
from collections.abc import Iterator
from typing import ClassVar

import pytest
from vault import AsyncRemoteVault, RemoteStore
from vault.store.contract import Store
from vault.testing import OpenVault, StoreConformance, VaultConformance

ADDRESS = os.environ["VAULT_ADDRESS"]


class TestStore(StoreConformance):
    retains: ClassVar[bool] = True

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        with RemoteStore(ADDRESS) as store:
            yield store


class TestVault(VaultConformance):
    @pytest.fixture
    def open_vault(self) -> OpenVault:
        return lambda structure: AsyncRemoteVault(ADDRESS, structure)
