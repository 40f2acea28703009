"""Writers who come up against a principal's limits, and what was ever charged to one, change by change."""

import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from vault.errors import VaultError
from vault.store.contract import Store
from vault.store.specs import DeleteSpec, PutSpec, SmallPut, SmallUpdate, UpdateSpec
from vault.store.values import checksum
from vault_server import EmbeddedStore

from tests.storage.objects import UNIT

MOST_OBJECTS: Final = 40
MOST_BYTES: Final = 1000

_WRITES: Final = 50
_SIZES: Final = (0, 1, 7, 50, 93)


def write_as(by: Mapping[str, Store], numbers: Iterable[int]) -> dict[str, int]:
    """A thread for each number, which puts and deletes as ann, and updates as anybody; how often which of it came to
    what.

    Args:
        by: The store as each principal uses it.
    """
    counts: Counter[str] = Counter()
    threads = [threading.Thread(target=_write, args=(by, number, counts)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return dict(counts)


def _write(by: Mapping[str, Store], number: int, counts: Counter[str]) -> None:
    chosen = random.Random(number)
    names = list(by)
    for _ in range(_WRITES):
        data_id, data = number * 1000 + chosen.randint(1, 25), b"x" * chosen.choice(_SIZES)
        outcome: Any
        match chosen.randint(0, 5):
            case 0:
                what, (outcome,) = "delete", by["ann"].delete_many(UNIT, [DeleteSpec(data_id)])
            case 1:
                item = SmallUpdate(UpdateSpec(data_id), data, checksum(data))
                what, (outcome,) = "update", by[chosen.choice(names)].update_many(UNIT, [item])
            case _:
                what, (outcome,) = (
                    "put",
                    by["ann"].put_many(UNIT, [SmallPut(PutSpec(None, data_id), data, checksum(data))]),
                )
        counts[f"{what} {outcome.reason if isinstance(outcome, VaultError) else 'done'}"] += 1


def assert_never_over(store: EmbeddedStore, principal: str) -> None:
    """At no revision was more charged to it than its limits, one of which refused something; the counts are right."""

    def changes(connection: sqlite3.Connection) -> list[Any]:
        return connection.execute("SELECT data_id, size, kind, principal FROM changes ORDER BY revision").fetchall()

    held: dict[int, int] = {}
    objects = size = 0
    for data_id, written, kind, whose in store.engine.connections.read(changes):
        held.pop(data_id, None)
        if kind != 4 and whose == principal:
            held[data_id] = written
        objects, size = max(objects, len(held)), max(size, sum(held.values()))
    assert objects <= MOST_OBJECTS
    assert size <= MOST_BYTES
    assert objects == MOST_OBJECTS or size > MOST_BYTES - max(_SIZES)
    info = store.principal_info(principal)
    assert (info.objects, info.bytes) == (len(held), sum(held.values()))
