"""`progress=True`: a bar where somebody looks, nothing elsewhere."""

import io
import itertools
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from vault._escaping import holds_hidden
from vault.errors import NotFoundError
from vault.store.progress import Bar, Meter

PROGRAM = """
import asyncio, sys
from pathlib import Path
from vault import AsyncVault, BytesWrapper, Vault

folder = Path(sys.argv[1])
with Vault(folder / "v", {"u": (BytesWrapper, 0)}) as vault:
    key = vault.upload_file("u", folder / "in\\x1b[31m.bin", progress=True)
    vault.download_file("u", key, folder / "out", progress=True)
    vault.upload_file("u", open(folder / "out", "rb"), progress=True)
    vault.upload_file("u", folder / "out", progress=False)

async def main():
    async with AsyncVault(folder / "v", {"u": (BytesWrapper, 0)}) as vault:
        await vault.unit("u", BytesWrapper).download_file(key, folder / "out", progress=True)

asyncio.run(main())
"""


def ran(folder: Path, stderr: int) -> None:
    (folder / "in\x1b[31m.bin").write_bytes(b"x" * 3_000_000)
    subprocess.run([sys.executable, "-c", PROGRAM, folder], stderr=stderr, timeout=60, check=True)
    assert (folder / "out").stat().st_size == 3_000_000


def test_a_terminal_shows_a_bar_for_each_transfer_of_either_face(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            ran(tmp_path, theirs)
        finally:
            os.close(theirs)
        shown = b""
        try:
            while some := terminal.read(65536):
                shown += some
        except OSError:  # Linux's way to say that the other side is closed
            pass
    lines = [line.split("\r")[-1].strip() for line in shown.decode().replace("\r\n", "\n").split("\n")[:-1]]
    assert len(lines) == 4
    assert re.fullmatch(r"in\\x1b\[31m\.bin: 100% \[#{30}\] 2\.9 MiB of 2\.9 MiB, .*/s", lines[0])
    assert re.fullmatch(r"\d+: 100% \[#{30}\] 2\.9 MiB of 2\.9 MiB, .*/s", lines[1])
    assert re.fullmatch(r"upload: 2\.9 MiB, .*/s", lines[2]), "of a file object nobody knows how much is to come"
    assert lines[3].startswith(lines[1].split(":")[0])


def test_nothing_is_written_where_nobody_looks(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        ran(tmp_path, log.fileno())
    assert (tmp_path / "log").read_bytes() == b""


def test_a_notebook_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stderr", cell)
    with pytest.raises(NotFoundError), Meter(True, "a") as meter:
        meter.size(10)
        meter.add(5)
        raise NotFoundError("gone meanwhile")
    assert cell.getvalue().endswith(", 5 B of 10 B, 0 B/s\n") or " 50% " in cell.getvalue().rsplit("\r", 1)[-1]
    assert cell.getvalue().endswith("\n"), "what is printed next has a line of its own"


@pytest.mark.parametrize("size", [None, 0, 1, 3])
def test_a_bar_stays_one_line_whatever_it_is_told(size: int | None) -> None:
    stream = io.StringIO()
    bar = Bar("\u202ea\nb\r", stream)
    bar.set_size(size)
    for count in (2, 5, -7, 1):
        bar.relative_update(count)
    bar.close()
    states = stream.getvalue().removesuffix("\n").split("\r")
    assert not any(holds_hidden(state) for state in states)
    assert all(len(state) >= len(last) for last, state in itertools.pairwise(states)), "none is left behind"


def test_a_stream_that_is_closed_or_takes_no_such_text_stops_no_transfer() -> None:
    closed = io.StringIO()
    closed.close()
    shown = io.BytesIO()
    narrow = io.TextIOWrapper(shown, encoding="ascii")
    for stream in (closed, narrow):
        bar = Bar("ü", stream)
        bar.set_size(1)
        bar.close()
    assert shown.getvalue() == b"\n", "the end of the line, which it takes"
