"""Who calls, and whom it trusts: a channel's token and certificates, read again when their files change."""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from vault._escaping import Secret
from vault._grpc.address import Address, host_and_port
from vault._grpc.certificates import Certificates, checked_pair, checked_roots, system_roots
from vault._runtime.watched_file import WatchedFile
from vault.errors import InvalidArgumentError, UnauthenticatedError, VaultError
from vault.store.connection import ConnectionSettings, Pem, Token, bad_setting, check_token, hidden

T = TypeVar("T")

Metadata = tuple[tuple[str, str], ...]

LOOK: Final = 0.2
"""Seconds for which a file is believed to be what it was."""


class _Fixed(Generic[T]):
    """In the place of a WatchedFile, for what is in no file."""

    def __init__(self, content: T) -> None:
        self.content = content


class Credentials:
    """Those of a channel. May be shared by threads.

    Attributes:
        options: gRPC's settings for it.
    """

    def __init__(self, route: Address, connection: ConnectionSettings) -> None:
        """Reads the files.

        Raises:
            InvalidArgumentError: BAD_SETTING, a file cannot be read or is not what it should be; certificates are given
                for a channel that is not encrypted, or a token for one on which others could read it; two variables
                of the environment say who calls.
        """
        self._files: list[WatchedFile[Any]] = []
        self._looked = time.monotonic()
        self._certificates: Certificates | None = None
        self.options = route.options
        if route.is_encrypted:
            self._roots = self._make_roots(connection)
            self._pair = self._make_pair(connection)
            host = host_and_port(route.server)[0]
            name = connection.server_name or host.removesuffix(".")
            if route.proxy or name != host:  # else it is what gRPC connects to
                self.options.append(("grpc.ssl_target_name_override", name))
            self._certificates = Certificates(self._roots.content, self._pair.content, name)
        elif unfit := [name for name in ("ca", "cert", "key", "server_name") if getattr(connection, name) is not None]:
            raise bad_setting(f"{unfit[0]} is for an encrypted channel, grpcs://…, and {route.shown} is none")
        self._token = self._make_token(route, connection.token)
        self._sent: tuple[str, Metadata] | None = None

    def certificates(self) -> Certificates | None:
        """The present ones, another object when they have changed; None: the channel is not encrypted."""
        present = self._certificates
        if present is not None:
            self._look()
            if self._roots.content is not present.roots or self._pair.content is not present.pair:
                present = self._certificates = Certificates(self._roots.content, self._pair.content, present.name)
        return present

    def metadata(self) -> Metadata | None:
        """What a call is sent with; None: nothing.

        Raises:
            InvalidArgumentError: BAD_SETTING, the token's function returned what can be none.
            UnauthenticatedError: That function failed.
        """
        if self._token is None:
            return None
        self._look()
        token = self._token() if callable(self._token) else self._token.content
        # As metadata, which costs next to nothing; gRPC's credentials of a call, for which its threads ask Python, take
        # 500 µs more than the 450 of a small call over TLS (grpcio 1.85, loopback, both sides).
        sent = self._sent
        if sent is None or sent[0] != token:
            sent = self._sent = token, (("authorization", Secret(f"Bearer {token}")),)
        return sent[1]

    def has_changed(self, metadata: Metadata | None) -> bool:
        """Whether a call that was sent with this one's token would be sent with another by now."""
        self._looked = 0.0
        return metadata is not None and self.metadata() != metadata

    def renew(self) -> None:
        """In a forked child: no thread of the parent's is in the middle of this."""
        for file in self._files:
            file.renew()

    def _look(self) -> None:
        """Reads what has changed of the files, at most each LOOK seconds."""
        now = time.monotonic()
        if self._files and now - self._looked >= LOOK:
            self._looked = now
            for file in self._files:
                file.check()

    def _make_roots(self, connection: ConnectionSettings) -> "_Source[bytes | None]":
        given = connection.ca or _variable("VAULT_GRPC_CA")
        if given is None:
            path = system_roots()
            return _Fixed(None if path is None else Path(path).read_bytes())
        return self._make("ca", [given], checked_roots)

    def _make_pair(self, connection: ConnectionSettings) -> "_Source[tuple[bytes, bytes] | None]":
        cert, key = connection.cert, connection.key
        if cert is None or key is None:
            cert, key = _variable("VAULT_GRPC_CERT"), _variable("VAULT_GRPC_KEY")
            if cert is None and key is None:
                return _Fixed(None)
            if cert is None or key is None:
                raise bad_setting("VAULT_GRPC_CERT without VAULT_GRPC_KEY, or the other way round: both or neither")
        return self._make("cert and key", [cert, key], checked_pair)

    def _make_token(self, route: Address, given: Token | None) -> "_Source[str] | Callable[[], str] | None":
        if given is None:
            text, path = hidden(_variable("VAULT_GRPC_TOKEN")), _variable("VAULT_GRPC_TOKEN_FILE")
            if text is not None and path is not None:
                raise bad_setting("VAULT_GRPC_TOKEN and VAULT_GRPC_TOKEN_FILE are both set: one of them says who calls")
            if (text is None and path is None) or not (route.is_encrypted or route.is_local()):
                return None
            if text is not None:
                return _Fixed(check_token("VAULT_GRPC_TOKEN", text))
            given = Path(path or "")
        elif not (route.is_encrypted or route.is_local()):
            raise bad_setting(
                f"a token is not sent to {route.shown}: the channel is not encrypted, and whoever is on the way could "
                f"read it; reach the server by grpcs://{route.server}"
            )
        if isinstance(given, str):
            return _Fixed(given)
        if isinstance(given, os.PathLike):
            return self._make("token", [given], _token_of_file)
        return partial(_token_of_function, given)

    def _make(self, what: str, given: Sequence[Pem], parse: Callable[..., T]) -> "_Source[T]":
        """Of bytes, and of the files of paths, what they come to."""

        def parsed(*contents: bytes) -> T:
            left = iter(contents)
            return parse(*(each if isinstance(each, bytes) else next(left) for each in given))

        paths = [os.fsdecode(each) for each in given if not isinstance(each, bytes)]
        try:
            if not paths:
                return _Fixed(parsed())
            file = WatchedFile(paths, parsed)
        except InvalidArgumentError as error:
            raise bad_setting(f"bad {what}: {error.message}") from error.__cause__
        self._files.append(file)
        return file


_Source = WatchedFile[T] | _Fixed[T]


def _variable(name: str) -> str | None:
    """Of the environment; None: it is not set, or empty."""
    return os.environ.get(name) or None


def _token_of_file(content: bytes) -> str:
    return check_token("what it holds", hidden(content.decode("utf-8", "replace").strip()))


def _token_of_function(function: Callable[[], str]) -> str:
    try:
        token = hidden(function())
    except VaultError:
        raise
    except Exception as error:
        raise UnauthenticatedError(f"the token's function failed: {type(error).__name__}") from error
    return check_token("what the token's function returned", token)
