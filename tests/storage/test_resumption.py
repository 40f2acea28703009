"""Writes that outlive their process: kept to the last block, for a stated time, and for one writer at a time."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from vault.errors import ClosedError, ConflictError, InvalidArgumentError, NotFoundError, UnavailableError
from vault.store.contract import BlockWriter
from vault.store.limits import BLOCK_SIZE
from vault.store.values import ObjectInfo, UploadSpec, WriteStatus, checksum
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore, StoreOptions
from vault_server.storage.uploads import resumption

from tests.storage.objects import UNIT, blob_files, blob_of, blocks_of, read, run, start, upload
from tests.storage.resuming import DATA, REQUEST, SPEC, go_on

WRITING = """
import sys
from tests.storage.objects import UNIT, blocks_of
from tests.storage.resuming import DATA, SPEC
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
writer = store.upload(UNIT, SPEC, resumable=True)
for block in list(blocks_of(DATA))[: int(sys.argv[2])]:
    writer.write(block)
print("written", flush=True)
for line in sys.stdin:
    writer.suspend()
    print("suspended", flush=True)
"""


def write(store: EmbeddedStore, blocks: int, spec: UploadSpec = SPEC) -> BlockWriter:
    writer = store.upload(UNIT, spec, resumable=True)
    for block in list(blocks_of(DATA))[:blocks]:
        writer.write(block)
    return writer


def suspend(store: EmbeddedStore, blocks: int, spec: UploadSpec = SPEC) -> None:
    write(store, blocks, spec).suspend()


def folder(directory: Path, request_id: bytes = REQUEST) -> Path:
    return directory / ".staging" / "writes" / request_id.hex()


def kept(directory: Path) -> list[str]:
    parent = directory / ".staging" / "writes"
    return sorted(path.name for path in parent.iterdir()) if parent.exists() else []


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def flipped(raw: bytes, position: int) -> bytes:
    return raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]


def age(directory: Path, seconds: float, request_id: bytes = REQUEST) -> None:
    """Makes the last byte that old."""
    moment = time.time() - seconds
    os.utime(folder(directory, request_id) / "bytes", (moment, moment))


def test_a_commit_that_meets_a_closing_store_loses_nothing(directory: Path) -> None:
    store = EmbeddedStore(directory)
    writer = write(store, 6)
    store.engine.writer.close()  # the first thing that `close` does, while another thread commits
    with pytest.raises(ClosedError):
        writer.commit(len(DATA))
    store.close()
    with EmbeddedStore(directory) as store:
        assert store.write_status(UNIT, REQUEST) == WriteStatus(len(DATA))
        _, begun = go_on(store)
        assert begun == len(DATA)
        assert read(store, SPEC.data_id) == DATA
    assert kept(directory) == []


@pytest.mark.parametrize("blocks", [1, 3, 5])
def test_a_killed_process_s_write_goes_on_after_its_last_block(directory: Path, blocks: int) -> None:
    with start(WRITING, directory, blocks) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    with EmbeddedStore(directory) as store:
        assert store.exists_many(UNIT, [SPEC.data_id]) == [0]
        assert store.write_status(UNIT, REQUEST) == WriteStatus(min(blocks * BLOCK_SIZE, len(DATA)))
        info, resumed_from = go_on(store)
        assert resumed_from == min(blocks * BLOCK_SIZE, len(DATA))
        assert (info.checksum, read(store, SPEC.data_id)) == (checksum(DATA), DATA)
    assert kept(directory) == []


@pytest.mark.parametrize(
    ("name", "damage", "left"),
    [
        ("bytes", lambda raw: raw[: 2 * BLOCK_SIZE + 7], 2 * BLOCK_SIZE),
        ("bytes", lambda raw: raw[: 2 * BLOCK_SIZE], 2 * BLOCK_SIZE),
        (
            "bytes",
            lambda raw: flipped(raw, BLOCK_SIZE + 5),
            BLOCK_SIZE,
        ),
        ("bytes", lambda raw: flipped(raw, 0), 0),
        ("bytes", lambda raw: raw[:BLOCK_SIZE] + bytes(len(raw) - BLOCK_SIZE), BLOCK_SIZE),
        ("bytes", lambda raw: raw + b"a block that was not whole", 4 * BLOCK_SIZE),
        ("bytes", lambda _: b"", 0),
        ("blocks", lambda raw: raw[:-3], 3 * BLOCK_SIZE),
        ("blocks", lambda raw: raw[:8] + bytes(8) + raw[16:], BLOCK_SIZE),
        ("blocks", lambda raw: raw + bytes(24), 4 * BLOCK_SIZE),
        ("blocks", lambda _: b"", 0),
        ("spec", lambda raw: raw[:-5], 0),
        ("spec", lambda _: b"", 0),
    ],
)
def test_what_a_power_loss_damaged_is_cut_off_at_the_last_good_block(
    directory: Path, name: str, damage: Callable[[bytes], bytes], left: int
) -> None:
    with EmbeddedStore(directory) as store:
        suspend(store, 4)
    file = folder(directory) / name
    file.write_bytes(damage(file.read_bytes()))
    with EmbeddedStore(directory) as store:
        _, resumed_from = go_on(store)
        assert resumed_from == left
        assert read(store, SPEC.data_id) == DATA


@pytest.mark.parametrize("name", ["bytes", "blocks", "spec"])
def test_what_a_removal_that_was_killed_left_is_begun_anew(directory: Path, name: str) -> None:
    with EmbeddedStore(directory) as store:
        suspend(store, 4)
        (folder(directory) / name).unlink()
        assert go_on(store)[1] == 0
        assert read(store, SPEC.data_id) == DATA
    assert kept(directory) == []


def test_a_suspended_write_holds_no_file_and_no_thread(directory: Path, no_thread_left: None) -> None:
    def open_files() -> list[str]:
        names = []
        for entry in Path("/proc/self/fd").iterdir():
            try:
                names.append(str(entry.readlink()))
            except FileNotFoundError:
                continue  # that of the listing itself
        return [name for name in names if ".staging/writes" in name]

    with EmbeddedStore(directory) as store:
        writer = write(store, 2)
        wait_for(lambda: len(open_files()) == 3)  # for a moment more, while the expiry looks at it
        writer.suspend()
        wait_for(lambda: not open_files())


def test_closing_the_store_suspends_what_is_being_written(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        write(store, 2)
    with EmbeddedStore(directory) as store:
        assert go_on(store)[1] == 2 * BLOCK_SIZE


def test_a_write_of_another_process_is_busy_until_that_lets_go_or_is_killed(directory: Path) -> None:
    with start(WRITING, directory, 2) as process, EmbeddedStore(directory) as store:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        assert store.write_status(UNIT, REQUEST) == WriteStatus(2 * BLOCK_SIZE)
        for call in (lambda: store.upload(UNIT, SPEC, resumable=True), lambda: store.abort_write(UNIT, REQUEST)):
            with pytest.raises(UnavailableError, match="another process") as caught:
                call()
            assert caught.value.reason == "WRITE_BUSY"
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "suspended\n"
        suspend(store, 0)
        assert store.write_status(UNIT, REQUEST) == WriteStatus(2 * BLOCK_SIZE)
        process.send_signal(signal.SIGKILL)
        assert go_on(store)[1] == 2 * BLOCK_SIZE


def test_two_processes_pass_one_write_on(directory: Path) -> None:
    for blocks in (1, 2):
        with start(WRITING.replace("[: int", f"[{blocks - 1} : int"), directory, blocks) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
            process.send_signal(signal.SIGKILL)
    with EmbeddedStore(directory) as store:
        assert go_on(store)[1] == 2 * BLOCK_SIZE


def test_a_forked_child_keeps_no_write_of_its_parent_busy(directory: Path) -> None:
    run(
        """
