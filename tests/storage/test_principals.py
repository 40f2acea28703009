"""Who is charged for an object, and where a principal's suspended writes are."""

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from vault.errors import InvalidArgumentError, NotFoundError
from vault.store.limits import BLOCK_SIZE
from vault.store.outcomes import single
from vault.store.specs import CopySpec, DeleteSpec, MetadataSpec, UpdateSpec
from vault.store.values import Key
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore, StoreOptions, check_directory
from vault_server.storage.memory import MemoryStore

from tests.storage.objects import LARGE, SMALL, UNIT, read, start, update, upload
from tests.storage.resuming import DATA, REQUEST, SPEC, folder, go_on, kept, suspend


def charged(store: EmbeddedStore | MemoryStore, key: int) -> str:
    """To whom the object's row is."""
    if isinstance(store, MemoryStore):
        return store.index.tables._objects[UNIT, key].principal
    return str(rows(store.directory, "SELECT principal FROM objects WHERE data_id = ?", key)[0][0])


def askers(store: EmbeddedStore | MemoryStore, key: int) -> list[str]:
    """Who asked for the object's changes."""
    if isinstance(store, MemoryStore):
        changes = store.index.tables._changes.values()
        return [change[-3] for change in changes if change[2] == key]
    found = rows(store.directory, "SELECT principal FROM changes WHERE data_id = ? ORDER BY revision", key)
    return [principal for (principal,) in found]


def rows(directory: Path, statement: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(directory / "register.db")) as connection:
        found = connection.execute(statement, values).fetchall()
        connection.commit()
        return found


@pytest.fixture(params=[EmbeddedStore, MemoryStore])
def either(request: pytest.FixtureRequest, directory: Path) -> Iterator[EmbeddedStore | MemoryStore]:
    with EmbeddedStore(directory) if request.param is EmbeddedStore else MemoryStore() as store:
        yield store


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_whoever_wrote_the_bytes_is_charged_and_the_feed_keeps_who_asked(
    either: EmbeddedStore | MemoryStore, data: bytes
) -> None:
    ann, bob = either.for_principal("ann"), either.for_principal("bob")
    upload(ann, data, data_id=1, name="name")
    assert charged(either, 1) == "ann"
    bob.set_metadata(UNIT, MetadataSpec(1, tags={"a": "1"}))
    single(bob.set_metadata_many(UNIT, [MetadataSpec(1, name="other", expires_in=3600.0)]))
    either.set_metadata(UNIT, MetadataSpec(1, name="third"))
    assert charged(either, 1) == "ann"
    update(bob, 1, data + b"!")
    assert charged(either, 1) == "bob"
    assert single(ann.copy_many(UNIT, [CopySpec(1, "copy", data_id=2)])).data_id == 2
    assert (charged(either, 1), charged(either, 2)) == ("bob", "ann")
    update(either, 1, data)
    assert charged(either, 1) == ""
    single(ann.delete_many(UNIT, [DeleteSpec(1)]))
    assert askers(either, 1) == ["ann", "bob", "bob", "", "bob", "", "ann"]
    assert askers(either, 2) == ["ann"]


