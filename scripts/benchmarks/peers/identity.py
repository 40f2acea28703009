"""Raw grpcio: bytes as messages (identity serialisers), no storage behind them. The ceiling of Vault's stack.

Generic handlers, as https://grpc.github.io/grpc/python/grpc.html#grpc.method_handlers_generic_handler has them, with
the channel options that Vault uses, so that what differs is what Vault adds. The server answers out of memory, and
discards what is uploaded.

    python -m scripts.benchmarks.peers.identity FOLDER
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import xxhash
from vault._grpc.settings import OPTIONS
from vault_server.settings import ServerSettings

from scripts.benchmarks.data import MIB, new_file, same, small
from scripts.benchmarks.work import Work, from_threads, one_after_another


def pieces(path: str | Path) -> Iterator[bytes]:
    with Path(path).open("rb", buffering=0) as file:
        while piece := file.read(MIB):
            yield piece


async def serve(folder: Path) -> None:
    @cache
    def held(name: str) -> list[bytes]:
        return list(pieces(folder / name))

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


def _channel(address: str) -> Any:
    return grpc.insecure_channel(address, options=OPTIONS)


@contextmanager
def download_file(address: str, *, source: str, target: str, digest: int, durable: bool) -> Iterator[Work]:
    with _channel(address) as channel:
        get = channel.unary_stream("/Raw/Get")

        def run() -> None:
            found = xxhash.xxh3_64()
            with new_file(Path(target), durable=durable) as file:
                for piece in get(Path(source).name.encode()):
                    found.update(piece)
                    file.write(piece)
            same(found.intdigest(), digest)

        yield Work(run=run)


@contextmanager
def download_memory(address: str, *, source: str, digest: int) -> Iterator[Work]:
    with _channel(address) as channel:
        get = channel.unary_stream("/Raw/Get")
        size = Path(source).stat().st_size

        def run() -> bytearray:
            found, data, place = xxhash.xxh3_64(), bytearray(size), 0
            for piece in get(Path(source).name.encode()):
                found.update(piece)
                data[place : place + len(piece)] = piece
                place += len(piece)
            same(found.intdigest(), digest)
            return data

        yield Work(run=run)


@contextmanager
def upload_file(address: str, *, source: str) -> Iterator[Work]:
    with _channel(address) as channel:
        put = channel.stream_unary("/Raw/Put")
        yield Work(
            run=lambda: put(pieces(source)),
            after=lambda reply: same(int(reply), Path(source).stat().st_size),
        )


@contextmanager
def load(address: str, *, objects: int, count: int) -> Iterator[Work]:
    with _channel(address) as channel:
        ask = channel.unary_unary("/Raw/Load")
        yield one_after_another(
            lambda number: ask(str(number % objects).encode()),
            count,
            after=lambda data: same(data, small((count - 1) % objects)),
        )


@contextmanager
def load_threads(address: str, *, objects: int, count: int, threads: int) -> Iterator[Work]:
    with _channel(address) as channel:
        ask = channel.unary_unary("/Raw/Load")
        yield from_threads(lambda number: ask(str(number % objects).encode()), count, threads)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
