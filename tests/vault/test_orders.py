"""A cache behind a network that delays, reorders and loses: what it shows is checked against the store's history.

Replies wait after the store was read, changes wait on their way, streams end in the middle, replies to
writes are lost. The vault, its cache and the store are real ones; only the way between them is disturbed.

What is checked of each load, by the key that was asked for: it shows a state that the store was in, not
older than any write of this vault that was acknowledged before, nor than any change that had reached its
cache, nor than what an earlier load of the key showed (reads of one vault are monotonic).
"""

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import pytest
from vault import (
    AlreadyExistsError,
    AsyncVault,
    Change,
    ChangeKind,
    ConflictError,
    Key,
    NotFoundError,
    UnavailableError,
)
from vault._async.feed import follower
from vault.store.contract import AsyncWatch, LoadResult
from vault.store.specs import DeleteSpec, LoadItem, MetadataSpec, SmallUpdate, SmallUpload, UpdateSpec, UploadSpec
from vault.store.values import ObjectInfo, Progress, checksum
from vault_server import EmbeddedStore
from vault_server.storage import AsyncEmbeddedStore, StoreOptions

from tests.vault.places import Note

IDS: Final = (1, 2, 3)
NAMES: Final = ("a", "b")
OPERATIONS: Final = 60
T = TypeVar("T")


class Knowledge:
    """What one vault may be held to, judged when all is over: then it is known what every revision was."""

    def __init__(self, history: "History") -> None:
        self._history = history
        self._log: list[int | tuple[int, Key, str | None, int]] = []

    def told(self, revision: int) -> None:
        """An own write of this revision was acknowledged, or its change was taken in."""
        self._log.append(revision)

    def now(self) -> int:
        """To be taken before a load begins."""
        return len(self._log)

    def shown(self, key: Key, since: int, text: str | None) -> None:
        """A load that began at `since` shows this text, None for no object."""
        self._log.append((since, key, text, self._history.read()))

    def judge(self) -> int:
        """Fails at the first load that showed what it must not; returns how many there were."""
        told: list[tuple[int, int]] = []  # when, which revision
        shown: dict[Key, list[tuple[int, int]]] = defaultdict(list)
        for place, entry in enumerate(self._log):
            if isinstance(entry, int):
                told.append((place, entry))
                continue
            since, key, text, newest = entry
            known = [r for when, r in told if when < since and self._history.touches(r, key)]
            at_least = max([0, *known, *(r for when, r in shown[key] if when < since)])
            first = self._history.first_that_shows(key, text, at_least, newest)
            assert first is not None, (
                f"{key!r} showed {text!r}, which it was at no revision from {at_least} to {newest}"
            )
            shown[key].append((place, first))
        return sum(map(len, shown.values()))


class History:
    """Every state that the store was in."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self.texts: dict[int, str] = {}  # by generation
        self._by_id: list[dict[int, Change]] = [{}]
        self._touched: list[set[Key]] = [set()]

    def read(self) -> int:
        """Reads up to now. Returns the revision."""
        _, changes = self._store.changes(len(self._by_id) - 1)
        for change in changes:
            before = self._by_id[-1].get(change.data_id)
            after = {**self._by_id[-1], change.data_id: change}
            if change.kind is ChangeKind.DELETED:
                del after[change.data_id]
            self._by_id.append(after)
            keys: set[Key] = {change.data_id}
            keys |= {each.name for each in (before, change) if each is not None and each.name is not None}
            self._touched.append(keys)
        return len(self._by_id) - 1

    def touches(self, revision: int, key: Key) -> bool:
        return key in self._touched[revision]

    def first_that_shows(self, key: Key, text: str | None, at_least: int, newest: int) -> int | None:
        """The first of these revisions that a load of `key` which shows this text may be of.

        A name may lead to the object that had it at one of them, as it was later: whoever has that object in use
        may write it meanwhile, and the loaded ticket shares what was written.
        """
        revisions = range(at_least, newest + 1)
        for revision in revisions:
            if self.state(key, revision) == text:
                return revision
        for revision in revisions:
            for holder in self._by_id[revision].values():
                if holder.name == key and any(
                    self.state(holder.data_id, r) == text for r in range(revision, newest + 1)
                ):
                    return revision
        return None

    def state(self, key: Key, revision: int) -> str | None:
        for change in self._by_id[revision].values():
            if key in (change.data_id, change.name):
                return self.texts[change.generation]
        return None


acknowledged: ContextVar[list[int]] = ContextVar("acknowledged")
"""Revisions of the running task's writes: the application knows of them when the vault returns."""


