"""Beginning to write early changes nothing of what is written."""

import os
from pathlib import Path

from vault._runtime.sync_file_range import STEP, Writeback


def test_what_is_written_while_it_grows_is_all_there(tmp_path: Path) -> None:
    data = os.urandom(1 << 20)
    writeback = Writeback()
    with (tmp_path / "grows").open("wb", buffering=0) as file:
        for count in range(1, 3 * STEP // len(data) + 2):
            file.write(data)
            writeback.reached(file.fileno(), count * len(data))
        os.fsync(file.fileno())
    assert (tmp_path / "grows").read_bytes() == data * (3 * STEP // len(data) + 1)


def test_where_it_is_refused_nothing_happens() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source:
        with os.fdopen(writing, "wb") as sink:
            Writeback().reached(writing, STEP)
            sink.write(b"goes on")
        assert source.read() == b"goes on"
