"""The address of a server: host:port, grpc://host:port or unix:PATH; and the HTTP proxy on the way to it."""

import base64
import ipaddress
import os
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from vault.errors import InvalidArgumentError
from vault.store.location import bad_proxy, without_password

MAX_UNIX_PATH: Final = 107
"""Bytes in the path of a unix socket: Linux's sun_path, less its NUL."""

_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
)
_UNIX: Final = "unix:"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address.

    Attributes:
        shown: As it is told, and may be given again; without the proxy.
        target: What gRPC connects to: the server, or the proxy.
        options: gRPC's settings for the way through the proxy.
    """

    shown: str
    target: str
    options: tuple[tuple[str, str], ...] = ()


def parse_address(address: str, proxy: str | None = None) -> Address:
    """Reads an address.

    Args:
        address: host:port, [IPv6]:port, each also as grpc://…, with ?proxy=URL; or unix:PATH, percent-encoded.
        proxy: http://[user:password@]host:port, through which the server is reached, rather than that of the address.
            None: that of the address, or none; the environment is not asked.

    Raises:
        InvalidArgumentError: BAD_ADDRESS, BAD_PROXY, before any I/O.
    """
    if not isinstance(address, str):
        raise _bad(address)
    shown = address.removeprefix("grpc://") if address.startswith("grpc://") else address
    if shown.startswith(_UNIX):
        try:
            shown = unix_address(unix_path(shown))
        except ValueError as error:
            raise _bad(address, str(error)) from None
        if proxy is not None:
            raise bad_proxy(proxy, "a unix socket is reached without one")
        return Address(shown, shown)
    shown, question, query = shown.partition("?")
    shown = shown.removesuffix("/")
    _check_host_and_port(shown, address)
    if question:
        name, _, value = query.partition("=")
        if name != "proxy":
            raise _bad(address, "after ? there is proxy=URL and nothing else")
        proxy = unquote(value) if proxy is None else proxy
    # Stated as dns: so that gRPC never takes a host name for the scheme of another resolver.
    if proxy is None:
        return Address(shown, f"dns:{shown}")
    target, headers = _parse_proxy(proxy)
    # As gRPC itself sets them for a proxy of the environment, which it would also look up in no_proxy.
    options = [("grpc.http_connect_server", shown), ("grpc.default_authority", shown)]
    return Address(shown, f"dns:{target}", (*options, *headers))


def unix_path(address: str) -> str:
    """The path that unix:PATH or unix:///PATH stands for; %XX in it is the byte XX.

    Raises:
        ValueError: It is none; says why.
    """
    text = address.removeprefix(_UNIX)
    if text.startswith("//"):
        text = text.removeprefix("//")
        if not text.startswith("/"):
            raise ValueError("a unix socket has no host: after unix:// comes /")
    path = os.fsdecode(unquote_to_bytes(os.fsencode(text)))
    if "\0" in path or not 1 <= len(os.fsencode(path)) <= MAX_UNIX_PATH:
        raise ValueError(f"the path of a unix socket has 1 to {MAX_UNIX_PATH} bytes, none of them 0")
    if "," in path:
        raise ValueError("a unix socket's path has no comma: gRPC's clients would take it for the end of the path")
    return path


def unix_address(path: str) -> str:
    """The address of the socket at a path: whatever a URL, or gRPC, would take for something else is encoded."""
    # An empty part at the beginning would be the host of a URL.
    return _UNIX + re.sub(r"^//+", "/", quote(os.fsencode(path)))


def host_and_port(text: str) -> tuple[str, int]:
    """The host, without brackets, and the port, 0 among them, of HOST:PORT or [IPv6]:PORT.

    Raises:
        ValueError: It is neither; says why.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise ValueError("the port is a number from 0 (any free one) to 65535")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host:
        raise ValueError("the host is missing")
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f"{host!r} is no IPv6 address") from None
    return host, int(port)


def _check_host_and_port(text: str, address: str) -> None:
    if text.startswith("unix-abstract:"):
        raise _bad(address, "a unix socket has a path: unix:PATH")
    try:
        host, port = host_and_port(text)
    except ValueError:
        raise _bad(address) from None
    if not port or not (":" in host if text.startswith("[") else _HOST.fullmatch(host)):
        raise _bad(address)


def _parse_proxy(proxy: object) -> tuple[str, list[tuple[str, str]]]:
    """Host and port of a proxy, and the gRPC options that let us in there."""
    expected = "expected http://[user:password@]host:port"
    if not isinstance(proxy, str):
        raise bad_proxy(proxy, expected)
    try:
        url = urlsplit(proxy)
        server = url.netloc.rpartition("@")[2]
        _check_host_and_port(server, server)
    except (ValueError, InvalidArgumentError):
        raise bad_proxy(proxy, expected) from None
    if url.scheme != "http" or url.path not in ("", "/") or url.query or url.fragment:
        raise bad_proxy(proxy, expected)
    if url.username is None:
        return server, []
    login = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
    return server, [("grpc.http_connect_headers", f"Proxy-Authorization:Basic {base64.b64encode(login).decode()}")]


def _bad(address: object, why: str | None = None) -> InvalidArgumentError:
    expected = "host:port (port 1 to 65535), grpc://host:port, [IPv6]:port or unix:PATH"
    shown = without_password(address) if isinstance(address, str) else address
    return InvalidArgumentError(
        f"bad address {shown!r}: {f'{why}; ' if why else ''}expected {expected}", reason="BAD_ADDRESS"
    )