def texts_of(items: Sequence[SmallUpload] | Sequence[SmallUpdate]) -> list[str]:
    return [bytes(item.data).decode() for item in items]


class Disturbed(AsyncEmbeddedStore):
    """An embedded store as if it were far away."""

    local_feed: ClassVar[bool] = False

    def __init__(self, store: EmbeddedStore, history: History, seed: int) -> None:
        super().__init__(store)
        self.dice = random.Random(seed)
        self.knowledge = Knowledge(history)
        self.history = history
        self.losing = False

    async def pause(self) -> None:
        for _ in range(self.dice.choice((0, 0, 1, 3, 20))):
            await asyncio.sleep(0)
        if self.dice.random() < 0.2:
            await asyncio.sleep(self.dice.random() * 0.005)

    async def far(self, call: Callable[..., Awaitable[T]], *args: Any) -> T:
        await self.pause()
        reply = await call(*args)
        await self.pause()
        return reply

    async def written(self, call: Callable[..., Awaitable[T]], *args: Any, texts: Sequence[str] = ()) -> T:
        """A write, whose reply may be lost."""
        reply: Any = await self.far(call, *args)
        for text, info in zip(texts, reply if texts else (), strict=True):
            if isinstance(info, ObjectInfo):
                self.history.texts[info.generation] = text
        if self.losing and self.dice.random() < 0.1:
            raise UnavailableError("the reply was lost")
        for outcome in reply if isinstance(reply, Sequence) else [reply]:
            revision = outcome.revision if isinstance(outcome, ObjectInfo) else outcome
            if isinstance(revision, int):
                acknowledged.get().append(revision)
        result: T = reply
        return result

    async def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        return await self.far(super().stat_many, unit, keys)

    async def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        return await self.far(super().load_many, unit, items)

    async def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[Any]:
        return await self.written(super().upload_many, unit, items, texts=texts_of(items))

    async def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[Any]:
        return await self.written(super().update_many, unit, items, texts=texts_of(items))

    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[Any]:
        return await self.written(super().delete_many, unit, items)

    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        return await self.written(super().set_metadata, unit, spec)

    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        await self.pause()
        return DisturbedWatch(await super().watch(units, since=since), self)


class DisturbedWatch(AsyncWatch):
    """Tells changes late, and ends now and then."""

    def __init__(self, watch: AsyncWatch, store: Disturbed) -> None:
        self._watch = watch
        self._store = store

    async def __aiter__(self) -> AsyncIterator[Change | Progress]:
        async for event in self._watch:
            await self._store.pause()
            if self._store.losing and self._store.dice.random() < 0.05:
                raise UnavailableError("the stream was lost")
            yield event
            if isinstance(event, Change):  # it has been taken in, since the next one is asked for
                self._store.knowledge.told(event.revision)

    async def close(self) -> None:
        await self._watch.close()


def instead(new: Note, _old: Note) -> Note:
    return new


