"""What a call's context says: of its caller, its deadline and its trace, and all that gRPC's says."""

import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from vault.v1 import vault_pb2 as pb
from vault_server import AsyncServer, EmbeddedStore
from vault_server.access.grants import ANYBODY
from vault_server.rpc.call_context import REQUEST_ID_KEY, CallContext

from tests.server.raw_calls import stub_of

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Noting(grpc.aio.ServerInterceptor):
    """Keeps the context of the newest call."""

    def __init__(self) -> None:
        self.context: Any = None
        self.said: dict[str, Any] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)

        async def call(request: Any, context: Any) -> Any:
            self.context = context
            self.said = {"deadline": context.deadline, "trace": context.trace, "now": time.monotonic()}
            await context.send_initial_metadata((("mine", "yes"),))
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


async def test_a_servicer_is_given_caller_deadline_and_trace(
    store: EmbeddedStore, caplog: pytest.LogCaptureFixture
) -> None:
    noting = Noting()
    caplog.set_level(logging.INFO, "vault_server.rpc")
    async with (
        AsyncServer(store, interceptors=[noting]) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        call = stub_of(channel).Stat(pb.StatRequest(unit="bad/unit", keys=[pb.Key(data_id=1)]), timeout=50)
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        assert isinstance(noting.context, CallContext)
        assert 0 < noting.said["deadline"] - noting.said["now"] <= 50.1  # gRPC sends it in tenths, rounded up
        assert noting.said["trace"] is None
        assert noting.context.principal is ANYBODY
        assert noting.context.caller.peer == noting.context.peer() != ""
        assert ("mine", "yes") in list(await call.initial_metadata())  # what is gRPC's is there as well
        reply = stub_of(channel).ListUnits(pb.ListUnitsRequest(), metadata=(("traceparent", TRACE),))
        await reply
        assert noting.said["deadline"] is None
        assert noting.said["trace"] == TRACE


@pytest.mark.parametrize("wrong", ["", "x" * 5000, TRACE + "\\n", TRACE.upper(), TRACE[:-1], TRACE + "-00"])
async def test_what_is_no_trace_is_none(store: EmbeddedStore, wrong: str) -> None:
    noting = Noting()
    async with (
        AsyncServer(store, interceptors=[noting]) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        await stub_of(channel).ListUnits(pb.ListUnitsRequest(), metadata=(("traceparent", wrong),))
    assert noting.said["trace"] is None


async def test_a_refusal_is_logged_with_its_callers_trace(
    store: EmbeddedStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vault_server.rpc")
    async with AsyncServer(store) as server, grpc.aio.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await stub_of(channel).Stat(pb.StatRequest(unit="bad/unit"), metadata=(("traceparent", TRACE),))
    (line,) = [vars(record) for record in caplog.records if record.name == "vault_server.rpc"]
    assert line["trace"] == TRACE


async def test_every_line_about_a_call_has_an_id_that_its_caller_is_answered_where_it_fails(
    store: EmbeddedStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "vault_server.rpc")
    answered = []
    async with AsyncServer(store) as server, grpc.aio.insecure_channel(server.address) as channel:
        await stub_of(channel).ListUnits(pb.ListUnitsRequest())
        stub = stub_of(channel)
        for call in (stub.Stat(pb.StatRequest(unit="bad/unit")), stub.List(pb.ListRequest(unit="bad/unit"))):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call
            answered.append(dict(failed.value.trailing_metadata())[REQUEST_ID_KEY])
    ids = [vars(record)["request_id"] for record in caplog.records if record.name == "vault_server.rpc"]
    assert ids[1:] == answered
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in ids)
