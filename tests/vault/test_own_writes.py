"""One's own writes show at once, by whatever call they were made: without waiting for the change feed."""

import io
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from vault import RemoteVault, Store, Vault
from vault._cache.cache import Held
from vault._cache.lookup import Hit
from vault._sync.objects.loader import SharedFlight
from vault._sync.remote.store import RemoteStore
from vault.store.contract import Watch
from vault.store.specs import MetadataSpec
from vault.store.values import Change, Key, Progress
from vault_server import EmbeddedStore, Server

from tests.vault.places import STRUCTURE, Note, Place, following, text_of
from tests.waiting import assert_soon


class Deaf(RemoteStore):
    """A store whose changes never arrive, though its feed shows signs of life."""

    def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> Watch:
        return DeafWatch(super().watch(units, since=since))


class DeafWatch(Watch):
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __iter__(self) -> Iterator[Change | Progress]:
        events = iter(self._watch)
        yield (began := next(events))
        for _ in events:
            yield Progress(began.revision)

    def close(self) -> None:
        self._watch.close()


def edited(vault: Vault, key: int | str) -> None:
    with vault.load("notes", key) as ticket:  # type: ignore[union-attr]
        ticket.get_ref().text = "new"


def edited_last(vault: Vault, key: int | str) -> None:
    """With `auto_update` off, the last of several tickets writes."""
    first, second = vault.load("notes", key), vault.load("notes", key)
    assert first is not None
    assert second is not None
    vault._writes.auto_update = False
    first.get_ref().text = "new"
    second.get_ref()
    first.close()
    second.close()


def streamed(vault: Vault, name: str, **options: Any) -> int:
    with vault.open_writer("notes", name=name, **options) as writer:
        writer.write(b"new")
    return writer.data_id


def created(vault: Vault, name: str) -> int:
    data_id, ticket = vault.create("notes", Note("new"), name=name)
    ticket.close()
    return data_id


CHANGES: dict[str, Callable[[Vault, int], object]] = {
    "update": lambda vault, key: vault.update("notes", key, Note("new")),
    "update by name": lambda vault, _: vault.update("notes", "a", Note("new")),
    "update with tags": lambda vault, key: vault.update("notes", key, Note("new"), tags={"k": "v"}),
    "put": lambda vault, _: vault.put("notes", "a", Note("new")),
    "put_many": lambda vault, _: vault.put_many("notes", {"a": Note("new")}),
    "put_file": lambda vault, _: vault.put_file("notes", "a", io.BytesIO(b"new")),
    "open_writer that replaces": lambda vault, _: streamed(vault, "a", replace=True),
    "edit": lambda vault, key: vault.edit("notes", key, lambda _: Note("new")),
    "ticket": edited,
    "ticket by name": lambda vault, _: edited(vault, "a"),
    "last ticket": edited_last,
    "again under its id": lambda vault, key: (
        vault.delete("notes", key),
        vault.upload("notes", Note("new"), name="a", data_id=key),
    ),
}
UPLOADS: dict[str, Callable[[Vault, str], int]] = {
    "upload": lambda vault, name: vault.upload("notes", Note("new"), name=name),
    "create": created,
    "upload_many": lambda vault, name: vault.upload_many("notes", [Note("new")], names=[name])[0],
    "upload_file": lambda vault, name: vault.upload_file("notes", io.BytesIO(b"new"), name=name),
    "open_writer": streamed,
    "put": lambda vault, name: vault.put("notes", name, Note("new")).data_id,
    "put_many": lambda vault, name: vault.put_many("notes", {name: Note("new")})[0].data_id,
    "put_file": lambda vault, name: vault.put_file("notes", name, io.BytesIO(b"new")).data_id,
    "open_writer that replaces": lambda vault, name: streamed(vault, name, replace=True),
}
DELETIONS: dict[str, Callable[[Vault, int], object]] = {
    "delete": lambda vault, key: vault.delete("notes", key),
    "delete by name": lambda vault, _: vault.delete("notes", "a"),
    "delete_many": lambda vault, key: vault.delete_many("notes", [key]),
    "delete_many by name": lambda vault, _: vault.delete_many("notes", ["a"]),
}


@pytest.fixture
def deaf(remote: Place) -> Iterator[Vault]:
    """A vault that believes its cache, and has only its own writes to know from."""
    with Deaf(remote.server.address) as store, Vault(store, STRUCTURE) as vault:
        vault.load("notes", 1)
        following(vault)
        yield vault


