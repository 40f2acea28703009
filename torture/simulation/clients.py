"""One seed's world: clients of servers that crash, watchers, and what all of them were told."""

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from vault.errors import UnavailableError, VaultError
from vault.store.contract import AsyncBlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import (
    CopySpec,
    DeleteSpec,
    MetadataSpec,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
)
from vault.store.values import Block, Change, checksum, from_time
from vault_server.storage.generic._async.index_store import AsyncIndexStore
from vault_server.storage.options import StoreOptions

from torture.simulation.loop import VirtualLoop
from torture.simulation.model import History, Read, Request, judge, seen
from torture.simulation.world import Crashed, Faults, Node, ViolationError, World, sound_store

UNIT: Final = "u"
IDS: Final = range(1, 5)
NAMES: Final = ("a", "b", "c")
KEYS: Final[tuple[int | str, ...]] = (*IDS, *NAMES)
CLIENTS: Final = 3
CALLS: Final = 6
"""Of each client."""

EXPIRIES: Final = (0.02, 0.1, 0.5)
"""Seconds; what a client does takes about as long."""

LONGEST: Final = 30_000_000
"""Microseconds after the last call until everything that expires is told as deleted, at most."""

TRIES: Final = 12


class Ran(NamedTuple):
    """What a seed came to: figures, and a digest of everything that happened."""

    steps: int
    changes: int
    crashes: int
    unknown: int
    digest: int


def run(seed: int, make: Callable[[World, Node], AsyncIndexStore] = sound_store) -> Ran:
    """Runs one seed. Raises ViolationError, or whatever else a store may not raise."""
    choice = random.Random(seed)
    loop = VirtualLoop(choice)
    retention = choice.choice([0.0, 0.3, 300.0])
    faults = Faults() if choice.random() < 0.9 else Faults(lost=0, unplaced=0, silent=0)
    world = World(loop, choice, StoreOptions(retention=retention), faults, make)
    with world.in_its_time():
        return loop.run(_Seed(world).run())


def run_some(seeds: tuple[int, int]) -> Counter[str] | str:
    """Runs seeds from the first to before the second: figures, or what went wrong with which."""
    logging.getLogger("vault_server").setLevel(logging.ERROR)  # what is lost on purpose is tried again
    total = Counter[str]()
    for seed in range(*seeds):
        try:
            ran = run(seed)
        except (Exception, Crashed) as error:  # noqa: BLE001  # whatever it is belongs to the seed
            return f"seed {seed}: {type(error).__name__}: {error}"
        total.update(steps=ran.steps, changes=ran.changes, crashes=ran.crashes, unknown=ran.unknown)
    return total


