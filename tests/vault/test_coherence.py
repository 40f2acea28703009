"""What a load may show: never an outdated object while it is known to be one, across vaults and failures."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pytest
from vault import ConnectionSettings, RemoteVault, UnavailableError, Vault
from vault._sync.feed import coherence
from vault_server import EmbeddedStore, Server, StoreOptions

from tests.vault.places import STRUCTURE, Count, Note, Place, following, text_of
from tests.waiting import assert_soon


def hits(vault: Vault) -> int:
    return vault.cache_stats().hits


def misses(vault: Vault) -> int:
    return vault.cache_stats().misses


def test_an_embedded_object_is_decoded_once(tmp_path: Path) -> None:
    with Vault(tmp_path / "store", STRUCTURE) as vault:
        data_id = vault.upload("notes", Note("one"), name="a")
        for _ in range(5):
            assert text_of(vault, data_id) == text_of(vault, "a") == "one"
        assert (misses(vault), hits(vault)) == (1, 9)


def test_another_process_sees_a_write_at_once_where_storage_is_shared(tmp_path: Path) -> None:
    with Vault(tmp_path / "store", STRUCTURE) as one, Vault(tmp_path / "store", STRUCTURE) as two:
        data_id = one.upload("notes", Note("0"), name="a")
        for step in range(1, 20):
            assert text_of(two, "a") == text_of(two, data_id) == str(step - 1)
            one.update("notes", data_id, Note(str(step)))
        one.set_metadata("notes", data_id, name="b")
        assert text_of(two, "a") is None
        assert text_of(two, "b") == "19"
        one.delete("notes", data_id)
        assert text_of(two, data_id) is None


def test_a_remote_write_reaches_other_clients_through_the_stream(remote: Place) -> None:
    one, two = remote.open(), remote.open()
    data_id = one.upload("notes", Note("one"), name="a")
    assert text_of(two, data_id) == "one"
    following(two)
    assert text_of(two, data_id) == "one"
    one.update("notes", data_id, Note("two"))
    assert_soon(lambda: text_of(two, data_id) == "two")
    one.set_metadata("notes", data_id, name="b")
    assert_soon(lambda: text_of(two, "a") is None)
    assert text_of(two, "b") == "two"
    one.delete("notes", "b")
    assert_soon(lambda: text_of(two, data_id) is None)


def test_while_the_stream_is_live_nothing_is_asked(remote: Place) -> None:
    vault = remote.open()
    data_id = vault.upload("notes", Note("one"))
    text_of(vault, data_id)
    following(vault)
    text_of(vault, data_id)
    before = vault.cache_stats()
    for _ in range(2000):  # far more than round trips would allow
        assert text_of(vault, data_id) == "one"
    assert hits(vault) == before.hits + 2000
    assert misses(vault) == 1


def test_strict_loads_show_every_acknowledged_write(remote: Place) -> None:
    writer, reader = remote.open(), remote.open(consistency="strict")
    data_id = writer.upload("notes", Note("0"), name="a")
    for step in range(1, 20):
        assert text_of(reader, data_id) == text_of(reader, "a") == str(step - 1)
        writer.update("notes", data_id, Note(str(step)))
    writer.set_metadata("notes", data_id, name="b")
    assert text_of(reader, "a") is None
    assert misses(reader) == 19
    assert writer.delete("notes", data_id)
    assert text_of(reader, data_id) is None


def test_strict_asks_and_fetches_no_bytes(remote: Place) -> None:
    vault = remote.open(consistency="strict")
    data_id = vault.upload("notes", Note("one"))
    for _ in range(5):
        assert text_of(vault, data_id) == "one"
    assert (misses(vault), hits(vault)) == (1, 4)


def test_after_a_restart_objects_are_asked_after_and_not_fetched(remote: Place) -> None:
    vault = remote.open()
    kept = vault.upload("notes", Note("kept"))
    changed = vault.upload("notes", Note("old"))
    assert [text_of(vault, kept), text_of(vault, changed)] == ["kept", "old"]
    following(vault)
    remote.server.stop(grace=0)
    with Vault(remote.store, STRUCTURE) as beside:
        beside.update("notes", changed, Note("new"))
    assert_soon(lambda: not vault._coherence.epoch())
    remote.server = remote._stack.enter_context(Server(remote.store, listen=vault._store.address))  # type: ignore[attr-defined]
    assert [text_of(vault, kept), text_of(vault, changed)] == ["kept", "new"]
    assert misses(vault) == 3
    following(vault)
    assert [text_of(vault, kept), text_of(vault, changed)] == ["kept", "new"]
    assert misses(vault) == 3


def test_another_store_at_the_same_address_is_noticed(tmp_path: Path) -> None:
    """Same id, same generation, other bytes: as when a directory was put back from a copy."""
    with EmbeddedStore(tmp_path / "one") as one, EmbeddedStore(tmp_path / "two") as two:
        for store, text in ((one, "one"), (two, "two")):
            with Vault(store, STRUCTURE) as vault:
                vault.upload("notes", Note(text), data_id=7)
        first = Server(one)
        first.start()
        with RemoteVault(first.address, STRUCTURE) as vault:
            assert text_of(vault, 7) == "one"
            following(vault)
            first.stop(grace=0)
            with Server(two, listen=first.address):
                assert_soon(lambda: not vault._coherence.epoch() or text_of(vault, 7) == "two")
                assert text_of(vault, 7) == "two"


def test_a_server_that_is_away_is_an_error_not_an_old_object(remote: Place) -> None:
    vault = remote.open(connection=ConnectionSettings(timeout=1))
    data_id = vault.upload("notes", Note("one"))
    text_of(vault, data_id)
    following(vault)
    remote.server.stop(grace=0)
    assert_soon(lambda: not vault._coherence.epoch())
    with pytest.raises(UnavailableError):
        vault.load("notes", data_id)
    assert vault.cache_stats().open_tickets == 0


class Slow(Note):
    """Waits while it is loaded, where a test says so."""

    datatype_tag = "Note"
    loading = threading.Event()
    go_on = threading.Event()
    waits = False
    loads = 0

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        cls.loads += 1
        if cls.waits:
            cls.loading.set()
            assert cls.go_on.wait(20)
        return super()._load(raw)


@pytest.fixture
def slow() -> type[Slow]:
    class Fresh(Slow):
        datatype_tag = "Note"
        loading = threading.Event()
        go_on = threading.Event()
        waits = True

    return Fresh


@pytest.mark.parametrize("by", ["id", "name"])
@pytest.mark.parametrize("writer", ["another", "the same"])
def test_a_change_that_overtakes_a_load_is_not_lost(place: Place, slow: type[Slow], by: str, writer: str) -> None:
    vault = place.open({"notes": (slow, 0)})
    data_id = vault.upload("notes", slow("old"), name="a")
    following(vault)
    writing = vault if writer == "the same" else place.open({"notes": (Note, 0)})
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(text_of, vault, data_id if by == "id" else "a")
        assert slow.loading.wait(20)
        # The old bytes are here and being decoded, when the object is written and the news arrives.
        new = slow("new") if writer == "the same" else Note("new")
        info = writing.update("notes", data_id, new)
        assert_soon(
            lambda: (
                vault._coherence.epoch()
                and vault._cache._units["notes"].in_flight.revision_of(data_id, 0) == info.revision
            )
        )
        slow.waits = False
        slow.go_on.set()
        assert loading.result(20) == "new"
    assert text_of(vault, data_id) == text_of(vault, "a") == "new"
    assert slow.loads == 2


def test_callers_that_want_the_same_object_share_one_load(place: Place, slow: type[Slow]) -> None:
    vault = place.open({"notes": (slow, 0)})
    data_id = vault.upload("notes", slow("one"))
    following(vault)
    with ThreadPoolExecutor(8) as threads:
        loading = [threads.submit(text_of, vault, data_id) for _ in range(8)]
        assert slow.loading.wait(20)
        time.sleep(0.1)  # for the others to arrive
        slow.go_on.set()
        assert [load.result(20) for load in loading] == ["one"] * 8
    assert slow.loads == 1
    assert misses(vault) == 1


def test_a_load_that_fails_leaves_it_to_the_next_in_line(place: Place) -> None:
    class Fails(Note):
        datatype_tag = "Note"
        loading = threading.Event()
        go_on = threading.Event()
        loads = 0

        @classmethod
        def _load(cls, raw: bytes) -> Self:
            cls.loads += 1
            if cls.loads == 1:
                cls.loading.set()
                assert cls.go_on.wait(20)
                raise ValueError("the first one fails")
            return super()._load(raw)

    vault = place.open({"notes": (Fails, 0)})
    data_id = vault.upload("notes", Fails("one"))
    following(vault)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(text_of, vault, data_id)
        assert Fails.loading.wait(20)
        others = [threads.submit(text_of, vault, data_id) for _ in range(3)]
        time.sleep(0.1)
        Fails.go_on.set()
        with pytest.raises(Exception, match="the first one fails"):
            first.result(20)
        assert [other.result(20) for other in others] == ["one"] * 3
    assert Fails.loads == 2


def test_the_server_being_away_is_waited_for_once_by_all(remote: Place) -> None:
    vault = remote.open(connection=ConnectionSettings(timeout=2))
    data_id = vault.upload("notes", Note("one"))
    remote.server.stop(grace=0)
    begun = time.monotonic()

    def load(_: int) -> Any:
        with pytest.raises(UnavailableError):
            vault.load("notes", data_id)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(load, range(6)))
    assert time.monotonic() - begun < 6  # not six times two seconds


def test_without_a_cache_every_load_is_its_own(place: Place) -> None:
    vault, other = place.open(cache=False), place.open()
    data_id = vault.upload("notes", Note("one"))
    for step in range(3):
        other.update("notes", data_id, Note(str(step)))
        assert text_of(vault, data_id) == str(step)
    stats = vault.cache_stats()
    assert (stats.hits, stats.misses, stats.entries) == (0, 3, 0)


def test_units_that_are_not_in_the_structure_do_not_matter(place: Place) -> None:
    vault, other = place.open({"notes": (Note, 0)}), place.open()
    data_id = vault.upload("notes", Note("one"))
    text_of(vault, data_id)
    other.upload("counts", Count(3))
    following(vault)
    assert text_of(vault, data_id) == "one"
    assert misses(vault) == 1


def write_a_lot(store: EmbeddedStore) -> None:
    """More changes than the store's feed keeps."""
    with Vault(store, STRUCTURE) as vault:
        for _ in range(30):
            vault.delete_many("counts", vault.upload_many("counts", [Count(number) for number in range(100)]))


