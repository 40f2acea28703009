"""An object cache alone, its objects held and released one by one."""

import threading
from datetime import UTC, datetime
from typing import Any

from vault._cache.cache import ObjectCache
from vault._cache.entry import Entry
from vault._cache.lookup import Hit, Join, Miss, Stale
from vault._cache.working_copy import WorkingCopy
from vault._runtime.sync_async import Flight
from vault.store.values import Change, ChangeKind, Key, ObjectInfo
from vault.unit import UnitSettings

from tests.vault.places import Note

NOW = datetime.now(UTC)


class Cache(ObjectCache[Flight]):
    """Whose objects are held and released one by one."""

    def look_up(self, unit: str, key: Key, epoch: int, flight: Flight) -> Hit | Stale | Miss | Join[Flight]:  # type: ignore[override]
        return super().look_up(unit, key, epoch, flight, {})

    def fill(self, info: ObjectInfo, data: Any, epoch: int, **options: Any) -> tuple[Entry, bool]:  # type: ignore[override]
        return super().fill(info, data, epoch, {}, info.data_id, **options)

    def unpin(self, entry: Entry) -> None:
        self.release({0: entry}, 0)


class Editor:
    _working_copy: WorkingCopy | None = None


def edit(entry: Entry) -> WorkingCopy:
    editor = Editor()
    entry.edit(threading.Lock, editor)
    assert editor._working_copy is not None
    return editor._working_copy


def make(*, enabled: bool = True, **limits: int) -> Cache:
    return Cache({"u": UnitSettings(Note, **limits), "v": UnitSettings(Note)}, enabled=enabled)


def info(
    data_id: int, generation: int, *, revision: int = 0, name: str | None = None, size: int = 10, unit: str = "u"
) -> ObjectInfo:
    return ObjectInfo(unit, data_id, generation, revision or generation, size, generation, "Note", name, {}, NOW, NOW)


def put(cache: Cache, what: ObjectInfo, epoch: int = 1, sent: int | None = None) -> Entry:
    """Loads an object and closes the ticket on it."""
    entry, _ = cache.fill(what, Note(str(what.generation)), epoch, sent=sent)
    cache.unpin(entry)
    return entry


def changed(data_id: int, revision: int, kind: ChangeKind = ChangeKind.UPDATED, name: str | None = None) -> Change:
    return Change(revision, "u", data_id, kind, revision, name)


def held(cache: Cache, *keys: Key, epoch: int = 1) -> list[Key]:
    """Those that are there and current."""
    found: list[Key] = []
    for key in keys:
        match cache.look_up("u", key, epoch, Flight()):
            case Hit(entry):
                found.append(key)
                cache.unpin(entry)
            case Stale(entry):
                cache.unpin(entry)
            case Miss():
                pass  # whose flight is over
    return found