@pytest.fixture
def old(deaf: Vault) -> int:
    """An object that is in the cache, and current."""
    data_id = deaf.upload("notes", Note("old"), name="a")
    for key in (data_id, "a", data_id):
        assert text_of(deaf, key) == "old"
    return data_id


def test_the_vault_of_these_tests_hears_of_nobody_elses_writes(deaf: Vault, old: int, remote: Place) -> None:
    remote.open().update("notes", old, Note("new"))
    assert text_of(deaf, old) == "old"


@pytest.mark.parametrize("how", CHANGES)
def test_a_change_shows_at_once(deaf: Vault, old: int, how: str) -> None:
    CHANGES[how](deaf, old)
    assert text_of(deaf, old) == text_of(deaf, "a") == "new"


@pytest.mark.parametrize("how", UPLOADS)
@pytest.mark.parametrize("name", ["free", "of a deleted object", "of a renamed object"])
def test_a_new_object_shows_at_once_under_its_name(deaf: Vault, old: int, how: str, name: str) -> None:
    if name == "of a deleted object":
        deaf.delete("notes", old)
    elif name == "of a renamed object":
        deaf.set_metadata("notes", old, name="z")
    wanted = "b" if name == "free" else "a"
    assert text_of(deaf, wanted) is None
    data_id = UPLOADS[how](deaf, wanted)
    assert text_of(deaf, data_id) == text_of(deaf, wanted) == "new"
    assert text_of(deaf, old) == (None if name == "of a deleted object" else "old")


@pytest.mark.parametrize("how", DELETIONS)
def test_a_deletion_shows_at_once(deaf: Vault, old: int, how: str) -> None:
    other = deaf.upload("notes", Note("other"), name="b")
    assert text_of(deaf, "b") == "other"
    DELETIONS[how](deaf, old)
    assert text_of(deaf, old) is text_of(deaf, "a") is None
    assert text_of(deaf, other) == text_of(deaf, "b") == "other"


RENAMES: dict[str, Callable[[Vault, str, str], object]] = {
    "rename": lambda vault, key, name: vault.rename("notes", key, name, replace=True),
    "rename_many": lambda vault, key, name: vault.rename_many("notes", {key: name}, replace=True),
    "set_metadata_many": lambda vault, key, name: vault.set_metadata_many(
        "notes", [MetadataSpec(key, name, replace=True)]
    ),
}


@pytest.mark.parametrize("how", RENAMES)
def test_a_rename_over_a_name_shows_at_once_what_bears_it_and_what_is_gone(deaf: Vault, old: int, how: str) -> None:
    other = deaf.upload("notes", Note("other"), name="b")
    assert text_of(deaf, "b") == "other"
    RENAMES[how](deaf, "b", "a")
    assert text_of(deaf, "a") == text_of(deaf, other) == "other"
    assert text_of(deaf, old) is text_of(deaf, "b") is None


def test_a_name_that_moves_shows_at_once(deaf: Vault, old: int) -> None:
    other = deaf.upload("notes", Note("other"), name="b")
    assert text_of(deaf, "b") == "other"
    deaf.set_metadata("notes", old, name="c")
    deaf.set_metadata("notes", "b", name="a")
    assert text_of(deaf, "a") == text_of(deaf, other) == "other"
    assert text_of(deaf, "c") == text_of(deaf, old) == "old"
    assert text_of(deaf, "b") is None
    deaf.set_metadata("notes", other, name="")
    assert text_of(deaf, "a") is None


UNNAMINGS: dict[str, Callable[[Vault, int], object]] = {
    **DELETIONS,
    "rename": lambda vault, _: vault.rename("notes", "a", "elsewhere"),
    "rename by id": lambda vault, key: vault.rename("notes", key, "elsewhere"),
    "a name taken away": lambda vault, _: vault.set_metadata("notes", "a", name=""),
    "a name taken away by id": lambda vault, key: vault.set_metadata("notes", key, name=""),
    "rename over another": lambda vault, key: vault.rename("notes", key, "b", replace=True),
}


