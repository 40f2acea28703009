"""`vault-grpc` as process 1 ends by signals, whenever they come."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.program import COMMAND, UNIT
from torture.signals.process_one import process_one


@pytest.fixture(autouse=True, scope="module")
def needs_namespaces() -> None:
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "--pid", "--fork", "true"], check=False).returncode
    ):
        pytest.skip("this user, or this system, cannot make process namespaces")


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
