"""Servers over one store in memory, whose every call to it may be late, be lost, or end with the server.

What a server has is gone when it crashes; the index and placed blobs are the store's. The lock of a server that crashed
is free again, as the lock of a connection that ended.
"""

import asyncio
import random
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

from vault._runtime.sync_async import AsyncEvent
from vault.errors import StorageError, UnavailableError, VaultError
from vault.store.listing import Listing
from vault.store.specs import LoadItem
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo, UnitLimits
from vault.store.values import Change, Key, LoadResult, ObjectInfo
from vault_server.storage.decision.listing import Listed, Span
from vault_server.storage.decision.plan import Facts, Oldest, Plan, Retention
from vault_server.storage.decision.rows import Row
from vault_server.storage.decision.stored import Claimed, Purged, Stored
from vault_server.storage.decision.writes import Asked
from vault_server.storage.generic._async import suspended, watch
from vault_server.storage.generic._async.index_store import AsyncIndexStore
from vault_server.storage.memory._async.engine import AsyncMemoryBlob, AsyncMemoryBlobs
from vault_server.storage.memory.tables import MemoryTables
from vault_server.storage.options import StoreOptions

from torture.simulation.loop import VirtualLoop, turn

EPOCH: Final = 1_000_000_000_000_000
"""Microseconds since 1970 when it begins."""


class ViolationError(AssertionError):
    """Something was promised, and is not so."""


class Crashed(BaseException):
    """The server that was asked is gone."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How likely each is, at each occasion."""

    lost: float = 0.03  # a commit's connection ends before or after it
    unplaced: float = 0.03
    silent: float = 0.3  # a signal that is not heard
    late: float = 0.12  # something takes time, rather than a turn


@dataclass(slots=True)
class World:
    """The store, and the servers over it.

    Attributes:
        log: Every change that was ever applied, in the order in which it was.
        acknowledged: The highest revision that anybody was told of.
        make: Makes the Store of a server; protocols that are wrong on purpose have their own.
    """

    loop: VirtualLoop
    choice: random.Random
    options: StoreOptions
    faults: Faults
    make: "Callable[[World, Node], AsyncIndexStore]"
    tables: MemoryTables = field(default_factory=MemoryTables)
    blobs: dict[str, list[bytes]] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    log: list[tuple[Any, ...]] = field(default_factory=list)
    nodes: "list[Node]" = field(default_factory=list)
    acknowledged: int = 0
    crashes: int = 0
    names: int = 0

    def __post_init__(self) -> None:
        self.tables.store_id = "simulated"
        self.tables.now = self.clock

    @contextmanager
    def in_its_time(self) -> Iterator[None]:
        """Meanwhile the waits of the product's code are in this world's time. Afterwards they are in the process's own:
        a watch by a clock that stands still gives no sign of life."""
        modules = (watch, suspended)
        try:
            for module in modules:
                module.__dict__["time"] = self.loop
            yield
        finally:
            for module in modules:
                module.__dict__["time"] = time

    def clock(self) -> int:
        return EPOCH + int(self.loop.time() * 1e6)

    def chance(self, probability: float) -> bool:
        return self.choice.random() < probability

    async def pause(self) -> None:
        """Something may happen meanwhile."""
        drawn = self.choice.random()
        if drawn < self.faults.late:
            await asyncio.sleep(self.choice.expovariate(20))
        elif drawn < 0.7:
            await turn()

    def start(self, nodes: int) -> None:
        self.nodes += [Node(self) for _ in range(nodes)]

    def crash(self) -> None:
        """One of the servers goes, and another comes in its place."""
        at = self.choice.randrange(len(self.nodes))
        self.nodes[at].alive = False
        self.nodes[at] = Node(self)
        self.crashes += 1

    def node(self) -> "Node":
        return self.choice.choice(self.nodes)

    def apply(self, plan: Plan) -> None:
        for new in plan.contents:
            if new.content.data is None and new.content.file not in self.blobs:
                raise ViolationError(f"revision {new.number} is committed without its bytes")
        self.log += plan.changes
        self.tables.apply(plan)

    def remove(self, files: Sequence[str]) -> None:
        kept = {content.file for content in self.tables._contents.values()}
        for file in files:
            if file in kept:
                raise ViolationError(f"{file} is removed, which a generation has")
            self.blobs.pop(file, None)


