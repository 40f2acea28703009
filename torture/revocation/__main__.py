"""Tokens taken back, ended and given other grants under running calls: `scripts/torture/revocation`.

`vault-grpc serve --workers 4` with watches, uploads that stand still, downloads that nobody reads, calls that say
nothing and calls one after the other, by tokens that are revoked, expire, or whose principals get other grants. All of
them must end, and nobody else's, within a second. Exits 1 at the first violation, and leaves everything where it says.
"""

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from torture.revocation.harness import revoking


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None, help="a random one by default")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--within", type=float, default=1.0, help="seconds in which what runs has to end")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="vault-revocation-"))
    try:
        figures = asyncio.run(
            revoking(folder, seed, arguments.rounds, workers=arguments.workers, within=arguments.within)
        )
    except Exception:  # noqa: BLE001  # a broken promise, or a harness that failed: both are told
        traceback.print_exc()
        print(f"FAILED: seed {seed}; everything is in {folder}", flush=True)
        return 1
    print(figures, flush=True)
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
