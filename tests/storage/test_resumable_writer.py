"""Writes that outlive their process: kept to the last block, and for one writer at a time."""

import signal
from pathlib import Path

import pytest
from vault.errors import ClosedError, ConflictError, InvalidArgumentError, UnavailableError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec
from vault.store.values import WriteStatus, checksum
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore

from tests.storage.objects import UNIT, blocks_of, read, run, start
from tests.storage.resuming import DATA, REQUEST, SPEC, WRITING, go_on, kept, suspend, write
from tests.waiting import assert_soon


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
        assert_soon(lambda: len(open_files()) == 3)  # for a moment more, while the expiry looks at it
        writer.suspend()
        assert_soon(lambda: not open_files())


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
    output = run(
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
print("done")
""",
        directory,
    )
    assert output == "done\n"


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


async def test_an_async_writer_that_is_cancelled_can_still_be_suspended(directory: Path) -> None:
    async with AsyncEmbeddedStore(directory) as store:
        writer = await store.upload(UNIT, SPEC, resumable=True)
        for block in list(blocks_of(DATA))[:3]:
            await writer.write(block)
        await writer.suspend()
        assert await store.write_status(UNIT, REQUEST) == WriteStatus(3 * BLOCK_SIZE)
