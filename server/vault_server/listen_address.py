"""Where a server listens: host and port, or a unix socket; and what may be wrong with it."""

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from vault._grpc.address import MAX_UNIX_PATH, host_and_port, unix_address, unix_path
from vault.errors import InvalidArgumentError, UnavailableError

_SCHEMES: Final = {"grpcs://": True, "grpc://": False}
_OPTIONS: Final = {"client-certs": "client_certs", "identity": "identity"}
_VALUES: Final = {"required": True, "none": False}


@dataclass(frozen=True, slots=True)
class Listen:
    """A parsed `listen` setting: a host and a port (0: any free one), or the path of a unix socket.

    Attributes:
        tls, client_certs, identity: What it says of the channel, of clients' certificates and of who is asked who he
            is; None: nothing.
    """

    host: str = ""
    port: int = 0
    path: str = ""
    tls: bool | None = None
    client_certs: bool | None = None
    identity: bool | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads HOST:PORT or [IPv6]:PORT, each also as grpcs://… or grpc://…, or unix:PATH, percent-encoded; after ?
        client-certs=required|none, identity=required|none, joined by &. Anything else is BAD_ADDRESS."""
        if text.startswith("unix-abstract:"):
            raise _bad(text, "a unix socket has a path")
        address, question, query = text.partition("?")
        if text.startswith("unix:"):  # whose path may have one, not encoded
            address, question, query = text.rpartition("?")
            if query.partition("=")[0] not in _OPTIONS:
                address, question, query = text, "", ""
        try:
            options: dict[str, Any] = dict(map(_option, query.split("&") if question else ()))
            if not address.startswith("unix:"):
                scheme = next(filter(address.startswith, _SCHEMES), "")
                host, port = host_and_port(address.removeprefix(scheme).removesuffix("/"))
                return cls(host=host, port=port, tls=_SCHEMES.get(scheme), **options)
            path = unix_path(address)
        except ValueError as error:
            raise _bad(text, str(error)) from None
        # So that the address that is shown holds wherever it is read, as long as there is room for that.
        absolute = Path(path).absolute()
        return cls(path=str(absolute) if len(os.fsencode(absolute)) <= MAX_UNIX_PATH else path, **options)

    def __str__(self) -> str:
        """As `parse` reads it."""
        scheme = next((scheme for scheme, tls in _SCHEMES.items() if tls is self.tls), "")
        given = [
            f"{name}={value}"
            for name, field in _OPTIONS.items()
            for value, meaning in _VALUES.items()
            if getattr(self, field) is meaning
        ]
        return f"{scheme}{self.target}{'?' if given else ''}{'&'.join(given)}"

    @property
    def target(self) -> str:
        """As gRPC binds it."""
        return self.shown(self.port)

    def shown(self, port: int) -> str:
        """As gRPC's clients are given it, with the port that was bound."""
        if self.path:
            return unix_address(self.path)
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    def is_local(self) -> bool:
        """Whether only this machine can connect: a unix socket, or a host all of whose addresses are loopback. Blocks
        while the host is resolved; one that cannot be is BAD_ADDRESS."""
        if self.path:
            return True
        found = [ipaddress.ip_address(address[4][0]) for address in self._resolved()]
        return bool(found) and all((getattr(each, "ipv4_mapped", None) or each).is_loopback for each in found)

    def prepare(self) -> None:
        """Finds what would keep a server from listening, and removes the socket file of one that is gone. Blocks.

        Raises:
            InvalidArgumentError: BAD_ADDRESS, a host that is not this machine's or cannot be resolved, no such
                folder, or the path is something else than a socket.
            UnavailableError: ADDRESS_IN_USE; or this user may not listen there.
        """
        if self.path:
            self._prepare_path()
            return
        for family, kind, protocol, _, address in self._resolved():
            with socket.socket(family, kind, protocol) as probe, self._binding():
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen(1)

    def shared(self, stack: contextlib.ExitStack) -> Self:
        """Takes the port for several processes of this user, until `stack` ends, and returns it (of port 0, a free one
        that was chosen). It is bound and does not listen. Blocks; raises as `prepare`, and BAD_ADDRESS for a path.
        """
        if self.path:
            raise _bad(self.target, "a unix socket belongs to one process: with several workers, HOST:PORT")
        self.prepare()
        port = self.port
        for family, kind, protocol, _, address in self._resolved():
            held = stack.enter_context(socket.socket(family, kind, protocol))
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            with self._binding():
                held.bind((address[0], port, *address[2:]))
            port = held.getsockname()[1]
        return replace(self, port=port)

    def _resolved(self) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]]:
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            raise _bad(self.target, f"the host cannot be resolved: {error}") from error
        return [each for each in found if each[0] in (socket.AF_INET, socket.AF_INET6)]  # type: ignore[misc]  # by family

    @contextlib.contextmanager
    def _binding(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno == errno.EADDRINUSE:
                raise self._in_use("program") from error
            if error.errno == errno.EADDRNOTAVAIL:
                raise _bad(self.target, f"the host is none of this machine's: {why}") from error
            raise UnavailableError(f"cannot listen on {self.target}: {why}") from error

    def _in_use(self, by: str) -> UnavailableError:
        return UnavailableError(f"cannot listen on {self.target}: another {by} does already", reason="ADDRESS_IN_USE")

    def _prepare_path(self) -> None:
        path = Path(self.path)
        if not path.parent.is_dir():
            raise _bad(self.target, f"there is no folder {str(path.parent)!r}")
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise _bad(self.target, "there is a file that is no socket")
        with socket.socket(socket.AF_UNIX) as probe, self._binding():
            try:
                probe.connect(self.path)
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)  # of a server that was killed
                return
        raise self._in_use("server")


def parse_listeners(listen: str | Sequence[str]) -> tuple[Listen, ...]:
    """Reads one address or several; one that is none, or no address at all, is BAD_ADDRESS."""
    texts = [listen] if isinstance(listen, str) else listen
    if not texts:
        raise InvalidArgumentError("there is no address to listen on", reason="BAD_ADDRESS")
    return tuple(map(Listen.parse, texts))


def _option(text: str) -> tuple[str, bool]:
    name, _, value = text.partition("=")
    if name not in _OPTIONS or value not in _VALUES:
        raise ValueError(f"{text!r} is no option: client-certs or identity, =required or =none")
    return _OPTIONS[name], _VALUES[value]


def _bad(address: str, why: str) -> InvalidArgumentError:
    expected = "HOST:PORT, [IPv6]:PORT, with grpcs:// or grpc:// or without, or unix:PATH"
    return InvalidArgumentError(f"cannot listen on {address!r}: {why}; expected {expected}", reason="BAD_ADDRESS")
