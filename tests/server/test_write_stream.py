"""The dialogue of Upload and Update: what is stored, and that nothing is when it goes wrong."""

import secrets
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
from vault.errors import (
    AlreadyExistsError,
    ChecksumError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    ProtocolError,
    VaultError,
)
from vault.store.limits import BLOCK_SIZE
from vault.store.values import checksum
from vault.v1 import vault_pb2 as pb
from vault_server import AsyncServer, EmbeddedStore

from tests.server.raw_calls import Stub, block, blocks, commit, load, say, start, stub_of, told, whole
from tests.server.staging import nothing_staged, staged

BLOCK = bytes(range(256)) * (BLOCK_SIZE // 256)


@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE])
async def test_what_is_uploaded_is_loaded(stub: Stub, size: int) -> None:
    data = (BLOCK * 3)[:size]
    replies = await say(stub, whole(data))
    info = replies[-1].info
    assert (info.size, info.checksum, info.generation) == (size, checksum(data), info.revision)
    assert replies[-1].revision >= info.revision
    assert await load(stub, 1) == data


async def test_the_spec_is_accepted_before_any_bytes_are_sent(stub: Stub) -> None:
    call = stub.Upload()
    await call.write(start())
    first = await call.read()
    assert isinstance(first, pb.UploadResponse)
    assert (first.WhichOneof("part"), first.persisted_size) == ("persisted_size", 0)
    call.cancel()


async def test_a_taken_id_or_name_is_told_before_any_bytes_are_sent(stub: Stub) -> None:
    await say(stub, whole(b"first", 1, name="n"))
    for request, reason in ((start(1), "OBJECT_EXISTS"), (start(2, name="n"), "NAME_TAKEN")):
        call = stub.Upload()
        await call.write(request)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        error = told(caught.value)
        assert isinstance(error, AlreadyExistsError)
        assert error.reason == reason


async def test_persisted_size_is_reported_every_4_blocks_at_least(stub: Stub) -> None:
    replies = await say(stub, whole(BLOCK * 9))
    reported = [reply.persisted_size for reply in replies if reply.WhichOneof("part") == "persisted_size"]
    assert reported == sorted(set(reported))
    assert {0, *reported} == {*reported}
    assert all(after - before <= 4 * BLOCK_SIZE for before, after in pairwise([*reported, 9 * BLOCK_SIZE]))
    assert [reply.WhichOneof("part") for reply in replies].index("info") == len(reported)


