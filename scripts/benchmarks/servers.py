"""The servers: each a process of its own on loopback, with its files in a folder of its own."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_PATIENCE = 60.0  # seconds that a server may take to start, or to end


@dataclass(frozen=True)
class Server:
    address: str
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of processor that it has used, user and system, with its worker processes."""
        used = 0.0
        for process in [self.process, *self.process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, OSError):
                used += process_cpu(process.pid)
        return used


def process_cpu(pid: int) -> float:
    """Seconds of processor that a process has used, user and system."""
    if sys.platform == "linux":
        # What clock_getcpuclockid(3) makes of a process id: to the nanosecond, where cpu_times goes by 10 ms.
        return time.clock_gettime((~pid << 3) | 2)
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


Starter = Callable[[Path], AbstractContextManager[Server]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def import_from(tree: Path | None) -> dict[str, str] | None:
    """The environment of a process that imports Vault from this checkout; None, the own one, for the installed."""
    if tree is None:
        return None
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(tree / part) for part in ("client", "server", "datatypes"))}


@contextmanager
def _running(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process until the block ends. What it says on the standard error is in `folder`/log."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(list(command), stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def _saying_where(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """One whose first line of output ends with its address."""
    with _running(command, folder, environment) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        if not words:
            raise RuntimeError(f"{command[0]} did not start: {(folder / 'log').read_text()[-2000:]}")
        address = words[-1]
        _wait_for(address, process, folder)
        yield Server(address, psutil.Process(process.pid))


def _wait_for(address: str, process: subprocess.Popen[str], folder: Path) -> None:
    host, port = address.removeprefix("grpcs://").split(":")
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {address}: {(folder / 'log').read_text()[-2000:]}")


def vault_server(*options: str, store: Path | None = None, tree: Path | None = None) -> Starter:
    def start(folder: Path) -> AbstractContextManager[Server]:
        command = Path(sys.executable).with_name("vault-grpc")
        # Deleted bytes go at once: a run's gigabytes must not still be on the disk for the next ones.
        settings = ["--listen", "127.0.0.1:0", "--retention", "0", *options]
        return _saying_where([command, "serve", store or folder / "store", *settings], folder, import_from(tree))

    return start


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority's certificate, and a certificate and key for loopback that it has signed; made when first asked for,
    by the command."""
    tls = folder / "tls"
    if not tls.exists():
        command = Path(sys.executable).with_name("vault-grpc")
        subprocess.run([command, "cert", "init", tls], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([command, "cert", "issue", tls, "127.0.0.1"], check=True, stdout=subprocess.DEVNULL)
    return tls / "ca.crt", tls / "127.0.0.1.crt", tls / "127.0.0.1.key"


def module(name: str) -> Starter:
    """A server of scripts/benchmarks/peers; it serves the files beside its folder."""

    def start(folder: Path) -> AbstractContextManager[Server]:
        command: list[str | Path] = [sys.executable, "-m", f"scripts.benchmarks.peers.{name}", folder.parent]
        return _saying_where(command, folder)

    return start


def redis_server(*options: str) -> Starter:
    """In memory, unless the options say otherwise: no snapshots."""

    @contextmanager
    def start(folder: Path) -> Iterator[Server]:
        port = free_port()
        command: list[str | Path] = [
            "redis-server",
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--dir",
            folder,
            "--save",
            "",
            *options,
        ]
        with _running(command, folder) as process:
            _wait_for(f"127.0.0.1:{port}", process, folder)
            yield Server(f"127.0.0.1:{port}", psutil.Process(process.pid))

    return start


@contextmanager
def seaweed(folder: Path) -> Iterator[Server]:
    """`weed server` with its S3 gateway; no keys are set up, so any key pair may do anything.

    What is written under /buckets/ is fsynced before it is answered, as Vault's writes are:
    https://github.com/seaweedfs/seaweedfs/wiki/Path-Specific-Configuration
    """
    weed = Path(sys.executable).with_name("weed")
    ports = {
        name: free_port()
        for part in ("master", "volume", "filer", "s3")
        for name in (f"{part}.port", f"{part}.port.grpc")
    }
    command: list[str | Path] = [
        *(weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=0"),
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    with _running(command, folder) as process:
        address = f"127.0.0.1:{ports['s3.port']}"
        _wait_for(address, process, folder)
        _tell_seaweed(weed, ports, folder)
        yield Server(address, psutil.Process(process.pid))
        process.kill()  # it would take its time to say goodbye to itself, and nobody needs its files any more


def _tell_seaweed(weed: Path, ports: dict[str, int], folder: Path) -> None:
    """Makes the bucket, and its writes durable. Tried again, since its parts find each other in the first seconds."""
    shell: list[str | Path] = [
        *(weed, "shell", f"-master=127.0.0.1:{ports['master.port']}.{ports['master.port.grpc']}"),
        f"-filer=127.0.0.1:{ports['filer.port']}.{ports['filer.port.grpc']}",
    ]
    orders = "fs.configure -locationPrefix=/buckets/ -fsync=true -apply\ns3.bucket.create -name bench\ns3.bucket.list\n"
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        done = subprocess.run(shell, input=orders, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        if "fsync" in done.stdout and "bench" in done.stdout.split("fsync")[-1]:
            return
        time.sleep(0.5)
    raise RuntimeError(f"SeaweedFS has no bucket: {(folder / 'log').read_text()[-2000:]}")


STARTERS: dict[str, Starter] = {
    "vault": vault_server(),
    "flight": module("flight"),
    "identity": module("identity"),
    "redis": redis_server(),
    "redis-durable": redis_server("--appendonly", "yes", "--appendfsync", "always"),
    "seaweed": seaweed,
    "web": module("web"),
    "tcp": module("tcp"),
}

_NEEDS = {
    "flight": ["pyarrow.flight"],
    "redispy": ["redis"],
    "s3": ["boto3", "obstore"],
    "web": ["fastapi", "uvicorn", "httpx"],
    "disk": ["diskcache"],
}
_PROGRAMS = {"redispy": "redis-server", "s3": "weed"}


def missing(peer: str) -> str | None:
    """What a peer's module needs and this environment has not."""
    for name in _NEEDS.get(peer, []):
        try:
            found: Any = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return name
    program = _PROGRAMS.get(peer)
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return program if program and shutil.which(program, path=folders) is None else None
