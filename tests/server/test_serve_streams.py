"""`vault-grpc serve` with standard streams that are closed, or take nothing."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import UNIT, Program
from tests.server.process import COMMAND, Serve


@pytest.mark.parametrize(
    ("streams", "options"), [("2>&-", ()), ("<&- 2>&-", ("--workers", "2")), ("2>/dev/full", ("--workers", "2"))]
)
def test_a_server_serves_without_input_and_errors(
    serve: Serve, tmp_path: Path, streams: str, options: tuple[str, ...]
) -> None:
    served = serve(tmp_path / "vault", "--listen", "127.0.0.1:0", *options, streams=streams)
    remote = Program(f"grpc://{served.address}")
    data_id = remote.put("a", b"1")
    assert remote.text("ls", "-u", UNIT).startswith(f"{data_id}\t1\t")
    assert served.terminate() == (0, "", "")


def test_a_server_whose_output_is_closed_serves(serve: Serve, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    served = serve(tmp_path / "vault", "--listen", address, streams="<&- >&-")
    assert Program(address).put("a", b"1")
    served.process.send_signal(signal.SIGHUP)
    code, out, _ = served.end()
    assert (code, out) == (0, "")


def test_a_server_that_cannot_say_where_it_is_does_not_serve(tmp_path: Path) -> None:
    serving: list[str | Path] = [
        COMMAND,
        "serve",
        tmp_path / "vault",
        "--listen",
        "127.0.0.1:0",
        "--log-level",
        "error",
    ]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(serving, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, b"vault-grpc: No space left on device\n")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run(serving, stdout=nobody, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (141, b"")
