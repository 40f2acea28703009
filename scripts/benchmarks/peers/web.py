"""A file server of FastAPI and uvicorn, and httpx: what pyvault's own remote design would be.

FileResponse (https://fastapi.tiangolo.com/advanced/custom-response/#fileresponse) out, `request.stream()`
(https://www.starlette.io/requests/#body) in; uvicorn with uvloop and httptools. An upload is on disk, under its name,
when it is answered, as Vault's is.

    python -m scripts.benchmarks.peers.web FOLDER
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from scripts.benchmarks.data import new_file, same
from scripts.benchmarks.servers import free_port
from scripts.benchmarks.work import Peer


def application(folder: Path) -> FastAPI:
    app = FastAPI()

    @app.get("/{name}")
    def get(name: str) -> FileResponse:
        return FileResponse(folder / name)

    @app.put("/{name}")
    async def put(name: str, request: Request) -> dict[str, int]:
        size, writing = 0, new_file(folder / name, durable=True)
        file = writing.__enter__()
        async for piece in request.stream():
            size += await run_in_threadpool(file.write, piece)
        await run_in_threadpool(writing.__exit__, None, None, None)
        return {"size": size}

    @app.delete("/{name}")
    def delete(name: str) -> None:
        (folder / name).unlink()

    return app


class Web(Peer):
    def __init__(self, place: str) -> None:
        self._client = httpx.Client(base_url=f"http://{place}", timeout=60)

    def close(self) -> None:
        self._client.close()

    def pieces(self, name: str) -> Iterator[bytes]:
        with self._client.stream("GET", name) as reply:
            yield from reply.raise_for_status().iter_bytes()

    def whole(self, name: str) -> bytes:
        return self._client.get(name).raise_for_status().content

    def send(self, path: str) -> None:
        with Path(path).open("rb") as file:
            reply = self._client.put("web-upload", content=file).raise_for_status()
        same(reply.json()["size"], Path(path).stat().st_size)

    def forget(self, _sent: None) -> None:
        self._client.delete("web-upload").raise_for_status()


if __name__ == "__main__":
    port = free_port()
    print(f"127.0.0.1:{port}", flush=True)
    uvicorn.run(application(Path(sys.argv[1])), host="127.0.0.1", port=port, log_level="warning", access_log=False)
