"""The store in memory: what only it promises, and what it bounds."""

import contextlib
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault import AsyncVault, RemoteStore, Vault
from vault.errors import ClosedError, InvalidArgumentError, RevisionCompactedError, VaultError
from vault.store.contract import BlockReader, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import (
    DeleteSpec,
    LoadItem,
    MetadataSpec,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    new_data_id,
)
from vault.store.values import Block, LoadedObject, checksum
from vault_server import EmbeddedStore, MemoryStore, Server, StoreOptions
from vault_server.storage.decision.decide import decide
from vault_server.storage.decision.plan import Retention
from vault_server.storage.decision.writes import Write, asked
from vault_server.storage.memory.tables import MemoryTables

from tests.storage.deciding import RETENTIONS, DictIndex, in_groups, write_lists
from tests.vault.places import STRUCTURE, Note
from torture.interrupts.delivery import run


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    with MemoryStore() as store:
        yield store


def upload(store: Store, data: bytes = b"data", name: str | None = None, data_id: int | None = None) -> Any:
    spec = UploadSpec(new_data_id() if data_id is None else data_id, name)
    (info,) = store.upload_many("u", [SmallUpload(spec, data, checksum(data))])
    return info


def load(store: Store, key: int | str, generation: int | None = None) -> bytes | None:
    found = store.load("u", key, generation=generation)
    if found is None:
        return None
    assert isinstance(found, BlockReader)
    with found:
        return b"".join(bytes(block.data) for block in found)


def test_a_vault_is_opened_on_a_store_of_its_own() -> None:
    with Vault("memory://", STRUCTURE) as one, Vault("memory://", STRUCTURE) as other:
        one.upload("notes", Note("x"), name="n")
        ticket = one.load("notes", "n")
        assert ticket is not None
        with ticket:
            assert ticket.get_data().text == "x"
        assert other.load("notes", "n") is None


async def test_an_async_vault_is_opened_on_a_store_of_its_own() -> None:
    async with AsyncVault("memory://", STRUCTURE) as vault:
        await vault.upload("notes", Note("x"), name="n")
        assert [info.name async for info in vault.list("notes")] == ["n"]


def test_what_follows_the_scheme_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="each is a store of its own"):
        Vault("memory://shared", STRUCTURE)
    with pytest.raises(InvalidArgumentError, match="memory://"):
        Vault(":memory:", STRUCTURE)


@pytest.mark.parametrize("served", [False, True])
def test_a_store_says_how_durable_it_is(tmp_path: Path, served: bool) -> None:
    stores: dict[str, Callable[[], Store]] = {
        "none": MemoryStore,
        "relaxed": lambda: EmbeddedStore(tmp_path / "relaxed", StoreOptions(durability="relaxed")),
        "full": lambda: EmbeddedStore(tmp_path / "full"),
    }
    for durability, opened in stores.items():
        with contextlib.ExitStack() as stack:
            store = stack.enter_context(opened())
            if served:
                server = stack.enter_context(Server(store, listen="127.0.0.1:0"))
                store = stack.enter_context(RemoteStore(server.address))
            assert store.capabilities().durability == durability


def test_old_bytes_are_bounded(store: MemoryStore) -> None:
    store.collection._most = 10 * BLOCK_SIZE
    data = bytes(BLOCK_SIZE)
    data_id = upload(store, data, "n").data_id
    for _ in range(30):
        store.update_many("u", [SmallUpdate(UpdateSpec("n"), data, checksum(data))])
    assert len(store.index.tables._contents) <= 12
    assert load(store, data_id, store.revision) == load(store, data_id, store.revision - 1) == data


