"""Errors to gRPC status and back, by the table in `vault.wire.error_table`.

An error travels as code and text, plus one google.rpc.Status in the trailing metadata with an ErrorInfo
(reason, domain `vault`, context) and, where waiting helps, a RetryInfo. See AIP-193 and
https://grpc.io/docs/guides/error/#richer-error-model.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import grpc
from google.protobuf.message import DecodeError as NotParsed
from google.rpc import error_details_pb2, status_pb2

from vault.errors import (
    ClosedError,
    InvalidArgumentError,
    PermissionDeniedError,
    ProtocolError,
    UnauthenticatedError,
    UnavailableError,
    VaultError,
)
from vault.wire.error_table import DOMAIN, context_text, cut, item_error_from_wire, item_error_to_wire, rebuild, row_of

__all__ = ["DETAILS_KEY", "Status", "error_from_rpc", "item_error_from_wire", "item_error_to_wire", "status_of"]

DETAILS_KEY: Final = "grpc-status-details-bin"

# gRPC drops a call whose metadata takes more than 8 KiB (grpc.max_metadata_size). The text counts up to
# three times, since grpc-message is percent-encoded, and once more inside the details; the details
# count 4/3, in base64.
_MAX_MESSAGE: Final = 1000
_MAX_DETAILS: Final = 3500

_CODES: Final[dict[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}

_TOO_LARGE: Final = re.compile(r"message larger than max|larger than max \(", re.IGNORECASE)
_FOREIGN: Final = re.compile(r"http1\.x server|http2 header with status|invalid content-type|HTTP proxy", re.IGNORECASE)
_NOBODY: Final = re.compile(r"(?:remote host|error): (Connection refused|No such file or directory)$")
_NO_HTTP2: Final = re.compile(r"failed parsing http/2", re.IGNORECASE)
# The transport's own words for a connection that went away in the middle of a call: gRPC reports some of
# them as UNKNOWN or INTERNAL (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md).
_LOST: Final = re.compile(
    r"stream removed|rst_stream|socket closed|goaway|connection reset|transport closed|internal error from core",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Status:
    """What a server answers instead of a result."""

    code: grpc.StatusCode
    message: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


class _Call(Protocol):
    """What sync and aio RPC errors have in common."""

    def code(self) -> grpc.StatusCode | None: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...


def status_of(error: VaultError) -> Status:
    """The status for an error, small enough for gRPC's metadata limit: long texts are cut.

    `context["retry_after"]` (seconds) becomes the RetryInfo; without one, the table says.
    """
    row = row_of(error)
    message = cut(error.message, _MAX_MESSAGE)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=context_text(error))
    status = status_pb2.Status(code=row.code, message=message)
    retry_after = error.context.get("retry_after", row.retry_after)
    if retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(retry_after * 1e9))
        status.details.add().Pack(retry)
    while info.metadata and status.ByteSize() + info.ByteSize() > _MAX_DETAILS:
        del info.metadata[max(info.metadata, key=lambda key: len(info.metadata[key]))]
    status.details.add().Pack(info, deterministic=True)  # the same error, the same bytes
    return Status(_CODES[row.code], message, ((DETAILS_KEY, status.SerializeToString()),))


def error_from_rpc(error: grpc.RpcError, *, address: str | None = None) -> VaultError:
    """The error that a server raised, or one that says what became of the call.

    `error` may come from sync or from aio stubs. Where the server sent a RetryInfo,
    `context["retry_after"]` holds its seconds. Raise the result `from` the RPC error.
    """
    call = cast(_Call, error)
    code = call.code() or grpc.StatusCode.UNKNOWN
    text = call.details() or ""
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            sent = _from_details(value)
            if sent is not None:
                return sent
    return _from_code(code, text, f"the server at {address}" if address else "the server")


def _from_details(raw: bytes) -> VaultError | None:
    """The error in a google.rpc.Status; None when it holds none of ours."""
    try:
        status = status_pb2.Status.FromString(raw)
        info = error_details_pb2.ErrorInfo()
        retry = error_details_pb2.RetryInfo()
        more: dict[str, Any] = {}
        for detail in status.details:
            detail.Unpack(info)
            if detail.Unpack(retry):
                more["retry_after"] = retry.retry_delay.ToNanoseconds() / 1e9
    except NotParsed:
        return None
    if info.domain != DOMAIN or not info.reason:
        return None
    return rebuild(info.reason, status.code, status.message, info.metadata, **more)


def _from_code(code: grpc.StatusCode, text: str, server: str) -> VaultError:
    """What a status without our details comes to: gRPC itself made it, or something that is not Vault."""
    said = f": {cut(text, _MAX_MESSAGE)}" if text else ""
    if _FOREIGN.search(text):
        return ProtocolError(f"{server} does not speak vault.v1{said}")
    match code:
        case grpc.StatusCode.UNIMPLEMENTED:  # or not yet: it is older than the call
            return ProtocolError(f"{server} does not speak vault.v1{said}", code=code.name)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return UnavailableError(f"{server} did not answer within the timeout", reason="TIMEOUT")
        case grpc.StatusCode.UNAVAILABLE:
            if (nobody := _NOBODY.search(text)) is not None:
                hint = "no server listens there (`vault-grpc serve DIRECTORY --listen ADDRESS` starts one)"
                return UnavailableError(f"{server} is unavailable: {nobody[1]}; {hint}")
            hint = "; what listens there does not speak gRPC" if _NO_HTTP2.search(text) else ""
            return UnavailableError(f"{server} is unavailable{said}{hint}")
        case grpc.StatusCode.CANCELLED if "closed" in text.lower():
            return ClosedError(f"the connection to {server} was closed while a call was running")
        case grpc.StatusCode.CANCELLED:
            return UnavailableError(f"the call to {server} was cancelled{said}", reason="CANCELLED")
        case grpc.StatusCode.RESOURCE_EXHAUSTED if _TOO_LARGE.search(text):
            return InvalidArgumentError(f"a message is over {server}'s limit{said}", reason="MESSAGE_TOO_LARGE")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return UnavailableError(f"{server} is too busy{said}", reason="OVERLOADED")
        case grpc.StatusCode.UNKNOWN | grpc.StatusCode.INTERNAL if _LOST.search(text):
            return UnavailableError(f"the connection to {server} was lost{said}")
        case grpc.StatusCode.UNKNOWN | grpc.StatusCode.INTERNAL:
            return VaultError(f"{server} failed{said}")
        case grpc.StatusCode.UNAUTHENTICATED:
            return UnauthenticatedError(f"{server} does not know who calls{said}")
        case grpc.StatusCode.PERMISSION_DENIED:
            return PermissionDeniedError(f"{server} does not allow the call{said}")
        case _:
            return ProtocolError(f"{server} answered {code.name} without saying why in the way of vault.v1{said}")
