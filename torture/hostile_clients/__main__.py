"""Peers that take too much: `scripts/torture/hostile_clients`.

Fuzzes every RPC with mutated messages; then lets peers hold what they can, and others ask for much at once, from
another address or as another principal than a polite client, whose waits are told before, during and after, beside the
server's memory and descriptors; and asks the server to end while all of them are at it. Exits 1 when a request is
answered UNKNOWN or INTERNAL, when the polite client is refused or one of its calls waits for longer than `--most`, when
the server takes more memory than `--memory` or all descriptors, or does not end within its grace, when there is a trace
in its log, or when its store is not sound.
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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vault.store.specs import SmallUpload, UploadSpec
from vault.store.values import checksum
from vault_server import EmbeddedStore, StoreOptions

from tests.server.process import COMMAND
from torture.hostile_clients.attacks import ATTACKS, FLOODS, Peers, fill
from torture.hostile_clients.fuzz import fuzz
from torture.hostile_clients.greedy import REQUESTS, greedy
from torture.hostile_clients.polite import polite

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


MODES = {
    "address": "nobody is asked who calls; the polite client and the others have an address each",
    "token": "everybody has a token of its own",
    "no token": "only the polite client has a token",
}


@dataclass
class Served:
    """A server, and who calls it.

    Attributes:
        addresses: Of its IPv4 and of its IPv6 listener.
        token, others: The polite client's, and that of the others.
    """

    process: "subprocess.Popen[str]"
    addresses: list[str]
    token: str = ""
    others: str = ""

    def end(self, violations: Violations) -> None:
        """Asks it to end, as soon as it can."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        began = time.monotonic()
        try:
            self.process.wait(_GRACE + 20)
        except subprocess.TimeoutExpired:
            violations.append(f"the server did not end within {_GRACE + 20:.0f} s")
            self.process.kill()
            self.process.wait()
        print(f"    SIGTERM: ended with {self.process.returncode} after {time.monotonic() - began:.1f} s")

    def holds(self) -> tuple[int, int]:
        """Its memory, in MiB, and its descriptors."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        memory = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(memory.split()[1]) >> 10, len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@contextmanager
def serving(folder: Path, mode: str, arguments: argparse.Namespace, violations: Violations) -> Iterator[Served]:
    """A server; whether it ends in time."""
    command = f'ulimit -n {arguments.descriptors}; exec "$@"'
    options = ["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--grace", str(_GRACE), *arguments.serve]
    tokens = ["", ""]
    if mode != "address":
        path = folder / "tokens.toml"
        path.unlink(missing_ok=True)
        for number, name in enumerate(("polite", "hostile")):
            add = [arguments.command, "token", "add", path, name, "--grant", "*:*"]
            tokens[number] = subprocess.run(add, capture_output=True, text=True, check=True).stdout.split()[-1]
        options += ["--tokens", str(path)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            ["sh", "-c", command, "sh", arguments.command, "serve", folder / "store", *options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        addresses = [process.stdout.readline().rpartition(" ")[2].strip() for _ in range(2)]
        yield Served(process, addresses, tokens[0], tokens[1] if mode == "token" else "")
    finally:
        Served(process, []).end(violations)


@contextmanager
def attacking(served: Served, name: str, arguments: argparse.Namespace) -> Iterator[None]:
    """One of the attacks, while the block runs."""
    if name in REQUESTS:
        with greedy(served.addresses[1], name, arguments.clients, served.others):
            time.sleep(1)
            yield
        return
    with Peers(served.addresses[0], "127.0.0.2", served.others) as peers:
        try:
            {**ATTACKS, **FLOODS}[name](peers, arguments.peers)
        except OSError as error:
            print(f"    the server refused some: {error}")
        time.sleep(1)
        yield


def beside(folder: Path, name: str, mode: str, arguments: argparse.Namespace, violations: Violations) -> None:
    """How long a polite client waits before, during and after an attack, and what the server holds."""
    with serving(folder, mode, arguments, violations) as served, polite(served.addresses[0], served.token) as measure:
        measure(1)  # both are warm then
        before = measure(arguments.seconds)
        with attacking(served, name, arguments):
            during = measure(arguments.seconds)
            memory, descriptors = served.holds()
        after = measure(arguments.seconds)
        with attacking(served, name, arguments):
            served.end(violations)  # beside them
    ratio = during.percentile(0.99) / max(before.percentile(0.99), 1e-4)
    print(f"  {name}, {mode}: {memory} MiB, {descriptors} descriptors, p99 {ratio:.1f} x", flush=True)
    for when, found in (("before", before), ("during", during), ("after", after)):
        print(f"    {when}: {found}", flush=True)
        if found.errors or (found.seconds and max(found.seconds) > arguments.most):
            violations.append(f"{when} {name}, {mode}: {found}")
    if memory > arguments.memory or descriptors >= arguments.descriptors:
        violations.append(f"during {name}, {mode}: {memory} MiB, {descriptors} descriptors")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None, help="of the mutations; a random one by default")
    parser.add_argument("--requests", type=int, default=20_000, help="mutated ones")
    parser.add_argument("--peers", type=int, default=500, help="calls or connections that are held at a time")
    parser.add_argument("--clients", type=int, default=60, help="that ask for much")
    parser.add_argument("--objects", type=int, default=100_000, help="in the unit that listings look through")
    parser.add_argument("--seconds", type=float, default=10, help="beside each")
    parser.add_argument("--most", type=float, default=30, help="seconds that a polite call may take")
    parser.add_argument("--memory", type=int, default=1500, help="MiB that the server may take")
    parser.add_argument("--attack", action="append", choices=[*ATTACKS, *FLOODS, *REQUESTS], help="only this one")
    parser.add_argument(
        "--mode", action="append", choices=list(MODES), help="; ".join(f"{k}: {v}" for k, v in MODES.items())
    )
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
    if arguments.requests:
        with serving(folder, "address", arguments, violations) as served:
            outcome = asyncio.run(fuzz(served.addresses[0], seed, arguments.requests))
            print(f"  {arguments.requests} mutated requests: {dict(outcome.codes.most_common())}", flush=True)
            violations += outcome.violations
    for name in arguments.attack or (*ATTACKS, *FLOODS, *REQUESTS):
        for mode in arguments.mode or MODES:
            beside(folder, name, mode, arguments, violations)
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
