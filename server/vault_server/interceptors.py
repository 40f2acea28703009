"""What surrounds every RPC: admission, errors told as status, one log line."""

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc
from vault.errors import ClosedError, UnavailableError, VaultError
from vault.wire.blocks import CODECS
from vault.wire.status import status_of

from vault_server.calls import Calls

logger: Final = logging.getLogger("vault_server.rpc")

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # not subscriptable at run time
_TROUBLE: Final = frozenset({"INTERNAL", "DATA_LOSS", "RESOURCE_EXHAUSTED"})

_Context = grpc.aio.ServicerContext[Any, Any]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """The outermost interceptor of a server.

    A VaultError, raised by a servicer or by another interceptor, is answered with its status. Any other
    exception is logged with its traceback and answered INTERNAL, without its text. Servicers written
    without `async` are left to gRPC's threads as they are. VaultService's streams get their codecs here:
    the generated code has no place for them.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._known: dict[str, tuple[_Handler, _Handler]] = {}  # by method: a servicer's handler, and its wrapped one

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = handler_call_details.method
        try:
            handler: _Handler | None = await continuation(handler_call_details)
        except Exception as error:  # noqa: BLE001  # answered and logged as if the servicer had raised it
            return grpc.stream_stream_rpc_method_handler(self._raising(method, error))
        if handler is None:
            return None
        known = self._known.get(method)
        if known is None or known[0] is not handler:  # another interceptor may make a new one for each call
            known = self._known[method] = handler, self._wrapped(method, handler)
        return known[1]

    def _wrapped(self, method: str, handler: _Handler) -> _Handler:
        kind = f"{_arity(handler.request_streaming)}_{_arity(handler.response_streaming)}"
        behaviour = getattr(handler, kind)
        if not (inspect.iscoroutinefunction(behaviour) or inspect.isasyncgenfunction(behaviour)):
            return handler
        wrap = self._streaming if inspect.isasyncgenfunction(behaviour) else self._plain
        make: Callable[..., _Handler] = getattr(grpc, f"{kind}_rpc_method_handler")
        codecs = CODECS.get(method)
        return make(
            wrap(method, behaviour),
            request_deserializer=codecs.parse_request if codecs else handler.request_deserializer,
            response_serializer=codecs.serialize_response if codecs else handler.response_serializer,
        )

    def _plain(self, method: str, behaviour: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def call(request: Any, context: _Context) -> Any:
            async with self._call(method, context):
                return await behaviour(request, context)

        return call

    def _streaming(self, method: str, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        async def call(request: Any, context: _Context) -> None:
            # Written out rather than yielded on: when the call is cancelled while a reply is under way, the
            # servicer's generator is closed here and now, not when the garbage collector comes by.
            async with self._call(method, context), contextlib.aclosing(behaviour(request, context)) as replies:
                async for reply in replies:
                    await context.write(reply)

        return call

    def _raising(self, method: str, error: Exception) -> Callable[..., Any]:
        async def call(_request: Any, context: _Context) -> None:
            async with self._call(method, context):
                raise error

        return call

    @contextlib.asynccontextmanager
    async def _call(self, method: str, context: _Context) -> AsyncIterator[None]:
        started = time.perf_counter()
        peer = context.peer()  # now: of a connection that is gone it is empty
        code = "OK"
        error: Exception | None = None
        try:
            async with self._calls.admit(method):
                yield
        except grpc.aio.AbortError:
            code = _code_name(context)
            raise
        except Exception as caught:  # the last one to see it
            if isinstance(caught, grpc.aio.InternalError) or context.cancelled() or context.done():
                code = "CANCELLED"  # the connection is gone, and nobody is left to be told
                raise asyncio.CancelledError from caught
            error = caught
            status = status_of(_shown(caught))
            code = status.code.name
            await context.abort(status.code, status.message, status.trailing_metadata)
        except BaseException:
            code = "CANCELLED"
            raise
        finally:
            _log(method, peer, code, time.perf_counter() - started, error)


def _shown(error: Exception) -> VaultError:
    """What the caller is told."""
    if isinstance(error, ClosedError):
        return UnavailableError("the store behind the server is closed")
    if isinstance(error, VaultError):
        return error
    return VaultError("the server failed; its log says why")


def _log(method: str, peer: str, code: str, seconds: float, error: Exception | None) -> None:
    fields = {"rpc": method, "peer": peer, "code": code, "milliseconds": round(seconds * 1000, 3)}
    if error is None:
        logger.debug("rpc", extra=fields)
    elif isinstance(error, VaultError):
        # A miss or a lost race is everyday life; what the server itself suffers from is not.
        level = logging.WARNING if code in _TROUBLE else logging.INFO
        logger.log(level, "rpc refused", extra={**fields, "reason": error.reason, "detail": error.message})
    else:
        logger.error("rpc failed", extra=fields, exc_info=error)


def _code_name(context: _Context) -> str:
    code: Any = context.code()
    return code.name if isinstance(code, grpc.StatusCode) else str(code)


def _arity(streaming: bool) -> str:  # noqa: FBT001  # as grpc's handler says it
    return "stream" if streaming else "unary"
