"""What every call goes by, sync or async: deadlines, when to try again, what to say."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import grpc
from google.protobuf.message_factory import GetMessageClass

from vault._runtime.backoff import Backoff
from vault.errors import ClosedError, ProtocolError, UnauthenticatedError, UnavailableError, VaultError
from vault.v1 import vault_pb2 as pb
from vault.v1.vault_pb2_grpc import VaultServiceStub
from vault.wire.block_codec import CODECS

_SERVICE: Final = pb.DESCRIPTOR.services_by_name["VaultService"]
_KINDS: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, True): "stream_stream",
}

MOST_REPLIES: Final = 8
"""Of a write that wait to be looked at. Of a server that sends more no more is read until they are."""

SIGNS: Final = 4
"""Times the timeout for which a server is believed that says that it is at work, and nothing moves."""

FORKED: Final = "FORKED"
"""The reason of an UnavailableError: the process forked, and nothing is wrong with the server."""

_TOKEN_CHANGED: Final = "TOKEN_CHANGED"  # noqa: S105  # a reason
_SILENCE: Final = 2.0  # seconds without a server, after which it is said that there is none yet

_log = logging.getLogger("vault.channel")


class OverdueError(Exception):
    """No message came in time."""


class LostError(grpc.RpcError):
    """In the place of what gRPC raises for a stream that was ended since the process forks."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "the process forked"

    def trailing_metadata(self) -> tuple[Any, ...]:
        return ()


class Owner(Protocol):
    """What the streams of a connection know of the channel that they are for."""

    address: str
    is_closed: bool

    def stall(self, call: Any, /) -> None:
        """Nothing came for the call for too long."""

    def error_of(self, failure: grpc.RpcError, metadata: Any, /) -> VaultError:
        """What the failure of a call that was sent with this metadata comes to."""


def token_changed(refusal: UnauthenticatedError) -> UnavailableError:
    """The error for a call that was refused with a token which is another one by now: it is to be sent once more."""
    return UnavailableError(refusal.message, reason=_TOKEN_CHANGED, refusal=refusal.reason)


