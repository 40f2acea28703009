"""ConnectionSettings: how a server is reached, and who calls."""

import inspect
import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Final, TypedDict, TypeVar

from vault._escaping import Secret
from vault.errors import InvalidArgumentError
from vault.store.location import HOST
from vault.store.setting import check_settings, seconds, secret, whole

T = TypeVar("T")

Pem = str | os.PathLike[str] | bytes
"""Certificates or a key in PEM: a file's path, or the bytes."""

Token = str | os.PathLike[str] | Callable[[], str]
"""A token, the path of the file that holds it, or a function that returns it."""

MAX_TOKEN: Final = 4096
"""Characters in a token: gRPC drops a call with more than 8 KiB of headers."""

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """How a server is reached, who calls, and for how long its answers are waited for.

    Attributes:
        proxy: http://[user:password@]host:port, an HTTP proxy that the server is reached through, by CONNECT; a
            server's URL may name it too: grpc://host:port?proxy=http://host:port. Without one the server is reached
            directly, whatever http_proxy of the environment says.
        timeout: Seconds that a call may go without progress.
        connections: Over how many connections one large transfer goes, 1 to 8. None: as many as its round trip is
            worth, one up to 5 ms. With an older server it is one; a download from an edge comes over one, and an upload
            goes over those that lead to the same worker.
        ca: The certificates of the authorities that are trusted, in PEM: a file's path, or the bytes. None: those of
            the file that VAULT_GRPC_CA names, or the system's. For grpcs://.
        cert, key: The client's own certificate, with what leads to its authority, and its key, likewise; both or
            neither. None: the files that VAULT_GRPC_CERT and VAULT_GRPC_KEY name, or none. Files are read again when
            they change: new calls go over a new connection then.
        server_name: The name that the server's certificate is for, where that is not the address's host.
        token: Who calls: the token itself, the Path of a file that holds it and is read again when it changes, or a
            function that returns it, called for each call: it keeps what it computes, waits for nothing, and returns
            tokens of one principal, whose objects are cached. None: VAULT_GRPC_TOKEN, or the file of
            VAULT_GRPC_TOKEN_FILE. Sent over grpcs://, to a loopback address and a unix socket, and nowhere else.

    Raises:
        InvalidArgumentError: BAD_TIMEOUT, BAD_SETTING.
    """

    proxy: str | None = secret(
        "An HTTP proxy to reach the server through, http://[USER:PASSWORD@]HOST:PORT.", metavar="URL"
    )
    ca: Pem | None = secret("The authorities that may have signed the server's certificate, in PEM.", metavar="FILE")
    cert: Pem | None = secret("The client's own certificate, in PEM, for servers that ask for one.", metavar="FILE")
    key: Pem | None = secret("The key of it.", metavar="FILE")
    server_name: str | None = secret(
        "The name that the server's certificate is for, if not the address's host.", metavar="NAME"
    )
    token: Token | None = secret(None, metavar="TOKEN")  # no flag: ps shows it
    timeout: float = seconds(60.0, "How long a server may take to answer", reason="BAD_TIMEOUT")
    connections: int | None = whole(
        None, "Over how many connections a large transfer goes; else by distance.", least=1, most=8, repr=False
    )

    def __post_init__(self) -> None:
        check_settings(self)
        for name in ("ca", "cert", "key"):
            _check_pem(name, getattr(self, name))
        if (self.cert is None) != (self.key is None):
            given, missing = ("cert", "key") if self.key is None else ("key", "cert")
            raise bad_setting(f"a {given} without a {missing}: a certificate is shown with its key, both or neither")
        if self.server_name is not None:
            _check_server_name(self.server_name)
        if isinstance(self.token, str):
            object.__setattr__(self, "token", hidden(self.token))
            check_token("the token", self.token)
        elif isinstance(self.token, os.PathLike):
            _check_path("token", self.token)
        elif self.token is not None and (not callable(self.token) or inspect.iscoroutinefunction(self.token)):
            kind = type(self.token).__name__
            raise bad_setting(
                f"bad token: text, the Path of a file, or a function that is not asynchronous, not {kind}"
            )


class ConnectionOptions(TypedDict, total=False):
    """The fields of ConnectionSettings as keywords of a call."""

    proxy: str | None
    ca: Pem | None
    cert: Pem | None
    key: Pem | None
    server_name: str | None
    token: Token | None
    timeout: float
    connections: int | None


def with_options(connection: ConnectionSettings, options: ConnectionOptions) -> ConnectionSettings:
    """The settings with what was said by keyword. Raises as ConnectionSettings; TypeError for an unknown keyword."""
    check_connection(connection)
    return replace(connection, **options) if options else connection


def check_connection(connection: object) -> None:
    """Raises InvalidArgumentError, BAD_SETTING, unless these are ConnectionSettings."""
    if not isinstance(connection, ConnectionSettings):
        raise bad_setting(f"a connection is made with ConnectionSettings, not {type(connection).__name__}")


def check_token(what: str, token: object) -> str:
    """The token; InvalidArgumentError, BAD_SETTING, unless one may look so. What it is, is not said."""
    if not isinstance(token, str):
        raise bad_setting(f"{what} is no text but {type(token).__name__}")
    if not token:
        raise bad_setting(f"{what} is empty")
    if _TOKEN.fullmatch(token) is None or len(token) > MAX_TOKEN:
        raise bad_setting(
            f"{what} is none: 1 to {MAX_TOKEN} visible characters of ASCII, without spaces and line ends among them"
        )
    return token


def hidden(token: T) -> T:
    """The same; of text some that is not shown by who prints the variables of a traceback."""
    return Secret(token) if isinstance(token, str) else token  # type: ignore[return-value]  # text, too


def given_names(connection: ConnectionSettings) -> list[str]:
    """The names of the settings that are not what they are by default, but `timeout`, which suits every Store."""
    return [
        each.name
        for each in fields(connection)
        if each.name != "timeout" and getattr(connection, each.name) is not None
    ]


def bad_setting(text: str) -> InvalidArgumentError:
    """The error for a setting that cannot be one."""
    return InvalidArgumentError(text, reason="BAD_SETTING")


def _check_pem(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, bytes):
        _check_path(name, value)
    elif b"-----BEGIN " not in value:
        raise bad_setting(f"bad {name}: the bytes given are no PEM, which has a line -----BEGIN …-----")


def _check_path(name: str, value: object) -> None:
    if not isinstance(value, str | os.PathLike):
        raise bad_setting(f"bad {name}: the path of a file, or its bytes, not {type(value).__name__}")
    path = os.fspath(value)
    if not isinstance(path, str) or not path or "\0" in path:
        raise bad_setting(f"bad {name}: not the path of a file")
    if "-----BEGIN " in path:
        raise bad_setting(f"bad {name}: text is the path of a file; PEM itself is given as bytes")


def _check_server_name(name: object) -> None:
    if isinstance(name, str):
        if HOST.fullmatch(name):
            return
        try:
            ipaddress.ip_address(name)
        except ValueError:
            pass
        else:
            return
    raise bad_setting("bad server_name: the name of a host, or an IP address, without a port")


DEFAULT_CONNECTION: Final = ConnectionSettings()  # last: it is made by what stands above
