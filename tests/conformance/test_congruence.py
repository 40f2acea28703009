"""The same calls of an embedded store and of a remote one, over another such or over one in memory, come to the same,
bad ones included, to the letter."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault._sync.remote.store import RemoteStore
from vault.errors import VaultError
from vault.store.contract import AsyncBlockReader, BlockWriter, Store
from vault.store.limits import BLOCK_SIZE, MAX_BATCH_ITEMS
from vault.store.specs import (
    DeleteSpec,
    LoadItem,
    MetadataSpec,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
)
from vault.store.values import Block, ListOrder, checksum
from vault.testing.congruence import assert_congruent
from vault.testing.store import bad_values as bad
from vault.testing.store.bad_input import ACTS, UNIT_ACTS, Act
from vault.testing.store.objects import blocks_of, drain, payload
from vault.testing.store.sync_and_async import AsyncFace
from vault_server import EmbeddedStore, MemoryStore, Server, StoreOptions

Call = Callable[[Store], Any]


class Pair(NamedTuple):
    """Two stores that have been asked the same things since they were made."""

    embedded: Store
    remote: Store

    def assert_same(self, call: Call) -> Any:
        return assert_congruent(call, self.embedded, self.remote)


@pytest.fixture(scope="module", params=["embedded", "memory"])
def pair(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    memory = request.param == "memory"
    served = MemoryStore() if memory else EmbeddedStore(folder / "served", StoreOptions(durability="relaxed"))
    with (
        EmbeddedStore(folder / "embedded", StoreOptions(durability="relaxed")) as embedded,
        served,
        Server(served, listen="127.0.0.1:0") as server,
        RemoteStore(server.address) as remote,
    ):
        yield Pair(embedded, remote)


def mixed(good: st.SearchStrategy[Any], *bad: Any) -> st.SearchStrategy[Any]:
    """Mostly what is good, now and then what is not."""
    return st.integers(0, 14).flatmap(lambda turn: st.sampled_from(bad) if turn == 0 else good)


units = mixed(st.sampled_from(["a", "b"]), *bad.UNITS.values())
ids = mixed(st.integers(1, 5), *bad.IDS.values(), "5")
names = mixed(st.sampled_from(["n", "m", "ä%"]), *bad.NAMES.values(), "", 5)
keys = mixed(st.integers(1, 5) | st.sampled_from(["n", "m", "ä%"]), *bad.IDS.values(), *bad.NAMES.values(), "")
tags = mixed(st.dictionaries(st.sampled_from("kl"), st.sampled_from("12"), max_size=2), *bad.TAGS.values())
generations = mixed(st.none() | st.integers(0, 40), *bad.GENERATIONS.values())
datatypes = mixed(st.sampled_from(["", "t"]), *bad.DATATYPES.values())
requests = mixed(st.binary(min_size=16, max_size=16), *bad.REQUEST_IDS.values())
sums = mixed(st.just(0), 1)  # what is added to the checksum
data = st.builds(payload, st.sampled_from([0, 1, 1000, 70_000, BLOCK_SIZE, BLOCK_SIZE + 1, 2 * BLOCK_SIZE + 5]))
small = st.builds(payload, st.sampled_from([0, 1, 1000, 70_000, BLOCK_SIZE, BLOCK_SIZE + 1]))

uploads = st.builds(UploadSpec, ids, st.none() | names, tags, datatypes, requests)
updates = st.builds(UpdateSpec, keys, generations, st.none() | datatypes, requests)
newer_updates = st.builds(UpdateSpec, keys, generations, st.none() | datatypes, requests, generations, st.none() | tags)
puts = st.builds(PutSpec, st.none() | names, ids, tags, datatypes, generations, st.none(), requests) | newer_updates
deletes = st.builds(DeleteSpec, keys, generations, requests, st.none() | generations)
metadata = st.builds(MetadataSpec, keys, st.none() | names, st.none() | tags, generations, requests)
renames = st.builds(MetadataSpec, keys, names, st.none() | tags, generations, requests, generations, st.booleans())


def damaged(content: bytes, damage: str) -> tuple[list[Block], int, int | None]:
    """Blocks, size and checksum to commit, one of them wrong as `damage` says."""
    blocks = blocks_of(content)
    size, whole = len(content), checksum(content)
    match damage:
        case "block checksum" if blocks:
            blocks[-1] = Block(blocks[-1].offset, blocks[-1].data, blocks[-1].checksum ^ 1)
        case "order":
            blocks.reverse()
        case "again":
            blocks += blocks
        case "lost":
            del blocks[:1]
        case "empty block":
            blocks.append(Block(size, b"", checksum(b"")))
        case "size":
            size += 1
        case "whole checksum":
            whole ^= 1
    return blocks, size, None if damage == "no checksum" else whole


damages = st.sampled_from(
    ["", "", "", "no checksum", "block checksum", "order", "again", "lost", "empty block", "size", "whole checksum"]
)


def write(begin: Callable[[Store], BlockWriter], parts: tuple[list[Block], int, int | None]) -> Call:
    blocks, size, whole = parts

    def call(store: Store) -> Any:
        with begin(store) as writer:
            for block in blocks:
                writer.write(block)
            return writer.commit(size, whole)

    return call


def small_items(kind: Any, parts: Sequence[tuple[Any, bytes, int]]) -> list[Any]:
    return [kind(spec, content, checksum(content) ^ wrong) for spec, content, wrong in parts]


calls: st.SearchStrategy[Call] = st.one_of(
    st.builds(lambda u, k: lambda store: store.exists_many(u, k), units, st.lists(keys, max_size=4)),
    st.builds(lambda u, k: lambda store: store.stat_many(u, k), units, st.lists(keys, max_size=4)),
    st.builds(
        lambda u, p, t, s, token: lambda store: store.list_page(u, prefix=p, tags=t, page_size=s, page_token=token),
        units,
        st.none() | mixed(st.sampled_from(["", "n", "ä", "%"]), *bad.NAMES.values(), 5),
        st.none() | tags,
        mixed(st.integers(0, 5), -1, 1001, 2**40, True, 5.0, "5"),
        mixed(st.just(""), "x", "AAAA", "€"),
    ),
    st.builds(
        lambda u, p, o, d, a, by: (
            lambda store: store.list_page(u, prefix=p, page_size=2, order=o, descending=d, after=a, delimiter=by)
        ),
        units,
        st.none() | mixed(st.sampled_from(["", "n", "ä", "%"]), *bad.NAMES.values()),
        mixed(st.none() | st.sampled_from(ListOrder), "name", 1),
        mixed(st.booleans(), None, 1),
        st.none() | mixed(st.integers(0, 40) | st.sampled_from(["", "m", "ä"]), -1, 2**63, True, 1.0, "x" * 1025),
        st.none() | mixed(st.sampled_from(["n", "ä", "%"]), "", "x" * 1025, 5),
    ),
    st.builds(
        lambda u, k, o, n, g, m: (
            lambda store: store.load(u, k, offset=o, length=n, if_generation=g, if_generation_not_match=m)
        ),
        units,
        keys,
        mixed(st.just(0) | st.integers(0, 2 * BLOCK_SIZE), -1, True, 1.0, None, 2**70),
        mixed(st.none() | st.integers(0, BLOCK_SIZE), -1, True, 1.0, 2**70),
        st.none() | generations,
        generations,
    ),
    st.builds(
        lambda u, items: lambda store: store.load_many(u, items),
        units,
        st.lists(st.builds(LoadItem, keys, generations), max_size=4),
    ),
    st.builds(
        lambda u, spec, d, how: write(lambda store: store.upload(u, spec), damaged(d, how)),
        units,
        uploads,
        data,
        damages,
    ),
    st.builds(
        lambda u, spec, d, how: write(lambda store: store.update(u, spec), damaged(d, how)),
        units,
        updates,
        data,
        damages,
    ),
    st.builds(
        lambda u, parts: lambda store: store.upload_many(u, small_items(SmallUpload, parts)),
        units,
        st.lists(st.tuples(uploads, small, sums), max_size=3),
    ),
    st.builds(
        lambda u, parts: lambda store: store.update_many(u, small_items(SmallUpdate, parts)),
        units,
        st.lists(st.tuples(updates, small, sums), max_size=3),
    ),
    st.builds(lambda u, specs: lambda store: store.delete_many(u, specs), units, st.lists(deletes, max_size=3)),
    st.builds(lambda u, spec: lambda store: store.set_metadata(u, spec), units, metadata | renames),
    st.builds(lambda u, specs: lambda store: store.set_metadata_many(u, specs), units, st.lists(renames, max_size=3)),
    st.builds(
        lambda u, spec, d, how: write(lambda store: store.put(u, spec), damaged(d, how)),
        units,
        puts,
        data,
        damages,
    ),
    st.builds(
        lambda u, parts: lambda store: store.put_many(u, small_items(SmallPut, parts)),
        units,
        st.lists(st.tuples(puts, small, sums), max_size=3),
    ),
    st.just(lambda store: store.list_units()),
)


@given(calls=st.lists(calls, max_size=12))
@settings(max_examples=80)
def test_any_calls_come_to_the_same(pair: Pair, calls: list[Call]) -> None:
    for call in calls:
        pair.assert_same(call)
    pair.assert_same(lambda store: [store.list_page(unit, page_size=1000).objects for unit in ("a", "b")])
    pair.assert_same(lambda store: [store.list_page(unit, page_size=1000, prefix="").objects for unit in ("a", "b")])
    pair.assert_same(lambda store: store.revision)


@pytest.mark.parametrize("act", UNIT_ACTS.values(), ids=UNIT_ACTS.keys())
def test_bad_units_are_refused_in_the_same_words(pair: Pair, act: Act) -> None:
    for unit in bad.UNITS.values():
        assert isinstance(pair.assert_same(act_now(act, unit, 5)), VaultError), unit


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
def test_bad_keys_are_refused_in_the_same_words(pair: Pair, act: Act) -> None:
    for key in [*bad.IDS.values(), *bad.NAMES.values(), ""]:
        assert isinstance(pair.assert_same(act_now(act, "a", key)), VaultError), key


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
@pytest.mark.parametrize("key", [77, "no such name"])
def test_what_is_not_there_is_missed_in_the_same_words(pair: Pair, act: Act, key: Any) -> None:
    pair.assert_same(act_now(act, "a", key))


def test_batches_over_the_limit_are_refused_in_the_same_words(pair: Pair) -> None:
    too_many = MAX_BATCH_ITEMS + 1
    for call in (
        lambda store: store.exists_many("a", [5] * too_many),
        lambda store: store.stat_many("a", [5] * too_many),
        lambda store: store.load_many("a", [LoadItem(5)] * too_many),
        lambda store: store.delete_many("a", [DeleteSpec(5)] * too_many),
    ):
        assert isinstance(pair.assert_same(call), VaultError)


def act_now(act: Act, unit: Any, key: Any) -> Call:
    """One of the suite's acts, made of a sync store."""

    async def acting(store: Store) -> Any:
        face = AsyncFace(store)
        try:
            found = await act(face, unit, key)
            return await drain(found) if isinstance(found, AsyncBlockReader) else found
        finally:
            face.release()

    return lambda store: asyncio.run(acting(store))
