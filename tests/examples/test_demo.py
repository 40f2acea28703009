"""The demo does what it says, and leaves nothing."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from examples.demo.narration import remark, step

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, "-W", "error", "-m", "examples.demo"]


def environment(folder: Path) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VAULT_GRPC_")}
    return {**clean, "TMPDIR": str(folder), "COLUMNS": "200"}


def start(size: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*DEMO, "--size", size],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(folder),
        text=True,
    )


def run(size: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    with start(size, folder) as process:
        out, err = process.communicate(timeout=100)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def descendants(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_the_demo_ends_well_and_takes_everything_away(tmp_path: Path) -> None:
    done = run("8MiB", tmp_path)
    text = done.stdout
    assert done.returncode == 0, done.stderr
    for title in ("serve", "put", "get", "compare", "cache", "ticket", "coherent", "stop"):
        assert f"✓ {title} " in text, text
    assert "8.0 MiB" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns", [20, 39, 40, 80, 133])
def test_what_it_says_is_broken_between_words_at_any_width(columns: int) -> None:
    text = "each of the 256 blocks was verified by the reader, too; [b]what looks like markup[/b] is in /a/long/path"
    written = io.StringIO()
    console = Console(file=written, width=columns, highlight=False, soft_wrap=True)
    step(console, "compare", text, text)
    remark(console, text)
    lines = written.getvalue().splitlines()
    assert " ".join(written.getvalue().split()) == " ".join(["✓ compare", text, text, text])
    longest = max(map(len, text.split()))
    assert all(len(line) < columns or len(line.split()) == 1 for line in lines if len(line) > longest), lines


def test_it_says_what_it_does_before_it_has_done_anything(tmp_path: Path) -> None:
    with start("1KiB", tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Writing a file of 1.0 KiB in ")
        process.terminate()
        process.communicate(timeout=60)


def test_the_script_says_what_it_installs(tmp_path: Path) -> None:
    """In the place of the interpreter's environment a stand-in, which takes no time: what is said is the script's."""
    folder = tmp_path / "environment"
    python = tmp_path / "python3"
    python.write_text(f"""#!/bin/sh
case "$*" in
    *"-m venv"*) mkdir -p {folder}/bin; cp "$0" {folder}/bin/python;;
    *"-m pip"*) touch {folder}/bin/vault-grpc; chmod +x {folder}/bin/vault-grpc;;
    *"-m examples.demo"*) echo demo ran;;
    *--version*|*-c*) exit 0;;
esac
""")
    python.chmod(0o755)
    script = ROOT / "scripts" / "demo"
    env = {**os.environ, "PYTHON": str(python), "VENV": str(folder)}
    for expected in ([f"making an environment in {folder}", "installing Vault", "demo ran"], ["demo ran"]):
        done = subprocess.run([script], env=env, capture_output=True, text=True, timeout=60, check=True)
        lines = done.stdout.splitlines()
        assert len(lines) == len(expected)
        assert all(said in line for said, line in zip(expected, lines, strict=True))


def test_a_demo_that_is_ended_takes_everything_away_too(tmp_path: Path) -> None:
    with start("64MiB", tmp_path) as process:
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
    done = run("900TiB", tmp_path)
    assert done.returncode == 1
    assert "smaller --size" in done.stderr
    assert "Traceback" not in done.stderr
