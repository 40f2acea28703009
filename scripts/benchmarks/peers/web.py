"""A file server of FastAPI and uvicorn, and httpx: what pyvault's own remote design would be.

FileResponse (https://fastapi.tiangolo.com/advanced/custom-response/#fileresponse) out, `request.stream()`
(https://www.starlette.io/requests/#body) in; uvicorn with uvloop and httptools. An upload is on disk, under its name,
when it is answered, as Vault's is.

    python -m scripts.benchmarks.peers.web FOLDER
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
import xxhash
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from scripts.benchmarks.data import new_file, same
from scripts.benchmarks.servers import free_port
from scripts.benchmarks.work import Work


def application(folder: Path) -> FastAPI:
    app = FastAPI()
    (folder / "web").mkdir(exist_ok=True)

    @app.get("/{name}")
    def get(name: str) -> FileResponse:
        return FileResponse(folder / name)

    @app.put("/{name}")
    async def put(name: str, request: Request) -> dict[str, int]:
        path = folder / "web" / name
        size = 0
        with new_file(path, durable=False) as file:
            async for piece in request.stream():
                size += await run_in_threadpool(file.write, piece)
            await run_in_threadpool(_keep, file.fileno(), folder / "web")
        return {"size": size}

    @app.delete("/{name}")
    def delete(name: str) -> None:
        (folder / "web" / name).unlink()

    return app


def _keep(file: int, folder: Path) -> None:
    os.fsync(file)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def download_file(address: str, *, source: str, target: str, digest: int, durable: bool) -> Iterator[Work]:
    with httpx.Client(base_url=f"http://{address}", timeout=60) as client:

        def run() -> None:
            found = xxhash.xxh3_64()
            with client.stream("GET", Path(source).name) as reply, new_file(Path(target), durable=durable) as file:
                for piece in reply.raise_for_status().iter_bytes():
                    found.update(piece)
                    file.write(piece)
            same(found.intdigest(), digest)

        yield Work(run=run)


@contextmanager
def download_memory(address: str, *, source: str, digest: int) -> Iterator[Work]:
    with httpx.Client(base_url=f"http://{address}", timeout=60) as client:

        def run() -> bytes:
            data: bytes = client.get(Path(source).name).raise_for_status().content
            same(xxhash.xxh3_64_intdigest(data), digest)
            return data

        yield Work(run=run)


@contextmanager
def upload_file(address: str, *, source: str, client: int = 0) -> Iterator[Work]:
    with httpx.Client(base_url=f"http://{address}", timeout=60) as http:

        def run() -> int:
            with Path(source).open("rb") as file:
                size: int = http.put(f"upload-{client}", content=file).raise_for_status().json()["size"]
            return size

        def after(size: int) -> None:
            same(size, Path(source).stat().st_size)
            http.delete(f"upload-{client}").raise_for_status()

        yield Work(run=run, after=after)


if __name__ == "__main__":
    port = free_port()
    print(f"127.0.0.1:{port}", flush=True)
    uvicorn.run(application(Path(sys.argv[1])), host="127.0.0.1", port=port, log_level="warning", access_log=False)
