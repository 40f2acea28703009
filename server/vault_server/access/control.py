"""What a running server knows of who may connect: one object that its parts are given."""

import asyncio
import os
from typing import Final

from vault._runtime.watched_file import FilePoller, WatchedFile

from vault_server.access.audit import AuditLog
from vault_server.access.authentication import Authenticator, watched_identities
from vault_server.access.certificates import ServerCertificate, watched_certificate
from vault_server.access.grants import Principal
from vault_server.access.networks import Allowlist
from vault_server.access.settings import AccessSettings

_REPORT_SECONDS: Final = 86400.0
"""How often it is said that the certificate will not be valid for long."""


class AccessControl:
    """Made before a server listens: it reads its files then. Blocks.

    Attributes:
        settings: What it was made of.
        files: Looks at the files that are read again.
        certificate: Of the server; None: it has none.
        identities: Who is known to it; None: nobody is asked.
        allowlist: From where one may connect.
        audit: What is written down of calls; None: nothing.

    Raises:
        InvalidArgumentError: BAD_SETTING, one of the files is not usable; BAD_NETWORK.
        StorageError: AUDIT_FAILED, nor is the audit's.
    """

    def __init__(self, settings: AccessSettings, worker: int | None = None) -> None:
        self.settings = settings
        self.audit = AuditLog.of(settings, worker)
        self.files = FilePoller()
        self._next_report: asyncio.TimerHandle | None = None
        self.certificate: WatchedFile[ServerCertificate] | None = None
        self.allowlist = Allowlist(settings, self.files)
        if settings.tls_cert is not None and settings.tls_key is not None:
            self.certificate = watched_certificate(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
            self.files.add(self.certificate)
        self.identities: WatchedFile[Authenticator] | None = None
        if settings.tokens is not None:
            self.identities = self.files.add(watched_identities(os.fspath(settings.tokens)))

    @property
    def has_admin(self) -> bool:
        """Whether somebody is named who may administer the server."""
        if self.identities is None:
            return False
        known = self.identities.content.identities
        return any(Principal(each.name, each.grants).is_admin for each in known.values())

    def start(self) -> None:
        """Begins to look at its files, for the running event loop."""
        self.files.start()
        self._report_certificate()

    def stop(self) -> None:
        """Ends what `start` began."""
        self.files.stop()
        if self.audit is not None:
            self.audit.close()
        if self._next_report is not None:
            self._next_report.cancel()

    def _report_certificate(self) -> None:
        if self.certificate is not None:
            self.certificate.content.report()
            self._next_report = asyncio.get_running_loop().call_later(_REPORT_SECONDS, self._report_certificate)
