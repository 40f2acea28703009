"""Every error that Vault raises on purpose.

VaultError
├── InvalidArgumentError (ValueError)   what was asked can never work: unit, id, name, range, size
│   └── UnknownUnitError (LookupError)  the unit is not in the structure, or the server does not allow it
├── NotFoundError (LookupError)         no such object
├── ConflictError                       the object is at another generation
├── AlreadyExistsError                  the id or the name is taken
├── ChecksumError                       bytes changed on the way to the store
├── CorruptionError                     stored bytes do not match their checksum
├── StorageError                        the store could not read or write
│   └── StorageFullError                the disk is full, or a quota reached
├── UntrustedError                      the server's certificate, or ours, is not accepted
├── UnauthenticatedError                the server does not know who calls
├── PermissionDeniedError               the caller may not do this
├── UnavailableError                    the server is away, too busy, or did not answer in time; no thread left
├── ProtocolError                       the other side does not speak vault.v1, or not as it is written
├── ClosedError                         a closed vault, store, ticket or file was used
├── FeedError                           the change feed cannot go on from where it was
│   ├── RevisionCompactedError          the revision is older than the feed's history
│   └── SlowConsumerError               the watcher did not keep up
├── DatatypeError                       a Datatype failed
│   ├── EncodeError                     while dumping an object
│   └── DecodeError                     while loading one, or its tag is not this Datatype's
└── BatchError                          some items of a batch failed; holds every item's outcome

`reason` is the UPPER_SNAKE word that stands for the error on the wire; `context` holds what a
program needs (unit, data_id, name, generation, …) under the same keys on both sides.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from vault._escaping import escape_hidden, redact


class VaultError(Exception):
    """The root of Vault's errors.

    Attributes:
        message: What happened, in one line in which what would steer a terminal is escaped, and tokens are cut short.
        reason: UPPER_SNAKE, the same embedded and remote.
        context: What it was about: unit, data_id, name, generation, block, limit, … Tokens in it are cut short too.
    """

    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, reason: str | None = None, **context: Any) -> None:
        # Whatever it quotes: it ends in logs and on terminals.
        self.message = redact(escape_hidden(message))
        super().__init__(self.message)
        self.reason = reason or self.default_reason
        self.context: dict[str, Any] = {
            key: redact(value) if isinstance(value, str) else value
            for key, value in context.items()
            if value is not None
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.reason, self.context)


def _rebuild(kind: type[VaultError], message: str, reason: str, context: dict[str, Any]) -> VaultError:
    return kind(message, reason=reason, **context)


class InvalidArgumentError(VaultError, ValueError):
    """What was asked can never work; the text says what is allowed."""

    default_reason = "INVALID_ARGUMENT"


class UnknownUnitError(InvalidArgumentError, LookupError):
    """The unit is not in the vault's structure, or not one that the server allows."""

    default_reason = "UNKNOWN_UNIT"


class NotFoundError(VaultError, LookupError):
    """There is no such object."""

    default_reason = "OBJECT_NOT_FOUND"


class ConflictError(VaultError):
    """The object is at another generation than the one stated: somebody wrote it first."""

    default_reason = "GENERATION_MISMATCH"


class AlreadyExistsError(VaultError):
    """The id (OBJECT_EXISTS) or the name (NAME_TAKEN) belongs to another object."""

    default_reason = "OBJECT_EXISTS"


class ChecksumError(VaultError):
    """A block reached the store with other bytes than its checksum says. Nothing was stored."""

    default_reason = "CHECKSUM_MISMATCH"


class CorruptionError(VaultError):
    """Stored bytes do not match their checksum. They were not handed out."""

    default_reason = "STORED_CHECKSUM_MISMATCH"


class StorageError(VaultError):
    """The store could not read or write: permissions, I/O errors, no file descriptors left."""

    default_reason = "STORAGE_FAILED"


class StorageFullError(StorageError):
    """The disk is full, or a quota is reached. Nothing was stored."""

    default_reason = "STORAGE_FULL"


