"""What surrounds every RPC: who calls, admission, an end to each wait for a peer, errors as status, one log line."""

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import grpc
from vault.errors import (
    ClosedError,
    InvalidArgumentError,
    ProtocolError,
    UnavailableError,
    UnsupportedError,
    VaultError,
)
from vault.wire.block_codec import CODECS
from vault.wire.status import status_of

from vault_server.access.audit import AuditLog
from vault_server.access.control import AccessControl
from vault_server.access.listeners import Listener
from vault_server.rpc.admission import Call, Calls, WaitLimits
from vault_server.rpc.authentication import Authentication, Check, Metadata
from vault_server.rpc.call_audit import CallAudit
from vault_server.rpc.call_context import REQUEST_ID_KEY, CallContext
from vault_server.rpc.public_errors import public_error
from vault_server.rpc.refusal_log import RefusalLog, logger

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # not subscriptable at run time
_TROUBLE: Final = frozenset({"INTERNAL", "DATA_LOSS", "RESOURCE_EXHAUSTED"})

_Context = grpc.aio.ServicerContext[Any, Any]

_METADATA: ContextVar[Metadata] = ContextVar("metadata", default=())
"""Of the call whose handler is looked for, and which runs in the same task. Asked for anew it takes gRPC 14 µs."""

_NO_METHOD: Final = "(no such method)"
"""What is logged in place of a name that the peer made up."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """The outermost interceptor of a server.

    A VaultError, raised by a servicer or by another interceptor, is answered with its status. Any other
    exception is logged with its traceback and answered INTERNAL, without its text. Bytes that do not decode are
    answered INVALID_ARGUMENT. Servicers written without `async` are left to gRPC's threads as they are.
    VaultService's streams get their codecs here: the generated code has no place for them.

    Servicers and other interceptors get a CallContext, which is gRPC's context, too.

    Where it is asked who calls, that comes before a message is read. Then servicers written without `async` are not
    served: their calls could not be cut when a token is revoked. Other interceptors' own `intercept_service` runs
    before it.

    A call of one message is taken from gRPC as a stream, so that its message is read here: with an end to the
    wait for it, and with an answer when it does not decode. On the wire they are the same.

    Args:
        listener: Where the server listens, and what is asked there of who calls.
        authentication: How that is asked; None: nowhere.
    """

    def __init__(
        self,
        calls: Calls,
        refusals: RefusalLog,
        access: AccessControl,
        listener: Listener,
        authentication: Authentication | None,
    ) -> None:
        self._calls = calls
        self._refusals = refusals
        self._access = access
        self._listener = listener
        self._authentication = authentication if listener.identity else None
        self._known: dict[str, tuple[_Handler, _Handler]] = {}  # by method: a servicer's handler, and its wrapped one

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = handler_call_details.method
        _METADATA.set(handler_call_details.invocation_metadata or ())
        try:
            handler: _Handler | None = await continuation(handler_call_details)
        except Exception as error:  # noqa: BLE001  # answered and logged as if the servicer had raised it
            return grpc.stream_stream_rpc_method_handler(self._raising(self._beginning(method), error))
        if handler is None:
            if self._authentication is None:
                return None
            unknown = UnsupportedError("this server has no such method")
            begin = self._beginning(_NO_METHOD, self._authentication.authenticate)
            return grpc.stream_stream_rpc_method_handler(self._raising(begin, unknown))
        known = self._known.get(method)
        if known is None or known[0] is not handler:  # another interceptor may make a new one for each call
            known = self._known[method] = handler, self._wrapped(method, handler)
        return known[1]

    def _wrapped(self, method: str, handler: _Handler) -> _Handler:
        kind = f"{_arity(handler.request_streaming)}_{_arity(handler.response_streaming)}"
        behaviour = getattr(handler, kind)
        if not (inspect.iscoroutinefunction(behaviour) or inspect.isasyncgenfunction(behaviour)):
            if self._authentication is None:
                return handler
            blocking = UnsupportedError("where it is asked who calls, only methods written with async are served")
            return grpc.stream_stream_rpc_method_handler(self._raising(self._beginning(method), blocking))
        wrap = self._streaming if inspect.isasyncgenfunction(behaviour) else self._plain
        make: Callable[..., _Handler] = getattr(grpc, f"stream_{_arity(handler.response_streaming)}_rpc_method_handler")
        codecs = CODECS.get(method)
        return make(
            wrap(self._beginning(method), behaviour, _many if handler.request_streaming else _one),
            request_deserializer=_parser(codecs.parse_request if codecs else handler.request_deserializer),
            response_serializer=codecs.serialize_response if codecs else handler.response_serializer,
        )

    def _beginning(self, method: str, check: Check | None = None) -> "_Begin":
        if check is None and self._authentication is not None:
            check = self._authentication.check_of(method)
        limits = self._calls.limits_of(method)
        return partial(_Running, self._calls, self._refusals, self._access.audit, method, limits, check)

    def _plain(self, begin: "_Begin", behaviour: Callable[..., Awaitable[Any]], take: "_Take") -> Callable[..., Any]:
        async def call(messages: Any, context: _Context) -> Any:
            async with begin(context) as running:
                await running.enter()
                reply = await behaviour(await take(running, messages), running.shown)
                if running.audit is not None:
                    running.audit.replied(reply)
                return reply

        return call

    def _streaming(self, begin: "_Begin", behaviour: Callable[..., Any], take: "_Take") -> Callable[..., Any]:
        async def call(messages: Any, context: _Context) -> None:
            async with begin(context) as running:
                await running.enter()
                request = await take(running, messages)
                # Written out rather than yielded on: when the call is cancelled while a reply is under way, the
                # servicer's generator is closed here and now, not when the garbage collector comes by.
                async with contextlib.aclosing(behaviour(request, running.shown)) as replies:
                    async for reply in replies:
                        if running.audit is not None:
                            running.audit.replied(reply)
                        running.call.writing = time.monotonic()
                        await context.write(reply)
                        running.call.writing = None

        return call

    def _raising(self, begin: "_Begin", error: Exception) -> Callable[..., Any]:
        async def call(_messages: Any, context: _Context) -> None:
            async with begin(context) as running:
                await running.enter()
                raise error

        return call


class _Running(AsyncIterator[Any]):
    """One call from its beginning to its status: what its block raises is answered, and logged. Iterated, its messages
    as they come."""

    __slots__ = ("_calls", "_check", "_ended", "_refusals", "audit", "call", "context", "shown")

    def __init__(
        self,
        calls: Calls,
        refusals: RefusalLog,
        audit: AuditLog | None,
        method: str,
        limits: WaitLimits,
        check: Check | None,
        context: _Context,
    ) -> None:
        self._calls = calls
        self._refusals = refusals
        self._check = check
        self._ended = False
        self.context = context
        peer = context.peer()  # now: of a connection that is gone it is empty
        self.call = calls.begin(method, peer, limits)
        self.shown = CallContext(context, self.call, _METADATA.get())
        self.audit = None if audit is None else CallAudit(audit, self.call, self.shown)

    async def enter(self) -> None:
        """Lets the call in, as one of its caller's: asks from where it comes and, where that is asked, who calls."""
        call, callers = self.call, self._calls.callers
        address = callers.begin(call)
        if self._check is not None:
            try:
                await self._check(call, self.shown.metadata, self.context)
            except VaultError:
                await callers.refused(call, address)
                raise
        if delay := callers.enter(call, address):
            await callers.wait(call, delay)

    async def admit(self) -> None:
        await self._calls.admit(self.call)
        if self.audit is not None:
            self.audit.admitted()

    async def receive(self) -> Any:
        """The next message; None at the end."""
        call = self.call
        if self._ended:
            return None
        call.reading = time.monotonic()
        message = await self.context.read()
        call.reading = None
        call.for_message = call.limits.message
        if message is grpc.aio.EOF:
            self._ended = True
            return None
        if call.request is None:
            call.request = message
        return message

    async def __anext__(self) -> Any:
        message = await self.receive()
        if message is None:
            raise StopAsyncIteration
        return message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        call, context = self.call, self.context
        self._calls.end(call)
        if call.cut_by is not None:
            error = await _cut(call, error)
        if error is None:
            self._log("OK", None)
        elif isinstance(error, grpc.aio.AbortError):
            self._log(_code_name(context), None)
        elif not isinstance(error, Exception):
            self._log("CANCELLED", None)
        elif isinstance(error, grpc.aio.InternalError) or context.cancelled() or context.done():
            # The connection is gone, and nobody is left to be answered.
            self._log("CANCELLED", None)
            raise asyncio.CancelledError from error
        else:  # the last one to see it
            status = status_of(_shown(error))
            self._log(status.code.name, error)
            try:
                about: tuple[tuple[str, str | bytes], ...] = (
                    *status.trailing_metadata,
                    (REQUEST_ID_KEY, self.shown.request_id),
                )
                await context.abort(status.code, status.message, about)
            except grpc.aio.InternalError as lost:
                raise asyncio.CancelledError from lost

    def _log(self, code: str, error: Exception | None) -> None:
        if self.audit is not None:
            self.audit.ended(code, error)
        self.call.request = None  # which may be large, and the call waits until its peer has taken the last of it
        if error is None and not logger.isEnabledFor(logging.DEBUG):
            return
        fields = {
            "rpc": self.call.method,
            "peer": self.call.peer,
            "code": code,
            "milliseconds": round((time.perf_counter() - self.call.began) * 1000, 3),
            **self.shown.ids(),
        }
        if error is None:
            logger.debug("rpc", extra=fields)
        elif isinstance(error, VaultError):
            # A miss or a lost race is everyday life; what the server itself suffers from is not.
            level = logging.WARNING if code in _TROUBLE else logging.INFO
            self._refusals.refused(level, "rpc refused", fields, error)
        else:
            self._refusals.note(logging.ERROR, "rpc failed", fields, type(error).__name__, error)


