"""The audit: a JSON line for every allowed write and act of an administrator, and for who was refused."""

import asyncio
import errno
import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self

from vault._escaping import redact
from vault.errors import StorageError, StorageFullError
from vault.wire.error_table import cut

from vault_server.access.append_file import AppendFile
from vault_server.access.settings import AccessSettings

logger: Final = logging.getLogger("vault_server.audit")

ROOM: Final = 256 << 10
"""Bytes that have to be free before a write begins: lines of the calls that run already, and more."""

_MOST_TEXT: Final = 256  # bytes of one value that a peer chose
_MOST_PENDING: Final = 1000  # lines that could not be written, and are when there is room again
_MOST_REFUSED: Final = 1024  # principals and addresses whose refusals are counted apart

_to_json: Final = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps makes one for each line

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EAGAIN})


class AuditLog:
    """Writes the audit of one process; several may write to one file. Belongs to one event loop.

    Tokens never get into it, nor objects' bytes. What a peer chose is escaped, and cut.

    Args:
        path: Of the file; made with permissions 0600.
        reads: Calls that read have lines, too.
        best_effort: Where a line cannot be written the work goes on; how many are missing is written once that works.
        worker: Which of several processes this is.

    Raises:
        StorageError: AUDIT_FAILED, the file cannot be opened.
    """

    def __init__(self, path: str, *, reads: bool = False, best_effort: bool = False, worker: int | None = None) -> None:
        try:
            self._file = AppendFile(path)
        except OSError as error:
            raise StorageError(f"cannot write the audit to {path}: {error.strerror}", reason="AUDIT_FAILED") from error
        self.reads = reads
        self._best_effort = best_effort
        self._always = {} if worker is None else {"worker": worker}
        self._pending: list[bytes] = []
        self._lost = 0
        self._trouble: OSError | None = None
        self._tight = False
        self._refused: dict[tuple[str, str], _Refused] = {}

    @classmethod
    def of(cls, settings: AccessSettings, worker: int | None) -> Self | None:
        """The one that a server's settings ask for. Raises as the constructor."""
        if settings.audit is None:
            return None
        return cls(
            os.fspath(settings.audit), reads=settings.audit_reads, best_effort=settings.audit_best_effort, worker=worker
        )

    def require(self, *, frees: bool = False) -> None:
        """Refuses a write whose line would find no room, before anything is done.

        Args:
            frees: It makes room, so it may have the last of it.

        Raises:
            StorageFullError: AUDIT_FULL.
            StorageError: AUDIT_FAILED.
        """
        if self._best_effort:
            return
        if self._trouble is not None:
            self._catch_up()
        if self._trouble is not None:
            raise _error(self._trouble)
        tight = not frees and not self._file.has_room(ROOM)
        if tight and not self._tight:
            logger.error("the disk of the audit is nearly full: writes are refused until there is room")
        self._tight = tight
        if tight:
            raise _error(OSError(errno.ENOSPC, ""))

    def write(self, fields: Mapping[str, Any]) -> None:
        """Writes a line, now. Where that is not possible it is kept, and written once it is.

        Raises:
            StorageFullError: AUDIT_FULL; not with `best_effort`.
            StorageError: AUDIT_FAILED; likewise.
        """
        if self._trouble is not None:
            self._catch_up()
        line = self._line(fields)
        if self._trouble is None:
            try:
                self._file.append(line)
            except OSError as error:
                self._fail(error)
            else:
                return
        if len(self._pending) < _MOST_PENDING:
            self._pending.append(line)
        else:
            self._lost += 1
        if not self._best_effort:
            raise _error(self._trouble)

    def refused(self, principal: str, address: str, fields: Mapping[str, Any]) -> None:
        """Writes the line of a refusal, or counts it, when the same principal at the same address was refused within
        the last second.
        """
        key = (principal, address)
        known = self._refused.get(key)
        if known is None and len(self._refused) >= _MOST_REFUSED:
            key = ("", "others")
            known = self._refused.get(key)
        if known is not None:
            known.count(str(fields.get("reason", "")))
            return
        self._refused[key] = _Refused()
        self._try_to_write({"event": "refused", "principal": principal, "address": address, **fields})
        self._sum_up_soon(key)

    def close(self) -> None:
        """Writes what is still counted. Harmless when repeated."""
        for key, refused in list(self._refused.items()):
            self._count(key, refused)
        self._refused.clear()
        if self._trouble is not None:
            self._catch_up()
        self._file.close()

    def _sum_up_soon(self, key: tuple[str, str]) -> None:
        asyncio.get_running_loop().call_later(1.0, self._sum_up, key)

    def _sum_up(self, key: tuple[str, str]) -> None:
        refused = self._refused.get(key)
        if refused is None:
            return
        if self._count(key, refused):
            self._refused[key] = _Refused()
            self._sum_up_soon(key)
        else:
            del self._refused[key]

    def _count(self, key: tuple[str, str], refused: "_Refused") -> bool:
        """Writes how many were refused; whether there were any."""
        if not refused.reasons:
            return False
        principal, address = key
        counted = {"count": sum(refused.reasons.values()), "reasons": refused.reasons}
        self._try_to_write({"event": "refusals", "principal": principal, "address": address, **counted})
        return True

    def _try_to_write(self, fields: Mapping[str, Any]) -> None:
        try:
            self.write(fields)
        except StorageError:  # nothing was allowed: the line waits
            return

    def _line(self, fields: Mapping[str, Any]) -> bytes:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shown = {key: _shown(value) for key, value in fields.items() if value is not None}
        line = _to_json({"time": now, **self._always, **shown}).replace("\x7f", "\\u007f")  # as `json_line`
        return f"{line}\n".encode("ascii")

    def _catch_up(self) -> None:
        """Writes the lines that are missing; then all is well again."""
        lines = list(self._pending)
        if self._lost:
            lines.append(self._line({"event": "lost", "count": self._lost}))
        try:
            if lines:
                self._file.append(b"".join(lines))
        except OSError as error:
            self._fail(error)
            return
        self._pending.clear()
        self._lost = 0
        self._trouble = None
        logger.warning("the audit goes on", extra={"late": len(lines)})

    def _fail(self, error: OSError) -> None:
        if self._trouble is None:
            effect = "go on without it" if self._best_effort else "are refused until it can"
            logger.error("the audit cannot be written: writes %s", effect, extra={"detail": str(error)})
        self._trouble = error


class _Refused:
    """How often somebody was refused since the last line about it, by reason."""

    def __init__(self) -> None:
        self.reasons: dict[str, int] = {}

    def count(self, reason: str) -> None:
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


def _error(trouble: OSError | None) -> StorageError:
    if trouble is not None and trouble.errno in _FULL:
        return StorageFullError("the server's audit has no room: what it cannot note is refused", reason="AUDIT_FULL")
    return StorageError("the server's audit cannot be written: what it cannot note is refused", reason="AUDIT_FAILED")


def _shown(value: Any) -> Any:
    """A value as it may stand in the audit."""
    if isinstance(value, str):
        # Most are short and plain.
        plain = len(value) <= _MOST_TEXT and value.isascii()
        return redact(value) if plain else cut(redact(value), _MOST_TEXT)
    if isinstance(value, Mapping):
        return {str(_shown(str(key))): _shown(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    return value
