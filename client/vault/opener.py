"""From a location to a Store: a directory, a URL whose scheme names one, or a Store itself."""

import os
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from vault.errors import InvalidArgumentError
from vault.store import AsyncStore, Store

GROUP = "vault.stores"
"""The entry-point group in which packages offer Stores, each under the scheme of its URLs."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_UNIX = "unix:"


class StoreOpener(Protocol):
    """What an entry point of the group names: makes a Store out of what follows the scheme."""

    def open(self, location: str, **options: Any) -> Store: ...

    def open_async(self, location: str, **options: Any) -> AsyncStore: ...


class GrpcOpener:
    """`grpc://host:port` and `unix:PATH`. Options: `timeout`, seconds."""

    def open(self, location: str, **options: Any) -> Store:
        from vault._sync.remote import RemoteStore  # noqa: PLC0415  # grpc is imported when it is used

        return RemoteStore(location, **options)

    def open_async(self, location: str, **options: Any) -> AsyncStore:
        from vault._async.remote import AsyncRemoteStore  # noqa: PLC0415  # grpc is imported when it is used

        return AsyncRemoteStore(location, **options)


grpc = GrpcOpener()


def open_store(location: str | os.PathLike[str], *, timeout: float) -> Store:
    """The Store at a location. A directory does its I/O here, a remote one at its first call.

    Args:
        location: A directory, made if it is not there; or a URL whose scheme a package offers.
        timeout: Seconds, for Stores on a network.

    Raises:
        InvalidArgumentError: Nothing knows the scheme, or the location is none.
        StorageError: The directory cannot be used.
    """
    opener, rest, options = _find(location, timeout)
    return opener.open(rest, **options)


def open_async_store(location: str | os.PathLike[str], *, timeout: float) -> AsyncStore:
    """`open_store`, async: used from one event loop."""
    opener, rest, options = _find(location, timeout)
    return opener.open_async(rest, **options)


def _find(location: str | os.PathLike[str], timeout: float) -> tuple[StoreOpener, str, dict[str, Any]]:
    if not isinstance(location, str | os.PathLike) or (
        isinstance(location, str) and (not location or "\0" in location)
    ):
        raise InvalidArgumentError(
            f"bad location {location!r}: a directory, a URL such as grpc://host:port, or a Store",
            reason="BAD_LOCATION",
        )
    if isinstance(location, str):
        if location.startswith(_UNIX):
            return grpc, location, {"timeout": timeout}
        if (url := _URL.fullmatch(location)) and not Path(location).exists():
            scheme, rest = url[1].lower(), url[2]
            if scheme != "file":
                options = {"timeout": timeout} if scheme == "grpc" else {}
                return _entry(scheme), rest, options
            location = unquote(rest)
    return _entry("file"), os.fspath(location), {}


def _entry(scheme: str) -> StoreOpener:
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if scheme not in known:
        offered = ", ".join(sorted(known)) or "none"
        raise InvalidArgumentError(
            f"no package offers a Store for {scheme}://; known schemes: {offered}",
            reason="UNKNOWN_SCHEME",
            scheme=scheme,
        )
    opener: StoreOpener = known[scheme].load()
    return opener
