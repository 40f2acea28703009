"""Lines in a file of several processes are whole, and the file can be rotated."""

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault.v1 import vault_pb2 as pb
from vault.v1.vault_pb2_grpc import VaultServiceStub
from vault_server.access.append_file import AppendFile, reopen_files

from tests.server.conftest import serve
from tests.server.process import Serve
from tests.waiting import assert_soon

__all__ = ["serve"]

APPENDING = textwrap.dedent("""
    import resource, sys
    from vault_server.access.append_file import AppendFile

    path, name, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    file = AppendFile(path)
    done = 0
    for number in range(400):
        try:
            file.append(f"{name} {number} {'x' * (number * 37 % 2000)} end\\n".encode())
        except OSError:
            continue
        done += 1
    print(done)
""")


def test_lines_of_several_processes_are_whole_also_where_part_of_one_would_have_fitted(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDING, path, f"writer{index}", str(300_000)], stdout=subprocess.PIPE, text=True
        )
        for index in range(3)
    ]
    done = sum(int(writer.communicate(timeout=60)[0]) for writer in writers)
    lines = path.read_text().splitlines()
    assert path.stat().st_size <= 300_000
    assert 0 < len(lines) == done < 1200
    assert all(line.startswith("writer") and line.endswith(" end") for line in lines)


@given(sizes=st.lists(st.integers(1, 3000), max_size=12), limit=st.integers(0, 8000))
def test_a_line_is_there_or_refused(sizes: list[int], limit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = AppendFile(tmp_path_factory.mktemp("append") / "log")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = b""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        for number, size in enumerate(sizes):
            line = bytes([65 + number]) * size + b"\n"
            try:
                file.append(line)
            except OSError:
                assert len(kept) + len(line) > limit
            else:
                kept += line
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.path.read_bytes() == kept
    file.close()


def test_it_is_its_owners_alone_and_keeps_the_permissions_that_it_has(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        file = AppendFile(tmp_path / "new")
    finally:
        os.umask(before)
    (tmp_path / "old").touch(0o640)
    (tmp_path / "old").chmod(0o640)
    other = AppendFile(tmp_path / "old")
    assert [stat.S_IMODE(each.path.stat().st_mode) for each in (file, other)] == [0o600, 0o640]
    for each in (file, other):
        each.close()


def test_where_it_cannot_be_opened_anew_it_goes_on_in_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = AppendFile(folder / "log")
    folder.rename(tmp_path / "moved")
    folder.touch()  # no folder any more
    reopen_files()
    file.append(b"still here\n")
    file.close()
    assert (tmp_path / "moved" / "log").read_bytes() == b"still here\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_opens_the_log_anew_and_ends_nothing(workers: int, serve: Serve, tmp_path: Path) -> None:
    log, old = tmp_path / "log", tmp_path / "log.1"
    served = serve(
        tmp_path / "own", "--listen", "127.0.0.1:0", "--workers", str(workers), "--log-file", log,
        "--log-format", "json", "--log-level", "debug", "--audit", tmp_path / "audit",
    )  # fmt: skip
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    log.rename(old)
    (tmp_path / "audit").rename(tmp_path / "audit.1")
    served.process.send_signal(signal.SIGHUP)
    # The parent's line, and each worker's.
    expected = 2 if workers == 1 else 2 * workers + 1
    assert_soon(lambda: log.exists() and log.read_text().count("opened anew") == expected)
    written = old.read_bytes()
    with grpc.insecure_channel(served.address) as channel:
        VaultServiceStub(channel).GetCapabilities(pb.GetCapabilitiesRequest(), timeout=20)
        VaultServiceStub(channel).AbortWrite(pb.AbortWriteRequest(unit="u", request_id=bytes(16)), timeout=20)
    assert_soon(lambda: "GetCapabilities" in log.read_text())
    assert old.read_bytes() == written
    assert (tmp_path / "audit.1").read_text() == ""
    assert "AbortWrite" in (tmp_path / "audit").read_text()
    served.process.terminate()
    code, out, err = served.end()
    assert (code, out, err) == (0, "", "")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[-1]["event"] == "stopped"
    assert all("request_id" in line for line in lines if line["event"] == "rpc")
