"""What the command does does not depend on how the system is set up for it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import COMMAND, UNIT, Program

SETTINGS: dict[str, dict[str, str]] = {
    "bare": {},
    "optimized": {"PYTHONOPTIMIZE": "2", "PYTHONDONTWRITEBYTECODE": "1"},
    "unbuffered, POSIX, far east": {"PYTHONUNBUFFERED": "1", "LC_ALL": "POSIX", "TZ": "Pacific/Kiritimati"},
    "no locale of this name": {"LC_ALL": "tr_TR.UTF-8", "TZ": "No/Where"},
}


@pytest.mark.parametrize(("setting", "umask"), [("bare", 0o000), *((setting, 0o077) for setting in SETTINGS)])
def test_it_stores_lists_and_gives_back(setting: str, umask: int, tmp_path: Path) -> None:
    folder = tmp_path / "with space, ä"
    folder.mkdir()
    (folder / "ünï 1").write_bytes(b"\0\xff" * 1000)
    environment = {key: os.environ[key] for key in ("HOME", "PATH") if key in os.environ}

    def run(*arguments: str) -> bytes:
        done = subprocess.run(
            [COMMAND, "--vault", "./store: 1", *arguments],
            cwd=folder,
            env={**environment, **SETTINGS[setting]},
            umask=umask,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout

    data_id = run("put", "ünï 1", "-u", UNIT).decode().strip()
    assert run("ls", "-u", UNIT).decode() == f"{data_id}\t2000\tünï 1\n"
    run("get", "ünï 1", "copy", "-u", UNIT)
    assert (folder / "copy").read_bytes() == b"\0\xff" * 1000


def test_help_needs_no_docstrings() -> None:
    done = Program(None).run("put", "--help", env={"PYTHONOPTIMIZE": "2"})
    assert done.returncode == 0
    assert b"--replace" in done.stdout
