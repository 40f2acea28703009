"""A server in the test's own event loop, its raw stub, and `vault-grpc serve` as a process."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import grpc
import pytest
from vault_server import AsyncServer, EmbeddedStore

from tests.server.process import Serve, Served
from tests.server.raw_calls import Stub, stub_of


@pytest.fixture
async def server(store: EmbeddedStore) -> AsyncIterator[AsyncServer]:
    async with AsyncServer(store) as running:
        yield running


@pytest.fixture
async def channel(server: AsyncServer) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return stub_of(channel)


def serving() -> Iterator[Serve]:
    """Starts `vault-grpc serve` with the arguments given; ends what the test leaves running."""
    with contextlib.ExitStack() as stack:

        def begin(
            *arguments: str | Path,
            env: Mapping[str, str] | None = None,
            cwd: Path | None = None,
            streams: str | None = None,
            before: str | None = None,
        ) -> Served:
            served = Served(*arguments, env=env, cwd=cwd, streams=streams, before=before)
            stack.callback(served.end)
            stack.callback(served.process.kill)
            return served

        yield begin


serve = pytest.fixture(serving, name="serve")
