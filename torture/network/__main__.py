"""Bad connections for minutes: `scripts/torture/network`.

Rounds, each with a server, clients and a proxy between them that cuts (by RST and FIN, at once and in the middle
of messages), delays, throttles and refuses. Writes must be applied once and all be acknowledged, reads show the
bytes that were written, files come back as they went, and a watcher be told of every change once, in order. With
the same seed clients and weather do the same, as far as the machine lets them. Exits 1 at the first violation,
and leaves the store and the journals where it says.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from torture.network.storm import Forecast, storm


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=None, help="a random one by default")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20, help="of a round")
    parser.add_argument("--file-size", type=float, default=12, metavar="MIB", help="of the file that goes to and fro")
    parser.add_argument("--holes", action="store_true", help="swallow connections too; calls may then time out")
    parser.add_argument("--serve", action="append", default=[], metavar="OPTION", help="for serve: --serve=--workers=2")
    parser.add_argument("--directory", help="where the files go; a temporary directory by default")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    ends = time.monotonic() + 60 * arguments.minutes
    number = 0
    while time.monotonic() < ends:
        forecast = Forecast(
            arguments.seconds,
            seed + number,
            arguments.clients,
            int(arguments.file_size * (1 << 20)),
            arguments.holes,
        )
        folder = Path(tempfile.mkdtemp(prefix="vault-network-", dir=arguments.directory))
        try:
            damage = storm(folder, forecast, *arguments.serve)
            if not forecast.holes:
                assert not damage.figures.unacknowledged, f"{damage.figures.unacknowledged} writes gave up"
                assert not damage.lost, f"{damage.lost} reads gave up"
        except Exception:  # noqa: BLE001  # a broken promise, or a harness that failed: both are told
            traceback.print_exc()
            print(f"FAILED: {forecast}; store and journals are in {folder}", flush=True)
            return 1
        print(damage, flush=True)
        shutil.rmtree(folder)
        number += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
