"""The demo does what it says, and leaves nothing."""

import io
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from vault.cli.demo.narration import remark, step

from tests.cli.program import COMMAND, Program


def descendants(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_the_demo_ends_well_and_takes_everything_away(tmp_path: Path) -> None:
    done = Program(None).run("demo", "--size", "8MiB", env={"TMPDIR": str(tmp_path), "COLUMNS": "200"})
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
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
    env = {**Program(None).environment, "TMPDIR": str(tmp_path), "COLUMNS": "200"}
    with subprocess.Popen([COMMAND, "demo", "--size", "1KiB"], stdout=subprocess.PIPE, env=env, text=True) as process:
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
    *"-m pip"*) printf '#!/bin/sh\\necho demo ran\\n' > {folder}/bin/vault-grpc; chmod +x {folder}/bin/vault-grpc;;
    *--version*|*-c*) exit 0;;
esac
""")
    python.chmod(0o755)
    script = Path(__file__).resolve().parents[2] / "scripts" / "demo"
    env = {**Program(None).environment, "PYTHON": str(python), "VENV": str(folder)}
    for expected in ([f"making an environment in {folder}", "installing Vault", "demo ran"], ["demo ran"]):
        done = subprocess.run([script], env=env, capture_output=True, text=True, timeout=60, check=True)
        lines = done.stdout.splitlines()
        assert len(lines) == len(expected)
        assert all(said in line for said, line in zip(expected, lines, strict=True))


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
