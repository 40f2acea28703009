"""Networks that clients may connect from, and the address that a peer has."""

import ipaddress
import logging
from collections.abc import Callable, Iterable
from typing import Final, Self, TypeAlias
from urllib.parse import unquote

from vault._runtime.watched_file import FilePoller, WatchedFile
from vault.errors import InvalidArgumentError
from vault.store.limits import shown

from vault_server.access.settings import AccessSettings

logger: Final = logging.getLogger(__name__)

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_MOST_NETWORKS: Final = 10_000  # each is compared with each new connection's address


class Networks:
    """Some networks, and whether an address is in one of them. Unix sockets are in all: their folders' permissions
    say who may connect.

    An IPv4 address is looked for among IPv4 networks alone, also where it came mapped into IPv6 (::ffff:10.0.0.1), so
    that ::/0 is all of IPv6 and nothing of IPv4.

    Args:
        networks: None at all: no address is in them.
    """

    __slots__ = ("networks",)

    def __init__(self, networks: Iterable[Network]) -> None:
        self.networks = tuple(dict.fromkeys(networks))

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Reads networks, or single addresses.

        Raises:
            InvalidArgumentError: BAD_NETWORK.
        """
        return cls(map(parse_network, texts))

    @classmethod
    def parse_file(cls, content: bytes) -> Self:
        """Reads a file's: one a line; what follows a # is a comment. Without any, only unix sockets may connect.

        Raises:
            InvalidArgumentError: BAD_NETWORK, with the line's number; nothing is taken of such a file.
        """
        found: list[Network] = []
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                found.append(parse_network(text))
            except InvalidArgumentError as error:
                raise InvalidArgumentError(f"line {number}: {error.message}", reason=error.reason) from error
            if len(found) > _MOST_NETWORKS:
                raise InvalidArgumentError(f"more than {_MOST_NETWORKS} networks", reason="BAD_NETWORK")
        return cls(found)

    def __contains__(self, address: Address | None) -> bool:
        """Whether an address is in one of them; None is a unix socket's."""
        return address is None or any(
            address.version == network.version and address in network for network in self.networks
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self.networks == other.networks

    def __hash__(self) -> int:
        return hash(self.networks)

    def __repr__(self) -> str:
        return f"Networks({', '.join(map(str, self.networks))})"


class Allowlist:
    """The networks of the settings and those of a file, which may change; all of them together.

    Args:
        files: Looks at the file.

    Raises:
        InvalidArgumentError: BAD_NETWORK; BAD_SETTING, the file cannot be read.
    """

    def __init__(self, settings: AccessSettings, files: FilePoller) -> None:
        self._given = Networks.parse(settings.allow)
        self._restricts = bool(settings.allow) or settings.allow_file is not None
        self._listeners: list[Callable[[Networks], object]] = []
        self.file: WatchedFile[Networks] | None = None
        if settings.allow_file is not None:
            self.file = files.add(WatchedFile(settings.allow_file, Networks.parse_file))
            self.file.on_change(self._changed)

    @property
    def networks(self) -> Networks | None:
        """From where clients may connect; None: from everywhere."""
        if not self._restricts:
            return None
        listed = () if self.file is None else self.file.content.networks
        return Networks((*self._given.networks, *listed))

    def on_change(self, listener: Callable[[Networks], object]) -> None:
        """Has a function called with the networks of now when they change: as WatchedFile's listeners are."""
        self._listeners.append(listener)

    def _changed(self, _: Networks) -> None:
        networks = self.networks
        assert networks is not None  # noqa: S101  # there is a file
        logger.info("allowed networks changed", extra={"networks": len(networks.networks)})
        for listener in self._listeners:
            listener(networks)


def parse_network(text: str) -> Network:
    """Reads a network, as 10.0.0.0/8 or fd00::/8, or an address, which is a network of one.

    A network of mapped addresses (::ffff:10.0.0.0/104) is the IPv4 network that they are of.

    Raises:
        InvalidArgumentError: BAD_NETWORK.
    """
    if "%" in text:
        raise _bad(text, "an address with a zone (%) is of one machine's interface: name the network without it")
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise _bad(text, "it is neither a network nor an address") from None
        raise _bad(text, f"it has bits set beyond its prefix: the network meant is {meant}") from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        assert mapped is not None  # noqa: S101  # it is in _MAPPED
        return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def peer_address(peer: str) -> Address | None:
    """The address of a peer as gRPC names it: ipv4:10.0.0.1:5000, ipv6:%5B::1%5D:5000, unix:, unix:/path.

    None for a unix socket. A mapped IPv4 address comes as IPv4, one of a zone without it.

    Raises:
        ValueError: It is none of these.
    """
    scheme, _, rest = peer.partition(":")
    if scheme in ("unix", "unix-abstract"):
        return None
    if scheme not in ("ipv4", "ipv6"):
        raise ValueError(f"no address: {peer!r}")
    return host_address(unquote(rest.rpartition(":")[0]).strip("[]"))


def host_address(host: str) -> Address:
    """The address of a host, as the system names it."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def caller_network(address: Address | None) -> str:
    """Whose budget an address is: its own of IPv4, that of its /64 of IPv6, where every host may have as many addresses
    as it likes; "unix" of a unix socket."""
    if address is None:
        return "unix"
    if address.version == 6:  # IPv6
        return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)


def _bad(text: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"bad network {shown(text)}: {why}; expected ADDRESS/PREFIX, as 10.0.0.0/8 or fd00::/8, or an address",
        reason="BAD_NETWORK",
    )
