"""Messages for raw calls with a server."""

import secrets
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import grpc
from vault.errors import VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import checksum
from vault.v1 import vault_pb2 as pb
from vault.v1.vault_pb2_grpc import VaultServiceStub
from vault.wire.status import error_from_rpc

if TYPE_CHECKING:
    from vault.v1.vault_pb2_grpc import VaultServiceAsyncStub  # only in the stub file

Stub: TypeAlias = "VaultServiceAsyncStub"


def stub_of(channel: grpc.aio.Channel) -> Stub:
    return VaultServiceStub(channel)


def start(data_id: int = 1, unit: str = "u", **spec: str) -> pb.UploadRequest:
    request_id = secrets.token_bytes(16)
    return pb.UploadRequest(
        start=pb.UploadRequest.Start(
            unit=unit, spec=pb.UploadSpec(data_id=data_id, request_id=request_id, name=spec.get("name"))
        )
    )


def block(offset: int, data: bytes, wrong: int = 0) -> pb.UploadRequest:
    return pb.UploadRequest(block=pb.Block(offset=offset, data=data, checksum=checksum(data) ^ wrong))


def blocks(data: bytes) -> list[pb.UploadRequest]:
    return [block(at, data[at : at + BLOCK_SIZE]) for at in range(0, len(data), BLOCK_SIZE)]


def commit(size: int, whole: int | None = None) -> pb.UploadRequest:
    return pb.UploadRequest(commit=pb.Commit(size=size, checksum=whole))


def upload_in_two(data_id: int, go_on: threading.Event) -> Iterator[pb.UploadRequest]:
    """The requests of an upload of a block and four bytes; what follows the block waits for `go_on`."""
    yield start(data_id)
    yield block(0, b"x" * BLOCK_SIZE)
    assert go_on.wait(30)
    yield block(BLOCK_SIZE, b"tail")
    yield commit(BLOCK_SIZE + 4)


def whole(data: bytes, data_id: int = 1, unit: str = "u", **spec: str) -> list[pb.UploadRequest]:
    return [start(data_id, unit, **spec), *blocks(data), commit(len(data), checksum(data))]


async def say(
    stub: Stub, requests: Sequence[pb.UploadRequest], metadata: Sequence[tuple[str, str]] = ()
) -> list[pb.UploadResponse]:
    """Sends the requests, ends the stream, and returns the replies.

    When the server refuses one request while the next is being sent, grpc.aio may report its own failed send
    in place of the server's status. Then the same is said again, under the same request id.
    """
    while True:
        call = stub.Upload(_each(requests), metadata=tuple(metadata))
        try:
            return [reply async for reply in call]
        except grpc.aio.AioRpcError as error:
            if error.details() != "Internal error from Core":
                raise


async def _each(requests: Iterable[pb.UploadRequest]) -> AsyncIterator[pb.UploadRequest]:
    for request in requests:
        yield request


async def load(stub: Stub, data_id: int, unit: str = "u") -> bytes:
    data = b""
    async for reply in stub.Load(pb.LoadRequest(unit=unit, key=pb.Key(data_id=data_id))):
        if reply.WhichOneof("part") == "block":
            assert checksum(reply.block.data) == reply.block.checksum
            assert reply.block.offset == len(data)
            data += reply.block.data
    return data


def told(error: grpc.RpcError) -> VaultError:
    return error_from_rpc(error)
