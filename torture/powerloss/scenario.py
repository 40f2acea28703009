"""What the recorded process does, and what must be found after any of it.

A scenario is one list of steps for each actor; actors are threads that own their objects. The process prints
`ack ACTOR STEP REVISION` after each step. As a program:

    python -m torture.powerloss.scenario DIRECTORY SCENARIO FIRST-STEP [CHANGE]
"""

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol, TypeVar

from vault.errors import StorageError, VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import CopySpec, DeleteSpec, MetadataSpec, SmallUpload, UploadSpec
from vault.store.values import ObjectInfo, checksum
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.index import connections

from tests.storage.objects import blocks_of, read, update, upload
from torture.powerloss.changes import CHANGES

T = TypeVar("T")

INLINE: Final = 300
FILE: Final = 70_000
_TRIES: Final = 5
BLOCKS: Final = 2 * BLOCK_SIZE + 4321


@dataclass(frozen=True, slots=True)
class Held:
    """An object as it must be found."""

    size: int
    checksum: int
    name: str | None = None


Key = tuple[str, int]
State = dict[Key, Held]


class Step(Protocol):
    """One call of a store."""

    def perform(self, store: EmbeddedStore) -> object: ...

    def expect(self, state: State) -> State:
        """The state after it."""
        ...


def contents(unit: str, data_id: int, size: int, version: int) -> bytes:
    return random.Random(f"{unit} {data_id} {version}").randbytes(size)


@dataclass(frozen=True, slots=True)
class Upload:
    data_id: int
    size: int
    unit: str = "documents"
    name: str | None = None
    version: int = 0

    def data(self) -> bytes:
        return contents(self.unit, self.data_id, self.size, self.version)

    def perform(self, store: EmbeddedStore) -> ObjectInfo:
        return upload(store, self.data(), unit=self.unit, data_id=self.data_id, name=self.name)

    def expect(self, state: State) -> State:
        return {**state, (self.unit, self.data_id): Held(self.size, checksum(self.data()), self.name)}


@dataclass(frozen=True, slots=True)
class Resumed:
    """An upload that is suspended after each block, and gone on with from where the store says."""

    data_id: int
    size: int
    unit: str = "documents"

    def data(self) -> bytes:
        return contents(self.unit, self.data_id, self.size, 0)

    def perform(self, store: EmbeddedStore) -> ObjectInfo:
        spec = UploadSpec(self.data_id, request_id=self.data_id.to_bytes(16))
        blocks = list(blocks_of(self.data()))
        while True:
            writer = store.upload(self.unit, spec, resumable=True)
            rest = [block for block in blocks if block.offset >= writer.persisted_size]
            if not rest:
                return writer.commit(self.size, checksum(self.data()))
            writer.write(rest[0])
            writer.suspend()

    def expect(self, state: State) -> State:
        return {**state, (self.unit, self.data_id): Held(self.size, checksum(self.data()))}


@dataclass(frozen=True, slots=True)
class Update:
    data_id: int
    size: int
    version: int
    unit: str = "documents"

    def data(self) -> bytes:
        return contents(self.unit, self.data_id, self.size, self.version)

    def perform(self, store: EmbeddedStore) -> ObjectInfo:
        return update(store, self.data_id, self.data(), unit=self.unit)

    def expect(self, state: State) -> State:
        key = self.unit, self.data_id
        return {**state, key: replace(state[key], size=self.size, checksum=checksum(self.data()))}


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of an object of "documents", without a name."""

    source: int
    data_id: int
    to_unit: str = "documents"

    def perform(self, store: EmbeddedStore) -> None:
        (outcome,) = store.copy_many("documents", [CopySpec(self.source, data_id=self.data_id)], to_unit=self.to_unit)
        if isinstance(outcome, VaultError):
            raise outcome

    def expect(self, state: State) -> State:
        return {**state, (self.to_unit, self.data_id): replace(state["documents", self.source], name=None)}


@dataclass(frozen=True, slots=True)
class Delete:
    data_id: int
    unit: str = "documents"

    def perform(self, store: EmbeddedStore) -> None:
        (outcome,) = store.delete_many(self.unit, [DeleteSpec(self.data_id)])
        if isinstance(outcome, VaultError):
            raise outcome

    def expect(self, state: State) -> State:
        return {key: held for key, held in state.items() if key != (self.unit, self.data_id)}


@dataclass(frozen=True, slots=True)
class Rename:
    data_id: int
    name: str
    unit: str = "documents"

    def perform(self, store: EmbeddedStore) -> ObjectInfo:
        return store.set_metadata(self.unit, MetadataSpec(self.data_id, self.name))

    def expect(self, state: State) -> State:
        key = self.unit, self.data_id
        return {**state, key: replace(state[key], name=self.name)}


@dataclass(frozen=True, slots=True)
class Read:
    """Reads an object, which must be what the step that wrote it says."""

    written: Upload | Update

    def perform(self, store: EmbeddedStore) -> None:
        if read(store, self.written.data_id, unit=self.written.unit) != self.written.data():
            raise AssertionError(f"read something else than {self.written}")

    def expect(self, state: State) -> State:
        return state


@dataclass(frozen=True, slots=True)
class Batch:
    """Several objects in one call, which go into one transaction. When some are refused it can be tried again."""

    uploads: tuple[Upload, ...]

    def perform(self, store: EmbeddedStore) -> None:
        items = [
            SmallUpload(
                UploadSpec(item.data_id, item.name, request_id=item.data_id.to_bytes(16)),
                item.data(),
                checksum(item.data()),
            )
            for item in self.uploads
        ]
        for outcome in store.upload_many("documents", items):
            if isinstance(outcome, VaultError):
                raise outcome

    def expect(self, state: State) -> State:
        for item in self.uploads:
            state = item.expect(state)
        return state


@dataclass(frozen=True, slots=True)
class Pause:
    """Time for the store to tidy up."""

    seconds: float = 0.3

    def perform(self, store: EmbeddedStore) -> None:
        time.sleep(self.seconds)

    def expect(self, state: State) -> State:
        return state


@dataclass(frozen=True, slots=True)
class Scenario:
    """`checkpoint_pages`: pages in the write-ahead log after which it is brought into the register."""

    actors: tuple[tuple[Step, ...], ...]
    checkpoint_pages: int = 1000
    retention: float = 0.05

    def states(self, actor: int) -> list[State]:
        """What the actor's objects are after each number of its steps."""
        found: list[State] = [{}]
        for step in self.actors[actor]:
            found.append(step.expect(found[-1]))
        return found