import os, sys
from pathlib import Path
from tests.storage.resuming import DATA, REQUEST, SPEC, go_on
from tests.storage.objects import UNIT, blocks_of, read
from vault.errors import VaultError
from vault.store.limits import BLOCK_SIZE
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
writer = store.upload(UNIT, SPEC, resumable=True)
first, second, *_ = blocks_of(DATA)
writer.write(first)
reading, writing = os.pipe()
told, telling = os.pipe()
child = os.fork()
if child == 0:
    os.close(writing)
    for call in (lambda: writer.write(second), lambda: store.upload(UNIT, SPEC, resumable=True)):
        try:
            call()
        except VaultError as error:
            assert error.reason in ("CLOSED", "WRITE_BUSY"), error.reason
        else:
            os._exit(1)
    writer.abort()
    os.write(telling, b"x")
    os.read(reading, 1)
    os._exit(0)
os.read(told, 1)
writer.write(second)
writer.suspend()
assert go_on(store)[1] == 2 * BLOCK_SIZE
assert read(store, SPEC.data_id) == DATA
os.close(writing)
assert os.waitpid(child, 0)[1] == 0
store.close()
""",
        directory,
    )


def test_what_was_left_longer_than_the_window_goes_while_a_store_lives(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(resume_window=1000)) as store:
        suspend(store, 2)
        age(directory, 999.5)
        other = UploadSpec(5)
        suspend(store, 2, other)  # whereupon it looks
        wait_for(lambda: kept(directory) == [other.request_id.hex()])
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
        wait_for(lambda: kept(directory) == [other.request_id.hex()])
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
        wait_for(lambda: file.stat().st_mtime <= time.time())
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
        wait_for(lambda: set(kept(directory)) == expected)
        alive.suspend()


def test_where_a_limit_of_the_disk_is_reached_expired_writes_go(directory: Path) -> None:
    run(
        """
