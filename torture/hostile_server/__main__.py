"""A server that lies, for minutes: `scripts/torture/hostile_server`.

Every reply of every public call, with every field of it another, cleared, repeated, huge or unset, and the bytes of it
cut, lengthened, or noise; then every status with details of every kind; then floods, for which the resident memory of
a client in a process of its own is measured. What a call comes to must be a VaultError, or the right answer, but for
the fields that a client can hold against nothing (BELIEVED in torture/hostile_server/walk.py), within four times the
timeout and three seconds. Exits 1 at the end when there was a violation, and tells each.
"""

import argparse
import asyncio
import math
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from torture.hostile_server.endless import Flood, of
from torture.hostile_server.server import HostileServer, honest
from torture.hostile_server.walk import Report, hostile, walk, walk_statuses

_FLOODED: Final = 6.0  # seconds
_MOST_GROWTH: Final = 160 << 20
"""Bytes: eight replies of a mebibyte, three times over, what flow control lets through, and what Python keeps."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=None, help="all cases once by default")
    parser.add_argument("--seed", type=int, default=None, help="a random one by default")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    seconds = math.inf if arguments.minutes is None else 60 * arguments.minutes / 4
    broken: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="vault-hostile-") as folder,
        hostile(Path(folder) / "store") as (store, liar),
    ):
        for face in ("sync", "async"):
            bent, ended = Report(), Report()
            asyncio.run(walk(face, store, liar, bent, 1.0, seed, seconds))
            print(f"{face}, replies bent: {bent}", flush=True)
            asyncio.run(walk_statuses(face, store, liar, ended, sys.maxsize, seed, seconds))
            print(f"{face}, calls ended: {ended}", flush=True)
            broken += bent.broken + ended.broken
            for method in ("Upload", "Load", "Watch", "Stat"):
                grown = _flood(face, liar, method)
                print(f"{face}, {method} flooded for {_FLOODED:g} s: resident memory grew by {grown / 2**20:.0f} MiB")
                if grown > _MOST_GROWTH:
                    broken.append(f"{face}: {method} took {grown} bytes")
    for each in broken:
        print(f"FAILED: {each}", flush=True)
    return 1 if broken else 0


def _flood(face: str, liar: HostileServer, method: str) -> int:
    """Bytes by which a client's resident memory grows that is sent more than it asked for."""
    liar.bend = of(method, Flood())
    command = [sys.executable, "-m", "torture.hostile_server.flooded", liar.address, face, method, f"{_FLOODED:g}"]
    try:
        return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120).stdout)
    finally:
        liar.bend = honest


if __name__ == "__main__":
    sys.exit(main())
