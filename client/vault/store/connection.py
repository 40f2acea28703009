"""ConnectionSettings: how a server is reached."""

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

    Raises:
        InvalidArgumentError: BAD_TIMEOUT.
    """

    proxy: str | None = secret(
        "An HTTP proxy to reach the server through, http://[USER:PASSWORD@]HOST:PORT.", metavar="URL"
    )
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
