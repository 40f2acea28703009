"""What a small call costs in grpcio, in each of its shapes: unary, on an open stream, many on their way; sync and aio.

    python -m scripts.benchmarks.call_shapes

No protobuf, no storage: 1 KiB as bytes, with Vault's channel options, on loopback. Microseconds a call; the CPU of both
sides beside what the caller waits. `uvloop`, where it is installed, is tried on the server.
"""

import asyncio
import importlib.util
import queue
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
import grpc.aio
from vault._grpc.calls import OPTIONS
from vault_server.settings import ServerSettings

from scripts.benchmarks.servers import process_cpu

CALLS: Final = 2000
RUNS: Final = 5
ANSWER: Final = bytes(1024)


def serve_sync() -> None:
    def stream(requests: Iterator[bytes], _: object) -> Iterator[bytes]:
        for _request in requests:
            yield ANSWER

    server = grpc.server(ThreadPoolExecutor(8), options=ServerSettings().options())
    _announce(server, lambda _request, _context: ANSWER, stream)
    server.start()
    server.wait_for_termination()


async def serve_aio() -> None:
    async def load(_request: bytes, _: object) -> bytes:
        return ANSWER

    async def stream(requests: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        async for _request in requests:
            yield ANSWER

    server = grpc.aio.server(options=ServerSettings().options())
    _announce(server, load, stream)
    await server.start()
    await server.wait_for_termination()


def _announce(server: Any, load: Any, stream: Any) -> None:
    handlers: dict[str, Any] = {
        "Load": grpc.unary_unary_rpc_method_handler(load),
        "Stream": grpc.stream_stream_rpc_method_handler(stream),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Raw", handlers)])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)


def measure(name: str, server: int, run: Callable[[int], object]) -> None:
    """Prints the medians of a call's wall time and of both sides' CPU."""
    run(CALLS // 10)
    found = []
    for _ in range(RUNS):
        before = time.perf_counter(), time.process_time(), process_cpu(server)
        run(CALLS)
        after = time.perf_counter(), time.process_time(), process_cpu(server)
        found.append([(end - begin) / CALLS * 1e6 for begin, end in zip(before, after, strict=True)])
    wall, client, serving = (statistics.median(column) for column in zip(*found, strict=True))
    print(f"{name:52} {wall:8.0f} {client:8.0f} {serving:8.0f}", flush=True)


def sync_client(server: str, address: str, pid: int) -> None:
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        load = channel.unary_unary("/Raw/Load")
        measure(f"{server} server, sync client: unary", pid, lambda calls: [load(b"1") for _ in range(calls)])
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        replies = channel.stream_stream("/Raw/Stream")(iter(requests.get, None))

        def one_by_one(calls: int) -> None:
            for _ in range(calls):
                requests.put(b"1")
                next(replies)

        def all_at_once(calls: int) -> None:
            for _ in range(calls):
                requests.put(b"1")
            for _ in range(calls):
                next(replies)

        measure(f"{server} server, sync client: on a stream", pid, one_by_one)
        measure(f"{server} server, sync client: on a stream, all at once", pid, all_at_once)
        requests.put(None)


def aio_client(server: str, address: str, pid: int) -> None:
    with asyncio.Runner() as runner:
        channel = grpc.aio.insecure_channel(address, options=OPTIONS)
        load = channel.unary_unary("/Raw/Load")
        call = channel.stream_stream("/Raw/Stream")()

        async def unary(calls: int) -> None:
            for _ in range(calls):
                await load(b"1")

        async def one_by_one(calls: int) -> None:
            for _ in range(calls):
                await call.write(b"1")
                await call.read()

        async def send(calls: int) -> None:
            for _ in range(calls):
                await call.write(b"1")

        async def all_at_once(calls: int) -> None:
            sending = asyncio.create_task(send(calls))
            for _ in range(calls):
                await call.read()
            await sending

        shapes = {"unary": unary, "on a stream": one_by_one, "on a stream, all at once": all_at_once}
        for shape, run in shapes.items():
            measure(f"{server} server, aio client: {shape}", pid, lambda calls, run=run: runner.run(run(calls)))  # type: ignore[misc]
        runner.run(channel.close())


def main() -> None:
    print(f"{'microseconds a call':52} {'wall':>8} {'client':>8} {'server':>8}")
    for server in ("aio", "sync", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])):
        command = [sys.executable, "-m", "scripts.benchmarks.call_shapes", server]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            address = f"127.0.0.1:{process.stdout.readline().strip()}"
            sync_client(server, address, process.pid)
            aio_client(server, address, process.pid)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["sync"]:
            serve_sync()
        case ["uvloop"]:
            import uvloop

            uvloop.run(serve_aio())
        case _:
            asyncio.run(serve_aio())
