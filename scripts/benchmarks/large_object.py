"""One large object in and out over gRPC, and what it costs in memory.

    python -m scripts.benchmarks.large_object                 4 GiB
    python -m scripts.benchmarks.large_object --size 512MiB

Starts `vault-grpc serve` on loopback in a temporary directory. One client process uploads a file of
pseudo-random bytes with `upload_file`, another downloads it with `download_file`; the two files are
compared byte by byte. Prints, for the server and for each client, the resident memory before the
transfer, the most during it (sampled every 20 ms) and the growth, with rates and CPU seconds.
Fails when the bytes differ, exits 1 when a side grew by more than --most MiB.

Needs an environment with Vault in it, such as the one that scripts/test makes, and the checkout as the working
folder. It is the line `memory` of scripts/bench too.
"""

import argparse
import filecmp
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from scripts.benchmarks.data import MIB, make_file
from scripts.benchmarks.servers import vault_server

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

CLIENT = """
import json, sys, time
import psutil
from vault import BytesWrapper, RemoteVault
address, what, path = sys.argv[1:]
with RemoteVault(address, {"files": (BytesWrapper, 0)}) as vault:
    vault.units()  # connected: what follows is the transfer's own
    process = psutil.Process()
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.monotonic(), sum(process.cpu_times()[:2])
    if what == "upload":
        vault.upload_file("files", path, name="large")
    else:
        vault.download_file("files", "large", path)
    print(json.dumps({"seconds": time.monotonic() - began, "cpu": sum(process.cpu_times()[:2]) - cpu}), flush=True)
    sys.stdin.readline()
"""


class Sampler(threading.Thread):
    """The most resident memory of some processes while it runs."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        super().__init__(daemon=True)
        self._processes = processes
        self.before = {name: process.memory_info().rss for name, process in processes.items()}
        self.most = dict(self.before)
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.02):
            for name, process in self._processes.items():
                self.most[name] = max(self.most[name], process.memory_info().rss)

    def end(self) -> None:
        self._ended.set()
        self.join()


def parse_size(text: str) -> int:
    for unit, factor in UNITS.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    return int(text)


@dataclass(frozen=True)
class Transfer:
    """What one transfer took. Memory and processor by side, "client" and "server"."""

    what: str
    size: int
    seconds: float
    before: dict[str, int]
    most: dict[str, int]
    cpu: dict[str, float]

    @property
    def growth(self) -> dict[str, int]:
        return {side: self.most[side] - self.before[side] for side in self.before}

    def text(self) -> str:
        rate = self.size / MIB / self.seconds
        sides = "; ".join(
            f"{side}: {self.before[side] / MIB:.1f} MiB before, {self.most[side] / MIB:.1f} at most, "
            f"growth {growth / MIB:.1f}, CPU {self.cpu[side]:.1f} s"
            for side, growth in self.growth.items()
        )
        return f"{self.what}: {self.size / MIB:.0f} MiB in {self.seconds:.1f} s, {rate:.0f} MiB/s; {sides}"


def transfer(server: psutil.Process, address: str, what: str, path: Path, size: int) -> Transfer:
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, address, what, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    if client.stdout.readline().strip() != "ready":
        raise RuntimeError(f"the client that should {what} did not start")
    server_cpu = sum(server.cpu_times()[:2])
    sampler = Sampler({"client": psutil.Process(client.pid), "server": server})
    sampler.start()
    client.stdin.write("\n")
    client.stdin.flush()
    answer = client.stdout.readline()
    sampler.end()
    server_cpu = sum(server.cpu_times()[:2]) - server_cpu
    client.stdin.close()
    client.wait(timeout=60)
    client.stdout.close()
    if not answer:
        raise RuntimeError(f"the client that should {what} failed")
    done = json.loads(answer)
    cpu = {"client": done["cpu"], "server": server_cpu}
    return Transfer(what, size, done["seconds"], sampler.before, sampler.most, cpu)


def measure(folder: Path, size: int) -> list[Transfer]:
    """An upload and a download of so many bytes, with a server of their own. The bytes are compared."""
    make_file(folder / "in", size)
    with vault_server()(folder / "server") as server:
        time.sleep(1)  # the server's first second is not the transfer's
        done = [
            transfer(server.process, server.address, "upload", folder / "in", size),
            transfer(server.process, server.address, "download", folder / "out", size),
        ]
    if not filecmp.cmp(folder / "in", folder / "out", shallow=False):
        raise RuntimeError("what was downloaded is not what was uploaded")
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=parse_size, default=parse_size("4GiB"), help="such as 512MiB or 4GiB")
    parser.add_argument("--most", type=int, default=64, help="MiB by which a side may grow")
    parser.add_argument("--directory", help="where the files go; a temporary directory by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vault-bench-", dir=arguments.directory) as folder:
        done = measure(Path(folder), arguments.size)
    for one in done:
        print(one.text())
    within = all(growth <= arguments.most * MIB for one in done for growth in one.growth.values())
    print("bytes equal;", f"growth {'within' if within else 'OVER'} {arguments.most} MiB")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
