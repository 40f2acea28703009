"""What the disk and SQLite report, as errors of the contract."""

import errno
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vault.errors import StorageError, StorageFullError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REASON_BY_CODE: Final = {
    sqlite3.SQLITE_NOTADB: "REGISTER_DAMAGED",
    sqlite3.SQLITE_CORRUPT: "REGISTER_DAMAGED",
    sqlite3.SQLITE_CONSTRAINT: "REGISTER_DAMAGED",  # rows that a sound register would not have are in the way
    sqlite3.SQLITE_BUSY: "REGISTER_BUSY",
}
_REMEDY: Final = "`vault-grpc check DIRECTORY --repair` saves what can be saved, when nobody has the store open"
_MISSING: Final = re.compile("no such (table|column|index)|has no column")


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code of an error; 0 when the error is Python's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection was in the way, so that trying again will help."""
    return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def no_room(error: OSError) -> bool:
    """Whether the disk is full, or a quota or a size limit reached."""
    return error.errno in _FULL


def room_helps(error: StorageError) -> bool:
    """Whether what failed may succeed when there is more room on the disk. It is no help against RLIMIT_FSIZE."""
    return isinstance(error, StorageFullError) and error.context.get("errno") != "EFBIG"


def storage_error(error: OSError | sqlite3.Error, attempt: str) -> StorageError:
    """The StorageError to raise from `error`: "could not" and what was attempted."""
    if isinstance(error, OSError):
        text = error.strerror or str(error)
        kind = StorageFullError if error.errno in _FULL else StorageError
        where = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
        return kind(f"could not {attempt}: {text}{where}", errno=errno.errorcode.get(error.errno or 0))
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return StorageFullError(f"could not {attempt}: {error}")
    reason = _REASON_BY_CODE.get(code)
    # Of Python's own: a text in a damaged row is none. And the statements are right, so their names are there.
    if isinstance(error, sqlite3.OperationalError) and (code == 0 or _MISSING.search(str(error))):
        reason = "REGISTER_DAMAGED"
    remedy = f"; {_REMEDY}" if reason == "REGISTER_DAMAGED" else ""
    return StorageError(
        f"could not {attempt}: {error}{remedy}",
        reason=reason,
        sqlite=getattr(error, "sqlite_errorname", None),
    )


def register_error(error: sqlite3.Error, attempt: str, register: Path) -> StorageError:
    """As `storage_error`, for a failed opening of the register, reading of it or write to it.

    SQLite says "disk I/O error" of a quota or a file size limit that is reached, and "unable to open database file"
    of a file system that is read-only, so a write like the one that failed is tried on a file of our own to
    see what the system says.
    """
    code = primary_code(error)
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        log = register.with_name(f"{register.name}-wal")
        try:
            end = max((path.stat().st_size for path in (register, log) if path.exists()), default=0)
            with tempfile.TemporaryFile(dir=register.parent) as probe:
                os.pwrite(probe.fileno(), bytes(1 << 16), end)
        except OSError as found:
            if found.errno in _FULL or code != sqlite3.SQLITE_IOERR:
                return storage_error(found, attempt)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT) and str(register) not in attempt:
        attempt = f"{attempt} {str(register)!r}"
    return storage_error(error, attempt)


def damaged(register: Path, what: str) -> StorageError:
    """The error of a register that cannot be used as it is."""
    return StorageError(f"the register {str(register)!r} {what}; {_REMEDY}", reason="REGISTER_DAMAGED")


@contextmanager
def storing(attempt: str) -> Iterator[None]:
    """Raises what the block raises of the disk or of SQLite as a StorageError; see `storage_error`."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise storage_error(error, attempt) from error
