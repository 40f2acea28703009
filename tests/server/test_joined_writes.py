"""Blocks that join a streamed write by WriteBlock: in order, once, of the stream that they were sent to go with."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

import grpc
import pytest
from vault.errors import InvalidArgumentError, NotFoundError, UnavailableError, VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block, checksum
from vault.testing.store.objects import payload
from vault.v1 import vault_pb2 as pb
from vault.wire.block_codec import CODECS, WRITE_BLOCK, SentBlock, decode_sent_block, encode_block
from vault_server import EmbeddedStore, Server
from vault_server.rpc import joined_writes

from tests.server.raw_calls import Stub, block, commit, load, start, stub_of, told

DATA = payload(6 * BLOCK_SIZE + 77)
PLACES = list(range(0, len(DATA), BLOCK_SIZE))


@pytest.fixture
async def stub(store: EmbeddedStore) -> AsyncIterator[Stub]:
    with Server(store) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield stub_of(channel)


class Write:
    """An Upload of DATA, and blocks beside it."""

    def __init__(self, stub: Stub, first: pb.UploadRequest | None = None) -> None:
        self.stub = stub
        self.first = first or start()
        self.stream = 0
        self.call: Any = stub.Upload()

    async def __aenter__(self) -> Self:
        await self.call.write(self.first)
        assert (await self.call.read()).persisted_size == 0
        self.stream = (await self.ask()).stream
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.call.cancel()

    async def ask(self, **more: Any) -> pb.WriteBlockResponse:
        about = {"unit": "u", "request_id": self.first.start.spec.request_id, **more}
        reply: pb.WriteBlockResponse = await self.stub.WriteBlock(pb.WriteBlockRequest(**about))
        return reply

    def beside(self, place: int, **more: Any) -> "asyncio.Task[pb.WriteBlockResponse]":
        own = {"block": block(place, DATA[place : place + BLOCK_SIZE]).block, "stream": self.stream}
        return asyncio.create_task(self.ask(**{**own, **more}))

    async def send(self, place: int) -> None:
        await self.call.write(block(place, DATA[place : place + BLOCK_SIZE]))

    async def end(self) -> pb.UploadResponse:
        await self.call.write(commit(len(DATA), checksum(DATA)))
        await self.call.done_writing()
        replies = await self.replies()
        sizes = [reply.persisted_size for reply in replies[:-1]]
        assert sizes == sorted(sizes)
        last: pb.UploadResponse = replies[-1]
        return last

    async def replies(self) -> list[pb.UploadResponse]:
        """The rest of them."""
        found = []
        while (reply := await self.call.read()) is not grpc.aio.EOF:
            found.append(reply)
        return found


async def refusal(call: Any) -> VaultError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return told(caught.value)


async def test_blocks_are_put_in_order_however_they_come(stub: Stub) -> None:
    async with Write(stub) as write:
        calls = [write.beside(place) for place in reversed(PLACES) if place % (3 * BLOCK_SIZE)]
        for place in PLACES[::3]:
            await write.send(place)
        info = (await write.end()).info
        assert (info.size, info.checksum) == (len(DATA), checksum(DATA))
        replies = await asyncio.gather(*calls)
        assert {reply.stream for reply in replies} == {write.stream}
    assert await load(stub, 1) == DATA


async def test_all_of_them_may_come_so(stub: Stub) -> None:
    async with Write(stub) as write:
        calls = [write.beside(place) for place in PLACES]
        assert (await write.end()).info.checksum == checksum(DATA)
        await asyncio.gather(*calls)
    assert await load(stub, 1) == DATA


async def test_what_does_not_belong_there_is_refused_and_harms_nothing(stub: Stub) -> None:
    async with Write(stub) as write:
        for place in PLACES[:3]:
            await write.send(place)
        waiting = write.beside(PLACES[4])
        for more in ({"unit": "v"}, {"request_id": bytes(16)}, {"stream": write.stream ^ 1}, {"stream": 0}):
            error = await refusal(write.beside(PLACES[5], **more))
            assert isinstance(error, NotFoundError)
            assert error.reason == "WRITE_NOT_FOUND"
        assert (await refusal(write.beside(PLACES[5], request_id=b"short"))).reason == "BAD_REQUEST_ID"
        assert (await refusal(write.beside(PLACES[5], unit=""))).reason in ("BAD_UNIT", "WRITE_NOT_FOUND")
        far = block(joined_writes.MOST_WAITING * BLOCK_SIZE + PLACES[3], b"far").block
        for wrong in (write.beside(PLACES[4]), write.beside(PLACES[5], block=far)):
            error = await refusal(wrong)
            assert isinstance(error, InvalidArgumentError)
            assert error.reason == "BAD_OFFSET"
        large = block(PLACES[5], bytes(BLOCK_SIZE + 1)).block
        assert (await refusal(write.beside(PLACES[5], block=large))).reason == "BAD_SIZE"
        await write.send(PLACES[3])
        await write.send(PLACES[5])
        await write.send(PLACES[6])
        assert (await write.end()).info.checksum == checksum(DATA)
        await waiting
        assert isinstance(await refusal(write.beside(PLACES[0])), NotFoundError)
    assert await load(stub, 1) == DATA


async def test_a_block_whose_call_was_cancelled_is_missing(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joined_writes, "_PATIENCE", 0.3)
    async with Write(stub) as write:
        lost = write.beside(PLACES[2])
        await asyncio.sleep(0.1)
        lost.cancel()
        other = write.beside(PLACES[4])
        for place in (0, BLOCK_SIZE):
            await write.send(place)
        await write.send(PLACES[3])
        with pytest.raises(grpc.RpcError) as caught:
            await write.replies()
        assert isinstance(told(caught.value), UnavailableError)
        assert isinstance(await refusal(other), UnavailableError)


async def test_a_resumable_write_goes_on_from_what_came_before_a_missing_block(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined_writes, "_PATIENCE", 0.3)
    first = start()
    first.start.resumable = True
    async with Write(stub, first) as write:
        sent = [write.beside(PLACES[1]), write.beside(PLACES[4])]
        for place in (PLACES[0], PLACES[2], PLACES[5]):
            await write.send(place)
        with pytest.raises(grpc.RpcError):
            await write.replies()
        await asyncio.gather(*sent, return_exceptions=True)
    again: Any = stub.Upload()
    await again.write(first)
    assert (await again.read()).persisted_size == PLACES[3]
    stale = await refusal(write.beside(PLACES[4]))
    assert stale.reason == "WRITE_NOT_FOUND", "it was sent to go with the stream before"
    for place in PLACES[3:]:
        await again.write(block(place, DATA[place : place + BLOCK_SIZE]))
    await again.write(commit(len(DATA), checksum(DATA)))
    await again.done_writing()
    while not (reply := await again.read()).HasField("info"):
        continue
    assert reply.info.checksum == checksum(DATA)
    assert await load(stub, 1) == DATA


async def test_a_stream_that_another_one_took_over_from_is_told_so_while_blocks_are_missing(stub: Stub) -> None:
    first = start()
    first.start.resumable = True
    for waits in (True, False):
        async with Write(stub, first) as write:
            sent = write.beside(PLACES[1])
            await write.send(PLACES[0])
            if waits:
                await write.send(PLACES[3])
                await sent
            other: Any = stub.Upload()
            await other.write(first)
            await other.read()
            if not waits:
                await write.send(PLACES[3])
            with pytest.raises(grpc.RpcError) as caught:
                await write.replies()
            assert told(caught.value).reason == "WRITE_TAKEN_OVER"
            other.cancel()
            await asyncio.wait([sent])
        await stub.AbortWrite(pb.AbortWriteRequest(unit="u", request_id=first.start.spec.request_id))


async def test_altered_bytes_are_refused(stub: Stub) -> None:
    async with Write(stub) as write:
        bad = write.ask(block=block(0, DATA[:BLOCK_SIZE], 1).block, stream=write.stream)
        sent = asyncio.ensure_future(bad)
        await write.send(PLACES[1])
        with pytest.raises(grpc.RpcError) as caught:
            await write.replies()
        assert told(caught.value).reason == "CHECKSUM_MISMATCH"
        await asyncio.wait([sent])


async def test_blocks_that_wait_are_answered_when_the_stream_ends(stub: Stub) -> None:
    async with Write(stub) as write:
        waiting = write.beside(PLACES[1])
        await asyncio.sleep(0.1)
    assert isinstance(await refusal(waiting), UnavailableError)


def test_a_request_reads_the_same_however_it_is_laid_out() -> None:
    sent = block(BLOCK_SIZE, DATA[:1000]).block
    request = pb.WriteBlockRequest(unit="u", request_id=bytes(16), stream=7, block=sent)
    whole = request.SerializeToString()
    asked = pb.WriteBlockRequest(unit="u", request_id=bytes(16), stream=7).SerializeToString()
    encoded = encode_block(WRITE_BLOCK, Block(sent.offset, sent.data, sent.checksum), asked)
    found = [decode_sent_block(whole), decode_sent_block(encoded)]
    for each in found:
        assert each.block is not None
        assert each._replace(block=None) == SentBlock("u", bytes(16), 7, None)
        assert (each.block.offset, each.block.checksum) == (sent.offset, sent.checksum)
        assert each.block.data == sent.data
    assert decode_sent_block(asked) == SentBlock("u", bytes(16), 7, None)
    assert decode_sent_block(b"") == SentBlock("", b"", 0, None)
    assert CODECS["/vault.v1.VaultService/WriteBlock"].parse_request(whole) == found[0]
