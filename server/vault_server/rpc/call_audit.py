"""What the audit is told of a call: which method, of which objects, and what came of it."""

import time
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote

from google.protobuf.json_format import MessageToDict
from vault.errors import PermissionDeniedError, UnauthenticatedError, VaultError
from vault.v1 import vault_pb2 as pb
from vault.wire.write_columns import first_keys

from vault_server.access.audit import AuditLog
from vault_server.rpc.admission import CHECK, HOUSEKEEPING, UPLOADS, Call
from vault_server.rpc.call_context import CallContext
from vault_server.rpc.method_scopes import METHOD_SCOPES

_VAULT: Final = "/vault.v1.VaultService/"
_ADMIN: Final = "/vault.v1.AdminService/"

_READING: Final = frozenset({"open", "identity", "read", "list", "watch"})
_NOTHING_STORED: Final = frozenset(
    f"{_VAULT}{name}" for name in ("WriteBlock", "GetWriteStatus", "AcquireLease", "ReleaseLease")
)

READS: Final = _NOTHING_STORED.union(method for method, scope in METHOD_SCOPES.items() if scope in _READING)
"""Methods after which the store is as it was. Whatever is not among them counts as a write, other services' too."""

_FREEING: Final = frozenset(f"{_VAULT}{name}" for name in ("Delete", "DeleteMany", "AbortWrite"))
_LIMITS: Final = frozenset(f"{_VAULT}{name}" for name in ("SetUnitLimits", "SetPrincipalLimits"))
_IGNORED: Final = frozenset({CHECK, *HOUSEKEEPING})

_MOST_KEYS: Final = 10
"""Names and ids of a batch that are in its line."""

_SPECS: Final = ("spec", "put", "replace")


class CallAudit:
    """Tells an AuditLog of each call, once."""

    __slots__ = ("_admitted", "_call", "_log", "_shown", "_told", "_write")

    def __init__(self, log: AuditLog, call: Call, shown: CallContext) -> None:
        self._log = log
        self._call = call
        self._shown = shown
        self._write = call.method not in READS
        self._admitted = False
        self._told = call.method in _IGNORED or not (self._write or log.reads)

    def admitted(self) -> None:
        """It may run. Raises as AuditLog.require."""
        if self._write and not self._told:
            self._log.require(frees=self._call.method in _FREEING or self._call.method.startswith(_ADMIN))
        self._admitted = True

    def replied(self, reply: Any) -> None:
        """It is about to be answered so. Raises as AuditLog.write, and then it must not be."""
        if self._write and not self._told and (self._call.method not in UPLOADS or reply.HasField("info")):
            self._tell("OK", **_outcome(reply))

    def ended(self, code: str, error: BaseException | None) -> None:
        """It is over, with a status. Harmless when it was told of."""
        reason = error.reason if isinstance(error, VaultError) else None
        if isinstance(error, UnauthenticatedError | PermissionDeniedError) or reason == "RATE_LIMITED":
            self._refused(code, reason)
        elif self._admitted and not self._told:
            try:
                self._tell(code, reason=reason)
            except VaultError:
                return  # its line waits; it was not answered that all is well, or it changed nothing

    def _tell(self, outcome: str, **more: Any) -> None:
        self._told = True
        call = self._call
        self._log.write(
            {
                "event": "call",
                "principal": self._shown.principal.name,
                "address": unquote(call.peer),
                "method": call.method,
                **_asked(call.method, call.request),
                "outcome": outcome,
                **more,
                **self._shown.ids(),
                "milliseconds": round((time.perf_counter() - call.began) * 1000, 3),
            }
        )

    def _refused(self, code: str, reason: str | None) -> None:
        self._told = True
        address, _, port = unquote(self._call.peer).rpartition(":")
        fields = {
            "method": self._call.method,
            "unit": _asked(self._call.method, self._call.request).get("unit"),
            "outcome": code,
            "reason": reason,
            **self._shown.ids(),
        }
        host = address if port.isdecimal() else unquote(self._call.peer)  # each connection has a port of its own
        self._log.refused(self._shown.principal.name, host, fields)


def unit_of(request: Any) -> str:
    """The unit that a call is about, by its first message; "": none, or not known yet."""
    fields = _fields(request)
    if "start" in fields:
        return str(request.start.unit)
    return str(getattr(request, "unit", ""))


def _asked(method: str, request: Any) -> dict[str, Any]:
    """What a call's first message says that it is about."""
    if request is None or not hasattr(request, "DESCRIPTOR"):
        return {}
    asked: dict[str, Any] = {"unit": unit_of(request) or None}
    if method.startswith(_ADMIN) or method in _LIMITS:
        asked["request"] = MessageToDict(request, preserving_proto_field_name=True)
        return asked
    if not method.startswith(_VAULT):
        return asked  # another service's, which may hold secrets
    fields = _fields(request)
    asked["to_unit"] = (getattr(request, "to_unit", "") or None) if "to_unit" in fields else None
    if isinstance(request, pb.WriteColumnsRequest | pb.LoadColumnsRequest):
        asked["keys"] = first_keys(request, _MOST_KEYS)
        asked["items"] = len(request.data_ids) // 8
        return asked
    items = _items(request)
    if items:
        asked["keys"] = [_key_of(item) for item in items[:_MOST_KEYS]]
        asked["items"] = len(items)
    return asked


def _items(request: Any) -> Sequence[Any]:
    fields = _fields(request)
    for name in ("items", "keys"):
        if name in fields:
            found: Sequence[Any] = getattr(request, name)
            return found
    if "start" in fields:
        return [request.start]
    return [request] if "key" in fields or "name" in fields else []


def _key_of(item: Any) -> str | int | list[str | int]:
    """An item's object: its name, or its id where it is called by that; of a copy or a new name, both ends."""
    for spec in _SPECS:
        field = _fields(item).get(spec)
        if field is not None and field.message_type is not None and item.HasField(spec):
            item = getattr(item, spec)
            break
    fields = _fields(item)
    key = item.key if "key" in fields else item
    found: str | int = getattr(key, "name", "") or getattr(key, "data_id", 0)
    new = getattr(item, "name", "") if "key" in fields else ""
    return [found, new] if new else found


def _outcome(reply: Any) -> dict[str, Any]:
    """What a reply says that was done."""
    if not hasattr(reply, "DESCRIPTOR"):
        return {}
    fields = _fields(reply)
    done: dict[str, Any] = {}
    failed = [error.reason for error in reply.errors] if "errors" in fields else []
    if "results" in fields:
        failed = [result.error.reason for result in reply.results if result.HasField("error")]
    if failed:
        done["failed"] = len(failed)
        done["reasons"] = sorted(set(failed))[:_MOST_KEYS]
    if "info" in fields and hasattr(reply.info, "revision") and reply.info.revision:
        done["revision"] = reply.info.revision
    elif "revision" in fields:
        done["revision"] = reply.revision
    return done


def _fields(message: Any) -> Any:
    return {} if message is None or not hasattr(message, "DESCRIPTOR") else message.DESCRIPTOR.fields_by_name
