"""Commits of another process reach watchers though nobody looks for them, and the signal leaves nothing behind."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from vault.store.values import Change
from vault_server import EmbeddedStore
from vault_server.storage import AsyncEmbeddedStore
from vault_server.storage.feed import feed
from vault_server.storage.feed.commit_signal import CommitSignal
from vault_server.storage.files.directory import StoreDirectory
from vault_server.storage.generic._async import watch as async_watch
from vault_server.storage.generic._sync import watch as sync_watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's; elsewhere commits are polled for")

COMMITTING = """
import sys
from vault import BytesWrapper, Vault
with Vault(sys.argv[1], {"u": (BytesWrapper, 0)}) as vault:
    for line in sys.stdin:
        vault.upload("u", BytesWrapper(b"x"))
"""


@pytest.fixture
def never_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for another process's commits in the time of a test."""
    monkeypatch.setattr(feed, "POLL_SECONDS", 600.0)
    for module in (async_watch, sync_watch):
        monkeypatch.setattr(module, "WATCH_HEARTBEAT", 600.0)


@pytest.fixture
def beside(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that commits once for each line that it is given."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMITTING, tmp_path / "own"], stdin=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def commit(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")


@pytest.mark.usefixtures("never_polling")
def test_a_thread_hears_of_another_processs_commits(tmp_path: Path, beside: "subprocess.Popen[str]") -> None:
    with EmbeddedStore(tmp_path / "own") as store, store.watch() as followed, ThreadPoolExecutor(1) as thread:
        events = iter(followed)
        next(events)
        for revision in range(1, 11):
            commit(beside)
            while not isinstance(event := thread.submit(next, events).result(30), Change):
                continue
            assert event.revision == revision


@pytest.mark.usefixtures("never_polling")
async def test_a_task_hears_of_another_processs_commits(tmp_path: Path, beside: "subprocess.Popen[str]") -> None:
    async with AsyncEmbeddedStore(tmp_path / "own") as store, await store.watch() as followed:
        events = aiter(followed)
        await anext(events)
        for revision in range(1, 11):
            commit(beside)
            while not isinstance(event := await asyncio.wait_for(anext(events), 30), Change):
                continue
            assert event.revision == revision


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_closed_store_has_given_back_thread_and_descriptors(tmp_path: Path) -> None:
    before, threads = descriptors(), threading.active_count()
    for _ in range(3):
        with EmbeddedStore(tmp_path / "own") as store, store.watch() as followed, ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(list, followed)
            while not store.engine.feed._signal.started:
                continue
            followed.close()
            waiting.result(20)
        assert store.engine.closed
    assert (descriptors(), threading.active_count()) == (before, threads)


def test_a_signal_that_cannot_be_had_is_silent_and_holds_nothing(tmp_path: Path) -> None:
    directory = StoreDirectory(tmp_path / "removed")
    directory.root.mkdir()
    directory.acquire()
    directory.root.rmdir()
    before = descriptors()
    signal = CommitSignal(directory, lambda: None)
    signal.start()
    assert descriptors() == before
    signal.close()
    signal.close()
    signal.start()
    assert descriptors() == before
    directory.release()
