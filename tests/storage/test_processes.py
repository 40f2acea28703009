"""Several processes on one directory, and processes that fork."""

import threading
from pathlib import Path

from vault.store.values import Change
from vault_server.storage import EmbeddedStore

from tests.storage.objects import LARGE, SMALL, UNIT, read, run, start, stat, update, upload

WRITING = """
import sys
from tests.storage.objects import LARGE, upload
from vault_server.storage import EmbeddedStore
with EmbeddedStore(sys.argv[1]) as store:
    first = int(sys.argv[2])
    for number in range(first, first + 60):
        upload(store, LARGE[: 100_000] if number % 5 == 0 else b"x" * number, data_id=number)
"""

ANSWERING = """
import sys
from tests.storage.objects import UNIT, update
from vault_server.storage import EmbeddedStore
with EmbeddedStore(sys.argv[1]) as store:
    print("ready", flush=True)
    for line in sys.stdin:
        data_id, text = line.split()
        print(update(store, int(data_id), text.encode()).revision, flush=True)
"""

COUNTING = """
import sys
from tests.storage.objects import UNIT, read, update
from vault.errors import ConflictError
from vault_server.storage import EmbeddedStore
with EmbeddedStore(sys.argv[1]) as store:
    for _ in range(20):
        while True:
            (info,) = store.stat_many(UNIT, [1])
            try:
                count = int(read(store, 1))
                update(store, 1, b"%d" % (count + 1), if_generation=info.generation)
                break
            except ConflictError:
                continue
"""

FORKING = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which is what is tried here
from tests.storage.objects import LARGE, UNIT, blocks_of, read, upload
from vault.errors import ClosedError
from vault.store.specs import UploadSpec
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
upload(store, LARGE, data_id=1)
begun = store.upload(UNIT, UploadSpec(2))
first, *rest = blocks_of(LARGE)
begun.write(first)
watch = store.watch()
stop = threading.Event()
def busy():
    while not stop.is_set():
        upload(store, b"busy"); read(store, 1); store.changes(0)
threads = [threading.Thread(target=busy) for _ in range(3)]
for thread in threads:
    thread.start()
children = []
for number in range(10, 18):
    child = os.fork()
    if child == 0:
        try:
            assert read(store, 1) == LARGE
            upload(store, LARGE, data_id=number)
            assert read(store, number) == LARGE
            assert store.changes(store.revision - 1)[1]
            for call in (lambda: begun.write(rest[0]), lambda: begun.commit(0), lambda: next(iter(watch))):
                try:
                    call()
                except ClosedError:
                    continue
                raise AssertionError("what the parent began is not the child's")
            begun.abort()
            store.close()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    children.append(child)
    upload(store, b"parent", data_id=number + 100)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
stop.set()
for thread in threads:
    thread.join()
for block in rest:
    begun.write(block)
begun.commit(len(LARGE))
assert read(store, 2) == LARGE
assert all(store.exists_many(UNIT, list(range(10, 18))))
assert store.check(deep=True).ok
watch.close()
store.close()
print("done")
"""


def test_processes_write_at_the_same_time(directory: Path) -> None:
    writers = [start(WRITING, directory, 1 + 100 * number) for number in range(3)]
    for writer in writers:
        with writer:
            pass
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    with EmbeddedStore(directory) as store:
        revision, changes = store.changes(0)
        assert revision == 180
        assert [change.revision for change in changes] == list(range(1, 181))
        assert read(store, 205) == LARGE[:100_000]


def test_another_process_is_seen_at_once_and_wakes_watchers(store: EmbeddedStore) -> None:
    for data_id in (1, 2):
        upload(store, SMALL, data_id=data_id)
    since = store.revision
    seen: list[Change] = []
    watch = store.watch([UNIT])

    def follow() -> None:
        for event in watch:
            if isinstance(event, Change):
                seen.append(event)
                if len(seen) == 20:
                    watch.close()

    follower = threading.Thread(target=follow)
    follower.start()
    with start(ANSWERING, store.directory) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        for number in range(20):
            other.stdin.write(f"{1 + number % 2} text{number}\n")
            other.stdin.flush()
            acknowledged = int(other.stdout.readline())
            revision, changes = store.changes(since)
            assert revision == acknowledged == store.revision
            assert [change.revision for change in changes] == [acknowledged]
            assert read(store, 1 + number % 2) == f"text{number}".encode()
            since = revision
    follower.join()
    assert [change.revision for change in seen] == list(range(3, 23))


def test_no_increment_is_lost_between_processes(store: EmbeddedStore) -> None:
    upload(store, b"0", data_id=1)
    counters = [start(COUNTING, store.directory) for _ in range(3)]
    for counter in counters:
        with counter:
            pass
    assert read(store, 1) == b"60"


def test_stores_of_one_directory_in_one_process_see_each_other(store: EmbeddedStore) -> None:
    with EmbeddedStore(store.directory) as other:
        info = upload(store, LARGE)
        assert stat(other, info.data_id) == info
        changed = update(other, info.data_id, SMALL)
        assert store.changes(info.revision)[0] == changed.revision
        assert read(store, info.data_id) == SMALL
        assert other.capabilities().store_id == store.capabilities().store_id


def test_a_store_made_before_a_fork_works_in_the_child(directory: Path) -> None:
    assert run(FORKING, directory).endswith("done\n")
