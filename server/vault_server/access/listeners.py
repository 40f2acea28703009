"""What is asked of who connects at each address where a server listens, and which addresses are refused."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vault.errors import InvalidArgumentError

from vault_server.access.settings import AccessSettings
from vault_server.listen_address import Listen, parse_listeners


@dataclass(frozen=True, slots=True)
class Listener:
    """An address with its rule.

    Attributes:
        tls: Otherwise the channel is plain.
        client_certs: A certificate that `tls_client_ca` signed is asked for.
        identity: Who calls is asked who he is: by a token, or by his certificate. Otherwise he may do everything.
    """

    listen: Listen
    tls: bool
    client_certs: bool
    identity: bool

    def shown(self, port: int) -> str:
        """As a Vault is given it, with the port that was bound."""
        address = self.listen.shown(port)
        return f"grpcs://{address}" if self.tls else address


def listeners_of(listen: str | Sequence[str], settings: AccessSettings) -> tuple[Listener, ...]:
    """Reads one address or several, and gives each the rule that it states or the settings imply.

    Raises:
        InvalidArgumentError: BAD_ADDRESS, one is none; BAD_SETTING, its rule needs a setting that is not there.
    """
    return tuple(_listener(each, settings) for each in parse_listeners(listen))


def given_away(listeners: Sequence[Listener], settings: AccessSettings) -> list[str]:
    """One line for each insecure way that is in use, with what it gives away. Blocks while hosts are resolved.

    Raises:
        InvalidArgumentError: BAD_SETTING, one would be open to other machines without TLS, or without asking who calls,
            and the settings do not allow that; BAD_ADDRESS, a host cannot be resolved.
    """
    open_ones = [each for each in listeners if not (each.tls and each.identity) and not each.listen.is_local()]
    plain = [each.listen.target for each in open_ones if not each.tls]
    unasked = [each.listen.target for each in open_ones if not each.identity]
    refused = "; ".join(_refusals(plain, unasked, settings))
    if refused:
        raise InvalidArgumentError(refused, reason="BAD_SETTING")
    lines = []
    if plain:
        lines.append(
            f"--insecure-plaintext: on {', '.join(plain)} whoever is on the way reads, and changes, everything"
        )
    if unasked:
        lines.append(
            f"--insecure-anonymous: on {', '.join(unasked)} whoever can connect reads, and deletes, everything"
        )
    return lines


def _refusals(plain: list[str], unasked: list[str], settings: AccessSettings) -> Iterator[str]:
    if plain and not settings.insecure_plaintext:
        yield (
            f"refusing to listen on {', '.join(plain)} without TLS, where other machines can connect: give --tls-cert "
            "and --tls-key (`vault-grpc cert` makes them), or --insecure-plaintext"
        )
    if unasked and not settings.insecure_anonymous:
        yield (
            f"refusing to listen on {', '.join(unasked)} without asking who calls, where other machines can connect: "
            "give --tokens (`vault-grpc token` writes it), or --insecure-anonymous"
        )


def _listener(listen: Listen, settings: AccessSettings) -> Listener:
    def refuse(why: str) -> InvalidArgumentError:
        return InvalidArgumentError(f"cannot listen on {str(listen)!r}: {why}", reason="BAD_SETTING")

    tls = not listen.path and (settings.tls_cert is not None if listen.tls is None else listen.tls)
    if tls and settings.tls_cert is None:
        raise refuse("TLS needs --tls-cert and --tls-key")
    client_certs = tls and settings.tls_client_ca is not None if listen.client_certs is None else listen.client_certs
    if client_certs and not tls:
        raise refuse("clients show certificates over TLS alone")
    if client_certs and settings.tls_client_ca is None:
        raise refuse("client-certs=required needs --tls-client-ca")
    identity = client_certs or settings.tokens is not None if listen.identity is None else listen.identity
    if identity and settings.tokens is None:
        raise refuse(
            "--tokens is missing, the file that says who may do what; with identity=none whoever connects may do "
            "everything"
        )
    return Listener(listen, tls, client_certs, identity)
