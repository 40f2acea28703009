"""Runs of ours and of peers, in turn: A B, B A, …, each client a process of its own."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from scripts.benchmarks.data import MIB, file_digest, make_file
from scripts.benchmarks.servers import STARTERS, Server, Starter, import_from, missing, vault_server


@dataclass(frozen=True)
class Run:
    """What one run took. `client_cpu` and `server_cpu`: seconds, user and system, all processes of that side."""

    seconds: float
    client_cpu: float
    server_cpu: float
    count: int
    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class Series:
    """The runs of one contender."""

    name: str
    runs: list[Run]
    amount: float
    """GB in one run, or operations."""

    @property
    def seconds(self) -> float:
        """Of a GB or an operation: the median of the runs."""
        return statistics.median(run.seconds for run in self.runs) / self.amount

    def cpu(self, side: Literal["client", "server"]) -> float:
        """Seconds of processor for a GB or an operation, over all runs: short ones are counted in coarse steps."""
        used = [run.client_cpu if side == "client" else run.server_cpu for run in self.runs]
        return sum(used) / len(used) / self.amount

    def percentile(self, which: Literal["p50", "p99"]) -> float | None:
        """Seconds of one operation, where each was timed: the median of the runs."""
        found = [run.p50 if which == "p50" else run.p99 for run in self.runs]
        timed = [seconds for seconds in found if seconds is not None]
        return statistics.median(timed) if timed else None

    @property
    def spread(self) -> tuple[float, float]:
        each = [run.seconds / self.amount for run in self.runs]
        return min(each), max(each)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Somebody who does the work.

    Attributes:
        name: As the tables show it.
        side: MODULE.FUNCTION in scripts/benchmarks/peers.
        place: The server, a name of `servers.STARTERS` or of `Bench.start`; or a directory.
        arguments: For the side; `{client}` in a text becomes the client's number.
        clients: Processes that do it at once.
        size: Bytes that each client moves in one run; None: operations are counted.
        tree: The checkout whose Vault it runs; None: the installed one.
    """

    name: str
    side: str
    place: str | Path
    arguments: Mapping[str, Any] = field(default_factory=dict)
    clients: int = 1
    size: int | None = None
    tree: Path | None = None

    @property
    def peer(self) -> str:
        return self.side.split(".")[0]


