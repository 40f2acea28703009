"""Vault as it was before put, levels, leases, limits and expiry: its packages, out of the project's history.

What runs with `environment` imports those instead of this tree's. A clone without history has none of it.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.server.process import Served

ROOT = Path(__file__).resolve().parents[2]

_NEWER = "rpc PutMany("
"""What its wire has not: the commit before the first one that has it is the older version, whatever it is called."""


class Older:
    """The older version in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (folder / "client", folder / "server", ROOT))),
        }

    def run(self, *command: str, timeout: float = 100) -> str:
        """What a Python program of it prints; its exit code is 0."""
        done = subprocess.run(
            [sys.executable, *command],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, (done.stdout[-10_000:], done.stderr[-10_000:])
        return done.stdout

    def serve(self, directory: Path, *options: str) -> Served:
        """Its `vault-grpc serve`, on a port of its own."""
        return Served(directory, "--listen", "127.0.0.1:0", *options, env=self.environment, cwd=self.folder)


def check_out(folder: Path) -> Older | str:
    """The older version, put into a folder; or why it cannot be."""
    if not (ROOT / ".git").exists():
        return "this is no clone: the older version is in the history alone"
    found = _git("log", "--reverse", "--format=%H", f"-S{_NEWER}", "--", "proto/vault/v1/vault.proto").split()
    if not found or not _git("rev-parse", "--verify", "--quiet", f"{found[0]}^"):
        return "the history is not whole: the older version is the commit before the one that added put"
    archive = folder / "older.tar"
    _git("archive", "--output", str(archive), f"{found[0]}^", "client", "server")
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True, timeout=60)
    archive.unlink()
    return Older(folder)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip()