async def use(vault: AsyncVault, store: Disturbed, texts: "itertools.count[int]") -> None:
    """One task of an application: anything, with any object."""
    dice = store.dice
    for _ in range(OPERATIONS):
        own: list[int] = []
        acknowledged.set(own)
        key: Key = dice.choice((*IDS, *NAMES))
        note = Note(str(next(texts)))
        with suppress(NotFoundError, ConflictError, AlreadyExistsError, UnavailableError):
            match dice.choice(("load",) * 6 + ("update", "edit", "ticket", "upload", "delete", "name", "many")):
                case "load":
                    await show(vault, store, [key])
                case "many":
                    await show(vault, store, [*IDS, *NAMES])
                case "update":
                    await vault.update("notes", key, note)
                case "edit":
                    await vault.edit("notes", key, partial(instead, note))
                case "ticket":
                    if (ticket := await vault.load("notes", key)) is not None:
                        async with ticket:
                            ticket.get_ref().text = note.text
                case "upload":
                    await vault.upload("notes", note, data_id=dice.choice(IDS), name=dice.choice((*NAMES, None)))
                case "delete":
                    await vault.delete("notes", key)
                case "name":
                    await vault.set_metadata("notes", key, name=dice.choice((*NAMES, "")))
            for revision in own:
                store.knowledge.told(revision)


async def show(vault: AsyncVault, store: Disturbed, keys: list[Key]) -> None:
    since = store.knowledge.now()
    tickets = await vault.load_many("notes", keys)
    for key, ticket in zip(keys, tickets, strict=True):
        store.knowledge.shown(key, since, None if ticket is None else ticket.get_data().text)
    for ticket in tickets:
        if ticket is not None:
            await ticket.close()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("consistency", ["watch", "strict"])
async def test_what_a_load_shows_is_never_older_than_what_is_known(
    seed: int, consistency: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_FIRST_BACKOFF", 0.002)
    texts = itertools.count()
    async with AsyncExitStack() as stack:
        inner = stack.enter_context(EmbeddedStore(tmp_path / "store", StoreOptions(durability="relaxed")))
        history = History(inner)
        work, stores = [], []
        for number in range(2):
            store = await stack.enter_async_context(Disturbed(inner, history, seed * 2 + number))
            vault = AsyncVault(store, {"notes": (Note, 2)}, consistency=consistency)
            await stack.enter_async_context(vault)
            store.losing = bool(seed % 2)
            stores.append(store)
            work += [use(vault, store, texts) for _ in range(3)]
        async with asyncio.TaskGroup() as tasks:
            for each in work:
                tasks.create_task(each)
        history.read()
        for store in stores:
            assert store.knowledge.judge() > OPERATIONS
        assert inner.check(deep=True).ok


def test_the_history_knows_an_old_state_from_a_new_one(tmp_path: Path) -> None:
    """The judge itself: it finds fault with what must not be."""
    with EmbeddedStore(tmp_path / "store") as store:
        history = History(store)
        knowledge = Knowledge(history)
        uploaded = store.upload_many("notes", [SmallUpload(UploadSpec(1, "a"), b"old", checksum(b"old"))])
        updated = store.update_many("notes", [SmallUpdate(UpdateSpec(1), b"new", checksum(b"new"))])
        for text, info in (("old", uploaded[0]), ("new", updated[0])):
            assert isinstance(info, ObjectInfo)
            history.texts[info.generation] = text
        knowledge.shown(1, 0, "old")
        knowledge.shown("a", 0, None)
        knowledge.shown("a", 0, "new")
        assert knowledge.judge() == 3
        before = knowledge.now()
        knowledge.shown("a", 0, "old")  # it began before the new one was shown
        assert knowledge.judge() == 4
        for key, wrong in (("a", "old"), ("a", None)):
            bad = Knowledge(history)
            bad.shown(key, 0, "new")
            bad.shown(key, 1, wrong)
            with pytest.raises(AssertionError, match="showed"):
                bad.judge()
        knowledge.told(2)
        knowledge.shown(1, before, "old")
        assert knowledge.judge() == 5
        knowledge.shown(1, knowledge.now(), "old")
        with pytest.raises(AssertionError, match="showed 'old'"):
            knowledge.judge()
