"""Clients that ask for much at once, over and over, in a process of their own."""

import asyncio
import multiprocessing
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from vault._grpc.settings import OPTIONS
from vault.store.values import checksum
from vault.v1 import vault_pb2 as pb

from torture.hostile_clients.attacks import load_many
from torture.hostile_clients.http2 import SERVICE

ITEMS: Final = 10_000


def _keys(prefix: str) -> bytes:
    return pb.StatRequest(unit="u", keys=[pb.Key(name=f"{prefix}{n}") for n in range(ITEMS)]).SerializeToString()


def _uploads() -> bytes:
    data = b"x" * 100
    items = [
        pb.UploadManyRequest.Item(
            spec=pb.UploadSpec(data_id=secrets.randbelow(1 << 60) + 1, request_id=secrets.token_bytes(16)),
            data=data,
            checksum=checksum(data),
        )
        for _ in range(ITEMS)
    ]
    return pb.UploadManyRequest(unit="u", items=items).SerializeToString()


def _deletes() -> bytes:
    items = [
        pb.DeleteRequest.Item(key=pb.Key(data_id=n + 1 << 30), request_id=secrets.token_bytes(16)) for n in range(ITEMS)
    ]
    return pb.DeleteRequest(unit="u", items=items).SerializeToString()


def _listing() -> bytes:
    return pb.ListRequest(unit="many", prefix="", tags={"nobody": "has", "this": "pair"}).SerializeToString()


def _exists() -> bytes:
    return pb.ExistsRequest(unit="u", keys=[pb.Key(data_id=7)]).SerializeToString()


def _upload() -> bytes:
    spec = pb.UploadSpec(data_id=secrets.randbelow(1 << 60) + 1, request_id=secrets.token_bytes(16))
    item = pb.UploadManyRequest.Item(spec=spec, data=b"x", checksum=checksum(b"x"))
    return pb.UploadManyRequest(unit="u", items=[item]).SerializeToString()


REQUESTS: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    "load_many of 10,000": ("LoadMany", lambda: load_many(ITEMS)),
    "stat_many of 10,000": ("Stat", lambda: _keys("nothing")),
    "upload_many of 10,000": ("UploadMany", _uploads),
    "delete_many of 10,000": ("Delete", _deletes),
    "list of what nobody has": ("List", _listing),
    "exists of one": ("Exists", _exists),
    "upload_many of one": ("UploadMany", _upload),
}


async def _ask(
    address: str, method: str, make: Callable[[], bytes], clients: int, token: str, ready: Callable[[], None]
) -> None:
    metadata = [("authorization", f"Bearer {token}")] if token else None

    async def one() -> None:
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            call: Any = channel.unary_unary(SERVICE + method)
            ready()
            while True:
                try:
                    one_of = made.pop() if made else make() if make is _upload else request
                    await call(one_of, metadata=metadata)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.05)

    request = make()
    made = [make() for _ in range(100)] if make is _uploads else []  # each batch is stored once
    await asyncio.gather(*(one() for _ in range(clients)))


def _run(address: str, name: str, clients: int, token: str, begun: Any) -> None:
    os.nice(10)  # as if it had a machine of its own
    method, make = REQUESTS[name]
    asyncio.run(_ask(address, method, make, clients, token, begun.set))


@contextmanager
def greedy(address: str, name: str, clients: int, token: str = "") -> Iterator[None]:
    """So many clients that each ask again as soon as they are answered."""
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=_run, args=(address, name, clients, token, begun), daemon=True)
    process.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        process.kill()
        process.join()
