"""What every class of the Store suite stands on: fixtures, hooks, capability flags."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from vault.store.contract import AsyncStore, Store
from vault.store.values import ObjectInfo
from vault.testing.store.objects import listed
from vault.testing.store.sync_and_async import AsyncFace


@pytest.mark.asyncio
class StoreHarness:
    """Derive from a class of the suite and give it a `store` fixture.

    The store may hold other things and be shared by tests: each test uses a unit of its own.

    Attributes:
        raw_access: `read_raw` is there, and what methods say is compared with what lies in the storage.
        corruptible: `corrupt` is there.
        retains: A generation that was replaced or deleted can be loaded for a while.
        resumes: The store keeps resumable writes that were suspended.
    """

    raw_access: ClassVar[bool] = False
    corruptible: ClassVar[bool] = False
    retains: ClassVar[bool] = False
    resumes: ClassVar[bool] = True

    @pytest.fixture
    def store(self) -> Store | AsyncStore:
        """The store under test. The fixture that replaces this one closes it."""
        raise NotImplementedError(f"{type(self).__name__} needs a `store` fixture")

    @pytest.fixture
    def subject(self, store: Store | AsyncStore) -> Iterator[AsyncStore]:
        """The store, behind the async contract whichever it has."""
        if isinstance(store, AsyncStore):
            yield store
        else:
            face = AsyncFace(store)
            yield face
            face.release()

    @pytest.fixture
    def unit(self) -> str:
        """A unit that holds nothing."""
        return f"unit-{secrets.token_hex(4)}"

    def read_raw(self, unit: str, data_id: int) -> bytes | None:
        """The object's bytes as they lie in the storage, around the store; None when there are none."""
        raise NotImplementedError

    def corrupt(self, unit: str, data_id: int, offset: int) -> None:
        """Changes the byte at `offset` of the object, in the storage, around the store."""
        raise NotImplementedError

    def assert_raw(self, unit: str, data_id: int, data: bytes | None) -> None:
        """Asserts that the storage holds exactly these bytes, where that can be seen."""
        if self.raw_access:
            assert self.read_raw(unit, data_id) == data

    @asynccontextmanager
    async def unchanged(self, store: AsyncStore, unit: str) -> AsyncIterator[list[ObjectInfo]]:
        """Asserts that the block changes no object of the unit, and that the store's clock stands still."""
        before = await listed(store, unit)
        units, revision = await store.list_units(), store.revision
        yield before
        assert await listed(store, unit) == before
        assert await store.list_units() == units
        assert store.revision == revision
