"""A connection that is lost after the server said what became of a write."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from vault import ConnectionSettings
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.remote.store import RemoteStore
from vault.store.specs import UploadSpec, new_data_id
from vault.store.values import Block, checksum
from vault_server import EmbeddedStore, Server

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]

BLOCK = Block(0, b"bytes", checksum(b"bytes"))


class LosesTheEnd(grpc.aio.ServerInterceptor):
    """Sends all messages of an upload, and UNAVAILABLE in the place of its OK."""

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        if not details.method.endswith("/Upload"):
            return handler

        async def behave(requests: Any, context: Any) -> AsyncIterator[Any]:
            async for reply in handler.stream_stream(requests, context):
                yield reply
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

        return grpc.stream_stream_rpc_method_handler(behave, handler.request_deserializer, handler.response_serializer)


@pytest.fixture
def address(store: EmbeddedStore) -> Any:
    with Server(store, interceptors=[LosesTheEnd()]) as server:
        yield server.address


def test_a_write_that_the_server_confirmed_is_no_failure(address: str, store: EmbeddedStore) -> None:
    with (
        RemoteStore(address, ConnectionSettings(timeout=20)) as remote,
        remote.upload("u", UploadSpec(new_data_id())) as writer,
    ):
        writer.write(BLOCK)
        info = writer.commit(5)
    assert store.stat_many("u", [info.data_id]) == [info]


async def test_a_task_s_write_that_the_server_confirmed_is_no_failure(address: str, store: EmbeddedStore) -> None:
    async with (
        AsyncRemoteStore(address, ConnectionSettings(timeout=20)) as remote,
        await remote.upload("u", UploadSpec(new_data_id())) as writer,
    ):
        await writer.write(BLOCK)
        info = await writer.commit(5)
    assert store.stat_many("u", [info.data_id]) == [info]
