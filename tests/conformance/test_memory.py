"""The suite over the store in memory, sync and async."""

from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

import pytest
from vault.store import Store
from vault.testing import StoreConformance, StoreHarness
from vault_server.storage.memory import AsyncMemoryStore, MemoryStore


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


class TestMemoryStore(InMemory, StoreConformance):
    @pytest.fixture
    def store(self, no_thread_left: None) -> Iterator[Store]:
        with MemoryStore() as store:
            self.tested = store
            yield store


class TestAsyncMemoryStore(InMemory, StoreConformance):
    @pytest.fixture
    async def store(self) -> AsyncIterator[AsyncMemoryStore]:
        async with AsyncMemoryStore() as store:
            self.tested = store
            yield store
