"""`vault-grpc serve` as whatever starts processes starts it: with streams closed or full, and as process 1."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
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


def status(pid: int, field: str) -> str:
    """A line of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{field}:"))


def handles(pid: int, number: int) -> bool:
    """Whether a process handles a signal."""
    return bool(int(status(pid, "SigCgt"), 16) >> (number - 1) & 1)


@contextlib.contextmanager
def process_one(*command: str | Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Runs a command as process 1 of a process namespace, as a container without an init does.

    Yields what started it, which ends as it ends, and its id out here, once it handles SIGTERM: what comes earlier,
    before the interpreter runs, the kernel drops.
    """
    with subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as starter:
        try:
            children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children")
            deadline = time.monotonic() + 60
            while not (found := children.read_text().split()) or not handles(int(found[0]), signal.SIGTERM):
                if starter.poll() is not None:
                    pytest.skip(f"no process namespaces here: {starter.stderr.read() if starter.stderr else ''}")
                assert time.monotonic() < deadline
                time.sleep(0.001)
            yield starter, int(found[0])
        finally:
            starter.kill()


@pytest.mark.parametrize(
    ("number", "options"), [(signal.SIGTERM, ()), (signal.SIGTERM, ("--workers", "2")), (signal.SIGINT, ())]
)
def test_process_1_ends_with_0_whenever_the_signal_comes(
    tmp_path: Path, number: signal.Signals, options: tuple[str, ...]
) -> None:
    for moment in (0.0, 0.05, 0.2, 0.6):  # from the first line of Python to a server that serves
        with process_one(COMMAND, "serve", tmp_path / "vault", "--listen", "127.0.0.1:0", *options) as (starter, pid):
            time.sleep(moment)
            os.kill(pid, number)
            _, errors = starter.communicate(timeout=60)
            assert starter.returncode == 0, (moment, errors)
            assert "Traceback" not in errors


def test_the_second_signal_ends_process_1_at_once(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    with process_one(COMMAND, "serve", tmp_path / "vault", "--listen", address, "--grace", "100") as (starter, pid):
        assert starter.stdout is not None
        starter.stdout.readline()
        # An upload that does not end keeps it draining.
        with subprocess.Popen(
            [COMMAND, "put", "-", "-u", UNIT, "--vault", address], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as client:
            assert client.stdin is not None
            client.stdin.write(os.urandom(8 << 20))
            client.stdin.flush()
            os.kill(pid, signal.SIGTERM)
            assert starter.stderr is not None
            while "draining" not in starter.stderr.readline():
                pass
            os.kill(pid, signal.SIGTERM)
            starter.communicate(timeout=60)
            client.kill()
    assert starter.returncode in (128 + signal.SIGTERM, -signal.SIGTERM)


def test_another_command_as_process_1_ends_by_a_signal_too(tmp_path: Path) -> None:
    with process_one(COMMAND, "put", "-", "-u", UNIT, "--vault", tmp_path / "vault") as (starter, pid):
        os.kill(pid, signal.SIGTERM)
        starter.communicate(timeout=60)
    assert starter.returncode == 128 + signal.SIGTERM