class UntrustedError(VaultError):
    """The channel cannot be trusted, so nothing was sent: the server's certificate has expired, is for another name or
    of an authority that is not trusted here; or the server does not accept the client's."""

    default_reason = "UNTRUSTED"


class UnauthenticatedError(VaultError):
    """The server does not know who calls: there is no token, or one that is unknown, has expired or was revoked
    (REVOKED: while the call ran). Nothing was done, but for what a stream was answered before."""

    default_reason = "UNAUTHENTICATED"


class PermissionDeniedError(VaultError):
    """The caller may not do this: it has no scope for it (PERMISSION_DENIED), or its address is not on the allowlist
    (ADDRESS_NOT_ALLOWED). Nothing was done."""

    default_reason = "PERMISSION_DENIED"


class UnavailableError(VaultError):
    """The server is away, too busy, or did not answer within the timeout; or the system has no thread left for what was
    asked (OVERLOADED), which was not done."""

    default_reason = "UNAVAILABLE"


class UnsupportedError(VaultError):
    """The store cannot do this: it is older than the call, or is not made for it. Nothing was done."""

    default_reason = "UNSUPPORTED"


class ProtocolError(VaultError):
    """The other side does not speak vault.v1, or not as it is written."""

    default_reason = "PROTOCOL"


class ClosedError(VaultError):
    """A closed vault, store, ticket or file was used."""

    default_reason = "CLOSED"


class FeedError(VaultError):
    """The change feed cannot go on from where it was: revalidate everything, watch anew."""

    default_reason = "FEED"


class RevisionCompactedError(FeedError):
    """The revision to start from is older than the feed's history."""

    default_reason = "REVISION_COMPACTED"


class SlowConsumerError(FeedError):
    """The watcher did not keep up and was cut off."""

    default_reason = "SLOW_CONSUMER"


class DatatypeError(VaultError):
    """A Datatype failed; the cause is chained."""

    default_reason = "DATATYPE"


class EncodeError(DatatypeError):
    """An object could not be dumped. Nothing was stored."""

    default_reason = "ENCODE"


class DecodeError(DatatypeError):
    """Stored bytes could not be loaded, or carry a tag that the unit's Datatype does not know."""

    default_reason = "DECODE"


class BatchError(VaultError):
    """Some items of a batch failed; the others took effect.

    Attributes:
        results: One for each item, in the order asked for: what the call returns for an item that
            succeeded, a VaultError for one that did not.
    """

    default_reason = "BATCH"

    def __init__(self, results: Sequence[Any]) -> None:
        self.results = list(results)
        self.errors = {i: r for i, r in enumerate(self.results) if isinstance(r, VaultError)}
        first = next(iter(self.errors.items()), None)
        detail = f"; the first, item {first[0]}: {first[1]}" if first else ""
        super().__init__(f"{len(self.errors)} of {len(self.results)} items failed{detail}")

    def __reduce__(self) -> tuple[Any, ...]:
        return BatchError, (self.results,)


def unsupported(store: object, method: str) -> UnsupportedError:
    """The error for a method of the contract that a store does not have."""
    return UnsupportedError(f"{type(store).__name__} does not support {method}", method=method)


def object_not_found(unit: str | None, key: int | str, near: Sequence[str] = ()) -> NotFoundError:
    """The error for an object that is not there, looked for by its id or its name in a unit (None: in all of them).

    Args:
        near: Names that are there and are like it.
    """
    where = "no unit has an object" if unit is None else f"unit {unit!r} has no object"
    if isinstance(key, str):
        like_it = f"; names like it: {', '.join(map(repr, near))}" if near else ""
        return NotFoundError(f"{where} named {key!r}{like_it}", unit=unit, name=key)
    return NotFoundError(f"{where} with id {key}", unit=unit, data_id=key)


def write_not_found(unit: str) -> NotFoundError:
    """The error for a resumable write that is not there."""
    return NotFoundError(
        f"unit {unit!r} has no write under this request id: it was not begun, was aborted, or has expired",
        reason="WRITE_NOT_FOUND",
        unit=unit,
    )
