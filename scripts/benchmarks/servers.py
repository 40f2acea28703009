"""The servers: each a process of its own, with its files in a folder of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import psutil

from scripts.benchmarks import link

_PATIENCE = 60.0  # seconds that a server may take to start, or to end
Command = Sequence[str | Path]


@dataclass(frozen=True)
class Server:
    """`settings`: what a client has to be told beside the address. `prefix`: the command that a client runs under."""

    address: str
    process: psutil.Process
    settings: Mapping[str, object] = field(default_factory=dict)
    prefix: Command = ()

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


class Start(NamedTuple):
    """What a starter is given: a folder for its files, whether it is a quick run, whose Vault (None: the installed)."""

    folder: Path
    quick: bool
    tree: Path | None = None


Starter = Callable[[Start], AbstractContextManager[Server]]


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


def program(name: str) -> Path:
    return Path(sys.executable).with_name(name)


@contextmanager
def running(
    command: Command, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process until the block ends. What it says on the standard error is in `folder`/log."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("a") as log:
        pipe = subprocess.PIPE
        process = subprocess.Popen(list(command), stdin=pipe, stdout=pipe, stderr=log, text=True, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def said(process: subprocess.Popen[str], folder: Path) -> list[str]:
    """The words of its first line of output: the address is the last."""
    assert process.stdout is not None
    words = process.stdout.readline().split()
    if not words:
        raise RuntimeError(f"{process.args!r} did not start: {(folder / 'log').read_text()[-2000:]}")
    return words


@contextmanager
def saying_where(command: Command, folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    with running(command, folder, environment) as process:
        yield Server(said(process, folder)[-1], psutil.Process(process.pid))


def vault_server(*options: str | Path, prefix: Command = (), listen: str = "127.0.0.1") -> Starter:
    def start(how: Start) -> AbstractContextManager[Server]:
        # Deleted bytes go at once: a run's gigabytes must not still be on the disk for the next ones.
        settings = ["--listen", f"{listen}:0", "--retention", "0", *options]
        command = [*prefix, program("vault-grpc"), "serve", how.folder / "store", *settings]
        return saying_where(command, how.folder, import_from(how.tree))

    return start


@contextmanager
def vault_over_tls(how: Start) -> Iterator[Server]:
    """With a certificate for loopback, signed by an authority of its own, by the command."""
    tls = how.folder / "tls"
    for order in ("init", "issue"):
        host = ["127.0.0.1"] if order == "issue" else []
        subprocess.run([program("vault-grpc"), "cert", order, tls, *host], check=True, stdout=subprocess.DEVNULL)
    start = vault_server("--tls-cert", tls / "127.0.0.1.crt", "--tls-key", tls / "127.0.0.1.key")
    with start(how) as server:
        yield replace(server, settings={"ca": str(tls / "ca.crt")})


def vault_behind(milliseconds: float) -> Starter:
    """Through a proxy that makes a round trip take so long."""

    @contextmanager
    def start(how: Start) -> Iterator[Server]:
        with vault_server()(how) as server:
            command: Command = [
                *(sys.executable, "-m", "scripts.benchmarks.link", "proxy", str(milliseconds / 2000), server.address)
            ]
            with saying_where(command, how.folder) as proxy:
                yield replace(server, address=proxy.address)

    return start


def tunnelled(name: str, milliseconds: float) -> Starter:
    """Vault, or plain TCP, in a network namespace of its own, with its clients in another, so far away."""

    @contextmanager
    def start(how: Start) -> Iterator[Server]:
        command: Command = [
            *("unshare", "--net", sys.executable, "-m", "scripts.benchmarks.link", "tunnel", str(milliseconds / 2000))
        ]
        with running(command, how.folder) as tunnel:
            near, far = (["nsenter", "--target", pid, "--net", "--"] for pid in said(tunnel, how.folder))
            if name == "tcp":
                peer = [*near, sys.executable, "-m", "scripts.benchmarks.peers.tcp", how.folder.parent, link.NEAR]
                starting = saying_where(peer, how.folder)
            else:
                open_to_all = ("--insecure-plaintext", "--insecure-anonymous")
                starting = vault_server(*open_to_all, prefix=near, listen=link.NEAR)(how)
            with starting as server:
                yield replace(server, prefix=far)
            assert tunnel.stdin is not None
            tunnel.stdin.close()
            tunnel.stdin = None
            tunnel.wait(_PATIENCE)

    return start


def filled(objects: int, quickly: int) -> Starter:
    """Vault on a store of so many objects: ids from 1 on, each with a name, and a tag that ten of them share."""

    @contextmanager
    def start(how: Start) -> Iterator[Server]:
        fill = [
            sys.executable,
            "-m",
            "scripts.benchmarks.own",
            how.folder / "store",
            str(quickly if how.quick else objects),
        ]
        subprocess.run(fill, check=True)
        with vault_server()(how) as server:
            yield server

    return start


def module(name: str) -> Starter:
    """A server of scripts/benchmarks/peers; it serves the files beside its folder."""
    return lambda how: saying_where(
        [sys.executable, "-m", f"scripts.benchmarks.peers.{name}", how.folder.parent], how.folder
    )


def _wait_for(address: str, process: subprocess.Popen[str], folder: Path) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {address}: {(folder / 'log').read_text()[-2000:]}")


def redis_server(*options: str) -> Starter:
    """In memory, unless the options say otherwise: no snapshots."""

    @contextmanager
    def start(how: Start) -> Iterator[Server]:
        port = str(free_port())
        command: Command = [
            *("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", how.folder, "--save", "", *options)
        ]
        with running(command, how.folder) as process:
            _wait_for(f"127.0.0.1:{port}", process, how.folder)
            yield Server(f"127.0.0.1:{port}", psutil.Process(process.pid))

    return start


@contextmanager
def seaweed(how: Start) -> Iterator[Server]:
    """`weed server` with its S3 gateway; no keys are set up, so any key pair may do anything.

    What is written under /buckets/ is fsynced before it is answered, as Vault's writes are:
    https://github.com/seaweedfs/seaweedfs/wiki/Path-Specific-Configuration
    """
    weed, folder = program("weed"), how.folder
    parts = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = {part: free_port() for part in parts}
    command: Command = [
        *(weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=0"),
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    with running(command, folder) as process:
        address = f"127.0.0.1:{ports['s3.port']}"
        _wait_for(address, process, folder)
        _tell_seaweed(weed, ports, folder)
        yield Server(address, psutil.Process(process.pid))
        process.kill()  # it would take its time to say goodbye to itself, and nobody needs its files any more


def _tell_seaweed(weed: Path, ports: dict[str, int], folder: Path) -> None:
    """Makes the bucket, and its writes durable. Tried again, since its parts find each other in the first seconds."""
    shell: Command = [
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
