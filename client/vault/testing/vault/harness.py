"""What every class of the Vault suite stands on: fixtures, flags, and the Datatypes it stores."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, BinaryIO, ClassVar

import pytest
import pytest_asyncio

from vault._async.vault.facade import AsyncVault
from vault._sync.vault.facade import Vault
from vault.datatype import Datatype, ObjectStream
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key
from vault.testing.vault.faces import as_async_vault, through_units
from vault.unit import UnitSettings
from vault.wrappers import BytesWrapper, JsonWrapper

OpenVault = Callable[[dict[str, Any]], Vault | AsyncVault]


class Document(Datatype):
    """Text that can be edited; dumping and loading are counted."""

    loads: ClassVar[int] = 0

    def __init__(self, text: str) -> None:
        self.text = text

    def _dump(self) -> bytes:
        return self.text.encode()

    @classmethod
    def _load(cls, raw: bytes) -> "Document":
        Document.loads += 1
        return cls(raw.decode())


class Report(Document):
    """A subclass with a tag of its own."""


class Streamed(Datatype):
    """Bytes that go through the streaming hooks when they are many."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def _dump(self) -> bytes:
        return self.data

    @classmethod
    def _load(cls, raw: bytes) -> "Streamed":
        return cls(raw)

    def _dump_to(self, stream: BinaryIO) -> None:
        stream.writelines(self.data[start : start + 100_000] for start in range(0, len(self.data), 100_000))

    @classmethod
    def _load_from(cls, stream: ObjectStream) -> "Streamed":
        data = bytearray()
        while piece := stream.read(300_000):
            data += piece
        assert len(data) == stream.size
        return cls(bytes(data))


@pytest.mark.asyncio
class VaultHarness:
    """Derive from a class of the suite and give it an `open_vault` fixture.

    Attributes:
        cached: The vaults have an object cache.
        through_units: Calls on a unit are made of the unit that `vault.unit` gives.
        structured: Vaults are opened with the structure, and refuse other units. When not, units are declared as they
            are used (`through_units`).
    """

    cached: ClassVar[bool] = True
    through_units: ClassVar[bool] = False
    structured: ClassVar[bool] = True

    @pytest.fixture
    def open_vault(self) -> OpenVault:
        """Opens a vault with the structure it is given; each time it is called, another one on the same storage."""
        raise NotImplementedError(f"{type(self).__name__} needs an `open_vault` fixture")

    @pytest.fixture
    def unit(self) -> str:
        """A unit of Documents that holds nothing."""
        return f"documents-{secrets.token_hex(4)}"

    @pytest.fixture
    def structure(self, unit: str) -> dict[str, Any]:
        """Units by what is in them; what follows the dot says what."""
        return {
            unit: (Document, 0),
            f"{unit}.few": (Document, 2),
            f"{unit}.light": UnitSettings(Document, max_bytes=2500),
            f"{unit}.reports": (Report, 0),
            f"{unit}.bytes": (BytesWrapper, 0),
            f"{unit}.json": (JsonWrapper, 0),
            f"{unit}.streamed": (Streamed, 0),
        }

    @pytest_asyncio.fixture
    async def vaults(self, open_vault: OpenVault, structure: dict[str, Any]) -> AsyncIterator[Callable[[], AsyncVault]]:
        """Opens vaults, as many as a test wants, and closes them when it is over."""
        async with AsyncExitStack() as opened:

            def another() -> AsyncVault:
                vault = as_async_vault(open_vault(structure))
                opened.push_async_callback(vault.close)
                return through_units(vault, structure) if self.through_units else vault

            yield another

    @pytest_asyncio.fixture
    async def vault(self, vaults: Callable[[], AsyncVault]) -> AsyncVault:
        """The vault under test."""
        return vaults()

    @pytest_asyncio.fixture
    async def other(self, vaults: Callable[[], AsyncVault]) -> AsyncVault:
        """Another vault on the same storage, with a cache of its own."""
        return vaults()


async def read(vault: AsyncVault, unit: str, key: Key) -> Any:
    """What a load gives, its ticket closed; None when there is no such object."""
    ticket = await vault.load(unit, key)
    if ticket is None:
        return None
    async with ticket:
        return ticket.get_data()


async def text_of(vault: AsyncVault, unit: str, key: Key) -> str:
    """The text of a Document that must be there."""
    document = await read(vault, unit, key)
    assert document is not None, f"{key!r} should be in {unit!r}"
    return str(document.text)


def long_text(blocks: int = 1) -> str:
    """Text whose dump is somewhat longer than so many blocks."""
    return "0123456789ab-äö-" * (blocks * BLOCK_SIZE // 18 + 10)
