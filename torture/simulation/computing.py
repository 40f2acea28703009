"""Vaults of several processes that want the same values, under a virtual clock: who computes, and what they are told.

Calls to the store are late; processes crash in the middle, or are stopped for a while; functions raise. At most one
computes a name at a time, unless a process was stopped for longer than a lease; and whatever happens, all are told of
one value, the one that was stored first.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from vault import AsyncVault, TextWrapper
from vault._runtime import backoff
from vault.store import AsyncWrapperStore
from vault.store.specs import SmallPut
from vault.store.values import ObjectInfo
from vault_server.storage.memory import AsyncMemoryStore
from vault_server.storage.memory._async.engine import AsyncMemoryLeases

from torture.simulation.loop import VirtualLoop, turn
from torture.simulation.world import Crashed, ViolationError

NAMES: Final = ("a", "b")
UNIT: Final = "notes"


class Failed(Exception):  # noqa: N818  # what a function raises
    """A function's error."""


class Ran(NamedTuple):
    """What a seed came to."""

    computations: int
    crashes: int
    stops: int
    failures: int


@dataclass
class Scene:
    """One seed's store and the processes on it."""

    loop: VirtualLoop
    choice: random.Random
    store: AsyncMemoryStore
    make: "Callable[[Scene], Process]"
    stops: bool
    """Whether processes are stopped, for longer than a lease."""
    running: Counter[str] = field(default_factory=Counter)
    computed: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    stopped: int = 0
    told: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in NAMES})

    async def pause(self) -> None:
        drawn = self.choice.random()
        if drawn < 0.3:
            await asyncio.sleep(self.choice.expovariate(10))
        elif drawn < 0.7:
            await turn()


