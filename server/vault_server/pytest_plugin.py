"""Fixtures for the tests of programs that use Vault; pytest finds them by itself.

Nothing of Vault is imported before a test asks for one. `-p no:vault` leaves them out.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vault import AsyncVault, RemoteVault, Vault
    from vault._async.vault.base import AsyncVaultBase
    from vault.store.contract import Store

    from vault_server.server import Server


class VaultServer:
    """A server in this process, on a port of loopback, over a store in memory.

    Attributes:
        address: HOST:PORT.
        location: As `Vault` and the command take it: grpc://HOST:PORT.
        store: What is behind it.
    """

    def __init__(self, server: "Server", store: "Store", structure: Mapping[str, Any] | None) -> None:
        self.address = server.address
        self.location = f"grpc://{server.address}"
        self.store = store
        self._structure = structure
        self._opened: list[RemoteVault] = []
        self._async_opened: list[AsyncVaultBase] = []

    def vault(self, structure: Mapping[str, Any] | None = None, **options: Any) -> "RemoteVault":
        """Another vault on the server, as another process would have it. It is closed after the test.

        Args:
            structure: None: that of the fixture `vault_structure`.
            options: Those of RemoteVault.
        """
        from vault import RemoteVault  # noqa: PLC0415  # when a test asks for it

        opened = RemoteVault(self.address, self._structure if structure is None else structure, **options)
        self._opened.append(opened)
        return opened

    def async_vault(self, structure: Mapping[str, Any] | None = None, **options: Any) -> "AsyncVault":
        """As `vault`, for the event loop that it is first used on."""
        from vault import AsyncRemoteVault  # noqa: PLC0415  # when a test asks for it

        opened = AsyncRemoteVault(self.address, self._structure if structure is None else structure, **options)
        self._async_opened.append(opened)
        return opened

    def close(self) -> None:
        """Closes the vaults that were made of it."""
        for opened in self._async_opened:
            _close_on_its_loop(opened)
        for each in self._opened:
            each.close()


@pytest.fixture
def vault_structure() -> Mapping[str, Any] | None:
    """The structure of the other fixtures' vaults; to be overridden. None: units are declared where they are used."""
    return None


@pytest.fixture
def vault(vault_structure: Mapping[str, Any] | None) -> "Iterator[Vault]":
    """A vault on a store in memory, empty for each test."""
    from vault import Vault  # noqa: PLC0415  # when a test asks for it

    with Vault("memory://", vault_structure) as opened:
        yield opened


@pytest.fixture
def async_vault(vault_structure: Mapping[str, Any] | None) -> "Iterator[AsyncVault]":
    """As `vault`, for the event loop that it is first used on, whoever runs that: pytest-asyncio, anyio, the test."""
    from vault import AsyncVault  # noqa: PLC0415  # when a test asks for it

    opened = AsyncVault("memory://", vault_structure)
    yield opened
    _close_on_its_loop(opened)


@pytest.fixture
def vault_server(vault_structure: Mapping[str, Any] | None) -> Iterator[VaultServer]:
    """A server with an empty store in memory, and a socket of its own, for each test."""
    from vault_server import MemoryStore, Server  # noqa: PLC0415  # when a test asks for it

    with MemoryStore() as store, Server(store) as server:
        served = VaultServer(server, store, vault_structure)
        yield served
        served.close()


def _close_on_its_loop(opened: "AsyncVaultBase") -> None:
    """Closes it where it was used, or anywhere when that loop is closed already, or there is none yet."""
    import asyncio  # noqa: PLC0415  # 40 ms

    loop = opened._affinity.loop  # noqa: SLF001  # its own
    if loop is None or loop.is_closed():
        asyncio.run(opened.close())
    elif not loop.is_running():
        loop.run_until_complete(opened.close())
