"""What each reason means on the wire and in Python: the one table, read in both directions.

It knows google.rpc.Code by number and nothing of gRPC; `vault.wire.status` adds that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from google.rpc import code_pb2

from vault import errors
from vault._escaping import redact
from vault.errors import VaultError
from vault.v1 import vault_pb2 as pb

DOMAIN: Final = "vault"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        error: The class that Python raises.
        code: google.rpc.Code.
        retry_after: Seconds to wait before trying again, where waiting helps (google.rpc.RetryInfo).
    """

    error: type[VaultError]
    code: int
    retry_after: float | None = None


_BAD_ARGUMENT: Final = (
    "INVALID_ARGUMENT", "BAD_UNIT", "BAD_ID", "BAD_NAME", "BAD_TAGS", "BAD_DATATYPE", "BAD_GENERATION", "BAD_REVISION",
    "BAD_REQUEST_ID", "BAD_OFFSET", "BAD_SIZE", "BAD_CHECKSUM", "BAD_DATA", "BAD_PAGE_SIZE", "BAD_PAGE_TOKEN",
    "BATCH_TOO_LARGE", "MESSAGE_TOO_LARGE", "BAD_EXPIRY", "BAD_TIME", "BAD_LIMIT", "BAD_LEASE", "BAD_DELIMITER",
    "BAD_ORDER", "BAD_PRINCIPAL", "BAD_GRANT", "BAD_NETWORK", "BAD_TOKEN", "BAD_CERTIFICATE", "BAD_IDENTITIES",
)  # fmt: skip
_NOT_FOUND: Final = (
    "OBJECT_NOT_FOUND", "WRITE_NOT_FOUND", "PRINCIPAL_NOT_FOUND", "TOKEN_NOT_FOUND", "FILE_NOT_FOUND",
)  # fmt: skip
_STORAGE: Final = (
    "STORAGE_FAILED", "REGISTER_DAMAGED", "REGISTER_TOO_OLD", "DIRECTORY_CHANGED", "NETWORK_FILESYSTEM",
    "AUDIT_FAILED",
)  # fmt: skip
_OUT_OF_ORDER: Final = ("EMPTY_MESSAGE", "NOT_STARTED", "ALREADY_STARTED", "ALREADY_COMMITTED", "NOT_COMMITTED")

TABLE: Final[Mapping[str, Row]] = {
    # What was asked can never work.
    **dict.fromkeys(_BAD_ARGUMENT, Row(errors.InvalidArgumentError, code_pb2.INVALID_ARGUMENT)),
    "BAD_RANGE": Row(errors.InvalidArgumentError, code_pb2.OUT_OF_RANGE),
    "UNKNOWN_UNIT": Row(errors.UnknownUnitError, code_pb2.INVALID_ARGUMENT),
    # Preconditions.
    **dict.fromkeys(_NOT_FOUND, Row(errors.NotFoundError, code_pb2.NOT_FOUND)),
    **dict.fromkeys(
        ("GENERATION_MISMATCH", "REVISION_MISMATCH", "WRITE_TAKEN_OVER"), Row(errors.ConflictError, code_pb2.ABORTED)
    ),
    **dict.fromkeys(("OBJECT_EXISTS", "NAME_TAKEN"), Row(errors.AlreadyExistsError, code_pb2.ALREADY_EXISTS)),
    # Bytes.
    "CHECKSUM_MISMATCH": Row(errors.ChecksumError, code_pb2.INVALID_ARGUMENT),
    "STORED_CHECKSUM_MISMATCH": Row(errors.CorruptionError, code_pb2.DATA_LOSS),
    # The store and the server.
    **dict.fromkeys(_STORAGE, Row(errors.StorageError, code_pb2.INTERNAL)),
    "REGISTER_BUSY": Row(errors.StorageError, code_pb2.UNAVAILABLE, retry_after=0.1),
    **dict.fromkeys(("STORAGE_FULL", "QUOTA", "AUDIT_FULL"), Row(errors.StorageFullError, code_pb2.RESOURCE_EXHAUSTED)),
    "UNAVAILABLE": Row(errors.UnavailableError, code_pb2.UNAVAILABLE, retry_after=0.1),
    "WRITE_LOST": Row(errors.UnavailableError, code_pb2.UNAVAILABLE, retry_after=0.1),
    "WRITE_BUSY": Row(errors.UnavailableError, code_pb2.UNAVAILABLE, retry_after=0.2),
    "OVERLOADED": Row(errors.UnavailableError, code_pb2.RESOURCE_EXHAUSTED, retry_after=0.5),
    "TIMEOUT": Row(errors.UnavailableError, code_pb2.DEADLINE_EXCEEDED),
    "CANCELLED": Row(errors.UnavailableError, code_pb2.CANCELLED),
    "RATE_LIMITED": Row(errors.UnavailableError, code_pb2.RESOURCE_EXHAUSTED, retry_after=0.5),
    # Who calls, and what it may do.
    "UNTRUSTED": Row(errors.UntrustedError, code_pb2.UNAVAILABLE),
    **dict.fromkeys(("UNAUTHENTICATED", "REVOKED"), Row(errors.UnauthenticatedError, code_pb2.UNAUTHENTICATED)),
    **dict.fromkeys(
        ("PERMISSION_DENIED", "ADDRESS_NOT_ALLOWED"), Row(errors.PermissionDeniedError, code_pb2.PERMISSION_DENIED)
    ),
    "UNSUPPORTED": Row(errors.UnsupportedError, code_pb2.UNIMPLEMENTED),
    "CLOSED": Row(errors.ClosedError, code_pb2.FAILED_PRECONDITION),
    "INTERNAL": Row(VaultError, code_pb2.INTERNAL),
    # The other side does not speak vault.v1; below, the messages of a streamed write out of order.
    "PROTOCOL": Row(errors.ProtocolError, code_pb2.INTERNAL),
    **dict.fromkeys(_OUT_OF_ORDER, Row(errors.ProtocolError, code_pb2.INVALID_ARGUMENT)),
    # The change feed.
    "FEED": Row(errors.FeedError, code_pb2.OUT_OF_RANGE),
    "REVISION_COMPACTED": Row(errors.RevisionCompactedError, code_pb2.OUT_OF_RANGE),
    "SLOW_CONSUMER": Row(errors.SlowConsumerError, code_pb2.RESOURCE_EXHAUSTED),
    # Raised by Datatypes, on the client's side; here for Stores that decode.
    "DATATYPE": Row(errors.DatatypeError, code_pb2.FAILED_PRECONDITION),
    "ENCODE": Row(errors.EncodeError, code_pb2.FAILED_PRECONDITION),
    **dict.fromkeys(("DECODE", "DATATYPE_MISMATCH"), Row(errors.DecodeError, code_pb2.FAILED_PRECONDITION)),
}