class Unreadable:
    """In the place of a reply whose bytes are no message: what a deserializer raises, gRPC only logs, or lets out."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def make_stub(channel: Any) -> VaultServiceStub:
    """A stub of the service with the codecs of `vault.wire.block_codec`. A reply may be Unreadable: see `readable`."""
    stub = _Stub(channel)
    for method in _SERVICE.methods:
        path = f"/{_SERVICE.full_name}/{method.name}"
        codecs = CODECS[path]
        # On the wire a call with one reply is a stream with one: so it is begun without waiting for that.
        streams = method.server_streaming or method.name == "WriteBlock"
        make = getattr(channel, _KINDS[method.client_streaming, streams])
        parse = _parser(codecs.parse_response)
        setattr(stub, method.name, make(path, request_serializer=codecs.serialize_request, response_deserializer=parse))
    return stub


class _Stub(VaultServiceStub):
    """With the methods of AdminService, too, which next to nobody calls: each is made when it is asked for."""

    def __init__(self, channel: Any) -> None:
        super().__init__(channel)  # type: ignore[call-arg]  # of the stub file
        self._channel = channel

    def __getattr__(self, name: str) -> Any:
        from vault.v1 import admin_pb2  # noqa: PLC0415  # see above

        service = admin_pb2.DESCRIPTOR.services_by_name["AdminService"]
        if name not in service.methods_by_name:
            raise AttributeError(name)
        reply = GetMessageClass(service.methods_by_name[name].output_type)
        call = self._channel.unary_unary(
            f"/{service.full_name}/{name}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=_parser(reply.FromString),
        )
        setattr(self, name, call)
        return call


def _parser(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parse_reply(raw: bytes) -> Any:
        try:
            return parse(raw)
        except Exception as error:  # noqa: BLE001  # raised by `readable`
            return Unreadable(error)

    return parse_reply


def readable(reply: Any, address: str) -> Any:
    """A reply; ProtocolError when its bytes are no message of vault.v1."""
    if type(reply) is Unreadable:
        raise ProtocolError(f"{address} sent what is no message of vault.v1: {reply.error}", address=address)
    return reply


def patience_of(timeout: float) -> float:
    """Seconds that a call waits for a message before it looks whether a new connection works better.

    Part of the timeout only: a connection whose packets are dropped on their way says nothing, and is to be
    found and replaced while there is still time to go on.
    """
    return max(timeout / 4, min(timeout / 2, 1.0))


class Attempts:
    """When to try a call again, and what to say when trying is over. No I/O.

    For a transfer: from one progress to the next.

    Attributes:
        rereading: Seconds that a server takes, perhaps, to read again what it has of a write. It may give signs of
            life for so long, beside SIGNS times the timeout: they are no progress, and keep nobody for ever.
    """

    def __init__(self, address: str, timeout: float, began: float | None = None) -> None:
        self._address = address
        self._timeout = timeout
        self.rereading = 0.0
        self._backoff = Backoff(0.1, 1.0)
        self.begin(began)

    def begin(self, began: float | None = None) -> None:
        """The time counts from now, if not from then on, by `time.monotonic`: somebody begins to wait, or something has
        moved."""
        self._began = time.monotonic() if began is None else began
        self._deadline = self._began + self._timeout
        self._backoff.reset()
        self._patience = patience_of(self._timeout)
        self._cause: VaultError | None = None
        self._logged = False
        self._changed = False  # the token has, and the call was sent once more

    @property
    def patience(self) -> float:
        """Seconds to wait for a message; twice as long after each call that brought none, so that a slow line, or a
        server that has much to read again before it answers, gets there."""
        return self._patience

    @property
    def first_patience(self) -> float:
        """`patience`, as far as there is time."""
        return min(self._patience, self.remaining)

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; never 0, which gRPC would take for none."""
        return max(self._deadline - time.monotonic(), 0.001)

    def sign_of_life(self) -> None:
        """The server says that it is at work, and no more."""
        latest = self._began + SIGNS * self._timeout + self.rereading
        self._deadline = max(self._deadline, min(time.monotonic() + self._timeout, latest))
        self.check()

    def check(self) -> None:
        """Raises UnavailableError when the time is over: for a server that says something and nothing moves."""
        if time.monotonic() >= self._deadline:
            raise stalled(self._address, self._timeout)

    def wait(self, error: UnavailableError, *, over: bool = False) -> float:
        """Seconds to wait before the next attempt; raises what the failure comes to when there is none.

        Args:
            over: Another attempt does not help.
        """
        if error.reason == _TOKEN_CHANGED:
            if self._changed:
                raise UnauthenticatedError(error.message, reason=error.context["refusal"]) from error.__cause__
            self._changed = True
            return 0.0
        silent = error.reason in ("TIMEOUT", "CANCELLED")
        if self._cause is None or not silent:  # that time is over says less than why the attempts before it failed
            self._cause = error
        if silent:
            self._patience *= 2
        wait: float = max(error.context.get("retry_after", 0.0), self._backoff.next())
        if over or time.monotonic() + wait >= self._deadline:
            if self._cause.reason == "TIMEOUT" and not over:
                raise stalled(self._address, self._timeout) from error
            why = self._cause.message.removeprefix(f"the server at {self._address} is unavailable: ")
            raise UnavailableError(
                f"no answer from {self._address} within {_seconds(self._timeout)} s: {why}",
                reason=self._cause.reason,
                address=self._address,
            ) from error.__cause__ or error
        self._log_once()
        return wait

    def _log_once(self) -> None:
        """Says, once, what is being waited for."""
        if not self._logged and self._timeout - self.remaining >= _SILENCE and self._cause is not None:
            self._logged = True
            _log.info(
                "no answer from %s yet (%s); trying for %.0f s more", self._address, self._cause.message, self.remaining
            )


def is_sign_of_life(reply: Any) -> bool:
    """Whether a reply to a write says only that the server is at work."""
    return reply is not None and reply.WhichOneof("part") is None


def untie(error: grpc.RpcError) -> None:
    """Lets a stream that failed go with its last reference; where its error is caught, and not raised on.

    gRPC raises the call itself, and by way of its traceback the call then holds itself. Left to the collector it may
    live until the interpreter ends; its `__del__` then waits for a lock that gRPC's own thread, stopped there, held.
    """
    error.__traceback__ = None


def timed_out(call: Any) -> bool:
    """Whether a call, as the error that it raised, ended because its time was over."""
    return bool(call.code() is grpc.StatusCode.DEADLINE_EXCEEDED)


def stalled(address: str, timeout: float) -> UnavailableError:
    """The error for a stream that waited too long for a message."""
    return UnavailableError(f"{address} made no progress for {_seconds(timeout)} s", reason="TIMEOUT", address=address)


def _seconds(timeout: float) -> str:
    """A number of seconds as it was asked for: of what is left of it, microseconds are nobody's business."""
    return f"{round(timeout, 3):g}"


def something(reply: Any, address: str, method: str) -> Any:
    """The first reply; ProtocolError when the call ended without one, or it is no message."""
    if reply is None:
        raise ProtocolError(f"{address} answered {method} with nothing", address=address)
    return readable(reply, address)


def closed(address: str) -> ClosedError:
    """The error for a call on a closed channel."""
    return ClosedError(f"the connection to {address} is closed", address=address)
