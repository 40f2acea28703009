"""What a server asks of who connects, as settings."""

import os
from dataclasses import dataclass
from typing import TypeAlias

from vault.errors import InvalidArgumentError
from vault.store.setting import check_settings, path, switch, texts

FilePath: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Who may connect to a server, over which channel, and what is written down of it. The help beside a field is that
    of its flag of `vault-grpc serve`.

    Raises:
        InvalidArgumentError: BAD_SETTING, some of them do not go together.
    """

    tls_cert: FilePath | None = path(
        "The server's certificate, with what leads to its authority, in PEM. Read again when it changes."
    )
    tls_key: FilePath | None = path("The key of it, in PEM.")
    tls_client_ca: FilePath | None = path("Ask clients for certificates that these authorities have signed, in PEM.")
    tokens: FilePath | None = path(
        "Ask everybody who they are: the principals, their tokens and grants, as `vault-grpc token` writes them."
    )
    allow: tuple[str, ...] = texts(
        (),
        "A network from which clients may connect, as 10.0.0.0/8 or fd00::/8. May be repeated. Without any: all.",
        metavar="NETWORK",
    )
    allow_file: FilePath | None = path("A file of such networks, one a line, read again when it changes.")
    audit: FilePath | None = path("Write a JSON line to this file for every write and every act of an administrator.")
    audit_reads: bool = switch("Reads, too.")
    audit_best_effort: bool = switch("Go on with writes when the audit file cannot be written.")
    insecure_plaintext: bool = switch(
        "Listen on other than loopback addresses without TLS: whoever is on the way reads, and changes, "
        "everything, tokens too."
    )
    insecure_anonymous: bool = switch(
        "Listen on other than loopback addresses without asking who calls: whoever can connect may do everything."
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InvalidArgumentError("tls_cert and tls_key go together", reason="BAD_SETTING")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise InvalidArgumentError("tls_client_ca needs tls_cert and tls_key", reason="BAD_SETTING")
