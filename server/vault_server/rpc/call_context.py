"""Who makes a call, until when, and as part of what: an argument of each RPC."""

import random
import re
import time
from typing import Any, Final

import grpc

from vault_server.access.grants import ANYBODY

REQUEST_ID_KEY: Final = "vault-request-id"

_TRACE: Final = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class CallContext:
    """gRPC's context of a call, and what the server knows of it besides. Made by the interceptor.

    Attributes:
        principal: Who calls.
    """

    __slots__ = ("_grpc", "_peer", "_request_id", "principal")

    def __init__(self, context: "grpc.aio.ServicerContext[Any, Any]", peer: str) -> None:
        self._grpc = context
        self._peer = peer  # as of the beginning: of a connection that is gone gRPC's is empty
        self._request_id = ""
        self.principal = ANYBODY

    def peer(self) -> str:
        """The address that the call came from."""
        return self._peer

    @property
    def caller(self) -> str:
        """Among whom the server's time is shared: the principal, or the connection."""
        return self.principal.name or self._peer

    @property
    def deadline(self) -> float | None:
        """When the caller stops waiting, by `time.monotonic`; None: never."""
        now = time.monotonic()  # before what is left is asked for: rather early than late
        left = self._grpc.time_remaining()
        return None if left is None else now + left

    @property
    def trace(self) -> str | None:
        """The caller's span, as W3C Trace Context has it (`traceparent`); None: there is none, or it is malformed."""
        for name, value in self._grpc.invocation_metadata() or ():
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