def test_old_blobs_go_when_their_time_has_come() -> None:
    with MemoryStore(StoreOptions(retention=0)) as store:
        info = stream(store, UploadSpec(5), 2)
        assert len(store.blobs.blobs) == 1
        store.delete_many("u", [DeleteSpec(5)])
        assert not store.blobs.blobs
        assert not store.index.tables._contents
        assert load(store, 5, info.generation) is None
    now = [1_000_000]
    with MemoryStore(StoreOptions(retention=10)) as store:
        store.collection._clock = store.clock.wall = lambda: now[0]
        info = stream(store, UploadSpec(5), 2)
        store.delete_many("u", [DeleteSpec(5)])
        assert load(store, 5, info.generation) == bytes(2 * BLOCK_SIZE)
        now[0] += 10_000_000
        assert load(store, 5, info.generation) is None
        assert not store.blobs.blobs
        assert not store.index.tables._contents


def test_what_a_clock_that_jumped_back_had_retired_goes_after_its_grace() -> None:
    now = [3_600_000_000]
    with MemoryStore(StoreOptions(retention=10)) as store:
        store.collection._clock = store.clock.wall = lambda: now[0]
        for data_id in (1, 2, 3):
            stream(store, UploadSpec(data_id), 2)
        store.delete_many("u", [DeleteSpec(1), DeleteSpec(2)])
        now[0] = 0
        store.delete_many("u", [DeleteSpec(3)])
        for now[0] in (10_000_000, 20_000_000):
            upload(store)  # a commit collects what is due
        assert not store.blobs.blobs
        assert not store.index.tables._retired


def test_a_reader_finishes_with_bytes_that_were_collected() -> None:
    with MemoryStore(StoreOptions(retention=0)) as store:
        stream(store, UploadSpec(5), 3)
        reader = store.load("u", 5)
        assert isinstance(reader, BlockReader)
        blocks = iter(reader)
        next(blocks)
        store.delete_many("u", [DeleteSpec(5)])
        assert [len(block.data) for block in blocks] == [BLOCK_SIZE, BLOCK_SIZE]


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_a_blob_that_is_collected_before_it_is_opened_is_not_missed(
    monkeypatch: pytest.MonkeyPatch, gone: bool, many: bool
) -> None:
    with MemoryStore(StoreOptions(retention=0)) as store:
        stream(store, UploadSpec(5), 1)
        opened = store.blobs.open

        def late(found: Any) -> Any:
            monkeypatch.setattr(store.blobs, "open", opened)
            if gone:
                store.delete_many("u", [DeleteSpec(5)])
            else:
                store.update_many("u", [SmallUpdate(UpdateSpec(5), b"new", checksum(b"new"))])
            return opened(found)

        monkeypatch.setattr(store.blobs, "open", late)
        if many:
            (loaded,) = store.load_many("u", [LoadItem(5)])
            assert loaded is None or isinstance(loaded, LoadedObject)
            data = None if loaded is None else loaded.data
        else:
            data = load(store, 5)
        assert data == (None if gone else b"new")


def test_the_feed_keeps_as_much_as_it_was_told() -> None:
    with MemoryStore(StoreOptions(feed_history=10, resume_window=0)) as store:
        for _ in range(100):
            upload(store)
        tables = store.index.tables
        assert len(tables._changes) == len(tables._requests) <= 21
        assert len(store.changes(90)[1]) == 10
        with pytest.raises(RevisionCompactedError):
            store.changes(50)


def test_many_threads_leave_a_feed_without_a_hole(store: MemoryStore) -> None:
    def write(seed: int) -> None:
        choice = random.Random(seed)
        for _ in range(100):
            data_id = choice.randrange(1, 9)
            match choice.randrange(4):
                case 0:
                    upload(store, name=choice.choice("abc"), data_id=data_id)
                case 1:
                    store.update_many("u", [SmallUpdate(UpdateSpec(data_id), b"new", checksum(b"new"))])
                case 2:
                    with contextlib.suppress(Exception):
                        store.set_metadata("u", MetadataSpec(data_id, name=choice.choice("abc")))
                case 3:
                    store.delete_many("u", [DeleteSpec(data_id)])

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_sound(store)


