"""Runs of ours and of peers, in turn: A B, B A, …, each client a process of its own."""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import psutil

from scripts.benchmarks.data import MIB, Source, make_source
from scripts.benchmarks.servers import Command, Server, Start, import_from
from scripts.benchmarks.table import PEERS, PLACES, Contender, Large, Line, Quick, lacking

SAMPLED = 0.02  # seconds between two looks at how much memory is resident


class Client:
    """A client process, see `client.py`."""

    def __init__(self, command: Command, environment: Mapping[str, str] | None) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(list(command), stdin=pipe, stdout=pipe, text=True, env=environment)

    def say(self, step: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{step}\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        if not (answer := self.process.stdout.readline()):
            raise RuntimeError("a client ended; what it says is above")
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        try:
            self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


class Entrant:
    """A contender with its processes, and what they took."""

    def __init__(self, line: Line, name: str, clients: list[Client], server: Server | None, size: int) -> None:
        self.name = name
        self.runs: list[dict[str, Any]] = []
        self._line = line
        self._clients = clients
        self._server = server
        self._size = size if line.unit == "s/GB" else 0
        self._before: dict[str, int] = {}
        self._most: dict[str, int] = {}

    def hear(self) -> list[dict[str, Any]]:
        return [client.hear() for client in self._clients]

    def _all(self, step: str) -> list[dict[str, Any]]:
        for client in self._clients:
            client.say(step)
        return self.hear()

    def run(self, *, measured: bool) -> None:
        self._all("before")
        with self._watching_memory():
            server_cpu = self._server.cpu() if self._server else 0.0
            began = time.perf_counter()
            answers = self._all("run")
            seconds = time.perf_counter() - began
            server_cpu = self._server.cpu() - server_cpu if self._server else 0.0
        more = self._all("after")[0]
        if not measured:
            return
        each = [answer["seconds"] for answer in answers]
        amount = self._size * len(answers) / 1e9 or sum(answer["count"] for answer in answers)
        run = {
            "wall": (each[0] if len(each) == 1 else seconds) / amount,  # its own clock leaves out the pipe to it
            "client": sum(answer["cpu"] for answer in answers) / amount,
            "server": server_cpu / amount,
            "spread": max(each) / min(each),
        }
        self.runs.append({**{key: answers[0][key] for key in ("p50", "p99") if key in answers[0]}, **more, **run})

    def figures(self) -> dict[str, Any]:
        """Of a GB, or of an operation: the median of the runs' seconds, and of what else there is. Processor time is
        that of all runs together: short ones are counted in coarse steps. MiB by which each side's memory grew."""
        found: dict[str, Any] = {"name": self.name, "runs": [run["wall"] for run in self.runs]}
        for key in self.runs[0]:
            average = statistics.mean if key in ("client", "server") else statistics.median
            found[key] = average(run[key] for run in self.runs)
        found["cpu"] = found["client"] + found["server"]
        if "p50" in found:
            found["tail"] = found["p99"] / found["p50"] if found["p50"] else 0.0
        return found | {f"{side}_memory": (self._most[side] - self._before[side]) / MIB for side in self._before}

    @contextmanager
    def _watching_memory(self) -> Iterator[None]:
        """Where the line is about memory: what is resident before the first run, and at most since."""
        if not self._line.memory:
            yield
            return
        sides = {"client": psutil.Process(self._clients[0].process.pid)}
        if self._server:
            sides["server"] = self._server.process
        self._before = self._before or {side: process.memory_info().rss for side, process in sides.items()}
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(SAMPLED):
                for side, process in sides.items():
                    self._most[side] = max(self._most.get(side, 0), process.memory_info().rss)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class Bench:
    """The files, the servers (started when first asked for, and shared) and the settings of one run of it all.

    Attributes:
        against: A checkout of another commit: Vault of this one and of that run in turn, and no peers.
    """

    def __init__(self, folder: Path, *, quick: bool, runs: int | None = None, against: Path | None = None) -> None:
        self.folder = folder
        self.quick = quick
        self.runs = runs or (2 if quick else 5)
        self.against = against
        self.left_out: set[str] = set()
        self._servers: dict[tuple[str, Path | None], Server] = {}
        self._sources: dict[int, Source] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def measure(self, line: Line) -> list[Entrant]:
        """Lets them run in turn, each once unmeasured and then so many times."""
        with ExitStack() as stack:
            entrants = [stack.enter_context(self._enter(line, one)) for one in self._contenders(line)]
            for entrant in entrants:
                entrant.hear()
            for number in [1] if line.once else range(self.runs + 1):
                for entrant in entrants if number % 2 else reversed(entrants):
                    if line.settle:
                        os.sync()
                    entrant.run(measured=bool(number))
            return entrants

    def _contenders(self, line: Line) -> Iterator[Contender]:
        """Those whose libraries and programs are here; or Vault of both trees, each with places of its own."""
        for one in line.contenders:
            needs = PEERS[one.peer].needs + (PLACES[one.where].needs if one.where in PLACES else ())
            if self.against and not one.ours:
                continue
            if lack := lacking(needs):
                self.left_out.add(f"{line.name}, {one.named}: {lack} is not to be had here")
                continue
            yield one
            if self.against:
                yield replace(one, name=f"{one.named}, before", tree=self.against)

    @contextmanager
    def _enter(self, line: Line, one: Contender) -> Iterator[Entrant]:
        folder = self.folder / (one.where if one.tree is None else f"{one.where}-before")
        server = self._server(one, folder) if one.where in PLACES else None
        arguments = {name: self._resolved(value) for name, value in {**line.arguments, **one.arguments}.items()}
        if "store" in arguments:  # the server's own
            arguments["store"] = str(folder / "store")
        asked = {
            "place": server.address if server else str(folder),
            "settings": {**PEERS[one.peer].settings, **(server.settings if server else {})},
            "arguments": arguments,
        }
        command = ["scripts.benchmarks.client", PEERS[one.peer].client, one.operation or line.operation]
        with ExitStack() as stack:
            clients = []
            for number in range(one.clients):
                text = json.dumps(asked).replace("{client}", str(number))
                prefix = server.prefix if server else ()
                clients.append(Client([*prefix, sys.executable, "-m", *command, text], import_from(one.tree)))
                stack.callback(clients[-1].close)
            source = arguments.get("source")
            yield Entrant(line, one.named, clients, server, source.size if source else 0)

    def _server(self, one: Contender, folder: Path) -> Server:
        key = one.where, one.tree
        if key not in self._servers:
            folder.mkdir()
            start = PLACES[one.where].start(Start(folder, self.quick, one.tree))
            self._servers[key] = self._stack.enter_context(start)
        return self._servers[key]

    def _resolved(self, value: Any) -> Any:
        """An argument of the table: what depends on how large the run is, and on where its files are."""
        match value:
            case Quick():
                return value.quick if self.quick else value.whole
            case Large():
                size = self._resolved(value.size)
                if size not in self._sources:
                    self._sources[size] = make_source(self.folder / f"large-{size}", size)
                return self._sources[size]
            case str():
                return value.replace("{folder}", str(self.folder))
            case _:
                return value
