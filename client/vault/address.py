"""The address of a server: host:port, grpc://host:port or unix:PATH."""

import ipaddress
import re

from vault.errors import InvalidArgumentError

_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
)


def parse_address(address: str) -> tuple[str, str]:
    """The address as it is shown, and the target that gRPC connects to.

    Raises:
        InvalidArgumentError: BAD_ADDRESS, before any I/O.
    """
    if not isinstance(address, str):
        raise _bad(address)
    shown = address.removeprefix("grpc://").removesuffix("/") if address.startswith("grpc://") else address
    if shown.startswith("unix:"):
        path = shown.removeprefix("unix:")
        if not path or "\0" in path:
            raise _bad(address)
        return shown, f"unix:{path}"
    host, separator, port = shown.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise _bad(address)
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise _bad(address) from None
    elif _HOST.fullmatch(host) is None:
        raise _bad(address)
    # Stated as dns: so that gRPC never takes a host name for the scheme of another resolver.
    return shown, f"dns:{shown}"


def _bad(address: object) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"bad address {address!r}: host:port (port 1 to 65535), grpc://host:port, [IPv6]:port or unix:PATH",
        reason="BAD_ADDRESS",
    )
