"""A history of concurrent clients on few keys, with kills of the server in between."""

import random
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault import (
    AlreadyExistsError,
    Change,
    ConflictError,
    ConnectionSettings,
    NotFoundError,
    RemoteStore,
    RemoteVault,
    TextWrapper,
    UnavailableError,
    VaultError,
)
from vault.store.specs import DeleteSpec, PutSpec
from vault_server import EmbeddedStore

from tests.faults.ports import held_port
from tests.server.process import Served
from torture.linearizability.model import NEVER, Kind, Operation, Outcome

UNIT: Final = "registers"
STRUCTURE: Final = {UNIT: (TextWrapper, 0)}
_TIMEOUT: Final = 2.0  # seconds for a client's call; kills outlast it now and then
_EXPIRES_IN: Final = 0.2  # seconds
_CLOCKS: Final = 0.002  # seconds by which two clocks are read apart
_PADDED: Final = 100_000  # characters; such a value is in a file
_KINDS: Final[dict[Kind, int]] = {"read": 12, "update": 2, "put": 3, "compare": 3, "create": 2, "delete": 1}
_REFUSALS: Final[dict[Kind, tuple[type[VaultError], ...]]] = {
    "create": (AlreadyExistsError,),
    "update": (NotFoundError,),
    "put": (),
    "compare": (ConflictError, NotFoundError),
    "delete": (),
}
"""What may be raised where a register refuses. Anything else fails the client."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What to record.

    Attributes:
        seconds: Of work; what a server needs to come back is on top of it.
        fewest: Operations; on a slow machine the work goes on until there are so many, for a minute at most.
        consistency: Of the vaults, each client having its own.
        seed: What clients do and when kills come follows from it, as far as the machine lets it.
        kills: How often the server is killed in that time.
        options: More options of `serve`.
    """

    seconds: float
    consistency: str
    seed: int
    clients: int = 6
    keys: int = 3
    kills: int = 2
    options: Sequence[str] = ()
    fewest: int = 0


@dataclass(slots=True)
class Recording:
    """What the clients saw, what was committed, and when a watcher was told of it."""

    operations: list[Operation]
    changes: list[Change]
    arrivals: dict[int, float]

    def propagation(self) -> list[float]:
        """For each acknowledged write, the seconds from its acknowledgement until a watcher was told of it."""
        return [
            max(0.0, self.arrivals[operation.generation] - operation.returned)
            for operation in self.operations
            if operation.kind != "read" and operation.generation in self.arrivals
        ]


class _Recorder:
    """One client: a thread with a vault of its own."""

    def __init__(self, number: int, address: str, setting: Setting, over: threading.Event) -> None:
        self.operations: list[Operation] = []
        self.failures: list[BaseException] = []
        self._number = number
        self._address = address
        self._setting = setting
        self._over = over
        self._random = random.Random(f"{setting.seed}:{number}")
        self._held: dict[int, tuple[str, int]] = {}  # by key, what was read last, with its generation
        self.thread = threading.Thread(target=self._run, name=f"client {number}")

    def _run(self) -> None:
        try:
            with RemoteVault(
                self._address,
                STRUCTURE,
                consistency=self._setting.consistency,
                connection=ConnectionSettings(timeout=_TIMEOUT),
            ) as vault:
                while not self._over.is_set():
                    self._operate(vault)
        except BaseException as error:  # noqa: BLE001  # the one who waits for the thread raises it
            self.failures.append(error)

    def _operate(self, vault: RemoteVault) -> None:
        data_id = self._random.randint(1, self._setting.keys)
        (kind,) = self._random.choices(list(_KINDS), list(_KINDS.values()))
        if kind == "compare" and data_id not in self._held:
            kind = "read"
        if kind == "read":
            self._read(vault, data_id)
            return
        value = None if kind == "delete" else f"{self._number}-{len(self.operations)}"
        padding = "." * _PADDED if self._random.random() < 0.2 else ""
        data = TextWrapper((value or "") + padding)
        expected, held = self._held.get(data_id, (None, 0))
        generation: int | None = None
        outcome: Outcome = "done"
        # What a cache may show is told by the feed, to which an expiry is a deletion that comes within a second.
        expires = kind == "put" and self._setting.consistency == "strict" and self._random.random() < 0.6
        expires_at = time.monotonic() + _EXPIRES_IN
        invoked = time.monotonic()
        try:
            match kind:
                case "create":
                    _, ticket = vault.create(UNIT, data, data_id=data_id)
                    generation = ticket.generation
                    ticket.close()
                case "update":
                    generation = vault.update(UNIT, data_id, data).generation
                case "put":
                    seconds = _EXPIRES_IN if expires else None
                    spec = PutSpec(None, data_id, datatype=data.datatype_tag, expires_in=seconds)
                    info = vault._writes.write(UNIT, spec, data)  # by id, and not by name
                    generation = info.generation
                    if info.expires_at is not None:
                        expires_at = time.monotonic() + info.expires_at.timestamp() - time.time()
                case "compare":
                    generation = vault.update(UNIT, data_id, data, if_generation=held).generation
                case "delete":
                    outcome = "done" if vault.delete(UNIT, data_id) else "refused"
        except _REFUSALS[kind]:
            outcome = "refused"
        except UnavailableError:
            outcome = "unknown"
        returned = NEVER if outcome == "unknown" else time.monotonic()
        self.operations.append(
            Operation(
                self._number, str(data_id), kind, value, invoked, returned, outcome,
                expected if kind == "compare" else None, generation, expires,
            )
        )  # fmt: skip
        if expires:
            ended = NEVER if outcome == "unknown" else expires_at + _CLOCKS
            begun = expires_at - _CLOCKS
            self.operations.append(Operation(self._number, str(data_id), "expire", value, begun, ended, outcome))

    def _read(self, vault: RemoteVault, data_id: int) -> None:
        invoked = time.monotonic()
        try:
            ticket = vault.load(UNIT, data_id)
        except UnavailableError:
            return  # it tells nothing
        returned = time.monotonic()
        value, generation = None, None
        self._held.pop(data_id, None)
        if ticket is not None:
            with ticket:
                value, generation = ticket.get_data().data.rstrip("."), ticket.generation
            self._held[data_id] = value, generation
        self.operations.append(
            Operation(self._number, str(data_id), "read", value, invoked, returned, generation=generation)
        )


