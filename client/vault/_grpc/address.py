"""The address of a server: host:port, grpc(s)://host:port or unix:PATH; and the HTTP proxy on the way to it."""

import base64
import ipaddress
import os
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from vault.errors import InvalidArgumentError
from vault.store.location import HOST, bad_proxy, without_password

MAX_UNIX_PATH: Final = 107
"""Bytes in the path of a unix socket: Linux's sun_path, less its NUL."""

_UNIX: Final = "unix:"
_TLS: Final = "grpcs://"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address.

    Attributes:
        shown: As it is told, and may be given again; without the proxy.
        target: What gRPC connects to: the server, or the proxy.
        is_encrypted: By TLS: grpcs://.
        server: HOST:PORT; of a unix socket empty.
        proxy: HOST:PORT of the proxy; empty when there is none.
        login: What the proxy is told, by its Proxy-Authorization; empty when nothing is.
    """

    shown: str
    target: str
    is_encrypted: bool = False
    server: str = ""
    proxy: str = ""
    login: str = field(default="", repr=False)

    @property
    def options(self) -> list[tuple[str, str]]:
        """gRPC's settings for the way through the proxy: as it sets them itself for one of the environment, which it
        would also look up in no_proxy."""
        if not self.proxy:
            return []
        options = [("grpc.http_connect_server", self.server)]
        if not self.is_encrypted:  # else it is the name that the certificate is for
            options.append(("grpc.default_authority", self.server))
        return [*options, ("grpc.http_connect_headers", f"Proxy-Authorization:{self.login}")] if self.login else options

    def is_local(self) -> bool:
        """Whether what is sent there stays on this machine: a unix socket, or a loopback address without a proxy."""
        if not self.server:
            return True
        host = host_and_port(self.server)[0]
        if self.proxy:
            return False
        try:
            ip = ipaddress.ip_address(host)
        except ValueError:
            return host.lower().removesuffix(".") == "localhost"
        return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def parse_address(address: str, proxy: str | None = None) -> Address:
    """Reads an address.

    Args:
        address: host:port, [IPv6]:port, each also as grpc://… or grpcs://…, with ?proxy=URL; or unix:PATH,
            percent-encoded.
        proxy: http://[user:password@]host:port, through which the server is reached, rather than that of the address.
            None: that of the address, or none; the environment is not asked.

    Raises:
        InvalidArgumentError: BAD_ADDRESS, BAD_PROXY, before any I/O.
    """
    if not isinstance(address, str):
        raise _bad(address)
    is_encrypted = address.startswith(_TLS)
    rest = address.removeprefix(_TLS if is_encrypted else "grpc://")
    if rest.startswith(_UNIX):
        if is_encrypted:
            raise _bad(address, "a unix socket stays on this machine, and is not encrypted")
        try:
            shown = unix_address(unix_path(rest))
        except ValueError as error:
            raise _bad(address, str(error)) from None
        if proxy is not None:
            raise bad_proxy(proxy, "a unix socket is reached without one")
        return Address(shown, shown)
    server, question, query = rest.partition("?")
    server = server.removesuffix("/")
    _check_host_and_port(server, address)
    if question:
        name, _, value = query.partition("=")
        if name != "proxy":
            raise _bad(address, "after ? there is proxy=URL and nothing else")
        proxy = unquote(value) if proxy is None else proxy
    shown = f"{_TLS}{server}" if is_encrypted else server
    # Stated as dns: so that gRPC never takes a host name for the scheme of another resolver.
    if proxy is None:
        return Address(shown, f"dns:{server}", is_encrypted, server)
    through, login = _parse_proxy(proxy)
    return Address(shown, f"dns:{through}", is_encrypted, server, through, login)


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
    if not port or not (":" in host if text.startswith("[") else HOST.fullmatch(host)):
        raise _bad(address)


def _parse_proxy(proxy: object) -> tuple[str, str]:
    """Host and port of a proxy, and what its Proxy-Authorization says."""
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
        return server, ""
    login = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
    return server, f"Basic {base64.b64encode(login).decode()}"


def _bad(address: object, why: str | None = None) -> InvalidArgumentError:
    expected = "host:port (port 1 to 65535), grpc://host:port, grpcs://host:port, [IPv6]:port or unix:PATH"
    shown = without_password(address) if isinstance(address, str) else address
    return InvalidArgumentError(
        f"bad address {shown!r}: {f'{why}; ' if why else ''}expected {expected}", reason="BAD_ADDRESS"
    )
