"""The scrub: everything is read in the background, damage is told, and a restart goes on where it was."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from vault.errors import InvalidArgumentError
from vault.store.limits import BLOCK_SIZE
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore, ProblemKind, ScrubPass, ScrubStatus

from tests.storage.objects import LARGE, SMALL, UNIT, blob_of, flip, run, start, update, upload

FAST = 10_000.0
SLOW = 1.0


def wait_for(store: EmbeddedStore, reached: Callable[[ScrubStatus], bool]) -> ScrubStatus:
    deadline = time.monotonic() + 60
    while not reached(status := store.scrub_status()):
        assert time.monotonic() < deadline, status
        time.sleep(0.01)
    return status


def ended(store: EmbeddedStore) -> ScrubPass:
    last = wait_for(store, lambda status: status.last is not None).last
    assert last is not None
    return last


def test_a_sound_store_is_read_whole_and_nothing_is_found(
    store: EmbeddedStore, caplog: pytest.LogCaptureFixture
) -> None:
    upload(store, LARGE, data_id=1)
    upload(store, SMALL, data_id=2)
    upload(store, b"", data_id=3)
    assert store.scrub_status() == ScrubStatus()
    revision = store.revision
    with caplog.at_level(logging.INFO):
        store.start_scrub(FAST)
        last = ended(store)
        while "scrub ended" not in caplog.text:
            time.sleep(0.01)
    assert (last.objects, last.size, last.problems) == (3, len(LARGE) + len(SMALL), ())
    assert store.revision == revision
    assert "scrub began" in caplog.text
    report = store.check()
    assert report.scrub == last
    assert report.document()["scrub"]["problems"] == 0


def test_damage_is_found_logged_and_remembered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with EmbeddedStore(tmp_path) as store:
        upload(store, LARGE, data_id=1)
        upload(store, LARGE, data_id=2)
        upload(store, LARGE, data_id=3)
        flip(tmp_path)
        blob_of(tmp_path, 2).unlink()
        store.start_scrub(FAST)
        problems = ended(store).problems
    found = [(problem.kind, problem.data_id, problem.block) for problem in problems]
    assert found == [(ProblemKind.BAD_BLOCK, 1, 1), (ProblemKind.MISSING_FILE, 2, None)]
    told = [record for record in caplog.records if record.message == "scrub found a problem"]
    assert [(record.unit, record.data_id, record.block) for record in told] == [(UNIT, 1, 1), (UNIT, 2, None)]  # type: ignore[attr-defined]
    with EmbeddedStore(tmp_path) as store:
        last = store.check().scrub
        assert last is not None
        assert last.problems == problems


def test_a_restart_goes_on_where_it_was(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=1)
        upload(store, LARGE, data_id=2)
        store.start_scrub(SLOW)
        # The first block takes a second to be paid for, so the close comes in the middle.
        time.sleep(0.1)
    with EmbeddedStore(directory) as store:
        current = store.scrub_status().current
        assert current is not None
        assert store.scrub_status().last is None
        store.start_scrub(FAST)
        last = ended(store)
        assert last.began_at == current.began_at
        assert (last.objects, last.size) == (2, 2 * len(LARGE))


def test_it_goes_again_when_the_interval_is_over_and_not_before(store: EmbeddedStore) -> None:
    upload(store, LARGE, data_id=1)
    store.start_scrub(FAST, interval=1000)
    first = ended(store)
    assert store.scrub_status().current is None
    store.engine.background[0].stop()
    store.engine.background.clear()
    store.start_scrub(FAST, interval=0.001)
    second = wait_for(store, lambda status: status.last != first).last
    assert second is not None
    assert second.began_at > first.began_at


def test_closing_ends_it_at_once(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=1)
        store.start_scrub(0.001)  # a block takes a quarter of an hour
        (scrubber,) = store.engine.background
    assert not scrubber._background.is_alive()  # type: ignore[attr-defined]


OTHER = """
import sys, time
from vault_server.storage import EmbeddedStore
with EmbeddedStore(sys.argv[1]) as store:
    store.start_scrub(float(sys.argv[2]))
    while store.engine.background[0]._lock is None:
        time.sleep(0.01)
    print("scrubbing", flush=True)
    sys.stdin.read()
"""


def test_one_of_several_processes_scrubs_and_another_takes_over(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=1)
        with start(OTHER, directory, 0.001) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "scrubbing\n"
            store.start_scrub(FAST)
            time.sleep(0.2)
            assert store.engine.background[0]._lock is None  # type: ignore[attr-defined]
            process.kill()
        assert ended(store).objects == 1


def test_a_forked_child_does_not_scrub_and_lets_others(directory: Path) -> None:
    program = """
import os, sys
from tests.storage.test_scrub import ended, FAST
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
store.start_scrub(FAST)
ended(store)
if os.fork() == 0:
    assert store.engine.background == []
    store.start_scrub(FAST)
    store.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
store.close()
print("well")
"""
    assert run(program, directory) == "well\n"


def test_objects_that_change_meanwhile_are_no_finding(store: EmbeddedStore) -> None:
    for number in range(1, 9):
        upload(store, LARGE[:BLOCK_SIZE], data_id=number)
    store.start_scrub(FAST, interval=0.001)
    for turn in range(40):
        update(store, turn % 8 + 1, LARGE[turn : BLOCK_SIZE + turn * 1000])
    before = store.scrub_status().last
    last = wait_for(store, lambda status: status.last is not None and status.last != before).last
    assert last is not None
    assert last.problems == ()


async def test_the_async_face_scrubs_too(directory: Path) -> None:
    async with AsyncEmbeddedStore(directory) as store:
        await store.start_scrub(FAST)
        with pytest.raises(InvalidArgumentError, match="already"):
            await store.start_scrub(FAST)
        while (await store.scrub_status()).last is None:
            os.sched_yield()


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), True, "1"])
def test_a_rate_that_is_none_is_refused(store: EmbeddedStore, rate: float) -> None:
    with pytest.raises(InvalidArgumentError, match="bad rate"):
        store.start_scrub(rate)