_Begin: TypeAlias = Callable[[_Context], _Running]
_Take: TypeAlias = Callable[[_Running, Any], Awaitable[Any]]


async def _one(running: _Running, _messages: Any) -> Any:
    """The only message of a call, which is admitted when it is here."""
    message = await running.receive()
    if message is None:
        await asyncio.sleep(0)  # where the call was cancelled, that comes first
        raise ProtocolError("a call without a message", reason="EMPTY_MESSAGE")
    await running.admit()
    return message


async def _many(running: _Running, messages: Any) -> Any:
    """The messages of a call, which is admitted at once."""
    await running.admit()
    return messages if running.call.limits.message is None else running


def _parser(parse: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """`parse`, that answers bytes which are no message with an error of ours."""
    if parse is None:
        return None

    def parse_message(raw: bytes) -> Any:
        try:
            return parse(raw)
        except Exception as error:
            raise InvalidArgumentError("a message that cannot be decoded") from error

    return parse_message


async def _cut(call: Call, error: BaseException | None) -> BaseException | None:
    """What a call that was cut came to: what it was cut by, unless it was over just before."""
    if not isinstance(error, asyncio.CancelledError):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # the cancellation, which is still to come
    left = 0 if call.task is None else call.task.uncancel()
    return call.cut_by if isinstance(error, asyncio.CancelledError) and not left else error


def _shown(error: Exception) -> VaultError:
    if isinstance(error, ClosedError):
        return UnavailableError("the store behind the server is closed")
    if isinstance(error, VaultError):
        return public_error(error)
    return VaultError("the server failed; its log says why")


def _code_name(context: _Context) -> str:
    code: Any = context.code()
    return code.name if isinstance(code, grpc.StatusCode) else str(code)


def _arity(streaming: bool) -> str:  # noqa: FBT001  # as grpc's handler says it
    return "stream" if streaming else "unary"