_BY_CODE: Final[Mapping[int, type[VaultError]]] = {
    code_pb2.INVALID_ARGUMENT: errors.InvalidArgumentError,
    code_pb2.OUT_OF_RANGE: errors.InvalidArgumentError,
    code_pb2.NOT_FOUND: errors.NotFoundError,
    code_pb2.ALREADY_EXISTS: errors.AlreadyExistsError,
    code_pb2.ABORTED: errors.ConflictError,
    code_pb2.DATA_LOSS: errors.CorruptionError,
    code_pb2.RESOURCE_EXHAUSTED: errors.UnavailableError,
    code_pb2.UNAVAILABLE: errors.UnavailableError,
    code_pb2.DEADLINE_EXCEEDED: errors.UnavailableError,
    code_pb2.UNIMPLEMENTED: errors.UnsupportedError,
    code_pb2.UNAUTHENTICATED: errors.UnauthenticatedError,
    code_pb2.PERMISSION_DENIED: errors.PermissionDeniedError,
}

_NUMBERS: Final = frozenset({
    "data_id", "generation", "actual_generation", "wanted", "expected", "actual", "revision", "oldest_revision",
    "block", "size", "written", "offset", "length", "limit", "items", "index", "since", "floor", "count",
})  # fmt: skip


_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,62}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_OWN: Final = frozenset({"self", "message", "reason", "retry_after"})
"""What an error has beside its context, or what comes another way."""

_MOST_KEYS: Final = 32
_MOST_TEXT: Final = 1024  # bytes of a message, or of a value of the context


def row_of(error: VaultError) -> Row:
    """The row for an error: its reason's, or that of the nearest class with a reason of its own."""
    row = TABLE.get(error.reason)
    if row is not None and isinstance(error, row.error):
        return row
    for kind in type(error).__mro__:
        if issubclass(kind, VaultError) and (row := TABLE.get(kind.default_reason)) is not None:
            return row
    return TABLE[VaultError.default_reason]


def rebuild(reason: str, code: int, message: str, metadata: Mapping[str, str], **more: Any) -> VaultError:
    """The error that was sent. One with a reason unknown here is raised as its code says.

    What was sent is a stranger's: long texts are cut, and what can be no reason or no key of a context is left out.
    """
    if _REASON.fullmatch(reason) is None:
        reason = ""
    row = TABLE.get(reason)
    kind = row.error if row is not None else _BY_CODE.get(code, VaultError)
    error = kind(cut(message, _MOST_TEXT), reason=reason or None)
    for key, value in islice(metadata.items(), _MOST_KEYS):
        if key.isidentifier() and key not in _OWN:
            number = key in _NUMBERS and _NUMBER.fullmatch(value) is not None
            error.context[key] = int(value) if number else cut(redact(value), _MOST_TEXT)
    error.context.update(more)
    return error


def context_text(error: VaultError) -> dict[str, str]:
    """An error's context as ErrorInfo carries it: text to text."""
    return {key: cut(str(value), _MOST_TEXT) for key, value in error.context.items() if key != "retry_after"}


def cut(text: str, most: int) -> str:
    """`text` in at most `most` bytes of valid UTF-8, the end marked where some was cut off."""
    raw = text.encode("utf-8", "replace")
    if len(raw) > most:
        raw = raw[: most - 3].decode("utf-8", "ignore").encode() + "…".encode()
    return raw.decode()


def item_error_to_wire(error: VaultError) -> pb.ItemError:
    """One failed item of a batch."""
    return pb.ItemError(
        code=row_of(error).code,
        reason=error.reason,
        message=cut(error.message, _MOST_TEXT),
        metadata=context_text(error),
    )


def item_error_from_wire(wire: pb.ItemError) -> VaultError:
    """The error that a call for that item alone would have raised."""
    return rebuild(wire.reason, wire.code, wire.message, wire.metadata)