def test_a_feed_that_forgot_makes_a_vault_ask(tmp_path: Path) -> None:
    with (
        EmbeddedStore(tmp_path / "store", StoreOptions(feed_history=1000, resume_window=0)) as writing,
        Vault(writing, STRUCTURE) as writer,
        Vault(tmp_path / "store", STRUCTURE) as reader,
    ):
        kept, changed = writer.upload_many("notes", [Note("kept"), Note("old")])
        assert [text_of(reader, kept), text_of(reader, changed)] == ["kept", "old"]
        epoch = reader._coherence.epoch()
        writer.update("notes", changed, Note("new"))
        write_a_lot(writing)
        assert [text_of(reader, kept), text_of(reader, changed)] == ["kept", "new"]
        assert reader._coherence.epoch() > epoch
        assert misses(reader) == 3


def test_who_comes_while_a_forgotten_feed_is_skipped_does_not_believe_what_is_from_before(tmp_path: Path) -> None:
    class Interrupted(coherence.FeedCoherence):
        """Somebody else asks at the very moment at which the feed is skipped."""

        armed = False
        seen = 0

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "_since" and self.armed:
                self.armed = False
                self.seen = self.epoch()

    with (
        EmbeddedStore(tmp_path / "store", StoreOptions(feed_history=1000, resume_window=0)) as store,
        Vault(store, STRUCTURE) as vault,
    ):
        feed = Interrupted(store, vault._cache)
        before = feed.epoch()
        write_a_lot(store)
        feed.armed = True
        assert feed.epoch() > before
        assert feed.seen > before


def test_a_feed_that_forgot_while_a_server_was_away_is_followed_from_now_on(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store", StoreOptions(feed_history=1000, resume_window=0)) as store:
        server = Server(store)
        server.start()
        with RemoteVault(server.address, STRUCTURE) as vault, Vault(store, STRUCTURE) as beside:
            kept, changed = beside.upload_many("notes", [Note("kept"), Note("old")])
            assert [text_of(vault, kept), text_of(vault, changed)] == ["kept", "old"]
            following(vault)
            server.stop(grace=0)
            assert_soon(lambda: not vault._coherence.epoch())
            beside.update("notes", changed, Note("new"))
            write_a_lot(store)
            with Server(store, listen=server.address):
                assert [text_of(vault, kept), text_of(vault, changed)] == ["kept", "new"]
                assert misses(vault) == 3
                following(vault)
                beside.update("notes", kept, Note("newer"))
                assert_soon(lambda: text_of(vault, kept) == "newer")
