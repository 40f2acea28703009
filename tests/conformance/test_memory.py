"""The suite over the store in memory, sync and async."""

from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

import pytest
from vault import AsyncVault, RemoteStore, Vault
from vault.store.contract import Store
from vault.testing import OpenVault, StoreConformance, StoreHarness, VaultConformance
from vault.testing.store.feed import FeedConformance
from vault.testing.store.generations import GenerationConformance
from vault.testing.store.principals import PrincipalConformance
from vault.testing.store.resuming import ResumeConformance
from vault_server import Server
from vault_server.storage.memory import AsyncMemoryStore, MemoryStore


@pytest.fixture(scope="module")
def kept() -> Iterator[MemoryStore]:
    with MemoryStore() as store:
        yield store


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[AsyncMemoryStore, str]]:
    store = AsyncMemoryStore()
    with Server(store, listen="127.0.0.1:0") as server:
        yield store, server.address


class InMemory(StoreHarness):
    """What both faces have: tables and blobs to look at."""

    raw_access: ClassVar[bool] = True
    corruptible: ClassVar[bool] = True
    retains: ClassVar[bool] = True

    tested: MemoryStore | AsyncMemoryStore

    def read_raw(self, unit: str, data_id: int) -> bytes | None:
        row = self.tested.index.tables._objects.get((unit, data_id))
        return None if row is None else b"".join(self._blocks(row.content))

    def corrupt(self, unit: str, data_id: int, offset: int) -> None:
        number = self.tested.index.tables._objects[unit, data_id].content
        blocks = self._blocks(number)
        for index, block in enumerate(blocks):
            if offset < len(block):
                changed = bytearray(block)
                changed[offset] ^= 0xFF
                blocks[index] = bytes(changed)
                break
            offset -= len(block)
        content = self.tested.index.tables._contents[number]
        if content.file is None:
            content.data = blocks[0]

    def _blocks(self, number: int) -> list[bytes]:
        content = self.tested.index.tables._contents[number]
        if content.file is None:
            assert content.data is not None
            return [content.data]
        return self.tested.blobs.blobs[content.file].blocks


class TestMemoryStore(InMemory, StoreConformance, PrincipalConformance):
    @pytest.fixture
    def store(self, no_thread_left: None) -> Iterator[Store]:
        with MemoryStore() as store:
            self.tested = store
            yield store


class TestAsyncMemoryStore(InMemory, StoreConformance, PrincipalConformance):
    @pytest.fixture
    async def store(self) -> AsyncIterator[AsyncMemoryStore]:
        async with AsyncMemoryStore() as store:
            self.tested = store
            yield store


class TestServedMemoryStore(InMemory, ResumeConformance, GenerationConformance, FeedConformance):
    """A server over it."""

    @pytest.fixture
    def store(self, served: tuple[AsyncMemoryStore, str]) -> Iterator[Store]:
        self.tested, address = served
        with RemoteStore(address) as store:
            yield store


class TestVaultInMemory(VaultConformance):
    @pytest.fixture
    def open_vault(self, kept: MemoryStore) -> OpenVault:
        return lambda structure: Vault(kept, structure)


class TestAsyncVaultInMemory(VaultConformance):
    @pytest.fixture
    def open_vault(self) -> OpenVault:
        store = AsyncMemoryStore()
        return lambda structure: AsyncVault(store, structure)