class Node:
    """A server. What it is asked for after its crash never comes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.alive = True
        self.store = world.make(world, self)

    async def step(self) -> None:
        self.require_alive()
        await self.world.pause()
        self.require_alive()

    def require_alive(self) -> None:
        if not self.alive:
            raise Crashed


class ClockLock:
    """The lock on the store's clock, as one server takes it."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def __aenter__(self) -> None:
        await self._node.step()
        await self._node.world.lock.acquire()
        if not self._node.alive:
            self._node.world.lock.release()
            raise Crashed

    async def __aexit__(self, *_: object) -> None:
        self._node.world.lock.release()


class SimulatedIndex:
    """The store's index, as one server reaches it."""

    def __init__(self, node: Node, retention: Retention) -> None:
        self.node = node
        self.lock: Any = ClockLock(node)
        self._retention = retention
        self._tables = node.world.tables

    async def identity(self) -> str:
        return self._tables.store_id

    async def facts(self, asked: Asked) -> Facts:
        await self.node.step()
        facts = self._tables.facts(asked, self._retention)
        await self.node.step()
        return facts

    async def apply(self, plan: Plan) -> None:
        await self.node.step()
        faults, world = self.node.world.faults, self.node.world
        if world.chance(faults.lost):
            raise UnavailableError("lost before the commit")
        world.apply(plan)
        if world.chance(faults.lost):
            raise UnavailableError("lost after the commit")
        await self.node.step()

    async def generations(self, unit: str, keys: Sequence[Key]) -> list[int]:
        return [0 if info is None else info.generation for info in await self.find(unit, keys)]

    async def find(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        await self.node.step()
        found = self._tables.find(unit, keys)
        await self.node.step()
        return found

    async def load_small(self, unit: str, items: Sequence[LoadItem], room: int) -> list[LoadResult | Stored]:
        await self.node.step()
        found = self._tables.load_small(unit, items, room)
        await self.node.step()
        return found

    async def stored(self, unit: str, key: Key) -> Stored | None:
        await self.node.step()
        found = self._tables.stored(unit, key)
        await self.node.step()
        return found

    async def retained(self, unit: str, data_id: int, generation: int) -> Stored | None:
        await self.node.step()
        return self._tables.retained(unit, data_id, generation)

    async def page(self, listing: Listing, span: Span, limit: int) -> Listed:
        await self.node.step()
        found = self._tables.page(listing, span, limit)
        await self.node.step()
        return found

    async def units(self) -> list[str]:
        await self.node.step()
        return self._tables.units()

    async def unit_infos(self, units: Sequence[str]) -> list[UnitInfo]:
        await self.node.step()
        return self._tables.unit_infos(units)

    async def unit_page(self, prefix: str, after: str | None, limit: int) -> tuple[list[UnitInfo], str | None]:
        await self.node.step()
        return self._tables.unit_page(prefix, after, limit)

    async def principal_infos(self, principals: Sequence[str]) -> list[PrincipalInfo]:
        await self.node.step()
        return self._tables.principal_infos(principals)

    async def principal_page(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[PrincipalInfo], str | None]:
        await self.node.step()
        return self._tables.principal_page(prefix, after, limit)

    async def changes(
        self, since: int, limit: int | None = None, units: Sequence[str] = ()
    ) -> tuple[int, Sequence[Change]]:
        await self.node.step()
        found = self._tables.changes(since, limit, units)
        await self.node.step()
        return found

    async def revision(self) -> int:
        await self.node.step()
        return self._tables.revision

    async def claim(self, now: int, most: int) -> Claimed:
        await self.node.step()
        claimed = self._tables.claim(now, most)
        await self.node.step()
        return claimed

    async def purge(self, unit: str | None) -> Purged:
        await self.node.step()
        purged = self._tables.purge(unit)
        await self.node.step()
        return purged

    async def forget(self, files: Sequence[str]) -> None:
        await self.node.step()
        self._tables.forget(files)

    async def expired(self, limit: int) -> list[Row]:
        await self.node.step()
        return self._tables.expired(limit)

    async def next_expiry(self) -> int | None:
        await self.node.step()
        return self._tables.next_expiry()

    async def oldest(self, unit: str, most: int) -> Oldest:
        await self.node.step()
        return self._tables.oldest(unit, most)

    async def set_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        await self.node.step()
        return self._tables.set_limits(unit, limits)

    async def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        await self.node.step()
        return self._tables.set_principal_limits(principal, limits)


class SimulatedBlob(AsyncMemoryBlob):
    """Blocks: staged, which are the server's, or placed and open, which are the store's."""

    def __init__(self, node: Node, blocks: list[bytes]) -> None:
        self.node = node
        self.blocks = blocks

    async def append(self, data: bytes | memoryview, checksums: "array[int]") -> None:
        await self.node.step()
        await super().append(data, checksums)

    async def finish(self) -> Self:
        await self.node.step()
        return self

    async def block(self, index: int, size: int, *, ahead: bool) -> bytes:
        await self.node.step()
        return await super().block(index, size, ahead=ahead)


class SimulatedBlobs(AsyncMemoryBlobs):
    """The store's blobs, as one server reaches them."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def stage(self, unit: str) -> SimulatedBlob:
        return SimulatedBlob(self.node, [])

    async def place(self, staged: AsyncMemoryBlob, unit: str, data_id: int, generation: int) -> str:
        await self.node.step()
        world = self.node.world
        if world.chance(world.faults.unplaced):
            raise StorageError("the blob cannot be placed")
        world.names += 1
        file = f"{unit}/{data_id}.{generation}.{world.names}"
        world.blobs[file] = list(staged.blocks)
        await self.node.step()
        return file

    async def read(self, found: Sequence[Stored]) -> list[bytes | VaultError | None]:
        blobs = [await self.open(each) for each in found]
        return [None if blob is None else await blob.block(0, 0, ahead=False) for blob in blobs]

    async def open(self, found: Stored) -> SimulatedBlob | None:
        await self.node.step()
        blocks = self.node.world.blobs.get(found.content.file or "")
        return None if blocks is None else SimulatedBlob(self.node, blocks)

    async def remove(self, files: Sequence[str]) -> None:
        for file in files:
            await self.node.step()
            self.node.world.remove([file])


class SimulatedSignal:
    """Tells the servers of a commit, late or not at all."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.notifications = 0
        self._waiting: list[AsyncEvent] = []

    def notify(self) -> None:
        world = self.node.world
        for node in world.nodes:
            if not world.chance(world.faults.silent):
                world.loop.call_later(world.choice.expovariate(20), node.store.signal.hear)  # type: ignore[attr-defined]

    def hear(self) -> None:
        self.notifications += 1
        for event in self._waiting:
            event.set()

    async def wait(self, notifications: int, timeout: float) -> None:
        await self.node.step()
        event = AsyncEvent()
        self._waiting.append(event)
        if self.notifications == notifications:
            await event.wait(timeout)
        self._waiting.remove(event)
        self.node.require_alive()


def sound_store(world: World, node: Node) -> AsyncIndexStore:
    """The product's protocol."""
    index = SimulatedIndex(node, world.options.retained)
    return AsyncIndexStore(
        index, SimulatedBlobs(node), SimulatedSignal(node), world.options, durability="full", clock=world.clock
    )