@given(write_lists(), st.lists(st.integers(1, 8), max_size=8), st.sampled_from(RETENTIONS))
@settings(max_examples=50)
def test_any_groups_of_writes_leave_the_tables_that_plain_dicts_have(
    writes: list[Write], sizes: list[int], retention: Retention
) -> None:
    index, tables = DictIndex(), MemoryTables()
    for clock, group in enumerate(in_groups(writes, sizes)):
        wanted, known = index.facts(group, retention), tables.facts(asked(group), retention)
        assert (known.rows, known.answers) == (wanted.rows, wanted.answers)
        assert (known.units, known.accounts) == (wanted.units, wanted.accounts)
        index.apply(decide(wanted, group, clock, retention))
        plan = decide(known, group, clock, retention)
        if plan.revision == plan.begun_at:
            continue  # there is nothing to apply
        tables.apply(plan)
        tables._unfinished = plan, list(tables._accounts.values())  # as an interrupt leaves it: it is applied again
        tables.units()
        assert tables._objects == index.objects
        assert tables._retired == {key: tuple(each.values()) for key, each in index.retired.items()}
        assert tables._changes == {key: tuple(each.values()) for key, each in index.changes.items()}
        assert {number: kept.file for number, kept in tables._contents.items()} == {
            number: kept.file for number, kept in index.contents.items()
        }
        assert set(tables._trash) == index.trash
        assert (tables.revision, tables._clock, tables._feed_floor) == (index.revision, index.clock, index.feed_floor)
        assert {(*tag, data_id) for tag, ids in tables._tagged.items() for data_id in ids} == index.tags
        assert (tables._usage, tables._accounts) == (index.units, index.accounts)
        rows = sorted(index.objects.values(), key=lambda row: row.generation)
        assert {unit: list(ids.items()) for unit, ids in tables._by_generation.items() if ids} == {
            unit: [(row.generation, row.data_id) for row in rows if row.unit == unit]
            for unit in {row.unit for row in rows}
        }
        assert tables._expiring == sorted(
            (row.expires_at, row.unit, row.data_id) for row in rows if row.expires_at is not None
        )


CALLS: dict[str, Callable[[MemoryStore], Any]] = {
    "upload_many": lambda store: store.upload_many(
        "u", [SmallUpload(UploadSpec(new_data_id(), None, {"k": "v"}), b"x", checksum(b"x")) for _ in range(3)]
    ),
    "update_many": lambda store: store.update_many("u", [SmallUpdate(UpdateSpec("n"), b"y", checksum(b"y"))]),
    "delete_many": lambda store: store.delete_many("u", [DeleteSpec("n")]),
    "set_metadata": lambda store: store.set_metadata("u", MetadataSpec("n", name="m", tags={"k": "w"})),
    "stream": lambda store: stream(store, UploadSpec(new_data_id(), "s"), 2),
    "load_many": lambda store: store.load_many("u", [LoadItem("n")]),
    "list_page": lambda store: store.list_page("u", prefix=""),
    "suspend": lambda store: store.upload("u", UploadSpec(5), resumable=True).suspend(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_an_interrupt_at_any_point_leaves_a_call_done_or_not_done(call: Callable[[MemoryStore], Any]) -> None:
    count, point = 1, 0
    while point <= count:
        with MemoryStore(StoreOptions(retention=0)) as store:
            upload(store, b"old", "n")
            upload(store, bytes(1000), "other")
            before = store.revision
            points, _, error = run(lambda: call(store), point)  # called at once
            count = max(count, points.count) if point == 0 else count
            assert error is None or isinstance(error, KeyboardInterrupt), points.where
            told: list[Any] = []
            other = threading.Thread(target=lambda: told.append(upload(store)), daemon=True)  # noqa: B023  # joined
            other.start()
            other.join(20)
            assert told, f"another thread waits for ever: {points.where}"
            changed = store.revision - before - 1
            assert changed in ((0, 3) if call is CALLS["upload_many"] else (0, 1)), points.where
            assert_sound(store)
        point += 1
    assert count > 10


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_call_that_a_close_overtakes_never_answers_that_nothing_is_there(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[MemoryStore], Any]
) -> None:
    with MemoryStore() as store:
        upload(store, b"old", "n")
        opened = store.require_open

        def late() -> None:
            opened()
            store.close()

        monkeypatch.setattr(store, "require_open", late)
        with pytest.raises(ClosedError):
            call(store)


def test_a_closed_store_is_no_trap_for_who_walks_over_all_objects() -> None:
    store = MemoryStore()
    store.close()
    assert not isinstance(store.index.tables, VaultError)


def test_a_forked_child_gets_closed_errors() -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.stdout, result.returncode) == ("done\n", 0), result.stderr


