"""Whenever downloads to one path are killed, it holds a whole object, and the next one removes what they left."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_nothing_is_half_and_nothing_is_left(tmp_path: Path) -> None:
    # A process of its own: it forks.
    done = subprocess.run(
        [sys.executable, "-m", "torture.downloads", "--minutes", "0.05", "--directory", tmp_path],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"kills":' in done.stdout
