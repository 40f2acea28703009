"""Directories that pyvault-client 0.1.1 wrote, and a look at what lies in them."""

import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat.older import Older, check_out
from tests.compat.pyvault_objects import ANYTHING, POINTS, STRUCTURE, TEXTS, Point

ROOT = Path(__file__).resolve().parents[2]

Ids = dict[str, list[int]]


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Older:
    """Vault as it was before."""
    made = check_out(tmp_path_factory.mktemp("older"))
    if isinstance(made, str):
        pytest.skip(made)
    return made


@pytest.fixture(scope="session")
def pyvault_python(request: pytest.FixtureRequest) -> Path:
    """An interpreter that has pyvault-client 0.1.1: VAULT_PYVAULT_PYTHON, or one made in pytest's cache folder."""
    if given := os.environ.get("VAULT_PYVAULT_PYTHON"):
        return Path(given)
    cache = request.config.cache
    assert cache is not None
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    made = cache.mkdir("pyvault") / f"client-0.1.1-python-{version}"
    if not made.exists():
        fresh = Path(tempfile.mkdtemp(dir=made.parent))
        _run(sys.executable, "-m", "venv", str(fresh))
        # It imports psutil and does not say so.
        _run(str(fresh / "bin/python"), "-m", "pip", "install", "--quiet", "pyvault-client==0.1.1", "psutil")
        with contextlib.suppress(OSError):  # another worker was faster: its environment is as good
            fresh.rename(made)
        shutil.rmtree(fresh, ignore_errors=True)
    return made / "bin/python"


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=["by_hand", "by_pyvault"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Ids]:
    """A directory in pyvault's layout and the ids in it: made by hand, and by pyvault itself."""
    directory = tmp_path / "data"
    if request.param == "by_hand":
        return directory, _write_by_hand(directory)
    python: Path = request.getfixturevalue("pyvault_python")
    ids: Ids = json.loads(_run(str(python), "-m", "tests.compat.write_pyvault", str(directory)))
    return directory, ids


def _write_by_hand(directory: Path) -> Ids:
    raws = {
        "documents": [text.encode() for text in TEXTS],
        "points": [pickle.dumps(Point(x, y)) for x, y in POINTS],
        "anything": [pickle.dumps(thing) for thing in ANYTHING],
    }
    assert raws.keys() == STRUCTURE.keys()
    ids: Ids = {}
    for unit, dumps in raws.items():
        (directory / unit).mkdir(parents=True)
        ids[unit] = [2**62 + number for number in range(len(dumps))]
        for data_id, raw in zip(ids[unit], dumps, strict=True):
            (directory / unit / f"{data_id}.vault").write_bytes(raw)
    return ids


@pytest.fixture
def files_of() -> Callable[[Path], dict[str, tuple[int, int, bytes]]]:
    """Every `.vault` file below a directory: its inode, its time of modification, its bytes."""

    def look(directory: Path) -> dict[str, tuple[int, int, bytes]]:
        return {
            str(path.relative_to(directory)): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(directory.rglob("*.vault"))
        }

    return look
