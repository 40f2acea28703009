"""A soak: a server, many clients and watchers in a few processes, a short round to settle in, and the long one."""

import json
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from vault import BytesWrapper, RemoteVault, TextWrapper
from vault.store.limits import BLOCK_SIZE
from vault_server import EmbeddedStore

from torture.crash.audit import staged_files
from torture.soak.census import Census
from torture.soak.client import structure
from torture.soak.worker import COUNTER, MARKER

_PATIENCE: Final = 60.0  # seconds for what the server gives up after its clients
_SAMPLE: Final = 1.0  # seconds between two looks at the memory


@dataclass(frozen=True, slots=True)
class Load:
    """How much, for how long.

    Attributes:
        clients, watchers: All of them at the same time, each with a vault and a connection of its own.
        seconds: Of the long round; before it, a tenth of it settles everything in.
        processes: That they are spread over; the last one has threads, the others tasks.
        units: That they are spread over too.
        pause: Mean seconds between two calls of a client.
    """

    clients: int
    watchers: int
    seconds: float
    seed: int
    processes: int = 4
    units: int = 20
    pause: float = 1.0


@dataclass(slots=True)
class Soaked:
    """What came of it: `problems`, none where all is well; and figures."""

    problems: list[str] = field(default_factory=list)
    operations: int = 0
    changes: int = 0
    delivered: int = 0
    curve: list[float] = field(default_factory=list)  # the server's memory in MiB, second by second
    before: dict[str, Census] = field(default_factory=dict)
    after: dict[str, Census] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.operations} operations, {self.changes} changes, {self.delivered} deliveries to watchers"]
        lines += [
            f"{name}: {before.memory:.0f} MiB before, {self.after[name].memory:.0f} after; "
            f"descriptors {sum(before.descriptors.values())}, {sum(self.after[name].descriptors.values())}; "
            f"threads {sum(before.threads.values())}, {sum(self.after[name].threads.values())}; "
            f"tasks {sum(before.tasks.values())}, {sum(self.after[name].tasks.values())}"
            for name, before in self.before.items()
        ]
        step = max(1, len(self.curve) // 20)
        curve = " ".join(f"{memory:.0f}" for memory in self.curve[::step])
        lines.append(f"the server's memory in MiB, every {step * _SAMPLE:g} s: {curve}")
        return "\n".join(lines)


class _Process:
    """A program that answers lines with lines."""

    def __init__(self, module: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"{self.process.args!r} ended with {self.process.wait()}"
        return line.strip()

    def memory(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / (1 << 20)

    def end(self) -> None:
        self.process.communicate(timeout=_PATIENCE)
        assert self.process.returncode == 0


class _Soak:
    """One soak in progress."""

    def __init__(self, folder: Path, load: Load, stack: ExitStack) -> None:
        self.result = Soaked()
        self._load = load
        self._stack = stack
        self._units = [f"u{number}" for number in range(load.units)]
        self._directory = folder / "store"
        self._server = self._begin("torture.soak.server", self._directory)
        address = self._server.hear()
        self._crowds = [self._begin("torture.soak.client", address, *options) for options in _shares(load)]
        everything = {name: unit for each in self._units for name, unit in structure(each).items()}
        self._vault = stack.enter_context(RemoteVault(address, everything))
        self._windows: list[tuple[list[dict[str, Any]], int, dict[str, int]]] = []

    def run(self) -> None:
        for unit in self._units:
            self._vault.upload(f"{unit}.count", TextWrapper("0"), data_id=COUNTER)
        # What a store begins with its first large write, and keeps, is there at the first census: not left to chance.
        self._vault.delete(self._units[0], self._vault.upload(self._units[0], BytesWrapper(bytes(2 * BLOCK_SIZE))))
        told = self._round(max(2.0, self._load.seconds / 10))
        time.sleep(1)
        self.result.before = self._censuses(told)
        told = self._round(self._load.seconds)
        self.result.after = self._censuses(told)
        self._settle()
        for name, census in self.result.after.items():
            self.result.problems += [f"{name} leaks: {leak}" for leak in census.leaks(self.result.before[name])]
        left = staged_files(self._directory)
        self.result.problems += [f"staged: {path}" for path in left]
        self._vault.close()
        for process in [*self._crowds, self._server]:
            process.end()
        self._compare_with_feed()

    def _begin(self, module: str, *arguments: object) -> _Process:
        process = _Process(module, *arguments)
        self._stack.callback(process.process.communicate)
        self._stack.callback(process.process.kill)
        return process

    def _round(self, seconds: float) -> list[dict[str, Any]]:
        """Everybody opens, works and closes; what each process tells of it."""
        before = {unit: self._count(unit) for unit in self._units}
        begun = self._vault.upload(self._units[0], BytesWrapper(b"begin"))
        info = self._vault.stat(self._units[0], begun)
        assert info is not None
        for crowd in self._crowds:
            crowd.tell(json.dumps({"seconds": seconds, "since": info.revision}))
        sampler = Sampler(self._server, self.result.curve)
        sampler.start()
        for crowd in self._crowds:
            assert crowd.hear() == "worked"
        sampler.end()
        markers = {}
        for unit in self._units:
            data_id = self._vault.upload(unit, BytesWrapper(b""), name=MARKER)
            marker = self._vault.stat(unit, data_id)
            assert marker is not None
            markers[unit] = marker.revision
        told = [json.loads(crowd.hear()) for crowd in self._crowds]
        self._windows.append((told, info.revision, markers))
        for unit in self._units:
            self._vault.delete(unit, MARKER)
            added = sum(each["counted"].get(unit, 0) for each in told)
            if self._count(unit) != before[unit] + added:
                self.result.problems.append(f"{unit}: {added} added to {before[unit]} make {self._count(unit)}")
        for each in told:
            self.result.problems += each["errors"]
            self.result.operations += each["operations"]
        return told

    def _count(self, unit: str) -> int:
        ticket = self._vault.load(f"{unit}.count", COUNTER)
        assert ticket is not None
        with ticket:
            return int(ticket.get_data().data)

    def _censuses(self, told: list[dict[str, Any]]) -> dict[str, Census]:
        clients = {f"client {number}": Census(**each["census"]) for number, each in enumerate(told)}
        return clients | {"server": self._ask_server()}

    def _ask_server(self) -> Census:
        self._server.tell("")
        return Census(**json.loads(self._server.hear()))

    def _settle(self) -> None:
        """Waits until the server has given up what was its clients', or long enough."""
        deadline = time.monotonic() + _PATIENCE
        before = self.result.before["server"]
        while self.result.after["server"].leaks(before) and time.monotonic() < deadline:
            time.sleep(1)
            self.result.after["server"] = self._ask_server()

    def _compare_with_feed(self) -> None:
        """Every watcher was told of every change of its unit, once."""
        with EmbeddedStore(self._directory) as store:
            report = store.check(deep=True)
            self.result.problems += [problem.detail for problem in report.problems]
            _, changes = store.changes(self._windows[0][1])
        self.result.changes = len(changes)
        for told, since, markers in self._windows:
            wanted = {
                unit: sum(change.unit == unit and since < change.revision <= last for change in changes)
                for unit, last in markers.items()
            }
            for each in told:
                for unit, counts in each["watched"].items():
                    self.result.delivered += sum(counts)
                    wrong = [count for count in counts if count != wanted[unit]]
                    if wrong:
                        self.result.problems.append(f"watchers of {unit} saw {wrong} of {wanted[unit]} changes")


class Sampler(threading.Thread):
    """The memory of a process, second by second."""

    def __init__(self, process: _Process, curve: list[float]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._curve = curve
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            self._curve.append(self._process.memory())
            self._ended.wait(_SAMPLE)

    def end(self) -> None:
        self._ended.set()
        self.join()


def soak(folder: Path, load: Load) -> Soaked:
    """Runs it. The result's `problems` say what leaked, failed or was missed."""
    with ExitStack() as stack:
        running = _Soak(folder, load, stack)
        running.run()
        return running.result


def _shares(load: Load) -> list[list[object]]:
    """Each process's part, as arguments. Threads are dearer than tasks, so theirs is a tenth."""
    shares: list[list[object]] = []
    first = 0
    for number in range(load.processes):
        threads = number == load.processes - 1
        clients, watchers = (
            _part(total, number, load.processes - 1, threads=threads) for total in (load.clients, load.watchers)
        )
        shares.append([
            "--seed", load.seed, "--first", first, "--clients", clients, "--watchers", watchers,
            "--units", load.units, "--pause", load.pause, *(["--threads"] if threads else []),
        ])  # fmt: skip
        first += max(clients, watchers)
    return shares


def _part(total: int, number: int, others: int, *, threads: bool) -> int:
    tenth = -(-total // 10)
    if threads:
        return tenth
    rest = total - tenth
    return rest * (number + 1) // others - rest * number // others
