"""Large batches in slices: each peer in its turn, whole, and nothing stays held by one that goes."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

from vault.store.specs import SmallUpload, UploadSpec
from vault.store.values import checksum
from vault.v1 import vault_pb2 as pb
from vault_server import EmbeddedStore
from vault_server.rpc.batch_slices import BatchSlices

from tests.server.raw_calls import Stub


@dataclass
class Peer:
    """A caller's connection, which is never over its budget."""

    peer: str
    account: str = "all"

    async def pause(self, *, first: bool) -> None:
        pass

    def worked(self, began: float) -> None:
        pass


async def test_slices_go_round_robin_over_the_peers() -> None:
    turns = BatchSlices(1, size=10, small=5)
    order: list[str] = []

    async def batch(name: str, items: int) -> None:
        async with aclosing(turns.of(Peer(name), range(items))) as parts:
            async for part in parts:
                assert 1 <= len(part) <= 10
                order.append(name)

    await asyncio.gather(batch("a", 40), batch("a", 40), batch("a", 40), batch("b", 40), batch("c", 3))
    assert order.count("a") == 12
    assert order.index("c") <= 2  # small ones do not wait
    places = [place for place, name in enumerate(each for each in order if each != "c") if name == "b"]
    assert places[-1] <= 12  # all of b's, though three of a's came first


async def test_a_caller_with_many_connections_has_as_many_turns_as_one_with_one() -> None:
    turns = BatchSlices(1, size=1, small=0)
    order: list[str] = []

    async def batch(peer: Peer) -> None:
        nonlocal order
        async with aclosing(turns.of(peer, range(10))) as parts:
            async for part in parts:
                order += [peer.account] * len(part)

    many = [batch(Peer(str(number), "greedy")) for number in range(10)]
    await asyncio.gather(*many, batch(Peer("a", "polite")))
    assert len(order) == 110
    assert [place for place, name in enumerate(order) if name == "polite"][
        -1
    ] <= 40  # two or three of the others' for each of its own


async def test_who_is_cancelled_while_he_waits_or_works_passes_his_turn_on() -> None:
    turns = BatchSlices(1, size=1, small=0)

    async def hold() -> None:
        async with turns.turn(Peer("a")):
            await asyncio.sleep(3600)

    tasks = [asyncio.create_task(hold()) for _ in range(5)]
    for task in (tasks[2], tasks[0], tasks[1], tasks[4], tasks[3]):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    async with asyncio.timeout(10), turns.turn(Peer("b")):
        pass


async def test_batches_of_more_than_a_slice_come_whole_and_in_order(store: EmbeddedStore, stub: Stub) -> None:
    data = b"x"
    uploads = [SmallUpload(UploadSpec(n + 1, str(n)), data, checksum(data)) for n in range(2500)]
    request = pb.UploadManyRequest(unit="u")
    for item in uploads:
        part = request.items.add(data=data, checksum=item.checksum)
        part.spec.data_id, part.spec.name, part.spec.request_id = (
            item.spec.data_id,
            item.spec.name or "",
            item.spec.request_id,
        )
    reply = await stub.UploadMany(request)
    assert [result.info.data_id for result in reply.results] == [item.spec.data_id for item in uploads]
    assert reply.revision == store.revision == 2500
    keys = [pb.Key(data_id=n % 2600 + 1) for n in range(5000)]
    exists = await stub.Exists(pb.ExistsRequest(unit="u", keys=keys))
    assert [bool(generation) for generation in exists.generations] == [key.data_id <= 2500 for key in keys]
    stat = await stub.Stat(pb.StatRequest(unit="u", keys=keys))
    assert [item.info.data_id for item in stat.items] == [key.data_id * (key.data_id <= 2500) for key in keys]
    loaded = await stub.LoadMany(pb.LoadManyRequest(unit="u", items=[pb.LoadManyRequest.Item(key=key) for key in keys]))
    assert [item.object.info.data_id for item in loaded.items] == [key.data_id * (key.data_id <= 2500) for key in keys]
    deletes = [pb.DeleteRequest.Item(key=key, request_id=n.to_bytes(16, "big")) for n, key in enumerate(keys[:2600])]
    deleted = await stub.Delete(pb.DeleteRequest(unit="u", items=deletes))
    assert len(deleted.results) == 2600
    assert deleted.revision == store.revision == 5000
    assert store.list_units() == []