class _Watcher:
    """Notes when it is told of each revision; watches anew when the server was away."""

    def __init__(self, address: str, over: threading.Event) -> None:
        self.arrivals: dict[int, float] = {}
        self._store = RemoteStore(address)
        self._over = over
        self.thread = threading.Thread(target=self._run, name="watcher")

    def _run(self) -> None:
        since = 0
        while not self._over.is_set():
            try:
                with self._store.watch([UNIT], since=since) as watch:
                    for event in watch:
                        if isinstance(event, Change):
                            self.arrivals[event.revision] = time.monotonic()
                        since = event.revision
                        if self._over.is_set():
                            break
            except VaultError:
                self._over.wait(0.05)
        self._store.close()


def record(folder: Path, setting: Setting) -> Recording:
    """Runs clients against a server that is killed meanwhile; ends with an audit of what it leaves."""
    chance = random.Random(f"kills:{setting.seed}")
    over = threading.Event()
    directory = folder / "store"
    with ExitStack() as stack:
        address = f"127.0.0.1:{stack.enter_context(held_port())}"

        def serve() -> Served:
            served = Served(directory, "--listen", address, "--log-level", "error", *setting.options)
            stack.callback(served.end)
            stack.callback(served.process.kill)
            assert served.address == address, served.end()
            return served

        served = serve()
        clients = [_Recorder(number, address, setting, over) for number in range(1, setting.clients + 1)]
        watcher = _Watcher(address, over)
        threads = [client.thread for client in clients] + [watcher.thread]
        for thread in threads:
            thread.start()
        try:
            for part in range(setting.kills + 1):
                time.sleep(setting.seconds / (setting.kills + 1) * chance.uniform(0.5, 1.5))
                if part < setting.kills:
                    served.kill()
                    time.sleep(chance.choice([0, _TIMEOUT]))
                    served = serve()
            for _ in range(600):
                if sum(len(client.operations) for client in clients) > setting.fewest:
                    break
                time.sleep(0.1)
        finally:
            over.set()
            for thread in threads:
                thread.join(60)
        code, _, err = served.terminate()
        assert code == 0, err
    failures = [failure for client in clients for failure in client.failures]
    if failures:
        raise ExceptionGroup("clients failed", [failure for failure in failures if isinstance(failure, Exception)])
    with EmbeddedStore(directory) as store:
        ids = range(1, setting.keys + 1)
        expired = [data_id for data_id in ids if store.exists_many(UNIT, [data_id]) == [0]]
        store.delete_many(UNIT, [DeleteSpec(data_id) for data_id in expired])  # which tells of them, if nobody has yet
        _, changes = store.changes(0)
        report = store.check(deep=True)
        assert report.ok, report.problems
    operations = [operation for client in clients for operation in client.operations]
    return Recording(operations, changes, watcher.arrivals)
