"""Clients of a server behind a proxy that cuts, delays, throttles and refuses at random; and what came of it."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vault import BytesWrapper, RemoteVault
from vault_server import EmbeddedStore

from tests.faults.proxy import Direction, Proxy
from tests.server.process import Served
from torture.crash.audit import Audit, Figures
from torture.crash.client import STRUCTURE
from torture.crash.harness import Client, wait_for_progress
from torture.crash.ledger import OWN, SHARED, SLOTS

MARKER: Final = "end of the storm"
_MIB: Final = 1 << 20
_UNITS: Final = (OWN, SLOTS, SHARED)
_FILES: Final = "files"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to come.

    Attributes:
        seconds: Of bad weather.
        seed: What clients do and what becomes of connections follows from it, as far as the machine lets it.
        clients: Owners that write at the same time, see `torture.crash`.
        file_size: Bytes of the file that goes to and fro meanwhile; 0: none does.
        holes: Whether connections may be swallowed, which clients notice when their timeout is over.
    """

    seconds: float
    seed: int
    clients: int = 4
    file_size: int = 12 * _MIB
    holes: bool = False


@dataclass(slots=True)
class Damage:
    """What happened, and what was lost by it: nothing, it is hoped."""

    weather: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    figures: Figures = field(default_factory=Figures)
    loads: int = 0
    lost: int = 0
    files: int = 0
    changes: int = 0
    forwarded: dict[Direction, int] = field(default_factory=dict)

    def __str__(self) -> str:
        weather = ", ".join(f"{count} {what}" for what, count in sorted(self.weather.items()))
        up, down = (self.forwarded[direction] / _MIB for direction in ("up", "down"))
        return (
            f"{weather}; {self.connections} connections; {self.figures}; {self.loads} reads compared, {self.lost} "
            f"gave up; {self.files} files there and back; {self.changes} changes watched; {up:.0f} MiB up, "
            f"{down:.0f} MiB down"
        )


class _Weather:
    """Bad weather on a proxy."""

    def __init__(self, proxy: Proxy, forecast: Forecast) -> None:
        self.seen: dict[str, int] = {}
        self._proxy = proxy
        self._random = random.Random(f"weather:{forecast.seed}")
        self._ways: list[Callable[[], None]] = [self.cut, self.end, self.cut_after, self.cut_after, self.delay]
        self._ways += [self.throttle, self.refuse, self.calm, self.calm]
        if forecast.holes:
            self._ways.append(self.hole)

    def turn(self) -> None:
        """Something else happens, and lasts for a while."""
        way = self._random.choice(self._ways)
        self.seen[way.__name__] = self.seen.get(way.__name__, 0) + 1
        way()
        time.sleep(self._random.uniform(0.05, 0.4))

    def cut(self) -> None:
        self._proxy.cut()

    def end(self) -> None:
        self._proxy.cut(reset=False)

    def cut_after(self) -> None:
        direction: Direction = self._random.choice(("up", "down"))
        self._proxy.cut_after(self._random.choice((50, 5_000, 500_000, 3_000_000)), direction)

    def delay(self) -> None:
        self._proxy.delay(self._random.uniform(0, 0.03))

    def throttle(self) -> None:
        self._proxy.throttle(self._random.choice((2, 10, 50)) * 1e6)

    def refuse(self) -> None:
        self._proxy.refuse()
        self._proxy.cut()
        time.sleep(self._random.uniform(0, 0.3))
        self._proxy.accept()

    def hole(self) -> None:
        self._proxy.blackhole()

    def calm(self) -> None:
        self._proxy.restore()


