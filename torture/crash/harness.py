"""Crashes, one after the other: who writes, who is killed, and the audit after each."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.ports import held_port
from tests.server.process import Served
from tests.storage.objects import start
from torture.crash.audit import Audit, Figures

_CLIENT: Final = "import sys; from torture.crash.client import main; sys.exit(main())"
_PATIENCE: Final = 120.0  # seconds for what takes one on an idle machine


@dataclass(frozen=True, slots=True)
class Plan:
    """How to crash.

    Attributes:
        cycles: Kills, at most.
        seed: What clients do and when kills come follows from it, as far as the machine lets it.
        clients: Owners that write at the same time.
        minutes: The end comes after these too, when given.
        longest: Seconds of work between a recovery and the next kill, at most.
    """

    cycles: int
    seed: int
    clients: int = 6
    minutes: float | None = None
    longest: float = 0.4

    def rounds(self) -> Iterator[tuple[random.Random, float]]:
        """For each cycle, what is random in it, and the seconds until its kill."""
        chance = random.Random(f"kills:{self.seed}")
        ends = None if self.minutes is None else time.monotonic() + 60 * self.minutes
        for _ in range(self.cycles):
            if ends is None or time.monotonic() < ends:
                yield chance, chance.uniform(0, self.longest)


class Client:
    """A process with some owners; see `torture.crash.client`."""

    def __init__(self, location: str, journals: Path, seed: int, owners: Sequence[int], *options: str) -> None:
        self._journals = [journals / f"{owner}.journal" for owner in owners]
        arguments = [location, journals, "--seed", seed, *options, "--owners", *owners]
        self._process = start(_CLIENT, *arguments)
        self._expect("ready")

    def written(self) -> int:
        """Bytes in the journals of its owners: they grow while it gets on."""
        assert self._process.poll() is None, f"a client ended by itself; its owners are {self._journals}"
        return sum(path.stat().st_size for path in self._journals if path.exists())

    def pause(self) -> None:
        """Lets running calls end, and begins no others."""
        self._tell("pause")
        self._expect("paused")

    def go(self) -> None:
        self._tell("go")

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def finish(self) -> tuple[int, int]:
        """Ends it when its running calls have ended; how many reads it compared, and how many gave up."""
        out, _ = self._process.communicate(timeout=_PATIENCE)
        assert self._process.returncode == 0, f"a client found a promise broken; its owners are {self._journals}"
        loads, lost = map(int, out.split())
        return loads, lost

    def _tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line == word + "\n", f"a client said {line!r} instead of {word!r}"


def wait_for_progress(clients: Sequence[Client]) -> None:
    """Until every client wrote something from now on."""
    before = [client.written() for client in clients]
    deadline = time.monotonic() + _PATIENCE
    while any(client.written() <= size for client, size in zip(clients, before, strict=True)):
        assert time.monotonic() < deadline, "clients do not get on, though what they use is up"
        time.sleep(0.01)


def crash_server(folder: Path, plan: Plan, *options: str) -> tuple[Figures, int]:
    """A server under load is killed again and again, and started on the same port and directory.

    While it is down, and before anybody else opens the directory, it is compared with the clients' journals.
    The clients know nothing of it: their calls are sent again until the server is back.

    Args:
        folder: For the store and the journals.
        options: More options of `serve`.

    Returns:
        What was looked at, and the number of reads that clients compared.
    """
    store, journals = folder / "store", folder / "journals"
    journals.mkdir(parents=True)
    audit = Audit(store, journals)
    audit.prepare()
    with ExitStack() as stack:
        address = f"127.0.0.1:{stack.enter_context(held_port())}"

        def serve() -> Served:
            served = Served(store, "--listen", address, "--log-level", "error", *options)
            stack.callback(served.end)
            stack.callback(served.process.kill)
            assert served.address == address, served.end()
            return served

        served = serve()
        owners = range(1, plan.clients + 1)
        clients = [
            Client(address, journals, plan.seed, owners[: plan.clients // 2]),
            Client(address, journals, plan.seed, owners[plan.clients // 2 :], "--async"),
        ]
        for client in clients:
            stack.callback(client.kill)
        for _, pause in plan.rounds():
            wait_for_progress(clients)
            time.sleep(pause)
            served.kill()
            audit.look()
            served = serve()
        wait_for_progress(clients)
        loads = sum(client.finish()[0] for client in clients)
        code, _, err = served.terminate()
        assert code == 0, err
        audit.look()
        return audit.figures, loads


def crash_embedded(folder: Path, plan: Plan, *, processes: int = 3) -> tuple[Figures, int]:
    """Several processes on one directory; one is killed again and again, and another takes its place.

    After each kill the survivors rest, with the store open, while the directory is compared with the journals.

    Returns:
        What was looked at, and the number of reads that those which were not killed compared.
    """
    store, journals = folder / "store", folder / "journals"
    journals.mkdir(parents=True)
    audit = Audit(store, journals)
    audit.prepare()
    threads = max(1, plan.clients // processes)
    begun = 0
    with ExitStack() as stack:

        def begin() -> Client:
            nonlocal begun
            owners = range(begun + 1, begun + 1 + threads)
            begun += threads
            client = Client(str(store), journals, plan.seed, owners)
            stack.callback(client.kill)
            return client

        clients = [begin() for _ in range(processes)]
        for chance, pause in plan.rounds():
            wait_for_progress(clients)
            time.sleep(pause)
            victim = chance.randrange(len(clients))
            clients.pop(victim).kill()
            for client in clients:
                client.pause()
            audit.look()
            for client in clients:
                client.go()
            clients.append(begin())
        wait_for_progress(clients)
        loads = sum(client.finish()[0] for client in clients)
        audit.look()
        return audit.figures, loads