def test_what_is_mended_of_the_feed_is_charged_to_whoever_wrote_its_bytes(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        upload(store.for_principal("ann"), LARGE, data_id=1)
        upload(store, SMALL, data_id=2)
        for key in (1, 2):
            store.for_principal("bob").set_metadata(UNIT, MetadataSpec(key, tags={"a": "1"}))
    rows(directory, "DELETE FROM objects")
    with EmbeddedStore(directory) as store:
        assert store.check(repair=True).ok
        assert [charged(store, key) for key in (1, 2)] == ["ann", ""]


def test_what_a_rebuilt_register_has_is_charged_to_whoever_wrote_its_bytes(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        for key, principal in enumerate(("ann", "bob"), 1):
            upload(store.for_principal(principal), LARGE, data_id=key)
            store.for_principal("eve").set_metadata(UNIT, MetadataSpec(key, tags={"a": "1"}))
    ((page,), (size,)) = (
        rows(directory, statement)[0]
        for statement in ("SELECT rootpage FROM sqlite_schema WHERE name = 'objects'", "PRAGMA page_size")
    )
    with (directory / "register.db").open("rb+") as register:  # the feed alone knows of them
        register.seek((page - 1) * size)
        register.write(bytes(size))
    assert check_directory(directory, repair=True, deep=True).ok
    with EmbeddedStore(directory) as store:
        assert [charged(store, key) for key in (1, 2)] == ["ann", "bob"]


def test_a_principals_suspended_write_has_a_folder_that_says_whose_it_is(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        suspend(store, 2)
        suspend(store.for_principal("ann"), 3)
        assert kept(directory) == [REQUEST.hex(), f"{REQUEST.hex()}.ann"]
        assert store.check().suspended == 2
    nobodys, anns = folder(directory), folder(directory).with_name(f"{REQUEST.hex()}.ann")
    assert "principal" not in json.loads((nobodys / "spec").read_bytes())["write"]
    assert json.loads((anns / "spec").read_bytes())["write"]["principal"] == "ann"
    anns.rename(anns.with_name(f"{REQUEST.hex()}.eve"))
    with EmbeddedStore(directory) as store:
        with pytest.raises(NotFoundError):
            store.for_principal("ann").write_status(UNIT, REQUEST)
        with pytest.raises(InvalidArgumentError) as refused:  # by the journal, whatever its folder is called
            store.for_principal("eve").upload(UNIT, SPEC, resumable=True)
        assert refused.value.reason == "BAD_REQUEST_ID"
        store.for_principal("eve").abort_write(UNIT, REQUEST)
        assert kept(directory) == [REQUEST.hex()]
        assert go_on(store)[1] == 2 * BLOCK_SIZE


def test_suspended_writes_of_principals_expire_as_others_do(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(resume_window=1)) as store:
        suspend(store.for_principal("ann"), 2)
        assert len(kept(directory)) == 1
        while kept(directory):
            store.engine.resumption._wake.set()
        with pytest.raises(NotFoundError):
            store.for_principal("ann").write_status(UNIT, REQUEST)


KILLED = """
import os, signal, sys
from tests.storage.resuming import write
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
held = [write(store.for_principal(name), blocks) for name, blocks in (("ann", 2), ("bob", 3))]
held.append(write(store, 4))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_leaves_each_principal_its_own_write(directory: Path) -> None:
    with start(KILLED, directory) as process:
        assert process.wait(60) == -signal.SIGKILL
    with EmbeddedStore(directory) as store:
        statuses = {
            name: store.for_principal(name).write_status(UNIT, REQUEST).persisted_size for name in ("ann", "bob")
        }
        assert statuses == {"ann": 2 * BLOCK_SIZE, "bob": 3 * BLOCK_SIZE}
        assert store.write_status(UNIT, REQUEST).persisted_size == 4 * BLOCK_SIZE
        assert go_on(store.for_principal("bob"))[1] == 3 * BLOCK_SIZE
        store.for_principal("ann").abort_write(UNIT, REQUEST)
        store.abort_write(UNIT, REQUEST)
        assert read(store, SPEC.data_id) == DATA
        assert charged(store, SPEC.data_id) == "bob"
    assert kept(directory) == []


def test_a_view_goes_on_in_a_forked_child(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        ann = store.for_principal("ann")
        upload(ann, SMALL, data_id=1)
        child = os.fork()
        if not child:
            upload(ann, SMALL, data_id=2)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert [charged(store, key) for key in (1, 2)] == ["ann", "ann"]


async def test_a_view_of_a_view_writes_for_its_own_and_keeps_the_store(directory: Path) -> None:
    view = EmbeddedStore(directory).for_principal("ann")  # which nobody else has
    upload(view.for_principal("bob"), SMALL, data_id=1)
    async with AsyncEmbeddedStore(view) as tasks:
        key: Key = single(await tasks.copy_many(UNIT, [CopySpec(1, data_id=2)])).data_id
        assert key == 2
        spec = UpdateSpec(1)
        async with await tasks.for_principal("eve").update(UNIT, spec) as writer:
            await writer.commit(0)
    assert [charged(view, key) for key in (1, 2)] == ["eve", "ann"]
    assert view.viewed is not None
    view.viewed.close()
