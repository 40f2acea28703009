"""Exit codes: what a script learns from how the command ended."""

import errno
import os
from enum import IntEnum

from vault._escaping import escape_hidden
from vault.cli import streams
from vault.errors import (
    AlreadyExistsError,
    BatchError,
    ChecksumError,
    ConflictError,
    CorruptionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
    UntrustedError,
    VaultError,
)

NAME = "vault-grpc"


class Exit(IntEnum):
    """How the command ended."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    CORRUPTION = 6
    REPAIRED = 7
    REFUSED = 8
    UNTRUSTED = 9
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS = {
    Exit.OK: "done",
    Exit.FAILURE: "anything else: a file cannot be read, the disk is full, …",
    Exit.USAGE: "the command line is wrong, or asks for what can never work",
    Exit.NOT_FOUND: "no such object",
    Exit.CONFLICT: "the id or name is taken, or the object is at another generation",
    Exit.UNAVAILABLE: "no server there, it does not answer, or no vault in the directory",
    Exit.CORRUPTION: "bytes do not match their checksum; a check found something wrong",
    Exit.REPAIRED: "a check found something wrong, and all of it is mended",
    Exit.REFUSED: "the server does not know who calls, or does not allow it",
    Exit.UNTRUSTED: "a certificate is not accepted, or one side speaks TLS and the other does not",
    Exit.INTERRUPTED: "interrupted (Ctrl-C)",
    Exit.BROKEN_PIPE: "whoever read the output stopped reading",
}

_CODES: list[tuple[type[VaultError], Exit]] = [
    (InvalidArgumentError, Exit.USAGE),
    (NotFoundError, Exit.NOT_FOUND),
    (ConflictError, Exit.CONFLICT),
    (AlreadyExistsError, Exit.CONFLICT),
    (UnavailableError, Exit.UNAVAILABLE),
    (CorruptionError, Exit.CORRUPTION),
    (ChecksumError, Exit.CORRUPTION),
    (UnauthenticatedError, Exit.REFUSED),
    (PermissionDeniedError, Exit.REFUSED),
    (UntrustedError, Exit.UNTRUSTED),
]


def exit_code(error: Exception) -> Exit:
    """The code for an error; a batch ends as its first item that failed."""
    if isinstance(error, BatchError):
        return next((exit_code(item) for item in error.errors.values()), Exit.FAILURE)
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILURE)


def text_of(error: VaultError | OSError) -> str:
    """What an error says, in one line; of the system's errors the file first, as other commands say it."""
    if isinstance(error, VaultError):
        return str(error)
    if error.errno == errno.EBADF and error.filename is None:
        return "a standard stream that is needed is closed"
    if error.strerror is None:
        return str(error) or type(error).__name__
    return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename is not None else error.strerror


def complain(text: str, code: Exit) -> Exit:
    """Writes one line to standard error. Returns the code."""
    streams.say(f"{NAME}: {escape_hidden(text)}")
    return code
