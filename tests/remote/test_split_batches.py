"""Batches that one message cannot carry: cut up and put together without anybody noticing."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc
import pytest
from vault import ConnectionSettings
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.remote.store import RemoteStore
from vault.errors import InvalidArgumentError, StorageFullError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, LoadItem, SmallUpdate, SmallUpload, UpdateSpec, UploadSpec, new_data_id
from vault.store.values import Block, LoadedObject, NotModified, ObjectInfo, checksum
from vault_server import EmbeddedStore, Server, ServerSettings

FULL_TAGS = {f"key {number}": "v" * 1000 for number in range(64)}
"""An ObjectInfo with these takes 65 KiB: 64 of them fill a reply."""


class Counting(grpc.aio.ServerInterceptor):
    """Counts calls by method, and refuses those after the first `limit` of a method."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.limit = 1_000_000

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = handler_call_details.method.rpartition("/")[2]
        self.calls[method] += 1
        if self.calls[method] > self.limit:
            raise StorageFullError("no more today")
        return await continuation(handler_call_details)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture(params=[4 << 20, 2 << 20], ids=["4MiB", "2MiB"])
def remote(store: EmbeddedStore, counting: Counting, request: pytest.FixtureRequest) -> Iterator[RemoteStore]:
    """A client of a server whose messages are limited to what clients expect, and to half of that."""
    settings = ServerSettings(max_message_size=request.param)
    with (
        Server(store, interceptors=[counting], settings=settings) as server,
        RemoteStore(server.address, ConnectionSettings(timeout=20)) as opened,
    ):
        yield opened


def upload(data: bytes, tags: dict[str, str] | None = None) -> SmallUpload:
    return SmallUpload(UploadSpec(new_data_id(), tags=tags or {}), data, checksum(data))


def test_blocks_by_the_dozen_come_back_in_order(remote: RemoteStore) -> None:
    data = [bytes([number]) * BLOCK_SIZE for number in range(12)]
    items = [upload(each) for each in data]
    infos = remote.upload_many("u", items)
    assert [info.data_id for info in infos if isinstance(info, ObjectInfo)] == [item.spec.data_id for item in items]
    found = remote.load_many("u", [LoadItem(item.spec.data_id) for item in items])
    assert [each.data for each in found if isinstance(each, LoadedObject)] == data


def test_outcomes_that_do_not_fit_a_reply_are_asked_for_again(remote: RemoteStore, store: EmbeddedStore) -> None:
    items = [upload(b"old", FULL_TAGS) for _ in range(100)]
    ids = [item.spec.data_id for item in items]
    assert all(isinstance(outcome, ObjectInfo) for outcome in remote.upload_many("u", items))
    before = store.revision
    updates = [SmallUpdate(UpdateSpec(data_id), b"new", checksum(b"new")) for data_id in ids]
    updated = remote.update_many("u", updates)
    assert [info.data_id for info in updated if isinstance(info, ObjectInfo)] == ids
    assert store.revision == before + len(ids), "each is done once, however often it was sent"
    found = remote.load_many("u", [LoadItem(data_id) for data_id in ids])
    assert [each.info.data_id for each in found if isinstance(each, LoadedObject) and each.data == b"new"] == ids
    stats = remote.stat_many("u", ids)
    assert [info.data_id for info in stats if info is not None] == ids


def test_hundreds_of_small_objects_take_one_round_trip_each_way(remote: RemoteStore, counting: Counting) -> None:
    items = [upload(b"%d" % number) for number in range(500)]
    ids = [item.spec.data_id for item in items]
    remote.upload_many("u", items)
    generations = remote.exists_many("u", ids)
    assert [info and info.generation for info in remote.stat_many("u", ids)] == generations
    remote.load_many("u", [LoadItem(data_id) for data_id in ids])
    assert len([revision for revision in remote.delete_many("u", [DeleteSpec(i) for i in ids]) if revision]) == 500
    assert counting.calls == {"WriteColumns": 1, "Exists": 1, "Stat": 1, "LoadColumns": 1, "Delete": 1}


def test_thousands_of_keys_are_answered_in_order(remote: RemoteStore) -> None:
    item = upload(b"x")
    remote.upload_many("u", [item])
    keys = [item.spec.data_id if number % 7 == 0 else f"no such object {number}" for number in range(2500)]
    assert [bool(generation) for generation in remote.exists_many("u", keys)] == [n % 7 == 0 for n in range(2500)]
    assert [info is not None for info in remote.stat_many("u", keys)] == [n % 7 == 0 for n in range(2500)]


def test_an_object_over_a_block_is_told_of_and_not_asked_for_again(remote: RemoteStore, counting: Counting) -> None:
    with remote.upload("u", spec := UploadSpec(new_data_id())) as writer:
        for number in range(2):
            writer.write(Block(number * BLOCK_SIZE, bytes(BLOCK_SIZE), checksum(bytes(BLOCK_SIZE))))
        large = writer.commit(2 * BLOCK_SIZE)
    small = upload(b"small")
    (info,) = remote.upload_many("u", [small])
    assert isinstance(info, ObjectInfo)
    held = LoadItem(info.data_id, if_generation_not_match=info.generation)
    found = remote.load_many("u", [LoadItem(spec.data_id), LoadItem(info.data_id), held, LoadItem(5)])
    assert found == [LoadedObject(large, None), LoadedObject(info, b"small"), NotModified(info.generation), None]
    assert counting.calls["LoadMany"] == 1


def test_a_batch_that_breaks_off_says_what_was_done_before(store: EmbeddedStore, counting: Counting) -> None:
    counting.limit = 1
    items = [upload(bytes([number]) * (900 << 10)) for number in range(8)]
    with (
        Server(store, interceptors=[counting]) as server,
        RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote,
    ):
        outcomes = remote.upload_many("u", items)
        with pytest.raises(StorageFullError, match="no more today"):
            remote.upload_many("u", items)
    done = [outcome for outcome in outcomes if isinstance(outcome, ObjectInfo)]
    assert 0 < len(done) < len(items)
    assert store.stat_many("u", [item.spec.data_id for item in items]) == done + [None] * (len(items) - len(done))
    assert {type(outcome) for outcome in outcomes[len(done) :]} == {StorageFullError}


async def test_tasks_have_the_same(store: EmbeddedStore) -> None:
    items = [upload(bytes([number]) * BLOCK_SIZE) for number in range(9)]
    with Server(store, settings=ServerSettings(max_message_size=2 << 20)) as server:
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
            assert all(isinstance(outcome, ObjectInfo) for outcome in await remote.upload_many("u", items))
            found = await remote.load_many("u", [LoadItem(item.spec.data_id) for item in items])
    assert [each.data for each in found if isinstance(each, LoadedObject)] == [item.data for item in items]


@pytest.mark.parametrize("token", [5, None, b"token", "\ud800", "made up"])
def test_a_page_token_that_is_none_is_refused_as_embedded_storage_does(
    remote: RemoteStore, store: EmbeddedStore, token: str
) -> None:
    for asked in (remote, store):
        with pytest.raises(InvalidArgumentError) as caught:
            asked.list_page("u", page_token=token)
        assert caught.value.reason == "BAD_PAGE_TOKEN"
