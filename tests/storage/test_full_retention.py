"""A file system that is really full: what is retained goes, before anything is refused."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TMPFS = ["unshare", "--user", "--map-root-user", "--mount"]
MOUNTED = 'mount -t tmpfs -o size="$1" tmpfs "$2" && exec "$3" -c "$4" "$2/store"'

Run = Callable[[str, str], str]


@pytest.fixture
def full(tmp_path: Path) -> Run:
    """Runs a program on a small file system of its own, and returns what it prints."""
    probe = [*TMPFS, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a tmpfs in a name space of its own")

    def run(size: str, program: str) -> str:
        done = subprocess.run(
            [*TMPFS, "sh", "-c", MOUNTED, "sh", size, str(tmp_path), sys.executable, COMMON + program],
            env={"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    return run


COMMON = """
import logging, os, sys
from pathlib import Path
from tests.storage.objects import LARGE, SMALL, UNIT, blob_files, delete, read, reader_of, small, staged_files
from tests.storage.objects import stat, succeeded, update, upload
from vault.errors import ConflictError, StorageFullError
from vault.store.specs import SmallUpdate, UpdateSpec
from vault.store.values import checksum
from vault_server.storage import EmbeddedStore
from vault_server.storage.failpoints import switch_on

logging.basicConfig(level=logging.WARNING)
store = EmbeddedStore(sys.argv[1])
root = Path(sys.argv[1])
four = LARGE + LARGE  # MiB and a little

def refused(call):
    try:
        outcome = call()
    except StorageFullError:
        return
    raise AssertionError(f"not refused: {outcome!r}")

def fill(spare=0):
    reserve = root / "reserve"
    reserve.write_bytes(bytes(spare))
    number = 1000
    for size in (1 << 20, 1 << 16, 1 << 12):
        try:
            while True:
                (root / f"filler-{number}").write_bytes(bytes(size))
                number += 1
        except OSError:
            (root / f"filler-{number}").unlink(missing_ok=True)
    reserve.unlink()

def empty():
    for path in root.glob("filler-*"):
        path.unlink()
"""

UPDATES = """
first = upload(store, four, data_id=1)
for turn in range(1, 12):
    update(store, 1, four[turn:])
    assert read(store, 1) == four[turn:]
assert len(blob_files(root)) < 5
try:
    store.load(UNIT, 1, generation=first.generation)
except ConflictError:
    pass
else:
    raise AssertionError("the first generation was given up")
assert staged_files(root) == []
assert store.check(deep=True).ok, store.check(deep=True)
store.close()
"""

COMMITS = """
data = bytes(60_000)
store.upload_many(UNIT, [small(data, data_id=1)])
for turn in range(1200):
    new = turn.to_bytes(4) + data
    (outcome,) = store.update_many(UNIT, [SmallUpdate(UpdateSpec(1), new, checksum(new))])
    assert succeeded(outcome).size == len(new)
    assert read(store, 1) == new
assert store.revision == 1201
assert store.check(deep=True).ok, store.check(deep=True)
store.close()
"""

MIXED = """
# Files that have got their names in a commit that then finds no room for the register.
medium = LARGE[:70_000]
upload(store, four, data_id=1)
update(store, 1, SMALL)
fill(spare=20 * (72 << 10) + (400 << 10))  # enough for the files, not for the register
points = []
switch_on(points.append)
batch = [small(LARGE[n : n + 60_000] if n % 2 else medium[n:], data_id=100 + n) for n in range(40)]
for outcome in store.upload_many(UNIT, batch):
    succeeded(outcome)
assert points.count("renamed") == 20, "once each: they keep the names that a failed commit gave them"
assert points.count("folders durable") >= points.count("committed") + 1, "there was one that failed"
for item in batch:
    assert read(store, item.spec.data_id) == item.data
assert store.revision == 42
assert read(store, 1) == SMALL
assert store.check(deep=True).ok, store.check(deep=True)
assert staged_files(root) == []
store.close()
with EmbeddedStore(root) as store:
    assert store.check(deep=True).ok, store.check(deep=True)
    assert store.revision == 42
assert len(blob_files(root)) == 20, blob_files(root)
"""

DELETES = """
number = 0
try:
    while True:
        upload(store, LARGE, data_id=number + 1)
        number += 1
except StorageFullError:
    pass
assert number > 3
fill(spare=1 << 18)  # enough for SQLite, not for another object
refused(lambda: upload(store, LARGE, data_id=999))
for data_id in range(1, number):
    assert delete(store, data_id)
upload(store, four, data_id=999)
assert read(store, 999) == four
assert read(store, number) == LARGE
empty()
upload(store, SMALL)
assert store.check(deep=True).ok, store.check(deep=True)
store.close()
"""

OPENED = """
import signal, subprocess
for data_id in (1, 2, 3):
    upload(store, LARGE, data_id=data_id)
store.close()
if KILLED:  # in the middle of a commit that has given a file its name
    program = (
        "import os, signal, sys; from tests.storage.objects import LARGE, upload\\n"
        "from vault_server.storage import EmbeddedStore; from vault_server.storage.failpoints import switch_on\\n"
        "store = EmbeddedStore(sys.argv[1])\\n"
        "switch_on(lambda point: point == 'renamed' and os.kill(os.getpid(), signal.SIGKILL))\\n"
        "upload(store, LARGE, data_id=9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(root)]).returncode == -signal.SIGKILL
fill()
store = EmbeddedStore(root)
assert read(store, 3) == LARGE
assert delete(store, 1)
assert delete(store, 2)
store.close()
empty()
with EmbeddedStore(root) as store:
    upload(store, LARGE, data_id=4)
    assert store.check(deep=True).ok, store.check(deep=True)
    assert (root / "register.db-reserve").exists()
"""

RESUMABLE = """
from vault.store.specs import UploadSpec
from tests.storage.objects import write_all
# Here the bytes do not fit, there what begins the write does not, and in between it is their checksums.
for pages in range(250, 258):
    fill(spare=pages << 12)
    refused(lambda: write_all(store.upload(UNIT, UploadSpec(1), resumable=True), LARGE[: 1 << 20]))
    empty()
assert staged_files(root) == []
upload(store, LARGE, data_id=1)
assert store.check(deep=True).ok, store.check(deep=True)
store.close()
"""


def test_a_resumable_write_is_refused_wherever_it_finds_no_room(full: Run) -> None:
    assert full("16m", RESUMABLE) == ""


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_a_store_opens_on_a_full_disk_so_that_it_can_be_emptied(full: Run, killed: bool) -> None:
    assert full("16m", OPENED.replace("KILLED", str(killed))) == ""


@pytest.mark.parametrize(
    ("size", "program"),
    [("20m", UPDATES), ("16m", MIXED), ("16m", DELETES)],
    ids=["staging", "files named in a failed commit", "deletes"],
)
def test_what_is_retained_goes_before_a_write_is_refused(full: Run, size: str, program: str) -> None:
    log = full(size, program)
    assert "retained generations were given up to make room" in log


def test_replaced_small_objects_do_not_fill_a_small_disk(full: Run) -> None:
    assert full("48m", COMMITS) == ""
