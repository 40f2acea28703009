"""The demo does what it says, and leaves nothing."""

import signal
import subprocess
import time
from pathlib import Path

import psutil

from tests.cli.program import COMMAND, Program


def descendants(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_the_demo_ends_well_and_takes_everything_away(tmp_path: Path) -> None:
    done = Program(None).run("demo", "--size", "8MiB", env={"TMPDIR": str(tmp_path), "COLUMNS": "200"})
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    for step in ("serve", "put", "get", "compare", "cache", "ticket", "coherent", "stop"):
        assert f"✓ {step} " in text, text
    assert "8.0 MiB" in text
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_is_ended_takes_everything_away_too(tmp_path: Path) -> None:
    env = {**Program(None).environment, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [COMMAND, "demo", "--size", "64MiB"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    ) as process:
        deadline = time.monotonic() + 60
        while not (children := descendants(process)) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_does_not_fit_says_so(tmp_path: Path) -> None:
    done = Program(None).run("demo", "--size", "900TiB", env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 1
    assert "smaller --size" in done.stderr.decode()
