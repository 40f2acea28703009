"""Raw grpcio: bytes as messages (identity serialisers), no storage behind them. The ceiling of Vault's stack.

Generic handlers, as https://grpc.github.io/grpc/python/grpc.html#grpc.method_handlers_generic_handler has them, with
the channel options that Vault uses, so that what differs is what Vault adds. The server, a grpc.aio one as Vault's is,
answers out of memory, and discards what is uploaded.

    python -m scripts.benchmarks.peers.raw FOLDER
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from vault._grpc.settings import OPTIONS
from vault_server.settings import ServerSettings

from scripts.benchmarks.data import pieces_of, same, small
from scripts.benchmarks.work import Peer


async def serve(folder: Path) -> None:
    @cache
    def held(name: str) -> list[bytes]:
        return list(pieces_of(folder / name))

    async def get(request: bytes, _: Any) -> AsyncIterator[bytes]:
        for piece in held(request.decode()):
            yield piece

    async def put(requests: AsyncIterator[bytes], _: Any) -> bytes:
        size = 0
        async for piece in requests:
            size += len(piece)
        return str(size).encode()

    async def load(request: bytes, _: Any) -> bytes:
        return small(int(request))

    server = grpc.aio.server(options=ServerSettings().options())
    handlers: dict[str, Any] = {
        "Get": grpc.unary_stream_rpc_method_handler(get),
        "Put": grpc.stream_unary_rpc_method_handler(put),
        "Load": grpc.unary_unary_rpc_method_handler(load),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Raw", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


class Raw(Peer):
    def __init__(self, place: str) -> None:
        self._channel = grpc.insecure_channel(place, options=OPTIONS)
        self._get = self._channel.unary_stream("/Raw/Get")
        self._put = self._channel.stream_unary("/Raw/Put")
        self._load = self._channel.unary_unary("/Raw/Load")

    def close(self) -> None:
        self._channel.close()

    def pieces(self, name: str) -> Iterator[bytes]:
        found: Iterator[bytes] = self._get(name.encode())
        return found

    def send(self, path: str) -> None:
        same(int(self._put(pieces_of(path))), Path(path).stat().st_size)

    def keys(self, objects: int) -> list[bytes]:
        return [str(number).encode() for number in range(objects)]

    def get(self, key: bytes) -> bytes:
        data: bytes = self._load(key)
        return data


class AsyncRaw(Peer):
    keys = Raw.keys

    def __init__(self, place: str) -> None:
        self.runner = asyncio.Runner()
        self.runner.run(self._open(place))

    async def _open(self, place: str) -> None:
        self._channel = grpc.aio.insecure_channel(place, options=OPTIONS)
        self._load = self._channel.unary_unary("/Raw/Load")

    def close(self) -> None:
        self.runner.run(self._channel.close())
        self.runner.close()

    async def get(self, key: bytes) -> bytes:
        data: bytes = await self._load(key)
        return data


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
