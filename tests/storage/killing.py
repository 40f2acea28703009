"""Processes that are killed at a named point of a commit: what they do, and the process that forks them.

Forking from a process that has everything imported, and no store open, makes a case cost milliseconds.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from vault.errors import VaultError
from vault.store.specs import CopySpec, DeleteSpec, MetadataSpec, PutSpec, SmallUpdate, UpdateSpec, UploadSpec
from vault.store.usage import PrincipalLimits, UnitLimits
from vault.store.values import checksum
from vault.testing.store.objects import small_put
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.decision.writes import Delete, Upload
from vault_server.storage.failpoints import Point, switch_on

from tests.storage.deciding import content
from tests.storage.objects import LARGE, SMALL, UNIT, delete, small, start, succeeded, update, upload, write_all
from tests.storage.resuming import go_on

MEDIUM = LARGE[:70_000]
TWO_BLOCKS = LARGE[: (1 << 20) + 17]


def prepare(store: EmbeddedStore) -> None:
    """What is there before: objects in a file and in the register, tagged and not; nothing to collect."""
    upload(store, TWO_BLOCKS, data_id=1, name="large", tags={"k": "v", "l": "w"})
    upload(store, SMALL, data_id=2, name="small", tags={"k": "v"})
    upload(store, MEDIUM, data_id=3)
    upload(store, SMALL, data_id=4)


def prepare_retained(store: EmbeddedStore) -> None:
    """The same, and retained generations in files and in the register."""
    prepare(store)
    update(store, 1, MEDIUM)
    update(store, 2, SMALL[1:])
    delete(store, 3)
    delete(store, 4)


def prepare_expired(store: EmbeddedStore) -> None:
    """The same, and their time has come."""
    prepare_retained(store)
    store.engine.writer.submit(lambda connection: connection.execute("UPDATE retired SET collect_at = 1")).result()


def _upload(store: EmbeddedStore) -> None:
    upload(store, TWO_BLOCKS[1:], unit="new", data_id=11, name="new", tags={"a": "b"})


def _update(store: EmbeddedStore) -> None:
    update(store, 1, TWO_BLOCKS[1:])


def _update_small(store: EmbeddedStore) -> None:
    (outcome,) = store.update_many(UNIT, [SmallUpdate(UpdateSpec(2), SMALL[1:], checksum(SMALL[1:]))])
    succeeded(outcome)


def _resumable_upload(store: EmbeddedStore) -> None:
    go_on(store)


def _delete(store: EmbeddedStore) -> None:
    assert delete(store, 1)


def _upload_many(store: EmbeddedStore) -> None:
    contents = [SMALL, MEDIUM, b"", LARGE[: 1 << 20]]
    for outcome in store.upload_many(UNIT, [small(data, data_id=20 + n) for n, data in enumerate(contents)]):
        succeeded(outcome)


def _set_metadata(store: EmbeddedStore) -> None:
    store.set_metadata(UNIT, MetadataSpec(1, name="renamed", tags={"k": "other"}))


def _copy(store: EmbeddedStore) -> None:
    specs = [CopySpec("large", "copied", 31), CopySpec(3, None, 32), CopySpec("small", "copied small", 33)]
    for outcome in store.copy_many(UNIT, specs, to_unit="copies"):
        succeeded(outcome)


def _copy_over_a_name(store: EmbeddedStore) -> None:
    (outcome,) = store.copy_many(UNIT, [CopySpec(3, "large", replace=True)])
    succeeded(outcome)


def _put(store: EmbeddedStore) -> None:
    spec = PutSpec("large", tags={"k": "other"}, datatype="d", expires_in=3600)
    write_all(store.put(UNIT, spec), TWO_BLOCKS[1:])


def _put_many(store: EmbeddedStore) -> None:
    items = [small_put(PutSpec(name, 30, {"a": "b"}), SMALL[1:]) for name in ("large", "new", "new")]
    for outcome in store.put_many(UNIT, [*items, small_put(UpdateSpec("small", tags={}), MEDIUM)]):
        succeeded(outcome)


def _rename_over(store: EmbeddedStore) -> None:
    for outcome in store.set_metadata_many(UNIT, [MetadataSpec(2, "large", replace=True), MetadataSpec(3, "small")]):
        succeeded(outcome)


def prepare_full(store: EmbeddedStore) -> None:
    """The same, in a unit that has room for no more."""
    prepare(store)
    store.set_unit_limits(UNIT, UnitLimits(max_objects=4, when_full="evict"))


def prepare_charged(store: EmbeddedStore) -> None:
    """The same, and what is charged to somebody, who has limits."""
    prepare(store)
    store.set_principal_limits("ann", PrincipalLimits(max_objects=2, max_bytes=20))
    _charge(store, 41, 42)


def _charge(store: EmbeddedStore, *data_ids: int) -> None:
    writes = [Upload(UNIT, UploadSpec(data_id), content(b"x" * (data_id - 35)), "ann") for data_id in data_ids]
    for outcome in store.commits.commit([Delete(UNIT, DeleteSpec(41)), *writes]):
        assert not isinstance(outcome, VaultError), outcome


def _replace_charged(store: EmbeddedStore) -> None:
    _charge(store, 43)


def _evict(store: EmbeddedStore) -> None:
    for outcome in store.upload_many(UNIT, [small(MEDIUM, data_id=20 + number) for number in range(3)]):
        succeeded(outcome)


def prepare_expiring(store: EmbeddedStore) -> None:
    """The same, of which one expires in an hour."""
    prepare(store)
    store.set_metadata(UNIT, MetadataSpec(1, expires_in=3600))


def _expire(store: EmbeddedStore) -> None:
    real = time.time_ns
    time.time_ns = lambda: real() + 7200 * 10**9
    assert delete(store, 1) == 0  # that it has expired is told with the next write to it


def _make_room(store: EmbeddedStore) -> None:
    assert store.engine.writer.make_room()


def _wait_until_collected(store: EmbeddedStore) -> None:
    def left(connection: Any) -> int:
        query = "SELECT (SELECT count(*) FROM retired) + (SELECT count(*) FROM trash)"
        return int(connection.execute(query).fetchone()[0])

    deadline = time.monotonic() + 60
    while store.engine.connections.read(left):
        assert time.monotonic() < deadline
        time.sleep(0.005)


@dataclass(frozen=True)
class Operation:
    """What a process does to a store until it is killed.

    Attributes:
        prepare: Makes what is there before, in another process.
        act: Does it. It is acknowledged when this returns.
        retention: EmbeddedStore's, while it acts.
        changes: Whether it changes an object.
        resumable: Doing it once more goes on with it.
    """

    act: Callable[[EmbeddedStore], None]
    prepare: Callable[[EmbeddedStore], None] = prepare
    retention: float = 300.0
    changes: bool = True
    resumable: bool = False


def _purge(store: EmbeddedStore) -> None:
    store.purge_retained()


OPERATIONS = {
    "upload": Operation(_upload),
    "update": Operation(_update),
    "update of a small object": Operation(_update_small),
    "resumable upload": Operation(_resumable_upload, resumable=True),
    "delete": Operation(_delete),
    "upload_many": Operation(_upload_many),
    "set_metadata": Operation(_set_metadata),
    "copy": Operation(_copy),
    "copy over a name": Operation(_copy_over_a_name),
    "copy over a name that retains nothing": Operation(_copy_over_a_name, retention=0),
    "put": Operation(_put),
    "put_many": Operation(_put_many),
    "rename over a name": Operation(_rename_over),
    "collection": Operation(_wait_until_collected, prepare_expired, changes=False),
    "purge": Operation(_purge, prepare_retained, changes=False),
    "collection for a full disk": Operation(_make_room, prepare_retained, changes=False),
    "eviction": Operation(_evict, prepare_full),
    "eviction that retains nothing": Operation(_evict, prepare_full, retention=0),
    "replacement of what is charged to somebody": Operation(_replace_charged, prepare_charged),
    "expiry": Operation(_expire, prepare_expiring),
    "rename over a name that retains nothing": Operation(_rename_over, retention=0),
    "update that retains nothing": Operation(_update, retention=0),
    "delete that retains nothing": Operation(_delete, retention=0),
}


@dataclass(frozen=True)
class Outcome:
    """How a process ended: by which signal (0: it did not), the points that it reached, and whether it was answered."""

    signal: int
    points: list[Point]
    acknowledged: bool


class Killer:
    """The process that forks others and tells how they ended."""

    def __init__(self) -> None:
        self._process = start("from tests.storage.killing import serve\nserve()")

    def run(self, operation: str, directory: Path, kill_at: int | Point | None = None) -> Outcome:
        """Does an operation in a process of its own, which dies when it reaches a point: the `kill_at`th, from 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([operation, str(directory), kill_at]) + "\n")
        self._process.stdin.flush()
        return Outcome(*json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate(timeout=60)


def serve() -> None:
    """The killer's own process: a line in, a process forked and waited for, a line out."""
    for line in sys.stdin:
        operation, directory, kill_at = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            code = 1
            with suppress(BaseException):
                _act(OPERATIONS[operation], directory, kill_at, writing)
                code = 0
            os._exit(code)
        os.close(writing)
        with os.fdopen(reading) as told:
            points = told.read().splitlines()
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
            print(json.dumps([-1, points, False]), flush=True)
            continue
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        print(json.dumps([killed, [p for p in points if p != "!"], "!" in points]), flush=True)


def _act(operation: Operation, directory: str, kill_at: int | Point | None, told: int) -> None:
    reached: list[Point] = []

    def at(point: Point) -> None:
        reached.append(point)
        os.write(told, f"{point}\n".encode())
        if kill_at in (len(reached) - 1, point):
            os.kill(os.getpid(), signal.SIGKILL)

    switch_on(at)
    with EmbeddedStore(directory, StoreOptions(retention=operation.retention)) as store:
        operation.act(store)
        os.write(told, b"!\n")