class _Carrier(threading.Thread):
    """Sends a file to and fro."""

    def __init__(self, address: str, folder: Path, size: int, over: threading.Event) -> None:
        super().__init__(name="carrier")
        self.carried = 0
        self.failure: Exception | None = None
        self._address = address
        self._folder = folder
        self._size = size
        self._over = over

    def run(self) -> None:
        there, back = self._folder / "there", self._folder / "back"
        try:
            with RemoteVault(self._address, {_FILES: (BytesWrapper, 0)}) as vault:
                while not self._over.is_set():
                    there.write_bytes(random.Random(self.carried).randbytes(self._size))
                    data_id = vault.upload_file(_FILES, there, name=f"file{self.carried}")
                    vault.download_file(_FILES, data_id, back)
                    assert back.read_bytes() == there.read_bytes(), f"file {self.carried} came back with other bytes"
                    assert vault.delete(_FILES, data_id)
                    self.carried += 1
        except Exception as error:  # noqa: BLE001  # the one who waits for the thread raises it
            self.failure = error


class _Follower(threading.Thread):
    """An application that watches, until it is told of the marker."""

    def __init__(self, address: str) -> None:
        super().__init__(name="follower")
        self.revisions: list[int] = []
        self.failure: Exception | None = None
        self._address = address

    def run(self) -> None:
        try:
            with RemoteVault(self._address, STRUCTURE) as vault, vault.watch(_UNITS, since=0) as changes:
                for change in changes:
                    self.revisions.append(change.revision)
                    if change.name == MARKER:
                        return
        except Exception as error:  # noqa: BLE001
            self.failure = error


def storm(folder: Path, forecast: Forecast, *options: str) -> Damage:
    """Runs it, and compares the store with what clients were told.

    Raises AssertionError for whatever breaks a promise; what gave up or is unacknowledged is in the result.
    """
    store, journals = folder / "store", folder / "journals"
    journals.mkdir(parents=True)
    audit = Audit(store, journals)
    audit.prepare()
    damage = Damage(figures=audit.figures)
    over = threading.Event()
    with ExitStack() as stack:
        served = Served(store, "--listen", "127.0.0.1:0", "--log-level", "error", *options)
        stack.callback(served.end)
        stack.callback(served.process.kill)
        proxy = stack.enter_context(Proxy(served.address))
        owners = range(1, forecast.clients + 1)
        clients = [
            Client(proxy.address, journals, forecast.seed, owners[: forecast.clients // 2]),
            Client(proxy.address, journals, forecast.seed, owners[forecast.clients // 2 :], "--async"),
        ]
        for client in clients:
            stack.callback(client.kill)
        carrier, follower = _Carrier(proxy.address, folder, forecast.file_size, over), _Follower(proxy.address)
        if forecast.file_size:
            carrier.start()
        follower.start()
        stack.callback(over.set)
        wait_for_progress(clients)
        weather = _Weather(proxy, forecast)
        ends = time.monotonic() + forecast.seconds
        while time.monotonic() < ends and not carrier.failure and not follower.failure:
            weather.turn()
        proxy.restore()
        wait_for_progress(clients)
        for client in clients:
            loads, lost = client.finish()
            damage.loads += loads
            damage.lost += lost
        over.set()
        if forecast.file_size:
            carrier.join(120)
        assert not carrier.is_alive(), "the file did not arrive"
        with RemoteVault(served.address, STRUCTURE) as vault:
            marker = vault.upload(OWN, BytesWrapper(b""), name=MARKER)
            follower.join(60)
            vault.delete(OWN, marker)
        for each in (carrier, follower):
            if each.failure is not None:
                raise AssertionError(f"the {each.name} failed") from each.failure
        assert not follower.is_alive(), "the follower was not told of the last change"
        damage.weather, damage.connections = weather.seen, proxy.connections
        damage.forwarded = dict(proxy.forwarded)
        code, _, err = served.terminate()
        assert code == 0, err
    audit.look()
    damage.files, damage.changes = carrier.carried, len(follower.revisions)
    with EmbeddedStore(store) as opened:
        _, changes = opened.changes(0)
    last = follower.revisions[-1]
    wanted = [change.revision for change in changes if change.unit in _UNITS and change.revision <= last]
    assert follower.revisions == wanted, "the follower missed changes, or was told of some twice"
    return damage