class _Seed:
    def __init__(self, world: World) -> None:
        self.world = world
        self.choice = world.choice
        self.history = History()
        self.unknown = 0
        self.done = False
        self._ended_at = 0
        self._requests = 0
        self._generations: list[tuple[int, int, int]] = []  # id, generation, checksum

    async def run(self) -> Ran:
        world = self.world
        world.start(self.choice.randint(1, 3))
        watching = [asyncio.ensure_future(self._watch()) for _ in range(2)]
        crashing = asyncio.ensure_future(self._crash())
        await asyncio.gather(*[self._client() for _ in range(CLIENTS)])
        self.done = True
        self._ended_at = world.clock()
        await crashing
        world.faults = Faults(lost=0, unplaced=0)
        await self._look_at_all()
        await asyncio.gather(*watching)
        judge(world, self.history)
        digest = hash((world.loop.steps, round(world.loop.time() * 1e6), tuple(change[2:6] for change in world.log)))
        return Ran(world.loop.steps, len(world.log), world.crashes, self.unknown, digest)

    async def _crash(self) -> None:
        for _ in range(self.choice.choice([0, 1, 1, 2, 4])):
            await asyncio.sleep(self.choice.expovariate(3))
            if not self.done:
                self.world.crash()

    async def _client(self) -> None:
        for _ in range(CALLS):
            await self.world.pause()
            if self.choice.random() < 0.35:
                await self._read()
            else:
                await self._write()

    async def _write(self) -> None:
        """Sends writes until there is an answer, or gives up: then nobody knows."""
        requests, send = self._prepare()
        again = self.choice.random()
        if again < 0.1:  # sent to two servers at once
            await asyncio.gather(self._send(requests, send), self._send(requests, send))
        else:
            await self._send(requests, send)
            if again < 0.2:  # sent again by somebody who did not hear the answer
                await self._send(requests, send)

    async def _send(self, requests: list[Request], send: Callable[[AsyncIndexStore], Any]) -> None:
        world = self.world
        for _ in range(TRIES):
            begun, begun_at = world.acknowledged, world.clock()
            try:
                answers = await send(world.node().store)
            except (Crashed, UnavailableError):
                await asyncio.sleep(self.choice.expovariate(10))
                if self.choice.random() < 0.1:
                    break
                continue
            for request, answer in zip(requests, answers, strict=True):
                request.answers.append((answer, begun, world.tables.revision, begun_at, world.clock()))
                revision = answer if isinstance(answer, int) else getattr(answer, "revision", 0)
                world.acknowledged = max(world.acknowledged, revision if isinstance(revision, int) else 0)
                if not isinstance(answer, int | VaultError):
                    self._generations.append((answer.data_id, answer.generation, answer.checksum))
            return
        self.unknown += 1

    def _prepare(self) -> tuple[list[Request], Callable[[AsyncIndexStore], Any]]:
        choice = self.choice
        match choice.randrange(10):
            case 0 | 1:
                return self._batch(self._upload, SmallUpload, "upload_many")
            case 2:
                return self._batch(self._update, SmallUpdate, "update_many")
            case 3:
                specs = [
                    DeleteSpec(self._key(), self._precondition(), self._request_id(), self._precondition())
                    for _ in range(choice.randint(1, 2))
                ]
                return self._register(specs), lambda store: store.delete_many(UNIT, specs)
            case 4:
                name = choice.choice([None, "", *NAMES])
                tags = choice.choice([None, {"k": choice.choice("xy")}])
                until = choice.choice([None, None, *EXPIRIES, math.inf])
                spec = MetadataSpec(self._key(), name, tags, self._precondition(), self._request_id(), expires_in=until)
                return self._register([spec]), lambda store: _alone(store.set_metadata(UNIT, spec))
            case 5:
                return self._batch(
                    lambda: self._put() if choice.random() < 0.8 else self._update(), SmallPut, "put_many"
                )
            case 6:
                renames = [
                    MetadataSpec(
                        self._key(),
                        choice.choice(NAMES),
                        if_revision=self._precondition(),
                        replace=choice.random() < 0.7,
                        request_id=self._request_id(),
                    )
                    for _ in range(choice.randint(1, 3))
                ]
                return self._register(renames), lambda store: store.set_metadata_many(UNIT, renames)
            case 7:
                copies = [self._copy() for _ in range(choice.randint(1, 2))]
                return self._register(copies), lambda store: store.copy_many(UNIT, copies)
        streamed: Any = choice.choice([self._upload, self._update, self._put])()
        data = choice.randbytes(8)
        resumable = choice.random() < 0.5
        return self._register([streamed], [data]), lambda store: _alone(
            self._stream(store, streamed, data, resumable=resumable)
        )

    def _batch(
        self, spec: Callable[[], Any], item: Callable[..., Any], call: str
    ) -> tuple[list[Request], Callable[[AsyncIndexStore], Any]]:
        specs = [spec() for _ in range(self.choice.randint(1, 3))]
        data = [self.choice.randbytes(4) for _ in specs]
        items = [item(each, content, checksum(content)) for each, content in zip(specs, data, strict=True)]
        return self._register(specs, data), lambda store: getattr(store, call)(UNIT, items)

    def _register(self, specs: list[Any], data: list[bytes] | None = None) -> list[Request]:
        sums = [0] * len(specs) if data is None else [checksum(content) for content in data]
        requests = [Request(spec, whole, self.world.acknowledged) for spec, whole in zip(specs, sums, strict=True)]
        self.history.requests |= {request.spec.request_id: request for request in requests}
        return requests

    def _upload(self) -> UploadSpec:
        choice = self.choice
        tags = {"k": choice.choice("xy")} if choice.random() < 0.3 else {}
        name = choice.choice([None, *NAMES])
        return UploadSpec(choice.choice(IDS), name, tags, request_id=self._request_id())

    def _copy(self) -> CopySpec:
        choice = self.choice
        name = choice.choice([None, *NAMES])
        over = name is not None and choice.random() < 0.6
        return CopySpec(self._key(), name, choice.choice(IDS), over, self._precondition(), self._request_id())

    def _update(self) -> UpdateSpec:
        tags = self.choice.choice([None, None, {}, {"k": "x"}])
        return UpdateSpec(
            self._key(),
            self._precondition(),
            request_id=self._request_id(),
            if_revision=self._precondition() if self.choice.random() < 0.3 else None,
            tags=tags,
        )

    def _put(self) -> PutSpec:
        choice = self.choice
        tags = {"k": choice.choice("xy")} if choice.random() < 0.3 else {}
        if_generation = 0 if choice.random() < 0.2 else self._precondition()
        name = choice.choice([None, *NAMES, *NAMES])
        until = choice.choice([None, None, None, *EXPIRIES])
        return PutSpec(name, choice.choice(IDS), tags, "", if_generation, until, self._request_id())

    def _key(self) -> int | str:
        return self.choice.choice(KEYS)

    def _precondition(self) -> int | None:
        if self._generations and self.choice.random() < 0.3:
            return self.choice.choice(self._generations)[1]
        return None

    def _request_id(self) -> bytes:
        self._requests += 1
        return self._requests.to_bytes(16, "big")

    async def _stream(self, store: AsyncIndexStore, spec: Any, data: bytes, *, resumable: bool) -> Any:
        begin: Any = store.upload if isinstance(spec, UploadSpec) else store.put
        try:
            async with await begin(UNIT, spec, resumable=resumable) as writer:
                if writer.persisted_size == 0:
                    await writer.write(Block(0, data, checksum(data)))
                if resumable and self.choice.random() < 0.3:
                    await writer.suspend()
                    return await self._stream(store, spec, data, resumable=True)
                return await writer.commit(len(data), checksum(data))
        except UnavailableError:
            raise
        except VaultError as error:
            if error.reason == "WRITE_TAKEN_OVER":  # by another try of the same
                raise UnavailableError("taken over") from error
            return error

    async def _read(self) -> None:
        store, world = self.world.node().store, self.world
        begun, begun_at = world.acknowledged, world.clock()
        with suppress(Crashed, UnavailableError):
            match self.choice.randrange(4):
                case 0:
                    keys = [self._key() for _ in range(self.choice.randint(1, 3))]
                    infos = await store.stat_many(UNIT, keys)
                    found = [None if info is None else (info.data_id, seen(info)) for info in infos]
                    self.history.reads.append(Read(keys, found, begun, world.tables.revision, begun_at, world.clock()))
                case 1:
                    listed = (await store.list_page(UNIT)).objects
                    objects = [(info.data_id, seen(info)) for info in listed]
                    self.history.reads.append(
                        Read([], list(objects), begun, world.tables.revision, begun_at, world.clock())
                    )
                case 2:
                    key = self._key()
                    info = await self._load(store, key)
                    loaded = None if info is None else (info.data_id, seen(info))
                    self.history.reads.append(
                        Read([key], [loaded], begun, world.tables.revision, begun_at, world.clock())
                    )
                case 3 if self._generations:
                    await self._load_generation(store, *self.choice.choice(self._generations))

    async def _load(self, store: AsyncIndexStore, key: int | str, generation: int | None = None) -> Any:
        """The object, once its bytes are found to be its own."""
        reader = await store.load(UNIT, key, generation=generation)
        if reader is None:
            return None
        assert isinstance(reader, AsyncBlockReader)
        async with reader:
            data = b"".join([bytes(block.data) async for block in reader])
        assert len(data) <= BLOCK_SIZE
        if checksum(data) != reader.info.checksum:
            raise ViolationError(f"{reader.info} has the bytes of another")
        return reader.info

    async def _load_generation(self, store: AsyncIndexStore, data_id: int, generation: int, whole: int) -> None:
        """What was replaced is there, whole, for as long as it is retained."""
        try:
            info = await self._load(store, data_id, generation)
        except VaultError as error:
            if isinstance(error, UnavailableError) or error.reason != "GENERATION_MISMATCH":
                raise
            info = None
        if info is not None and info.checksum != whole:
            raise ViolationError(f"generation {generation} of {data_id} has other bytes than it was written with")
        if info is None and self.world.options.retention == 300.0:
            raise ViolationError(f"generation {generation} of {data_id} is gone before its time")

    async def _watch(self) -> None:
        """Follows the feed over crashes, from the last revision on."""
        told: list[tuple[int, int]] = []
        self.history.feeds.append(told)
        revision = 0
        while True:
            with suppress(Crashed):
                async with await self.world.node().store.watch(since=revision) as watch:
                    async for event in watch:
                        if event.revision < revision or (isinstance(event, Change) and event.revision == revision):
                            raise ViolationError(f"a watcher is told of {event} after {revision}")
                        revision = event.revision
                        if isinstance(event, Change):
                            told.append((event.revision, event.data_id))
                        tables = self.world.tables
                        if self.done and revision >= tables.revision and tables.next_expiry() is None:
                            return
                        if self.done and self.world.clock() > self._ended_at + LONGEST:
                            raise ViolationError(f"what expires is not deleted: {tables._expiring}")

    async def _look_at_all(self) -> None:
        """Every object can be read by a server that comes to it anew."""
        node = Node(self.world)
        for info in (await node.store.list_page(UNIT)).objects:
            there = await self._load(node.store, info.data_id) is not None
            if not there and (info.expires_at is None or from_time(info.expires_at) > self.world.clock()):
                raise ViolationError(f"{info} is listed and not there")


async def _alone(outcome: Any) -> list[Any]:
    try:
        return [await outcome]
    except UnavailableError:
        raise
    except VaultError as error:
        return [error]
