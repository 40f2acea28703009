# Generated from _async/vault/remote_vault.py by scripts/unasync: DO NOT CHANGE.
"""RemoteVault: a vault on a storage host."""

from collections.abc import Mapping
from typing import Unpack

from vault._sync.vault.facade import Vault
from vault._grpc.address import parse_address
from vault.store.connection import DEFAULT_CONNECTION, ConnectionOptions, ConnectionSettings, with_options
from vault.unit import UnitLike


class RemoteVault(Vault):
    """A Vault whose location is a server's address."""

    def __init__(
        self,
        address: str,
        structure: Mapping[str, UnitLike] | None = None,
        *,
        max_memory_used: float = 1000,
        cache: bool = True,
        auto_update: bool = True,
        consistency: str = "watch",
        connection: ConnectionSettings = DEFAULT_CONNECTION,
        **options: Unpack[ConnectionOptions],
    ) -> None:
        """Does no I/O: it connects at the first call. Everything but `address` is as for Vault.

        Args:
            address: host:port, grpc://host:port, grpcs://host:port (over TLS) or unix:PATH; also with ?proxy=URL.

        Raises:
            InvalidArgumentError: BAD_ADDRESS, and what Vault raises for the rest.
        """
        connection = with_options(connection, options)
        parse_address(address, connection.proxy)
        super().__init__(
            address if address.startswith(("unix:", "grpc://", "grpcs://")) else f"grpc://{address}",
            structure,
            max_memory_used=max_memory_used,
            cache=cache,
            auto_update=auto_update,
            consistency=consistency,
            connection=connection,
        )
