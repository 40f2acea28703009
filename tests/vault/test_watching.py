"""`vault.watch`: each committed change once, in order, over lost connections, until it is closed."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest
from vault import (
    AsyncRemoteVault,
    AsyncVault,
    Change,
    ChangeKind,
    ClosedError,
    ConnectionSettings,
    InvalidArgumentError,
    RemoteVault,
    RevisionCompactedError,
    UnavailableError,
    UnknownUnitError,
    Vault,
)
from vault_server import AsyncServer, EmbeddedStore, Server, StoreOptions
from vault_server.rpc.admission import WATCH

from tests.vault.places import STRUCTURE, Count, Note, Place
from tests.waiting import assert_soon


def taken(changes: Iterator[Change], number: int) -> list[Change]:
    """The next ones, waited for."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: list(islice(changes, number))).result(30)


def told(changes: list[Change]) -> list[tuple[str, str, int]]:
    return [(change.kind.name, change.unit, change.data_id) for change in changes]


def test_every_change_is_told_in_order_with_what_became_of_the_object(place: Place) -> None:
    writer, watcher = place.open(), place.open()
    writer.upload("notes", Note("before"))
    with watcher.watch() as changes:
        assert changes.revision == writer.revision
        note = writer.upload("notes", Note("one"), name="a")
        count = writer.upload("counts", Count(1))
        writer.update("notes", note, Note("two"))
        writer.set_metadata("notes", note, name="b")
        writer.delete("notes", note)
        seen = taken(changes, 5)
    assert told(seen) == [
        ("UPLOADED", "notes", note),
        ("UPLOADED", "counts", count),
        ("UPDATED", "notes", note),
        ("METADATA", "notes", note),
        ("DELETED", "notes", note),
    ]
    assert [change.revision for change in seen] == list(range(seen[0].revision, seen[0].revision + 5))
    assert [seen[0].name, seen[3].name] == ["a", "b"]
    assert changes.revision == seen[-1].revision == writer.revision


def test_units_are_those_asked_for_and_none_outside_the_structure(place: Place) -> None:
    writer = place.open()
    watcher = place.open({"notes": (Note, 0)})
    with watcher.watch() as all_of_it, writer.watch("counts") as one, writer.watch(["notes", "counts"]) as both:
        note = writer.upload("notes", Note("one"))
        count = writer.upload("counts", Count(1))
        note_again = writer.upload("notes", Note("two"))
        assert told(taken(all_of_it, 2)) == [("UPLOADED", "notes", note), ("UPLOADED", "notes", note_again)]
        assert told(taken(one, 1)) == [("UPLOADED", "counts", count)]
        assert [change.data_id for change in taken(both, 3)] == [note, count, note_again]
        # What happens in other units moves the position too.
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(next, one, None)
            assert_soon(lambda: one.revision == writer.revision)
            one.close()
            assert waiting.result(20) is None


def test_what_cannot_be_watched_is_refused_before_anything_is_asked(place: Place) -> None:
    vault = place.open()
    with pytest.raises(UnknownUnitError, match="nowhere"):
        vault.watch("nowhere")
    with pytest.raises(InvalidArgumentError, match="no unit"):
        vault.watch([])
    for since in (-1, True, "5"):
        with pytest.raises(InvalidArgumentError):
            vault.watch(since=since)  # type: ignore[arg-type]
    vault.close()
    with pytest.raises(ClosedError):
        vault.watch()
    with pytest.raises(ClosedError):
        vault.revision  # noqa: B018


def test_a_position_is_gone_on_from(place: Place) -> None:
    writer = place.open()
    with writer.watch("notes") as changes:
        ids = [writer.upload("notes", Note(str(step))) for step in range(10)]
        assert [change.data_id for change in taken(changes, 4)] == ids[:4]
        kept = changes.revision
    with place.open().watch("notes", since=kept) as changes:
        assert changes.revision == kept
        assert [change.data_id for change in taken(changes, 6)] == ids[4:]