import os, resource, sys, time
from tests.storage.objects import UNIT, LARGE, read, upload
from tests.storage.test_resumption import age, kept, suspend
from vault.errors import StorageFullError
from vault.store.values import UploadSpec
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
""",
        directory,
    )


def test_a_write_that_fits_the_register_needs_no_folder(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        writer = store.upload(UNIT, SPEC, resumable=True)
        (block,) = blocks_of(b"small")
        writer.write(block)
        assert writer.persisted_size == 0
        assert store.write_status(UNIT, REQUEST) == WriteStatus(0)
        assert kept(directory) == []
        assert writer.commit(5).size == 5
    assert kept(directory) == []


def test_of_two_small_writers_of_one_request_both_are_answered(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        writers = [store.upload(UNIT, SPEC, resumable=True) for _ in range(2)]
        for writer in writers:
            for block in blocks_of(b"small"):
                writer.write(block)
        infos = [writer.commit(5) for writer in writers]
        assert infos[0] == infos[1]
        assert store.revision == 1


def test_a_writer_that_was_taken_over_does_not_take_back(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        old = store.upload(UNIT, SPEC, resumable=True)
        new = write(store, 2)
        with pytest.raises(ConflictError) as caught:
            for block in blocks_of(DATA):
                old.write(block)
        assert caught.value.reason == "WRITE_TAKEN_OVER"
        old.abort()
        new.suspend()
        assert go_on(store)[1] == 2 * BLOCK_SIZE
        with pytest.raises(InvalidArgumentError):
            store.upload(UNIT, UploadSpec(5, request_id=REQUEST), resumable=True)


def test_a_window_that_is_none_is_refused(directory: Path) -> None:
    for window in (-1, float("nan"), float("inf"), "5", True, None):
        with pytest.raises(InvalidArgumentError, match="resume_window") as caught:
            EmbeddedStore(directory, StoreOptions(resume_window=window))  # type: ignore[arg-type]
        assert caught.value.reason == "BAD_SETTING"


async def test_an_async_writer_that_is_cancelled_can_still_be_suspended(directory: Path) -> None:
    async with AsyncEmbeddedStore(directory) as store:
        writer = await store.upload(UNIT, SPEC, resumable=True)
        for block in list(blocks_of(DATA))[:3]:
            await writer.write(block)
        await writer.suspend()
        assert await store.write_status(UNIT, REQUEST) == WriteStatus(3 * BLOCK_SIZE)


AT_A_POINT = """
import os, signal, sys
from pathlib import Path
from tests.storage.resuming import DATA, SPEC, go_on
from tests.storage.objects import UNIT, blocks_of
from vault_server.storage import EmbeddedStore
from vault_server.storage.uploads import journal
from vault_server.storage.uploads.journal import FolderLock, JournaledFile
from vault_server.storage.files.staging import StagedFile
from vault_server.storage.failpoints import switch_on
store = EmbeddedStore(sys.argv[1])
calls = 0
def dying(function, before):
    def call(*args, **options):
        global calls
        calls += 1
        if before and calls == {call}:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **options)
        if not before and calls == {call}:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call
def die_at(owner, name, before):
    found = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, dying(found, before))
def die_when_reached(wanted):
    switch_on(lambda point: point == wanted and os.kill(os.getpid(), signal.SIGKILL))
