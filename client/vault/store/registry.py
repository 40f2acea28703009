"""From a location to a Store: a directory, a URL whose scheme names one, or a Store itself."""

import os
from importlib import import_module
from typing import Any, Final, Protocol

from vault.errors import InvalidArgumentError
from vault.store.connection import (
    DEFAULT_CONNECTION,
    ConnectionSettings,
    bad_setting,
    check_connection,
    given_names,
)
from vault.store.contract import AsyncStore, Store
from vault.store.location import bad_proxy, meant_server, parse_location

GROUP = "vault.stores"
"""The entry-point group in which packages offer Stores, each under the scheme of its URLs."""

_SERVERS: Final = {
    "grpc": "opener",
    "grpcs": "tls_opener",
}
"""As this package offers them in the group, in `vault._grpc_opener`: nothing is searched for the schemes that are asked
for most."""


class StoreOpener(Protocol):
    """What an entry point of the group names: makes a Store out of what follows the scheme."""

    def open(self, location: str) -> Store: ...

    def open_async(self, location: str) -> AsyncStore: ...


def open_store(location: str | os.PathLike[str], connection: ConnectionSettings = DEFAULT_CONNECTION) -> Store:
    """The Store at a location. A directory does its I/O here, a remote one at its first call.

    Args:
        location: A directory, made if it is not there; or a URL whose scheme a package offers.
        connection: How a server is reached.

    Raises:
        InvalidArgumentError: Nothing knows the scheme, or the location is none, or needs no proxy.
        StorageError: The directory cannot be used.
    """
    opener, *of_what = _opener(location, connection)
    store: Store = opener.open(*of_what)
    return store


def open_async_store(
    location: str | os.PathLike[str], connection: ConnectionSettings = DEFAULT_CONNECTION
) -> AsyncStore:
    """`open_store`, async: used from one event loop."""
    opener, *of_what = _opener(location, connection)
    store: AsyncStore = opener.open_async(*of_what)
    return store


def check_no_server(connection: ConnectionSettings) -> None:
    """Raises InvalidArgumentError, BAD_PROXY or BAD_SETTING, when something is given that is for servers only."""
    check_connection(connection)
    if connection.proxy is not None:
        raise bad_proxy(connection.proxy, "it is for a server, grpc://host:port")
    if given := given_names(connection):
        raise bad_setting(f"{' and '.join(given)}: for a server, grpcs://host:port, and this is none")


def _opener(location: str | os.PathLike[str], connection: ConnectionSettings) -> tuple[Any, ...]:
    """Who opens what is there, and of what: what follows the scheme; of a server, also how it is reached."""
    scheme, rest = parse_location(location)
    if scheme in _SERVERS:
        return getattr(import_module("vault._grpc_opener"), _SERVERS[scheme]), rest, connection
    check_no_server(connection)
    from importlib.metadata import entry_points  # noqa: PLC0415  # servers need none, and it takes a while

    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if scheme not in known:
        offered = ", ".join(sorted(known)) or "none"
        server = meant_server(os.fspath(location))
        meant = f"; a server is {server!r}" if server else ""
        raise InvalidArgumentError(
            f"no package offers a Store for {scheme}://; known schemes: {offered}{meant}",
            reason="UNKNOWN_SCHEME",
            scheme=scheme,
        )
    return known[scheme].load(), rest


class AsyncLocation:
    """Finds the AsyncStore of a vault."""

    @staticmethod
    def open(location: str | os.PathLike[str] | AsyncStore, connection: ConnectionSettings) -> tuple[AsyncStore, bool]:
        """The Store, and whether the vault has to close it. Raises as `open_store`, also BAD_PROXY, BAD_SETTING."""
        if isinstance(location, AsyncStore):
            check_no_server(connection)
            return location, False
        if isinstance(location, Store):
            raise _wrong_side(location, "an async vault", "an AsyncStore")
        return open_async_store(location, connection), True


class Location:
    """Finds the Store of a vault."""

    @staticmethod
    def open(location: str | os.PathLike[str] | Store, connection: ConnectionSettings) -> tuple[Store, bool]:
        """The Store, and whether the vault has to close it. Raises as `open_store`, also BAD_PROXY, BAD_SETTING."""
        if isinstance(location, Store):
            check_no_server(connection)
            return location, False
        if isinstance(location, AsyncStore):
            raise _wrong_side(location, "a sync vault", "a Store")
        return open_store(location, connection), True


def _wrong_side(store: object, vault: str, wanted: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{vault} needs {wanted}, not {type(store).__name__}", reason="BAD_LOCATION")
