"""After a failed fsync nothing is believed that relied on it, and what a failed commit left hurts nobody.

An fsync that fails may have dropped the bytes, and a later one that succeeds says nothing about them
(https://wiki.postgresql.org/wiki/Fsync_Errors).
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from vault_server.storage import EmbeddedStore

from tests.storage.objects import LARGE, UNIT, read, upload
from torture.powerloss.calls import strace_missing

pytestmark = pytest.mark.skipif(bool(strace_missing()), reason=strace_missing())

FIRST, REFUSED, NEXT = LARGE[:70_000], LARGE[1:80_001], LARGE[2:90_002]

PROGRAM = """
import os, signal, subprocess, sys
from tests.storage.objects import UNIT, delete, read, update, upload
from tests.faults.test_failed_syncs import FIRST, NEXT, REFUSED
from vault.errors import StorageError
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.failpoints import switch_on

def refused(call):
    try:
        call()
    except StorageError as error:
        print("refused", error, flush=True)
    else:
        print("done", flush=True)

store = EmbeddedStore(sys.argv[1])
"""

KILLED_NEXT = (
    PROGRAM
    + """
if sys.argv[2] != "next":
    refused(lambda: update(store, 1, REFUSED))
    assert read(store, 1) == FIRST
if sys.argv[2] == "another process":
    subprocess.run([sys.executable, "-c", sys.argv[3], sys.argv[1], "next"])
    os.kill(os.getpid(), signal.SIGKILL)
switch_on(lambda point: point == "before the fsync of folders" and os.kill(os.getpid(), signal.SIGKILL))
update(store, 1, NEXT)
"""
)

SWEPT = (
    PROGRAM
    + """
from tests.storage.objects import queue_deletes, queue_uploads, small
from vault.store.specs import DeleteSpec
store.close()
store = EmbeddedStore(sys.argv[1], StoreOptions(retention=0))
again = []
deleting = queue_deletes(store, [DeleteSpec(1)])
# On the writer's thread: its very next transaction removes the deleted file, and gives another the name.
deleting.add_done_callback(lambda _: again.append(queue_uploads(store, [small(REFUSED, data_id=1)])))
(revision,) = deleting.result()
if isinstance(revision, StorageError):
    sys.exit("too early")
while not again:
    pass
(outcome,) = again[0].result()
print("refused" if isinstance(outcome, StorageError) else "done", flush=True)
switch_on(lambda point: point == "before the fsync of folders" and os.kill(os.getpid(), signal.SIGKILL))
upload(store, NEXT, data_id=2)
"""
)

STAGED = (
    PROGRAM
    + """
refused(lambda: upload(store, REFUSED, data_id=2))
assert store.exists_many(UNIT, [2]) == [0]
while not store.exists_many(UNIT, [2])[0]:  # the fault meets the writer's thread too
    refused(lambda: upload(store, NEXT, data_id=2))
assert read(store, 2) == NEXT
assert store.check(deep=True).ok
store.close()
"""
)


def made(directory: Path) -> Path:
    with EmbeddedStore(directory) as store:
        upload(store, FIRST, data_id=1)
    return directory


def run(program: str, directory: Path, inject: str, *arguments: str, only: Path | None = None) -> tuple[int, str]:
    """Exit code and output of a program whose system calls are tampered with, on one file alone where one is named."""
    call = inject.partition(":")[0]
    tracing = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={call}",
        "-e",
        f"inject={inject}",
    ]
    tracing += ["-P", str(only)] if only else []
    done = subprocess.run(
        [*tracing, sys.executable, "-c", program, str(directory), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("who", ["the same process", "another process"])
def test_a_commit_whose_sync_failed_never_takes_the_next_ones_bytes_for_its_own(tmp_path: Path, who: str) -> None:
    came_back = 0
    for number in range(1, 4):
        directory = made(tmp_path / str(number))
        wal = directory / "register.db-wal"
        code, output = run(KILLED_NEXT, directory, f"fdatasync:error=EIO:when={number}", who, KILLED_NEXT, only=wal)
        if "refused" not in output:
            continue
        assert code == -signal.SIGKILL, output
        with EmbeddedStore(directory) as store:
            found = read(store, 1)
            report = store.check(deep=True)
        assert report.ok, report.problems
        # Its frames may be whole in the log, so the crash may bring back what was refused; whole, or not at all.
        assert found in (FIRST, REFUSED)
        came_back += found == REFUSED
    assert came_back, "no sync of a commit was hit"


def test_what_a_failed_commit_has_named_is_not_swept_as_what_had_the_name_before(tmp_path: Path) -> None:
    came_back = 0
    for number in range(1, 5):
        directory = made(tmp_path / str(number))
        wal = directory / "register.db-wal"
        code, output = run(SWEPT, directory, f"fdatasync:error=EIO:when={number}", only=wal)
        if "refused" not in output:
            continue
        assert code == -signal.SIGKILL, output
        with EmbeddedStore(directory) as store:
            report = store.check(deep=True)
            assert report.ok, report.problems
            if store.exists_many(UNIT, [1])[0]:
                assert read(store, 1) == REFUSED
                came_back += 1
    assert came_back, "no sync of that commit was hit"


def test_a_staged_file_whose_sync_failed_is_never_committed(tmp_path: Path) -> None:
    hit = 0
    for number in range(1, 3):
        directory = made(tmp_path / str(number))
        code, output = run(STAGED, directory, f"fsync:error=EIO:when={number}")
        if "refused could not make an upload durable" not in output:
            continue
        assert code == 0, output
        hit += 1
        with EmbeddedStore(directory) as store:
            assert read(store, 2) == NEXT
            assert store.check(deep=True).ok
    assert hit
