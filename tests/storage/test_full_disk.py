"""A limit that is reached: StorageFullError, nothing stored, and the store goes on when there is room again."""

import signal
from pathlib import Path

from vault_server.storage import EmbeddedStore

from tests.storage.objects import blob_files, run, start

LIMITED = """
import resource, sys
from tests.storage.objects import LARGE, SMALL, UNIT, blob_files, blocks_of, read, small, staged_files, upload
from vault.errors import StorageFullError
from vault.store.specs import UploadSpec
from vault.store.limits import BLOCK_SIZE
from vault_server.storage import EmbeddedStore

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def refused(call):
    try:
        outcome = call()
    except StorageFullError as error:
        return str(error)
    if isinstance(outcome, list) and all(isinstance(item, StorageFullError) for item in outcome):
        return str(outcome[0])
    raise AssertionError(f"not refused: {outcome!r}")

store = EmbeddedStore(sys.argv[1])
upload(store, LARGE, data_id=1, name="kept")
"""

STAGING_FULL = (
    LIMITED
    + """
limit(BLOCK_SIZE + 1000)
print(refused(lambda: upload(store, LARGE, data_id=2)))
assert staged_files(store.directory) == []
upload(store, SMALL, data_id=3)
limit(resource.RLIM_INFINITY)
upload(store, LARGE, data_id=2)
assert read(store, 2) == read(store, 1) == LARGE
assert store.check(deep=True).ok
store.close()
"""
)

BATCH_FULL = (
    LIMITED
    + """
import contextlib, os
from fnmatch import fnmatch

def is_open(pattern):
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # of the list itself
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [path for path in found if fnmatch(path, pattern)]

many = [small(bytes([n]) * 100_000, data_id=100 + n) for n in range(3)]
assert is_open("*/.staging/*"), "it would be seen"
limit(50_000)
outcomes = store.upload_many(UNIT, many)
assert all(isinstance(outcome, StorageFullError) for outcome in outcomes), outcomes
assert staged_files(store.directory) == []
assert is_open("*/.staging/*/[0-9a-f]*") == []  # while somebody has the errors
limit(resource.RLIM_INFINITY)
assert all(outcome.size == 100_000 for outcome in store.upload_many(UNIT, many))
assert store.check(deep=True).ok
store.close()
"""
)

REGISTER_FULL = (
    LIMITED
    + """
wal = store.directory / "register.db-wal"
limit(wal.stat().st_size + 20_000)
many = [small(bytes([n]) * 60_000, data_id=100 + n) for n in range(20)]
print(refused(lambda: store.upload_many(UNIT, many)))
# A commit that fails after its files have got their names.
limit(resource.RLIM_INFINITY)
contents = LARGE[:100_000]
while wal.stat().st_size < len(contents):
    upload(store, SMALL)
revision = store.revision
limit(wal.stat().st_size)
print(refused(lambda: upload(store, contents, data_id=5)))
assert store.exists_many(UNIT, [5, 100, "kept"]) == [0, 0, 1], store.exists_many(UNIT, [5, 100, "kept"])
assert read(store, "kept") == LARGE
assert store.revision == revision
limit(resource.RLIM_INFINITY)
assert all(outcome.size == 60_000 for outcome in store.upload_many(UNIT, many))
assert store.check(deep=True).ok, store.check(deep=True)
assert blob_files(store.directory) == ["1.1.vault"], blob_files(store.directory)
upload(store, contents, data_id=5)
assert read(store, 5) == contents
assert store.check(deep=True).ok
store.close()
"""
)

KILLED_FULL = (
    LIMITED
    + """
import os, signal
wal = store.directory / "register.db-wal"
limit(wal.stat().st_size + 200_000)
done = 0
try:
    while True:
        upload(store, LARGE[:100_000], data_id=1001 + done)
        done += 1
except StorageFullError:
    print(done, flush=True)
assert len(blob_files(store.directory)) == done + 2  # the last one's bytes wait for what becomes of the commit
os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_a_full_disk_while_staging_stores_nothing(directory: Path) -> None:
    assert "File too large" in run(STAGING_FULL, directory)


def test_a_batch_that_a_full_disk_refuses_leaves_no_file_and_none_open(directory: Path) -> None:
    run(BATCH_FULL, directory)


def test_a_full_disk_while_committing_stores_nothing(directory: Path) -> None:
    lines = run(REGISTER_FULL, directory).splitlines()
    assert len(lines) == 2
    assert all("could not commit to the register: File too large" in line for line in lines)


def test_a_kill_after_a_failed_commit_leaves_what_was_acknowledged(directory: Path) -> None:
    with start(KILLED_FULL, directory) as process:
        assert process.stdout is not None
        done = int(process.stdout.readline())
    assert process.returncode == -signal.SIGKILL
    assert done > 0
    with EmbeddedStore(directory) as store:
        assert store.check(deep=True).ok
        assert store.revision == done + 1
    assert len(blob_files(directory)) == done + 1


NO_DESCRIPTORS = (
    LIMITED
    + """
import os
from vault.errors import StorageError
from vault.store.specs import MetadataSpec
store.close()
store = EmbeddedStore(sys.argv[1])
hog = []
try:
    while True:
        hog.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for call in (
    lambda: store.load(UNIT, 1),
    lambda: upload(store, LARGE, data_id=2),
    lambda: store.set_metadata(UNIT, MetadataSpec(1, name="other")),
    lambda: store.changes(0),
    lambda: EmbeddedStore(store.directory),
):
    try:
        call()
    except StorageError as error:
        print(error)
    else:
        raise AssertionError("not refused")
for descriptor in hog:
    os.close(descriptor)
upload(store, LARGE, data_id=2)
assert read(store, 2) == read(store, 1) == LARGE
assert len(store.changes(0)[1]) == 2
assert store.check(deep=True).ok
store.close()
"""
)


def test_without_file_descriptors_calls_fail_and_the_store_goes_on(directory: Path) -> None:
    assert len(run(NO_DESCRIPTORS, directory).splitlines()) == 5