WRITES: Final = Scenario(
    (
        (
            Upload(1, INLINE, name="one"),
            Upload(2, FILE, name="two"),
            Upload(3, BLOCKS),
            Update(2, FILE + 1, 1),
            Update(1, FILE, 1),
            Update(3, INLINE, 1),
            Pause(),
            Rename(2, "renamed"),
            Batch((Upload(4, INLINE), Upload(5, FILE), Upload(6, INLINE, name="six"), Upload(7, FILE + 7))),
            Delete(5),
            Delete(6),
            Upload(5, FILE, version=2),
            Upload(1, FILE, unit="second"),
            Delete(1, unit="second"),
            Upload(1, INLINE, unit="second", version=2),
            Pause(),
        ),
    )
)

CHECKPOINTS: Final = Scenario(
    (tuple(step for n in range(1, 11) for step in (Upload(n, 9000), Update(n, 20_000 if n % 3 else FILE, 1))),),
    checkpoint_pages=12,
)

THREADS: Final = Scenario(
    tuple(
        (
            *(
                step
                for n in range(actor * 100, actor * 100 + 3)
                for step in (Upload(n, INLINE if n % 2 else FILE), Update(n, FILE + n, 1), Rename(n, f"name {n}"))
            ),
            Delete(actor * 100),
        )
        for actor in range(1, 5)
    )
)

FEW: Final = Scenario(
    ((Upload(2, INLINE), Upload(1, FILE), Update(1, FILE, 1), Delete(2), Upload(1, FILE, unit="second")),)
)

READS: Final = Scenario(
    (
        (
            *(
                step
                for written in (Upload(1, FILE), Upload(2, INLINE), Upload(3, BLOCKS))
                for step in (written, Read(written))
            ),
            Update(1, FILE + 1, 1),
            Read(Update(1, FILE + 1, 1)),
            Batch((Upload(4, INLINE), Upload(5, FILE))),
            Delete(4),
            Rename(5, "five"),
            Upload(1, FILE, unit="second"),
            Pause(0.1),
        ),
    )
)

COPIES: Final = Scenario(
    (
        (
            Upload(1, FILE, name="one"),
            Copy(1, 2),
            Upload(3, INLINE),
            Copy(3, 3, "second"),
            Copy(1, 1, "second"),
            Update(1, FILE + 1, 1),
            Copy(2, 4),
            Delete(2),
            Pause(),
            Copy(4, 2, "third"),
            Delete(4),
            Pause(),
        ),
    )
)

RESUMED: Final = Scenario(((Upload(1, INLINE), Resumed(2, BLOCKS), Update(1, FILE, 1)),))

SCENARIOS: Final = {
    "few": FEW,
    "resumed": RESUMED,
    "copies": COPIES,
    "reads": READS,
    "writes": WRITES,
    "checkpoints": CHECKPOINTS,
    "threads": THREADS,
}


def say(line: str) -> None:
    """One line to standard output, in one system call; whatever fault is being injected."""
    text = f"{line}\n".encode()
    for _ in range(_TRIES):
        with suppress(OSError):
            os.write(1, text)
            return
    os.writev(1, [text])  # every write fails, and this is another call


def play(directory: str, scenario: Scenario, *, first: int = 1) -> bool:
    """Performs a scenario, from each actor's step `first` on, and says what is acknowledged.

    What is refused is tried again, some times; whether everything was done in the end.
    """
    connections._CHECKPOINT_PAGES = scenario.checkpoint_pages  # type: ignore[misc]
    gave_up: list[object] = []
    store = _persist(lambda: EmbeddedStore(directory, StoreOptions(retention=scenario.retention)))
    if store is None:
        return False
    with store:
        say(f"opened {store.capabilities().store_id}")

        def act(actor: int) -> None:
            for number, step in enumerate(scenario.actors[actor][first - 1 :], first):
                done = _persist(partial(_perform, step, store))
                revision = _persist(lambda: store.revision) if done else None
                if revision is None:
                    gave_up.append(step)
                    return
                say(f"ack {actor} {number} {revision}")

        threads = [threading.Thread(target=act, args=(actor,)) for actor in range(1, len(scenario.actors))]
        for thread in threads:
            thread.start()
        act(0)
        for thread in threads:
            thread.join()
    say("closed")
    return not gave_up


def _perform(step: Step, store: EmbeddedStore) -> bool:
    step.perform(store)
    return True


def _persist(call: Callable[[], T]) -> T | None:
    for _ in range(_TRIES):
        try:
            return call()
        except StorageError as error:
            say(f"refused {error}")
    return None


if __name__ == "__main__":
    for change in sys.argv[4:]:
        CHANGES[change]()
    assert play(sys.argv[1], SCENARIOS[sys.argv[2]], first=int(sys.argv[3]))
