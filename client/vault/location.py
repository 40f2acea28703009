"""What a vault is opened on: a place that names a Store, which then is the vault's own, or a Store."""

import os

from vault.errors import InvalidArgumentError
from vault.opener import check_no_proxy, open_async_store, open_store
from vault.store import AsyncStore, Store


class AsyncLocation:
    """Finds an AsyncStore."""

    @staticmethod
    def open(
        location: str | os.PathLike[str] | AsyncStore, timeout: float, proxy: str | None
    ) -> tuple[AsyncStore, bool]:
        """The Store, and whether the vault has to close it.

        Raises:
            InvalidArgumentError: BAD_LOCATION, UNKNOWN_SCHEME, BAD_PROXY, and what the address breaks.
            StorageError: A directory that cannot be used.
        """
        if isinstance(location, AsyncStore):
            check_no_proxy(proxy)
            return location, False
        if isinstance(location, Store):
            raise _wrong_colour(location, "an async vault", "an AsyncStore")
        return open_async_store(location, timeout=timeout, proxy=proxy), True


class Location:
    """Finds a Store."""

    @staticmethod
    def open(location: str | os.PathLike[str] | Store, timeout: float, proxy: str | None) -> tuple[Store, bool]:
        """The Store, and whether the vault has to close it.

        Raises:
            InvalidArgumentError: BAD_LOCATION, UNKNOWN_SCHEME, BAD_PROXY, and what the address breaks.
            StorageError: A directory that cannot be used.
        """
        if isinstance(location, Store):
            check_no_proxy(proxy)
            return location, False
        if isinstance(location, AsyncStore):
            raise _wrong_colour(location, "a sync vault", "a Store")
        return open_store(location, timeout=timeout, proxy=proxy), True


def _wrong_colour(store: object, vault: str, wanted: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{vault} needs {wanted}, not {type(store).__name__}", reason="BAD_LOCATION")