def begin(*, suspended):
    writer = store.upload(UNIT, SPEC, resumable=True)
    for block in list(blocks_of(DATA))[:3]:
        writer.write(block)
    writer.suspend() if suspended else writer.abort()
def abort():
    begin(suspended=True)
    {point}
    store.abort_write(UNIT, SPEC.request_id)
def commit():
    begin(suspended=True)
    {point}
    go_on(store)
def first():
    {point}
    begin(suspended=True)
{act}()
print("survived", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

POINTS = {
    "a folder, nothing in it": ("first", "die_at(JournaledFile, 'note', True)", 1),
    "a block without its checksum": ("first", "die_at(JournaledFile, 'note', True)", 3),
    "a block with its checksum": ("first", "die_at(JournaledFile, 'note', False)", 2),
    "before it is suspended": ("first", "die_at(JournaledFile, 'release', True)", 1),
    "suspended, and locked": ("first", "die_at(FolderLock, 'release', True)", 1),
    "suspended": ("first", "die_at(FolderLock, 'release', False)", 1),
    "being verified": ("commit", "die_at(JournaledFile, '_verify', True)", 1),
    "resumed": ("commit", "die_at(JournaledFile, '_verify', False)", 1),
    "before the fsync": ("commit", "die_at(JournaledFile, 'finish', True)", 1),
    "before it gets its name": ("commit", "die_at(JournaledFile, 'rename', True)", 1),
    "after it got its name": ("commit", "die_at(JournaledFile, 'rename', False)", 1),
    "after its rows": ("commit", "die_when_reached('change recorded')", 1),
    "before the commit": ("commit", "die_when_reached('before COMMIT')", 1),
    "after the commit": ("commit", "die_at(store.engine.writer, '_committed', True)", 1),
    "before the folder goes": ("commit", "die_at(JournaledFile, 'discard', True)", 1),
    "after the folder went": ("commit", "die_at(journal, 'remove', False)", 1),
    "before it is given up": ("abort", "die_at(journal, 'remove', True)", 1),
    "given up": ("abort", "die_at(journal, 'remove', False)", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_leaves_a_write_that_goes_on(directory: Path, point: str) -> None:
    act, where, call = POINTS[point]
    with start(AT_A_POINT.format(act=act, point=where, call=call), directory) as process:
        assert process.stdout is not None
        assert process.stdout.read() == "", "the point was not reached"
    assert process.returncode == -signal.SIGKILL
    committed = point in ("after the commit", "before the folder goes", "after the folder went")
    with EmbeddedStore(directory) as store:
        assert store.exists_many(UNIT, [SPEC.data_id]) == [int(committed)]
        assert store.check(deep=True).ok
        info, resumed_from = go_on(store)
        given_up = point == "given up" or (act == "first" and point == "a folder, nothing in it")
        if committed:
            assert resumed_from == len(DATA)
        elif given_up:
            assert resumed_from == 0
        elif act == "first":
            assert resumed_from == (3 if "suspended" in point else 2) * BLOCK_SIZE
        else:
            assert resumed_from >= 3 * BLOCK_SIZE, "what was reported as persisted is found again"
        assert read(store, SPEC.data_id) == DATA
        assert store.changes(0)[0] == info.revision == 1, "it was applied once"
    assert kept(directory) == []
    assert blob_files(directory) == [f"{SPEC.data_id}.1.vault"]


def test_what_an_abandoned_commit_named_is_not_written_to(directory: Path) -> None:
    """A kill between the naming and the COMMIT leaves one file with two names, until the next opener removes one."""
    with EmbeddedStore(directory) as store:
        suspend(store, 3)
        upload(store, DATA, data_id=99)
        named = blob_of(directory, 99)
        named.unlink()
        os.link(folder(directory) / "bytes", named)
        before = named.read_bytes()
        writer = store.upload(UNIT, SPEC, resumable=True)
        assert writer.persisted_size == 3 * BLOCK_SIZE
        for block in list(blocks_of(DATA))[3:]:
            writer.write(block)
        assert named.read_bytes() == before
        named.write_bytes(DATA)
        writer.commit(len(DATA))


def test_the_spec_is_readable_by_people(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        suspend(store, 2)
    told = json.loads((folder(directory) / "spec").read_text())
    assert told["write"]["unit"] == UNIT
    assert told["window"] == StoreOptions().resume_window
    assert isinstance(go_on(EmbeddedStore(directory))[0], ObjectInfo)
