"""Peers that take too much: `scripts/torture/hostile_clients`.

Fuzzes every RPC with mutated messages; then lets peers hold what they can, and others ask for much at once, each
beside a polite client, whose waits are told; and asks the server to end while all of them are at it. Exits 1 when a
request is answered UNKNOWN or INTERNAL, when the polite client is refused or waits for longer than `--most`, when
the server does not end within its grace, when there is a trace in its log, or when its store is not sound.
"""

import argparse
import asyncio
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vault.store.values import SmallUpload, UploadSpec, checksum
from vault_server import EmbeddedStore, StoreOptions

from tests.server.process import COMMAND
from torture.hostile_clients.attacks import ATTACKS, Peers, fill
from torture.hostile_clients.fuzz import fuzz
from torture.hostile_clients.greedy import REQUESTS, greedy
from torture.hostile_clients.polite import waits

_GRACE = 2.0


def prepare(folder: Path, many: int) -> None:
    """A store with what attackers ask for."""
    with EmbeddedStore(folder / "store", StoreOptions(durability="relaxed")) as store:
        fill(store)
        for begin in range(0, many, 5000):
            items = [
                SmallUpload(UploadSpec(n + 1, f"{n:07}", {"nobody": "has"}), b"x", checksum(b"x"))
                for n in range(begin, begin + 5000)
            ]
            store.upload_many("many", items)


class Violations(list[str]):
    """What was promised and does not hold."""


@contextmanager
def serving(folder: Path, arguments: argparse.Namespace, violations: Violations) -> Iterator[str]:
    """A server; whether it ends in time."""
    command = f'ulimit -n {arguments.descriptors}; exec "$@"'
    options = ["--listen", "127.0.0.1:0", "--grace", str(_GRACE), *arguments.serve]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            ["sh", "-c", command, "sh", arguments.command, "serve", folder / "store", *options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().rpartition(" ")[2].strip()
    finally:
        process.terminate()
        began = time.monotonic()
        try:
            process.wait(_GRACE + 20)
            print(f"    SIGTERM beside it: ended with {process.returncode} after {time.monotonic() - began:.1f} s")
        except subprocess.TimeoutExpired:
            violations.append(f"the server did not end within {_GRACE + 20:.0f} s")
            process.kill()
            process.wait()


def beside(name: str, address: str, arguments: argparse.Namespace, violations: Violations) -> None:
    """How long a polite client waits."""
    told = waits(address, arguments.seconds)
    print(f"  {name}: {told}", flush=True)
    if told.errors or max(told.seconds) > arguments.most:
        violations.append(f"beside {name}: {told}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None, help="of the mutations; a random one by default")
    parser.add_argument("--requests", type=int, default=20_000, help="mutated ones")
    parser.add_argument("--peers", type=int, default=500, help="calls or connections that are held at a time")
    parser.add_argument("--clients", type=int, default=60, help="that ask for much")
    parser.add_argument("--objects", type=int, default=100_000, help="in the unit that listings look through")
    parser.add_argument("--seconds", type=float, default=10, help="beside each")
    parser.add_argument("--most", type=float, default=30, help="seconds that a polite call may take")
    parser.add_argument("--descriptors", type=int, default=1024, help="that the server may have")
    parser.add_argument("--command", default=str(COMMAND), help="the vault-grpc that serves")
    parser.add_argument("--serve", action="append", default=[], metavar="OPTION", help="for serve: --serve=--workers=2")
    parser.add_argument("--directory", help="where the files go; a temporary directory by default")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    violations = Violations()
    folder = Path(tempfile.mkdtemp(prefix="vault-hostile-", dir=arguments.directory))
    prepare(folder, arguments.objects)
    with serving(folder, arguments, violations) as address:
        outcome = asyncio.run(fuzz(address, seed, arguments.requests))
        print(f"  {arguments.requests} mutated requests: {dict(outcome.codes.most_common())}", flush=True)
        violations += outcome.violations
        beside("nobody", address, arguments, violations)
    for name, attack in ATTACKS.items():
        # The peers outlive the server: it is to end beside them.
        with ExitStack() as stack, serving(folder, arguments, violations) as address:
            peers = stack.enter_context(Peers(address))
            try:
                attack(peers, arguments.peers)
            except OSError as error:
                print(f"    the server refused some: {error}")
            time.sleep(1)
            beside(f"{arguments.peers} {name}", address, arguments, violations)
    for name in REQUESTS:
        with ExitStack() as stack, serving(folder, arguments, violations) as address:
            stack.enter_context(greedy(address, name, arguments.clients))
            time.sleep(5)
            beside(f"{arguments.clients} clients with {name}", address, arguments, violations)
    log = (folder / "log").read_text(errors="replace")
    print(f"  log: {len(log)} bytes")
    if "Traceback" in log:
        violations.append(f"a trace in the log: {log[log.index('Traceback') :][:2000]}")
    with EmbeddedStore(folder / "store") as store:
        report = store.check(deep=True)
    if not report.ok:
        violations.append(f"check --deep: {report.problems}")
    for each in violations[:20]:
        print(f"VIOLATED: {each}", flush=True)
    if not violations:
        shutil.rmtree(folder)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