@pytest.mark.parametrize("how", UNNAMINGS)
def test_a_name_that_others_moved_leads_to_nothing_once_its_object_has_it_no_more(
    deaf: Vault, old: int, how: str, remote: Place
) -> None:
    """That the name had moved to that object was not heard of: here it led to another one."""
    others = remote.open()
    kept = deaf.upload("notes", Note("kept"))
    others.delete("notes", old)
    moved = others.upload("notes", Note("moved"), name="a")
    others.upload("notes", Note("other"), name="b")
    assert text_of(deaf, "a") == "old"
    assert text_of(deaf, kept) == "kept"
    UNNAMINGS[how](deaf, moved)
    assert text_of(deaf, "a") is None
    assert text_of(deaf, kept) == "kept"


def test_writes_of_which_it_is_not_known_what_they_changed_cost_nothing_once_the_feed_has_told(remote: Place) -> None:
    vault = remote.open()
    kept = [vault.upload("notes", Note(name), name=name) for name in ("a", "b")]
    keys: list[Key] = [*kept, "a", "b"]
    for key in keys:
        text_of(vault, key)
    following(vault)
    for key in keys:
        text_of(vault, key)
    vault.delete("notes", vault.upload("notes", Note("gone"), name="c"))
    vault.upload("notes", Note("gone"), name="c")
    vault.delete("notes", "c")
    latest = vault.upload("notes", Note("latest"))
    assert_soon(lambda: vault._cache.reached >= vault.stat("notes", latest).revision)  # type: ignore[union-attr]
    for key in keys:
        held: Held = {}
        assert isinstance(vault._cache.look_up("notes", key, vault._coherence.epoch(), SharedFlight(), held), Hit)
        vault._cache.release(held, key)


def test_threads_that_share_a_vault_see_each_others_writes_at_once(deaf: Vault) -> None:
    """One cache, many threads: what was written before a load began is what it shows, or something newer."""
    data_id = deaf.upload("notes", Note("0"), name="a")
    written, lock, end = [0], threading.Lock(), threading.Event()

    def write() -> None:
        for _ in range(60):
            with lock:
                deaf.update("notes", data_id, Note(str(written[0] + 1)))
                written[0] += 1

    def read(key: int | str) -> int:
        last = loads = 0
        while not end.is_set():
            before = written[0]
            text = text_of(deaf, key)
            assert text is not None
            assert int(text) >= max(before, last), key
            last, loads = int(text), loads + 1
        return loads

    with ThreadPoolExecutor(6) as threads:
        reading = [threads.submit(read, key) for key in (data_id, "a", data_id, "a")]
        for writing in [threads.submit(write), threads.submit(write)]:
            writing.result(60)
        end.set()
        assert min(each.result(60) for each in reading) > 0
    assert text_of(deaf, "a") == "120"


def test_a_store_that_was_put_back_from_a_copy_is_followed_from_there(tmp_path: Path) -> None:
    """Its revisions come again, with other changes behind them: none passes for known already."""

    def serve(directory: Path, listen: str) -> tuple[Store, Server]:
        store = EmbeddedStore(directory)
        server = Server(store, listen)
        server.start()
        return store, server

    store, server = serve(tmp_path / "store", "127.0.0.1:0")
    with Vault(store, STRUCTURE) as beside:
        kept = beside.upload("notes", Note("kept"), name="a")
        changed = beside.upload("notes", Note("old"))
    with RemoteVault(server.address, STRUCTURE) as vault:
        store.close()
        shutil.copytree(tmp_path / "store", tmp_path / "copy")
        server.stop(grace=0)
        store, server = serve(tmp_path / "store", server.address)
        for step in range(20):
            vault.set_metadata("notes", kept, name=f"a{step}")
        vault.update("notes", changed, Note("lost"))
        assert [text_of(vault, kept), text_of(vault, changed)] == ["kept", "lost"]
        following(vault)
        assert [text_of(vault, kept), text_of(vault, changed)] == ["kept", "lost"]
        server.stop(grace=0)
        store.close()
        assert_soon(lambda: not vault._coherence.epoch())
        store, server = serve(tmp_path / "copy", server.address)
        with store, ExitStack() as stack:
            stack.callback(server.stop)
            assert [text_of(vault, kept), text_of(vault, changed)] == ["kept", "old"]
            assert text_of(vault, "a") == "kept"
            following(vault)
            assert [text_of(vault, kept), text_of(vault, changed)] == ["kept", "old"]
            with Vault(store, STRUCTURE) as beside:
                beside.update("notes", kept, Note("new"))  # at a revision far below those that are known
                beside.update("notes", changed, Note("newer"))
                assert_soon(lambda: [text_of(vault, kept), text_of(vault, changed)] == ["new", "newer"])