def test_a_list_and_a_watch_leave_no_hole(place: Place) -> None:
    """Objects come and go while they are listed; what is followed ends as what is there."""
    writer, reader = place.open(), place.open()
    ids = [writer.upload("notes", Note("0")) for _ in range(50)]
    with reader.watch("notes") as changes, ThreadPoolExecutor(1) as thread:

        def write() -> int:
            for step in range(100):
                writer.update("notes", ids[step % 25], Note(str(step)))
                if step % 4 == 0:
                    writer.delete("notes", ids[25 + step // 4])
                    writer.upload("notes", Note("new"))
            return writer.upload("notes", Note("last"))

        writing = thread.submit(write)
        known = {info.data_id: info.revision for info in reader.list("notes")}
        last = writing.result(30)
        for change in changes:
            if known.get(change.data_id, 0) < change.revision:
                known[change.data_id] = change.revision
                if change.kind is ChangeKind.DELETED:
                    del known[change.data_id]
            if change.data_id == last:
                break
    assert known == {info.data_id: info.revision for info in reader.list("notes")}


def test_closing_ends_it_from_another_thread(place: Place) -> None:
    vault = place.open()
    changes = vault.watch()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(list, changes)
        time.sleep(0.2)
        changes.close()
        changes.close()
        assert waiting.result(20) == []
    assert list(changes) == []
    assert "closed" in repr(changes)


def test_closing_the_vault_ends_it(place: Place) -> None:
    vault = place.open()
    changes = vault.watch()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(list, changes)
        time.sleep(0.2)
        vault.close()
        assert waiting.result(20) == []


def test_history_that_is_gone_is_said_and_the_next_watch_begins_now(tmp_path: Path) -> None:
    with (
        EmbeddedStore(tmp_path / "store", StoreOptions(feed_history=10, resume_window=0)) as store,
        Server(store) as server,
    ):
        for location in (store, f"grpc://{server.address}"):
            with Vault(location, STRUCTURE) as vault:
                first = vault.upload("notes", Note("x"))
                vault.update("notes", first, Note("y"))
                for step in range(40):
                    vault.update("notes", first, Note(str(step)))
                with pytest.raises(RevisionCompactedError):
                    vault.watch(since=1)
                with pytest.raises(RevisionCompactedError):
                    vault.watch(since=vault.revision + 1000)
                with vault.watch() as changes:
                    again = vault.upload("notes", Note("z"))
                    assert taken(changes, 1)[0].data_id == again


def attempts() -> list[str]:
    """What this process has under way to open watches."""
    return [thread.name for thread in threading.enumerate() if thread.name == "vault-subscription"]


def test_restarts_and_cut_connections_are_survived(remote: Place) -> None:
    total = 120
    with Vault(remote.store, STRUCTURE) as beside, RemoteVault(remote.server.address, STRUCTURE) as vault:
        changes = vault.watch("notes")
        with ThreadPoolExecutor(1) as thread:
            reading = thread.submit(lambda: list(islice(changes, total)))
            ids = []
            for step in range(total):
                ids.append(beside.upload("notes", Note(str(step))))
                if step % 30 == 10:
                    remote.restart()
                time.sleep(0.005)
            seen = reading.result(60)
    assert [change.data_id for change in seen] == ids
    assert_soon(lambda: not attempts())


def test_a_server_that_is_away_is_waited_for_longer_than_the_timeout(remote: Place) -> None:
    vault = remote.open(connection=ConnectionSettings(timeout=0.5))
    changes = vault.watch()
    remote.server.stop(grace=0)
    with Vault(remote.store, STRUCTURE) as beside, ThreadPoolExecutor(1) as thread:
        reading = thread.submit(next, changes)
        written = beside.upload("notes", Note("meanwhile"))
        with pytest.raises(UnavailableError):  # whereas a new one is told
            vault.watch()
        time.sleep(0.5)
        assert not reading.done()
        remote.server = remote._stack.enter_context(Server(remote.store, listen=remote.server.address))
        assert reading.result(30).data_id == written


def test_history_that_goes_while_the_server_is_away_is_said(tmp_path: Path) -> None:
    with (
        EmbeddedStore(tmp_path / "store", StoreOptions(feed_history=10, resume_window=0)) as store,
        Vault(store, STRUCTURE) as beside,
    ):
        server = Server(store)
        server.start()
        with RemoteVault(server.address, STRUCTURE) as vault:
            changes = vault.watch()
            server.stop(grace=0)
            for step in range(40):
                beside.upload("notes", Note(str(step)))
            with Server(store, listen=server.address):
                for _ in range(2):  # and again, for whoever asks again
                    with pytest.raises(RevisionCompactedError):
                        next(changes)


@pytest.mark.parametrize("how", ["the subscription", "the vault"])
def test_closing_ends_a_wait_for_a_server_that_is_away(remote: Place, how: str) -> None:
    with RemoteVault(remote.server.address, STRUCTURE, connection=ConnectionSettings(timeout=60)) as vault:
        changes = vault.watch()
        remote.server.stop(grace=0)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(list, changes)
            time.sleep(1)  # for it to be between two attempts, or in one
            begun = time.monotonic()
            (changes if how == "the subscription" else vault).close()
            assert waiting.result(10) == []
            assert time.monotonic() - begun < 5
    assert_soon(lambda: not attempts())


def test_one_that_was_dropped_leaves_nothing_on_the_server(remote: Place) -> None:
    vault = remote.open()
    changes = vault.watch()
    calls = remote.server._server._running._calls  # type: ignore[union-attr]
    assert len(calls.of({WATCH})) == 1
    del changes
    assert_soon(lambda: not calls.of({WATCH}))


def test_in_a_forked_child_it_is_dead_and_the_parents_goes_on(remote: Place) -> None:
    vault = remote.open()
    changes = vault.watch()
    child = os.fork()
    if not child:
        try:  # pragma: no cover  # in the child
            next(changes)
        except ClosedError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    data_id = vault.upload("notes", Note("x"))
    assert taken(changes, 1)[0].data_id == data_id


@pytest.fixture(params=["embedded", "remote"])
async def async_vault(request: pytest.FixtureRequest, store: EmbeddedStore) -> AsyncIterator[AsyncVault]:
    if request.param == "embedded":
        yield AsyncVault(str(store.directory), STRUCTURE)
        return
    async with AsyncServer(store) as server:
        yield AsyncRemoteVault(server.address, STRUCTURE)


async def test_tasks_follow_changes_too(async_vault: AsyncVault) -> None:
    async with async_vault as vault, await vault.watch("notes") as changes:
        ids = [await vault.upload("notes", Note(str(step))) for step in range(5)]
        seen = []
        async for change in changes:
            seen.append(change.data_id)
            if len(seen) == 5:
                break
        assert seen == ids
        assert changes.revision == vault.revision


async def test_a_wait_that_was_cancelled_has_lost_nothing(async_vault: AsyncVault) -> None:
    async with async_vault as vault, await vault.watch("notes") as changes:
        for step in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(changes), 0.05)
            data_id = await vault.upload("notes", Note(str(step)))
            assert (await asyncio.wait_for(anext(changes), 20)).data_id == data_id


async def test_another_task_ends_it(async_vault: AsyncVault) -> None:
    async with async_vault as vault:
        first, second = await vault.watch(), await vault.watch()

        async def follow(changes: object) -> int:
            return len([change async for change in changes])  # type: ignore[attr-defined]

        waiting = [asyncio.create_task(follow(first)), asyncio.create_task(follow(second))]
        await asyncio.sleep(0.1)
        await first.close()
        assert await asyncio.wait_for(waiting[0], 20) == 0
        await vault.close()
        assert await asyncio.wait_for(waiting[1], 20) == 0


async def test_closing_ends_a_task_that_waits_for_a_server_that_is_away(store: EmbeddedStore) -> None:
    server = AsyncServer(store)
    await server.start()
    async with AsyncRemoteVault(server.address, STRUCTURE) as vault:
        changes = await vault.watch()
        await server.stop(0)
        waiting = asyncio.create_task(anext(changes, None))
        await asyncio.sleep(1)
        await changes.close()
        assert await asyncio.wait_for(waiting, 5) is None
        assert not [
            task for task in asyncio.all_tasks() if task.get_name() == "vault-subscription" and not task.cancelling()
        ]


def test_several_threads_have_a_subscription_each_and_see_the_same(place: Place) -> None:
    vault = place.open()
    subscriptions = [vault.watch("notes") for _ in range(4)]
    seen: list[list[int]] = [[] for _ in subscriptions]

    def follow(index: int) -> None:
        for change in islice(subscriptions[index], 100):
            seen[index].append(change.revision)

    threads = [threading.Thread(target=follow, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for step in range(100):
        vault.upload("notes", Note(str(step)))
    for thread in threads:
        thread.join(30)
    assert seen == [list(range(seen[0][0], seen[0][0] + 100))] * 4