class Client:
    """A client process, see `client.py`."""

    def __init__(self, side: str, arguments: Mapping[str, Any], tree: Path | None = None) -> None:
        command = [sys.executable, "-m", "scripts.benchmarks.client", side, json.dumps(arguments)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=import_from(tree)
        )
        self._side = side

    def say(self, step: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{step}\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the client {self._side} ended; what it says is above")
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


class Bench:
    """The files, the servers (started when first asked for, and shared) and the settings of one run of it all.

    Attributes:
        against: A checkout of another commit: Vault of this one and of that run in turn, and no peers.
        servers: Those that run, by name.
    """

    def __init__(self, folder: Path, *, quick: bool, runs: int | None = None, against: Path | None = None) -> None:
        self.folder = folder
        self.quick = quick
        self.runs = runs or (3 if quick else 5)
        self.against = against
        self.large = 64 * MIB if quick else 1024 * MIB
        self.left_out: set[str] = set()
        self.servers: dict[str, Server] = {}
        self._stack = ExitStack()
        self._files: dict[int, tuple[Path, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def scaled(self, count: int) -> int:
        """A number of operations, fewer in a quick run."""
        return max(1, count // 5) if self.quick else count

    def source(self, size: int) -> tuple[Path, int]:
        """A file of so many bytes, and its XXH3-64."""
        if size not in self._files:
            path = self.folder / f"large-{size}"
            make_file(path, size)
            self._files[size] = path, file_digest(path)
        return self._files[size]

    def start(self, name: str, starter: Starter) -> Server:
        """A server of one's own, under a name that contenders can give as their place; it runs to the end."""
        self.servers[name] = self._stack.enter_context(starter(self.folder / name))
        return self.servers[name]

    def server(self, name: str) -> Server:
        return self.servers.get(name) or self.start(name, STARTERS[name])

    def available(self, contenders: Iterable[Contender]) -> list[Contender]:
        """Those whose libraries and programs are here."""
        found = []
        for contender in contenders:
            if lacking := missing(contender.peer):
                self.left_out.add(f"{contender.name}: {lacking} is not installed")
            else:
                found.append(contender)
        return found

    def compare(self, contenders: Sequence[Contender], *, settle: bool = False) -> list[Series]:
        """Lets them run in turn, each once unmeasured and then `runs` times.

        Args:
            settle: What was written before goes to the disk before each run, so that nobody waits for another's.
        """
        if self.against:
            contenders = self._from_both_trees(contenders, self.against)
        runs: dict[str, list[Run]] = {}
        with ExitStack() as stack:
            entered = [stack.enter_context(self._enter(contender)) for contender in self.available(contenders)]
            for number in range(self.runs + 1):
                for entrant in entered if number % 2 else reversed(entered):
                    if settle:
                        os.sync()
                    run = entrant.run()
                    if number:  # the first warms up
                        runs.setdefault(entrant.contender.name, []).append(run)
        return [Series(entrant.contender.name, runs[entrant.contender.name], entrant.amount) for entrant in entered]

    def _from_both_trees(self, contenders: Sequence[Contender], tree: Path) -> list[Contender]:
        """Vault of this tree and of the other one, each with a server, or a directory, of its own."""
        pairs = []
        for ours in [contender for contender in contenders if contender.peer == "ours"]:
            place = ours.place.with_name(f"{ours.place.name}-before") if isinstance(ours.place, Path) else "before"
            if place == "before" and place not in self.servers:
                self.start(place, vault_server(tree=tree))
            pairs += [ours, replace(ours, name=f"{ours.name}, before", place=place, tree=tree)]
        return pairs

    @contextmanager
    def _enter(self, contender: Contender) -> Iterator["_Entrant"]:
        server = None if isinstance(contender.place, Path) else self.server(contender.place)
        place = str(contender.place) if server is None else server.address
        with ExitStack() as stack:
            clients = []
            for number in range(contender.clients):
                client = Client(contender.side, _arguments(contender, place, number), contender.tree)
                stack.callback(client.close)
                clients.append(client)
            for client in clients:
                client.hear()
            yield _Entrant(contender, clients, server)


class _Entrant:
    def __init__(self, contender: Contender, clients: list[Client], server: Server | None) -> None:
        self.contender = contender
        self.amount = 0.0
        self._clients = clients
        self._server = server

    def run(self) -> Run:
        self._all("before")
        server_cpu = self._server_cpu()
        began = time.perf_counter()
        answers = self._all("run")
        seconds = time.perf_counter() - began
        server_cpu = self._server_cpu() - server_cpu
        self._all("after")
        count = sum(answer["count"] for answer in answers)
        size = self.contender.size
        self.amount = count if size is None else size * len(answers) / 1e9
        return Run(
            # One client's own clock leaves out the pipe to it.
            answers[0]["seconds"] if len(answers) == 1 else seconds,
            sum(answer["cpu"] for answer in answers),
            server_cpu,
            count,
            answers[0].get("p50"),
            answers[0].get("p99"),
        )

    def _all(self, step: str) -> list[dict[str, Any]]:
        for client in self._clients:
            client.say(step)
        return [client.hear() for client in self._clients]

    def _server_cpu(self) -> float:
        return 0.0 if self._server is None else self._server.cpu()


def _arguments(contender: Contender, place: str, number: int) -> dict[str, Any]:
    filled = {
        key: value.replace("{client}", str(number)) if isinstance(value, str) else value
        for key, value in contender.arguments.items()
    }
    first = "directory" if isinstance(contender.place, Path) else "address"
    return {first: place, **filled}
