"""Who takes part: the peers, how their servers are started, and what a line says of them."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from scripts.benchmarks import servers

VAULT, MODULE = servers.vault_server, servers.module
TUNNEL: Final = ("unshare", "nsenter", "ip", "/dev/net/tun")


class Place(NamedTuple):
    """A server: how it is started, and the programs that takes."""

    start: servers.Starter
    needs: tuple[str, ...] = ()


PLACES: Final = {
    "vault": Place(VAULT()),
    "memory-up": Place(VAULT()),
    "memory-down": Place(VAULT()),
    "tls": Place(servers.vault_over_tls),
    "1-worker": Place(VAULT("--workers", "1")),
    "2-workers": Place(VAULT("--workers", "2")),
    "watched": Place(VAULT("--durability", "relaxed")),
    "few": Place(servers.filled(1000, 1000)),
    "many": Place(servers.filled(1_000_000, 20_000)),
    "far-20": Place(servers.vault_behind(20)),
    "far-50": Place(servers.vault_behind(50)),
    "tunnel": Place(servers.tunnelled("vault", 20), TUNNEL),
    "tunnel-tcp": Place(servers.tunnelled("tcp", 20), TUNNEL),
    "flight": Place(MODULE("flight")),
    "raw": Place(MODULE("raw")),
    "redis": Place(servers.redis_server(), ("redis-server",)),
    "redis-durable": Place(servers.redis_server("--appendonly", "yes", "--appendfsync", "always"), ("redis-server",)),
    "seaweed": Place(servers.seaweed, ("weed",)),
    "web": Place(MODULE("web")),
    "tcp": Place(MODULE("tcp")),
}
"""The servers, by name."""


class Peer(NamedTuple):
    """Somebody.

    Attributes:
        title: As the tables show it.
        client: MODULE.CLASS in scripts/benchmarks/peers, whose methods are the operations it has.
        place: Where: a name in PLACES, or a folder's.
        needs: The modules it takes.
        settings: For the class.
    """

    title: str
    client: str
    place: str
    needs: tuple[str, ...] = ()
    settings: Mapping[str, Any] = {}


S3: Final = ("boto3", "obstore")
FLIGHT: Final = ("pyarrow.flight",)
CACHED: Final = {"cache": True}

PEERS: Final = {
    "vault": Peer("Vault", "vault.Vault", "vault"),
    "vault-cached": Peer("Vault, remote", "vault.Vault", "vault", (), CACHED),
    "vault-tuned": Peer("Vault, tune_allocator()", "vault.Vault", "vault", (), {"tuned": True}),
    "vault-4": Peer("Vault, 4 connections", "vault.Vault", "tunnel", (), {"connections": 4}),
    "vault-async": Peer("Vault, async", "vault.AsyncVault", "vault"),
    "embedded": Peer("Vault", "vault.Vault", "embedded"),
    "embedded-cached": Peer("Vault, embedded", "vault.Vault", "embedded", (), CACHED),
    "nobody": Peer("Python", "-", "-"),
    "flight": Peer("Arrow Flight", "flight.Flight", "flight", FLIGHT),
    "flight-durable": Peer("Arrow Flight, durable", "flight.Flight", "flight", FLIGHT, {"keeps": True}),
    "raw": Peer("raw grpcio", "raw.Raw", "raw"),
    "raw-async": Peer("raw grpc.aio", "raw.AsyncRaw", "raw"),
    "redis": Peer("Redis", "redispy.Redis", "redis", ("redis",)),
    "redis-durable": Peer("Redis, always", "redispy.Redis", "redis-durable", ("redis",)),
    "boto3": Peer("boto3, SeaweedFS", "s3.Boto3", "seaweed", S3),
    "obstore": Peer("obstore, SeaweedFS", "s3.Obstore", "seaweed", S3),
    "web": Peer("FastAPI + httpx", "web.Web", "web", ("fastapi", "uvicorn", "httpx")),
    "tcp": Peer("loopback TCP", "tcp.Tcp", "tcp"),
    "tcp-4": Peer("TCP, 4 connections", "tcp.Tcp", "tunnel-tcp", (), {"connections": 4}),
    "diskcache": Peer("diskcache, NORMAL", "disk.Diskcache", "diskcache", ("diskcache",), {"durable": False}),
    "diskcache-full": Peer("diskcache, FULL", "disk.Diskcache", "diskcache", ("diskcache",)),
    "fsynced": Peer("one fsynced file", "disk.Fsynced", "fsynced"),
    "copy": Peer("copy + fsync", "disk.Fsynced", "fsynced"),
}


def lacking(needs: tuple[str, ...]) -> str | None:
    """What is not here, of modules, programs, and devices that one must be allowed to use."""
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    for need in needs:
        if need.startswith("/"):
            if not (os.access(need, os.W_OK) and os.geteuid() == 0):
                return f"{need}, and root,"
        elif shutil.which(need, path=folders) is None:
            try:
                if importlib.util.find_spec(need) is None:
                    return need
            except ModuleNotFoundError:
                return need
    return None


class Quick(NamedTuple):
    """An amount, and a smaller one for a quick run."""

    whole: int
    quick: int


class Large(NamedTuple):
    """A file of so many bytes, see `data.make_source`."""

    size: int | Quick


@dataclass(frozen=True)
class Contender:
    """A peer that takes part in a line. What it does not say is as the line, or the peer, has it.

    Attributes:
        clients: Processes that do it at once; in their arguments `{client}` becomes the number of each.
        tree: The checkout whose Vault it runs; None: the installed one.
    """

    peer: str
    name: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    operation: str = ""
    place: str = ""
    clients: int = 1
    tree: Path | None = None

    @property
    def named(self) -> str:
        return self.name or PEERS[self.peer].title

    @property
    def where(self) -> str:
        return self.place or PEERS[self.peer].place

    @property
    def ours(self) -> bool:
        return PEERS[self.peer].client.startswith("vault.")


@dataclass(frozen=True)
class Target:
    """A figure of a contender, alone or beside another's, and what it should be.

    Attributes:
        beside: Whose figure it is compared with: `least` times as fast, `most` times as much; neither: it is shown.
        note: What the other leaves out, or what has to be known.
        less: Whose figure is taken off first.
        figure: One of `harness.Entrant.figures`, or "rate", MB/s.
    """

    beside: str = ""
    least: float | None = None
    note: str = ""
    most: float | None = None
    of: str = "Vault"
    figure: str = "wall"
    less: str = ""


Unit = Literal["µs", "ms", "s", "s/GB"]


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        title: What is measured, after the name.
        operation: See `client.py`.
        arguments: Of it.
        unit: Of what is shown; s/GB: bytes are counted, else operations.
        settle: What was written before goes to the disk before each run, so that nobody waits for another's.
        memory: How much memory each side's processes take is looked at.
        once: It is run once, in fresh processes.
        paired: A change must not make it slower: it is what `--against` compares.
    """

    name: str
    title: str
    operation: str
    arguments: Mapping[str, Any]
    contenders: tuple[Contender, ...]
    targets: tuple[Target, ...] = ()
    unit: Unit = "µs"
    settle: bool = False
    memory: bool = False
    once: bool = False
    paired: bool = False