CHILD = """
import asyncio, os, signal
from vault.errors import ClosedError
from vault.store.contract import BlockReader
from vault.store.specs import DeleteSpec, LoadItem, MetadataSpec, UpdateSpec, UploadSpec
from vault.store.values import Block, checksum
from vault_server import AsyncMemoryStore, MemoryStore

signal.alarm(40)
store = MemoryStore()
spec = UploadSpec(5)
with store.upload("u", spec) as writer:
    writer.write(Block(0, b"x", checksum(b"x")))
    writer.commit(1)
reader, writer, watch = store.load("u", 5), store.upload("u", UploadSpec(6)), store.watch()
other = AsyncMemoryStore()
with store.commits._lock, store.index.lock:  # as another thread might have them
    pid = os.fork()
if pid == 0:
    calls = [
        lambda: store.revision, store.capabilities, lambda: store.exists_many("u", [5]), lambda: store.list_page("u"),
        store.list_units, lambda: store.load("u", 5), lambda: store.load_many("u", [LoadItem(5)]),
        lambda: store.upload("u", UploadSpec(7)), lambda: store.update("u", UpdateSpec(5)),
        lambda: store.delete_many("u", [DeleteSpec(5)]), lambda: store.set_metadata("u", MetadataSpec(5, name="n")),
        store.watch, lambda: store.changes(0), lambda: list(reader), lambda: next(iter(watch)),
        lambda: writer.commit(0), lambda: asyncio.run(other.list_units()),
    ]
    for call in calls:
        try:
            call()
        except ClosedError:
            continue
        os._exit(1 + calls.index(call))
    writer.abort(), reader.close(), watch.close(), store.close()
    os._exit(0)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert list(reader)[0].data == b"x" and writer.commit(0) and store.revision == 2
store.close()
print("done")
"""


def stream(store: Store, spec: UploadSpec, blocks: int) -> Any:
    data = bytes(BLOCK_SIZE)
    with store.upload("u", spec) as writer:
        for index in range(blocks):
            writer.write(Block(index * BLOCK_SIZE, data, checksum(data)))
        return writer.commit(blocks * BLOCK_SIZE)


def assert_sound(store: MemoryStore) -> None:
    """The tables agree with each other, and every object can be read."""
    tables = store.index.tables
    revision, changes = store.changes(tables._feed_floor)
    assert [change.revision for change in changes] == list(range(tables._feed_floor + 1, revision + 1))
    rows = tables._objects
    assert {(row.unit, row.name): row.data_id for row in rows.values() if row.name is not None} == tables._names
    assert {unit: sorted(i for u, i in rows if u == unit) for unit in tables._places.ids} == tables._places.ids
    assert sum(map(len, tables._places.names.values())) == len(tables._names)
    assert len(tables._requests) == len(tables._changes)
    referenced = [row.content for row in rows.values()] + [row[13] for row in tables._retired.values()]
    assert sorted(referenced) == sorted(tables._contents)
    files = {content.file for content in tables._contents.values() if content.file}
    assert files <= set(store.blobs.blobs)
    listed = store.list_page("u").objects
    assert [info.data_id for info in listed] == tables._places.ids["u"]
    usage = tables._usage["u"]
    assert (usage.objects, usage.bytes) == (len(listed), sum(info.size for info in listed))
    for info in listed:
        assert len(load(store, info.data_id) or b"") == info.size
        (loaded,) = store.load_many("u", [LoadItem(info.data_id)])
        assert isinstance(loaded, LoadedObject)
        assert loaded.info == info
