"""What a client does in a soak: some of everything, each thing checked."""

import random
from typing import Final, Literal

from vault.store.values import checksum

COUNTER: Final = 1
"""The id of the object in each unit that every client adds to."""
MARKER: Final = "end"
"""The name of the object that is written last: watchers end with it."""

_KEEP: Final = 6  # objects a client holds on to
_BLOCK: Final = 1 << 20

Way = Literal["upload", "large", "load", "update", "ticket", "count", "list", "delete"]
_WAYS: Final[dict[Way, int]] = {
    "upload": 20, "large": 1, "load": 40, "update": 10, "ticket": 6, "count": 10, "list": 3, "delete": 10,
}  # fmt: skip


class Worker:
    """Decisions and bookkeeping of one client; the calls are made by whoever drives it."""

    def __init__(self, number: int, unit: str, seed: object) -> None:
        self.unit = unit
        self.random = random.Random(f"{seed}:{number}")
        self.operations = 0
        self.counted = 0
        self._first_id = (number + 1) << 32
        self._made = 0
        self._held: dict[int, int] = {}  # id to checksum

    def decide(self) -> tuple[Way, int, bytes]:
        """What to do, with which object, and the bytes to write."""
        self.operations += 1
        (way,) = self.random.choices(list(_WAYS), list(_WAYS.values()))
        if way in ("upload", "large") and len(self._held) >= _KEEP:
            way = "delete"
        if way in ("load", "update", "ticket", "delete") and not self._held:
            way = "upload"
        if way in ("count", "list"):
            return way, COUNTER, b""
        if way in ("upload", "large"):
            self._made += 1
            data_id = self._first_id + self._made
        else:
            data_id = self.random.choice(list(self._held))
        size = self.random.randint(_BLOCK, 3 * _BLOCK) if way == "large" else self.random.choice([100, 5_000, 90_000])
        return way, data_id, self.random.randbytes(size)

    def wrote(self, data_id: int, data: bytes) -> None:
        self._held[data_id] = checksum(data)

    def deleted(self, data_id: int) -> None:
        del self._held[data_id]

    def read(self, data_id: int, data: bytes) -> None:
        """Raises when these are not the bytes written last: this client alone writes the object."""
        if checksum(data) != self._held[data_id]:
            raise AssertionError(f"{self.unit}/{data_id} has other bytes than were written")

    def pause(self, mean: float) -> float:
        """Seconds to think."""
        return self.random.expovariate(1 / mean)
