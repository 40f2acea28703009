"""Who makes a call, until when, and as part of what: an argument of each RPC."""

import random
import re
import time
from collections.abc import Iterable
from typing import Any, Final

import grpc
from vault.store.contract import AsyncBlockWriter

from vault_server.access.grants import Principal, Scope
from vault_server.rpc.admission import Call
from vault_server.rpc.staged_writes import CountedWriter

REQUEST_ID_KEY: Final = "vault-request-id"

_TRACE: Final = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class CallContext:
    """gRPC's context of a call, and what the server knows of it besides. Made by the interceptor.

    Attributes:
        metadata: The call's, in pairs; `invocation_metadata` makes them anew each time.
    """

    __slots__ = ("_call", "_grpc", "_request_id", "metadata")

    def __init__(
        self, context: "grpc.aio.ServicerContext[Any, Any]", call: Call, metadata: Iterable[tuple[str, str | bytes]]
    ) -> None:
        self._grpc = context
        self._call = call
        self._request_id = ""
        self.metadata = metadata

    @property
    def principal(self) -> Principal:
        """Who calls. While the call runs this may become one with other grants."""
        return self._call.principal

    def used(self, unit: str, scope: Scope) -> None:
        """Notes what the call was let in for: when the principal's grants change, and it would not be any more, the
        call is cut."""
        self._call.uses.add((unit, scope))

    def peer(self) -> str:
        """The address that the call came from."""
        return self._call.peer  # as of the beginning: of a connection that is gone gRPC's is empty

    @property
    def caller(self) -> Call:
        """Among whom the server's time is shared; see BatchSlices."""
        return self._call

    def counted(self, writer: AsyncBlockWriter, request_id: bytes) -> AsyncBlockWriter:
        """A writer of this call, whose bytes are counted against its caller's budget."""
        return CountedWriter(writer, self._call.accounts, request_id)

    @property
    def deadline(self) -> float | None:
        """When the caller stops waiting, by `time.monotonic`; None: never."""
        now = time.monotonic()  # before what is left is asked for: rather early than late
        left = self._grpc.time_remaining()
        return None if left is None else now + left

    @property
    def trace(self) -> str | None:
        """The caller's span, as W3C Trace Context has it (`traceparent`); None: there is none, or it is malformed."""
        for name, value in self.metadata:
            if name == "traceparent" and isinstance(value, str) and _TRACE.fullmatch(value):
                return value
        return None

    @property
    def request_id(self) -> str:
        """What tells the call from others in logs: 16 hexadecimal digits, drawn here. A call that fails is answered
        with it, in the trailing metadata REQUEST_ID_KEY."""
        if not self._request_id:  # most calls need none
            self._request_id = f"{random.getrandbits(64):016x}"
        return self._request_id

    def ids(self) -> dict[str, str]:
        """What stands on each line about the call: its own id, and its caller's span, where there is one."""
        trace = self.trace
        return {"request_id": self.request_id, **({} if trace is None else {"trace": trace})}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grpc, name)  # what is not here is gRPC's
