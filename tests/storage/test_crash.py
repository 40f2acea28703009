"""A process that is killed: what it acknowledged is there, what it did not is not, and no bytes are left over."""

import signal
from pathlib import Path

import pytest
from vault.store.values import checksum
from vault_server.storage import EmbeddedStore
from vault_server.storage.files.staging import leftovers

from tests.storage.objects import LARGE, UNIT, read, staged_files, start, upload

STREAMING = """
import sys
from tests.storage.objects import LARGE, UNIT, blocks_of
from vault.store.specs import UploadSpec
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
writer = store.upload(UNIT, UploadSpec(7, "half"))
first, *_ = blocks_of(LARGE)
writer.write(first)
print("streaming", flush=True)
sys.stdin.read()
"""

ACKNOWLEDGING = """
import itertools, sys
from tests.storage.objects import UNIT, upload, update
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
for number in itertools.count(1):
    size = 100 if number % 2 else 70_000
    info = upload(store, number.to_bytes(4) * size, data_id=number)
    print(number, info.checksum, flush=True)
    if number > 4:
        update(store, number - 4, b"new" * 30_000)
        print(-(number - 4), 0, flush=True)
"""


def test_an_upload_cut_off_by_a_kill_leaves_nothing(directory: Path) -> None:
    with start(STREAMING, directory) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "streaming\n"
        # An opener meanwhile leaves the living writer's bytes alone.
        with EmbeddedStore(directory) as store:
            assert store.exists_many(UNIT, [7, "half"]) == [0, 0]
            assert len(staged_files(directory)) == 1
        process.send_signal(signal.SIGKILL)
    with EmbeddedStore(directory) as store:
        assert staged_files(directory) == []
        assert store.exists_many(UNIT, [7, "half"]) == [0, 0]
        upload(store, LARGE, data_id=7, name="half")
        assert read(store, 7) == LARGE


@pytest.mark.parametrize("writes", [5, 23])
def test_what_was_acknowledged_survives_a_kill(directory: Path, writes: int) -> None:
    acknowledged: dict[int, int] = {}
    with start(ACKNOWLEDGING, directory) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(writes)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
    for line in lines:
        if line.endswith("\n"):
            written, checked = line.split()
            acknowledged[int(written)] = int(checked)
    new = checksum(b"new" * 30_000)
    with EmbeddedStore(directory) as store:
        for number, whole in acknowledged.items():
            if number < 0:
                assert checksum(read(store, -number)) == new
            else:
                assert checksum(read(store, number)) in (whole, new)
        listed = store.list_page(UNIT, page_size=1000).objects
        assert len(listed) - len([number for number in acknowledged if number > 0]) in (0, 1)
        revision, changes = store.changes(0)
        assert [change.revision for change in changes] == list(range(1, revision + 1))


@pytest.mark.parametrize(
    "line", ["\0" * 20, "gone/7.vault", "../7.vault", "documents/../7.vault", "documents", "documents/1.vault", ""]
)
def test_a_list_of_intended_files_torn_by_a_power_loss_does_no_harm(directory: Path, line: str) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=1)
    outside = directory.with_name("7.vault")
    outside.write_bytes(b"somebody else's")
    folder = directory / ".staging" / "dead"
    folder.mkdir(parents=True)
    (folder / "intents").write_text(f"{line}\n")
    with EmbeddedStore(directory) as store:
        for data_id in range(2, 6):  # enough transactions to sweep in
            upload(store, LARGE[data_id:], data_id=data_id)
        assert read(store, 1) == LARGE
    assert outside.exists()
    assert leftovers(directory) == []
