"""ConnectionSettings: how a server is reached."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vault.errors import InvalidArgumentError
from vault.store.setting import check_settings, seconds, secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """How a server is reached, and for how long its answers are waited for.

    Attributes:
        proxy: http://[user:password@]host:port, an HTTP proxy that the server is reached through, by CONNECT; a
            server's URL may name it too: grpc://host:port?proxy=http://host:port. Without one the server is reached
            directly, whatever http_proxy of the environment says.
        timeout: Seconds that a call may go without progress.
        ca: The certificates of the authorities that are trusted, in PEM: a file's path, or the bytes. None: those of
            the file that VAULT_GRPC_CA names, or the system's. For grpcs://.
        cert, key: The client's own certificate, with what leads to its authority, and its key, likewise; both or
            neither. Files are read again when they change: new calls go over a new connection then.
        server_name: The name that the server's certificate is for, where that is not the address's host.
        token: Who calls: the token itself, the Path of a file that holds it and is read again when it changes, or a
            function that returns it, called for each call: it keeps what it computes. None: VAULT_GRPC_TOKEN, or
            the file of VAULT_GRPC_TOKEN_FILE. Sent over grpcs:// only, to a loopback address or a unix socket.

    Raises:
        InvalidArgumentError: BAD_TIMEOUT, BAD_SETTING.
    """

    proxy: str | None = secret(
        "An HTTP proxy to reach the server through, http://[USER:PASSWORD@]HOST:PORT.", metavar="URL"
    )
    ca: str | os.PathLike[str] | bytes | None = secret(
        "The authorities that may have signed the server's certificate, in PEM.", metavar="FILE"
    )
    cert: str | os.PathLike[str] | bytes | None = secret(
        "The client's own certificate, in PEM, for servers that ask for one.", metavar="FILE"
    )
    key: str | os.PathLike[str] | bytes | None = secret("The key of it.", metavar="FILE")
    server_name: str | None = secret(
        "The name that the server's certificate is for, if not the address's host.", metavar="NAME"
    )
    token: str | os.PathLike[str] | Callable[[], str] | None = secret(None, metavar="TOKEN")  # no flag: ps shows it
    timeout: float = seconds(60.0, "How long a server may take to answer", reason="BAD_TIMEOUT")

    def __post_init__(self) -> None:
        check_settings(self)


DEFAULT_CONNECTION: Final = ConnectionSettings()


def check_connection(connection: object) -> None:
    """Raises InvalidArgumentError, BAD_SETTING, unless these are ConnectionSettings."""
    if not isinstance(connection, ConnectionSettings):
        raise InvalidArgumentError(
            f"a connection is made with ConnectionSettings, not {type(connection).__name__}", reason="BAD_SETTING"
        )