class Process(AsyncWrapperStore):
    """A process: what it asks of the store is late, and nothing more once it has crashed."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.store)
        self.scene = scene
        self.alive = True
        self.going = asyncio.Event()
        self.going.set()
        self.inside: list[str] = []

    async def step(self) -> None:
        await self.scene.pause()
        await self.going.wait()
        if not self.alive:
            raise Crashed

    def crash(self) -> None:
        self.alive = False
        self.going.set()
        self.scene.crashes += 1
        for name in self.inside:
            self.scene.running[name] -= 1

    async def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        await self.step()
        answer = await super().acquire_lease(unit, name, holder, seconds)
        await self.step()
        return answer

    async def release_lease(self, unit: str, name: str, holder: bytes) -> None:
        await self.step()
        await super().release_lease(unit, name, holder)
        await self.step()

    async def stat_many(self, unit: str, keys: Sequence[Any]) -> Sequence[ObjectInfo | None]:
        await self.step()
        answer = await super().stat_many(unit, keys)
        await self.step()
        return answer

    async def load_many(self, unit: str, items: Sequence[Any]) -> Any:
        await self.step()
        answer = await super().load_many(unit, items)
        await self.step()
        return answer

    async def put_many(self, unit: str, items: Sequence[SmallPut]) -> Any:
        await self.step()
        answer = await super().put_many(unit, items)
        await self.step()
        return answer

    async def compute(self, name: str) -> TextWrapper:
        """What a function does: it takes time, and may raise."""
        scene = self.scene
        scene.computed[name] += 1
        scene.running[name] += 1
        self.inside.append(name)
        number = scene.computed[name]
        if scene.running[name] > 1 and not scene.stops:
            raise ViolationError(f"{scene.running[name]} compute {name!r} at once")
        try:
            await asyncio.sleep(scene.choice.choice([0.0, 0.5, 3.0, 30.0]))
            await self.step()
            if scene.choice.random() < 0.2:
                scene.failures[name] += 1
                raise Failed
            return TextWrapper(f"{name}{number}")
        finally:
            if self.alive:
                self.inside.remove(name)
                scene.running[name] -= 1


def run(seed: int, make: Callable[[Scene], Process] = Process) -> Ran:
    """Runs one seed. Raises ViolationError, or whatever else a vault may not raise."""
    choice = random.Random(seed)
    loop = VirtualLoop(choice)
    backoff.__dict__["random"] = choice  # waits are of this seed, too
    try:
        return loop.run(_run(loop, choice, make))
    finally:
        backoff.__dict__["random"] = random


async def _run(loop: VirtualLoop, choice: random.Random, make: Callable[[Scene], Process]) -> Ran:
    store = AsyncMemoryStore()
    store.leases = AsyncMemoryLeases(lambda: 1 + int(loop.time() * 1e9))
    scene = Scene(loop, choice, store, make, stops=choice.random() < 0.3)
    processes = [make(scene) for _ in range(choice.randint(1, 4))]
    vaults = [AsyncVault(each, {UNIT: (TextWrapper, 0)}, cache=choice.random() < 0.5) for each in processes]
    pairs = list(zip(processes, vaults, strict=True))
    clients = [asyncio.ensure_future(_client(scene, *choice.choice(pairs))) for _ in range(6)]
    trouble = asyncio.ensure_future(_trouble(scene, processes))
    try:
        await asyncio.gather(*clients)
    finally:
        for process in processes:
            process.going.set()
        for task in (trouble, *clients):
            task.cancel()
        await asyncio.gather(trouble, *clients, return_exceptions=True)
        for vault in vaults:
            with suppress(Crashed):
                await vault.close()
    last = make(scene)
    async with AsyncVault(last, {UNIT: (TextWrapper, 0)}) as vault:
        for name in NAMES:
            await _ask(scene, last, vault, name)
    for name in NAMES:
        if len(scene.told[name]) != 1:
            raise ViolationError(f"of {name!r} there were told {scene.told[name]}")
        due = 1 + scene.crashes + scene.stopped + scene.failures[name]
        if scene.computed[name] > due:
            raise ViolationError(f"{name!r} was computed {scene.computed[name]} times, {due} was due")
    return Ran(scene.computed.total(), scene.crashes, scene.stopped, scene.failures.total())


async def _client(scene: Scene, process: Process, vault: AsyncVault) -> None:
    for _ in range(2):
        await asyncio.sleep(scene.choice.choice([0.0, 1.0, 20.0]))
        with suppress(Crashed):
            await _ask(scene, process, vault, scene.choice.choice(NAMES))


async def _ask(scene: Scene, process: Process, vault: AsyncVault, name: str) -> None:
    """Asks until there is a value."""

    async def function() -> TextWrapper:
        return await process.compute(name)

    while True:
        with suppress(Failed):
            value = await vault.get_or_compute(UNIT, name, function)
            scene.told[name].add(value.data)
            return


async def _trouble(scene: Scene, processes: list[Process]) -> None:
    choice = scene.choice
    for _ in range(choice.choice([0, 1, 2])):
        await asyncio.sleep(choice.expovariate(0.3))
        process = choice.choice(processes)
        if not scene.stops:
            if process.alive:
                process.crash()
        else:
            scene.stopped += 1
            process.going.clear()
            await asyncio.sleep(choice.choice([5.0, 25.0]))
            process.going.set()


class _NoLease(Process):
    async def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        await super().acquire_lease(unit, name, holder, seconds)
        return 0.0


class _NoRenewal(Process):
    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.holders: set[bytes] = set()

    async def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        if holder in self.holders:
            return 0.0
        answer = await super().acquire_lease(unit, name, holder, seconds)
        if not answer:
            self.holders.add(holder)
        return answer


class _NoSecondLook(Process):
    async def stat_many(self, unit: str, keys: Sequence[Any]) -> Sequence[ObjectInfo | None]:
        await super().stat_many(unit, keys)
        return [None] * len(keys)


class _Overwrites(Process):
    async def put_many(self, unit: str, items: Sequence[SmallPut]) -> Any:
        for item in items:
            object.__setattr__(item.spec, "if_generation", None)
        return await super().put_many(unit, items)


WRONG: Final[dict[str, Callable[[Scene], Process]]] = {
    "no lease": _NoLease,
    "no renewal": _NoRenewal,
    "no second look": _NoSecondLook,
    "a put that overwrites": _Overwrites,
}


def run_some(seeds: tuple[int, int]) -> Counter[str] | str:
    """Runs seeds from the first to before the second: figures, or what went wrong with which."""
    total = Counter[str]()
    for seed in range(*seeds):
        try:
            total.update(run(seed)._asdict())
        except (Exception, Crashed) as error:  # noqa: BLE001  # whatever it is belongs to the seed
            return f"seed {seed}: {type(error).__name__}: {error}"
    return total
