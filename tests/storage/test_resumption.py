"""How long suspended writes are kept: for their window, and as many as the limits let."""

import time
from pathlib import Path

import pytest
from vault.errors import InvalidArgumentError, NotFoundError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.uploads import resumption
from vault_server.storage.uploads.suspended_limits import too_many

from tests.storage.objects import UNIT, run
from tests.storage.resuming import REQUEST, age, folder, go_on, kept, suspend, write
from tests.waiting import assert_soon


def test_what_was_left_longer_than_the_window_goes_while_a_store_lives(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(resume_window=1000)) as store:
        suspend(store, 2)
        age(directory, 999.5)
        other = UploadSpec(5)
        suspend(store, 2, other)  # whereupon it looks
        assert_soon(lambda: kept(directory) == [other.request_id.hex()])
        with pytest.raises(NotFoundError) as caught:
            store.write_status(UNIT, REQUEST)
        assert caught.value.reason == "WRITE_NOT_FOUND"
        assert go_on(store)[1] == 0


def test_what_a_dead_process_left_goes_after_its_own_window(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(resume_window=1000)) as store:
        suspend(store, 2)
        suspend(store, 2, other := UploadSpec(5))
    age(directory, 999)
    with EmbeddedStore(directory, StoreOptions(resume_window=0)) as store:
        assert store.capabilities().resume_window == 0
        assert_soon(lambda: kept(directory) == [other.request_id.hex()])
        assert store.check(deep=True).ok


def test_what_is_being_written_does_not_expire(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(resume_window=1000)) as store:
        writer = write(store, 2)
        age(directory, 5000)
        suspend(store, 2, UploadSpec(5))
        with EmbeddedStore(directory) as other:
            suspend(other, 2, UploadSpec(6))
        writer.suspend()
        assert go_on(store)[1] == 2 * BLOCK_SIZE


def test_bytes_from_the_future_are_taken_as_of_now(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        suspend(store, 2)
        age(directory, -50_000)
        file = folder(directory) / "bytes"
        suspend(store, 2, UploadSpec(5))
        assert_soon(lambda: file.stat().st_mtime <= time.time())
        assert go_on(store)[1] == 2 * BLOCK_SIZE


@pytest.mark.parametrize(("number", "size"), [(3, 1 << 40), (100, 6 * BLOCK_SIZE)])
def test_above_the_limits_those_that_wait_longest_go(
    directory: Path, monkeypatch: pytest.MonkeyPatch, number: int, size: int
) -> None:
    monkeypatch.setattr(resumption, "MOST_SUSPENDED", number)
    monkeypatch.setattr(resumption, "MOST_BYTES", size)
    specs = [UploadSpec(index) for index in range(1, 7)]
    with EmbeddedStore(directory) as store:
        alive = write(store, 2)
        for index, spec in enumerate(specs):
            suspend(store, 2, spec)
            age(directory, 100 - index, spec.request_id)
        suspend(store, 2, last := UploadSpec(7))
        expected = {spec.request_id.hex() for spec in (*specs[4:], last)} | {REQUEST.hex()}
        assert_soon(lambda: set(kept(directory)) == expected)
        alive.suspend()


def test_where_a_limit_of_the_disk_is_reached_expired_writes_go(directory: Path) -> None:
    output = run(
        """
import os, resource, sys, time
from tests.storage.objects import UNIT, LARGE, read, upload
from tests.storage.resuming import age, kept, suspend
from vault.errors import StorageFullError
from vault.store.specs import UploadSpec
from vault.store.limits import BLOCK_SIZE
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
suspend(store, 2)
suspend(store, 2, other := UploadSpec(5))
time.sleep(0.1)  # the look that suspending brought is over
age(store.directory, 5000)
resource.setrlimit(resource.RLIMIT_FSIZE, (BLOCK_SIZE + 1000, resource.RLIM_INFINITY))
for resumable in (False, True):
    try:
        with store.upload(UNIT, UploadSpec(9), resumable=resumable) as writer:
            from tests.storage.objects import blocks_of
            for block in blocks_of(LARGE):
                writer.write(block)
    except StorageFullError:
        pass
    else:
        raise AssertionError("not refused")
assert kept(store.directory) == [other.request_id.hex()], kept(store.directory)
store.close()
print("done")
""",
        directory,
    )
    assert output == "done\n"


def test_a_window_that_is_none_is_refused(directory: Path) -> None:
    for window in (-1, float("nan"), float("inf"), "5", True, None):
        with pytest.raises(InvalidArgumentError, match="resume_window") as caught:
            EmbeddedStore(directory, StoreOptions(resume_window=window))  # type: ignore[arg-type]
        assert caught.value.reason == "BAD_SETTING"


def test_nobodys_suspended_writes_go_for_the_sake_of_anothers() -> None:
    kept = [(n, "greedy" if n % 10 else "polite", n % 7 + 1) for n in range(100)]
    for number, size in ((50, 10**6), (10**6, 100), (30, 60), (0, 0)):
        dropped = list(too_many(kept, number, size))
        left = [each for each in kept if each[0] not in dropped]
        assert len(left) <= number
        assert sum(each[2] for each in left) <= size
        for principal in ("greedy", "polite"):
            of_it = [each[0] for each in kept if each[1] == principal]
            assert [each for each in dropped if each in of_it] == of_it[: len([e for e in dropped if e in of_it])]
        if number >= 30 and size >= 100:
            assert all(each in left for each in kept if each[1] == "polite")