BAD = {
    "no start": ([commit(0)], ProtocolError, "NOT_STARTED"),
    "a block before the start": ([block(0, b"x"), start(), commit(1)], ProtocolError, "NOT_STARTED"),
    "an empty stream": ([], ProtocolError, "NOT_STARTED"),
    "an empty message first": ([pb.UploadRequest()], ProtocolError, "EMPTY_MESSAGE"),
    "an empty message later": ([start(), pb.UploadRequest()], ProtocolError, "EMPTY_MESSAGE"),
    "two starts": ([start(), start(2), commit(0)], ProtocolError, "ALREADY_STARTED"),
    "no commit": ([start(), block(0, b"x")], ProtocolError, "NOT_COMMITTED"),
    "two commits": ([start(), commit(0), commit(0)], ProtocolError, "ALREADY_COMMITTED"),
    "a block after the commit": ([start(), commit(0), block(0, b"x")], ProtocolError, "ALREADY_COMMITTED"),
    "blocks out of order": (
        [start(), block(BLOCK_SIZE, BLOCK), block(0, BLOCK), commit(2 * BLOCK_SIZE)],
        InvalidArgumentError,
        "BAD_OFFSET",
    ),
    "a block twice": (
        [start(), block(0, BLOCK), block(0, BLOCK), commit(BLOCK_SIZE)],
        InvalidArgumentError,
        "BAD_OFFSET",
    ),
    "a short block in the middle": (
        [start(), block(0, b"x"), block(1, b"y"), commit(2)],
        InvalidArgumentError,
        "BAD_SIZE",
    ),
    "a block that is too long": (
        [start(), block(0, BLOCK + b"x"), commit(BLOCK_SIZE + 1)],
        InvalidArgumentError,
        "BAD_SIZE",
    ),
    "an empty block": ([start(), block(0, b""), commit(0)], InvalidArgumentError, "BAD_SIZE"),
    "a wrong checksum": ([start(), block(0, b"x", wrong=1), commit(1)], ChecksumError, "CHECKSUM_MISMATCH"),
    "a commit of too few bytes": ([start(), block(0, b"xy"), commit(1)], InvalidArgumentError, "BAD_SIZE"),
    "a commit of too many bytes": ([start(), block(0, b"xy"), commit(3)], InvalidArgumentError, "BAD_SIZE"),
    "a commit with a wrong checksum": ([start(), block(0, b"xy"), commit(2, 7)], ChecksumError, "CHECKSUM_MISMATCH"),
    "a bad unit": ([start(unit="../x"), commit(0)], InvalidArgumentError, "BAD_UNIT"),
    "id 0": ([start(0), commit(0)], InvalidArgumentError, "BAD_ID"),
    "id 2^63": ([start(1 << 63), commit(0)], InvalidArgumentError, "BAD_ID"),
    "a short request id": (
        [pb.UploadRequest(start=pb.UploadRequest.Start(unit="u", spec=pb.UploadSpec(data_id=1, request_id=b"x")))],
        InvalidArgumentError,
        "BAD_REQUEST_ID",
    ),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_dialogue_gone_wrong_says_why_and_stores_nothing(
    what: str, stub: Stub, store: EmbeddedStore, tmp_path: Path
) -> None:
    requests, kind, reason = BAD[what]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await say(stub, requests)
    error = told(caught.value)
    assert (type(error), error.reason) == (kind, reason)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert store.list_units() == []
    assert staged(tmp_path) == []


@pytest.mark.parametrize("before", [0, 1, 3])
async def test_a_bad_block_is_told_of_while_nothing_more_is_sent(
    before: int, stub: Stub, store: EmbeddedStore, tmp_path: Path
) -> None:
    call = stub.Upload()
    for request in (start(), *blocks(BLOCK * before), block(before * BLOCK_SIZE, BLOCK, wrong=1)):
        await call.write(request)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        while True:
            await call.read()
    assert isinstance(told(caught.value), ChecksumError)
    assert store.list_units() == []
    await nothing_staged(tmp_path)


async def test_a_client_that_cancels_in_the_middle_leaves_nothing(
    stub: Stub, store: EmbeddedStore, tmp_path: Path
) -> None:
    call = stub.Upload()
    for request in (start(), *blocks(BLOCK * 20)):
        await call.write(request)
    replies = aiter(call)
    while (await anext(replies)).persisted_size < 16 * BLOCK_SIZE:
        continue
    assert staged(tmp_path) != []
    call.cancel()
    await nothing_staged(tmp_path)
    assert store.list_units() == []


async def test_a_client_that_goes_away_after_its_blocks_leaves_nothing(
    server: AsyncServer, store: EmbeddedStore, tmp_path: Path
) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        call = stub_of(channel).Upload()
        for request in (start(), *blocks(BLOCK * 3)):
            await call.write(request)
        await call.read()
    await nothing_staged(tmp_path)
    assert store.list_units() == []


async def test_a_message_over_the_limit_is_refused_with_its_size(stub: Stub, store: EmbeddedStore) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await say(stub, [start(), block(0, bytes(5 << 20)), commit(5 << 20)])
    error = told(caught.value)
    assert isinstance(error, InvalidArgumentError)
    assert error.reason == "MESSAGE_TOO_LARGE"
    assert "4194304" in str(error)
    assert store.list_units() == []


async def test_a_retried_upload_is_applied_once_and_answers_as_the_first_time(stub: Stub) -> None:
    requests = whole(BLOCK + b"x")
    first = (await say(stub, requests))[-1]
    again = (await say(stub, requests))[-1]
    assert again.info == first.info


def update(requests: list[pb.UploadRequest], spec: pb.UpdateSpec) -> list[pb.UpdateRequest]:
    """The same blocks and commit, for an Update."""
    begin = pb.UpdateRequest(start=pb.UpdateRequest.Start(unit="u", spec=spec))
    return [begin, *(pb.UpdateRequest.FromString(request.SerializeToString()) for request in requests)]


async def revise(stub: Stub, requests: list[pb.UpdateRequest]) -> pb.UpdateResponse:
    replies = [reply async for reply in stub.Update(iter(requests))]
    return replies[-1]


async def test_update_replaces_the_bytes_and_keeps_name_and_id(stub: Stub) -> None:
    before = (await say(stub, whole(b"old", 1, name="n")))[-1].info
    spec = pb.UpdateSpec(key=pb.Key(name="n"), if_generation=before.generation, request_id=secrets.token_bytes(16))
    after = (await revise(stub, update([block(0, b"new!"), commit(4)], spec))).info
    assert (after.data_id, after.name, after.size) == (1, "n", 4)
    assert after.generation > before.generation
    assert await load(stub, 1) == b"new!"


@pytest.mark.parametrize(
    ("key", "generation", "kind"),
    [
        (pb.Key(data_id=9), None, NotFoundError),
        (pb.Key(data_id=1), 0, ConflictError),
        (pb.Key(data_id=1), 99, ConflictError),
    ],
)
async def test_an_update_that_cannot_be_is_refused_before_its_bytes(
    key: pb.Key, generation: int | None, kind: type[VaultError], stub: Stub
) -> None:
    await say(stub, whole(b"old"))
    call = stub.Update()
    spec = pb.UpdateSpec(key=key, if_generation=generation, request_id=secrets.token_bytes(16))
    await call.write(update([], spec)[0])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert type(told(caught.value)) is kind
    assert await load(stub, 1) == b"old"
