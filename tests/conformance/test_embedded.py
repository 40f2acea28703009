"""The suite over embedded storage, sync and async."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from vault.store.contract import Store
from vault.testing import StoreConformance, StoreHarness
from vault.testing.store.batches import BatchConformance
from vault.testing.store.copy import CopyConformance
from vault.testing.store.delete import DeleteConformance
from vault.testing.store.generations import GenerationConformance
from vault.testing.store.load import LoadConformance
from vault.testing.store.principals import PrincipalConformance
from vault.testing.store.ranges import RangeConformance
from vault.testing.store.update import UpdateConformance
from vault.testing.store.upload import UploadConformance
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore, StoreOptions

from tests.conformance.raw import RawDirectory


@pytest.fixture(scope="class")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawDirectory]:
    """The directory of a class, sound when its tests are over."""
    raw = RawDirectory(tmp_path_factory.mktemp("class") / "store")
    yield raw
    raw.assert_sound()


class InADirectory(StoreHarness):
    """What both faces have: a directory to look at, which a class's tests share."""

    raw_access: ClassVar[bool] = True
    corruptible: ClassVar[bool] = True
    retains: ClassVar[bool] = True

    raw: RawDirectory

    @pytest.fixture
    def directory(self, raw: RawDirectory) -> Iterator[Path]:
        self.raw = raw
        yield self.raw.path
        self.raw.restore()

    def read_raw(self, unit: str, data_id: int) -> bytes | None:
        return self.raw.read(unit, data_id)

    def corrupt(self, unit: str, data_id: int, offset: int) -> None:
        self.raw.flip(unit, data_id, offset)


class TestEmbeddedStore(InADirectory, StoreConformance, PrincipalConformance):
    @pytest.fixture
    def store(self, directory: Path, no_thread_left: None) -> Iterator[Store]:
        with EmbeddedStore(directory) as store:
            yield store


class TestEmbeddedStoreOfFilesOnly(
    InADirectory,
    UploadConformance,
    LoadConformance,
    GenerationConformance,
    RangeConformance,
    UpdateConformance,
    CopyConformance,
    DeleteConformance,
    BatchConformance,
):
    """What depends on where the bytes lie."""

    @pytest.fixture
    def store(self, directory: Path) -> Iterator[Store]:
        with EmbeddedStore(directory, StoreOptions(durability="relaxed", inline_limit=0)) as store:
            yield store


class TestEmbeddedStoreThatRetainsNothing(
    InADirectory,
    LoadConformance,
    GenerationConformance,
    RangeConformance,
    UpdateConformance,
    CopyConformance,
    DeleteConformance,
):
    """What depends on what becomes of replaced bytes."""

    retains: ClassVar[bool] = False

    @pytest.fixture
    def store(self, directory: Path) -> Iterator[Store]:
        with EmbeddedStore(directory, StoreOptions(durability="relaxed", retention=0)) as store:
            yield store


class TestAsyncEmbeddedStore(InADirectory, StoreConformance, PrincipalConformance):
    @pytest.fixture
    async def store(self, directory: Path) -> AsyncIterator[AsyncEmbeddedStore]:
        async with AsyncEmbeddedStore(directory) as store:
            yield store
