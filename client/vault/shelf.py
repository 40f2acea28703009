"""One unit's part of the object cache: its index, its books, and what changed while loads are in the air.

No lock of its own: the cache's is held around every call.
"""

from collections import OrderedDict
from typing import Final

from vault.entry import Entry
from vault.model import Change, Key, ObjectInfo
from vault.structure import Unit

_MOST_CHANGED: Final = 10_000


class Shelf:
    """The entries of a unit, by id and by name.

    Attributes:
        entries: By id.
        idle: Ids of those without an open ticket, the longest unused first, and when each was let go.
        bytes: Of all entries, as they are stored.
        airborne: Requests to the store whose replies may bring objects here.
        changed: While any is in the air, the newest revision that was heard of, by id.
        changed_all: The same, of a change of some object, unknown which.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._names: dict[str, int] = {}
        self.entries: dict[int, Entry] = {}
        self.idle: OrderedDict[int, int] = OrderedDict()
        self.bytes = 0
        self.airborne = 0
        self.changed: dict[int, int] = {}
        self.changed_all = 0

    @property
    def is_over_limit(self) -> bool:
        unit = self._unit
        return bool(unit.max_cached and len(self.entries) > unit.max_cached) or bool(
            unit.max_bytes and self.bytes > unit.max_bytes
        )

    def find(self, key: Key) -> Entry | None:
        """The entry of this id or name."""
        data_id = self._names.get(key) if isinstance(key, str) else key
        return None if data_id is None else self.entries.get(data_id)

    def holds(self, entry: Entry) -> bool:
        """Whether it is in the index: not outdated, not put out."""
        return self.entries.get(entry.info.data_id) is entry

    def put(self, entry: Entry) -> None:
        """Puts an entry in, or what it has become in its place."""
        info = entry.info
        if self.holds(entry):
            self.bytes -= entry.size
            self.unname(entry)
        self.entries[info.data_id] = entry
        entry.size = info.size
        self.bytes += info.size
        entry.name = info.name
        if info.name is not None:
            self._names[info.name] = info.data_id

    def remove(self, entry: Entry) -> None:
        """Takes an entry out; open tickets keep it."""
        data_id = entry.info.data_id
        del self.entries[data_id]
        self.idle.pop(data_id, None)
        self.bytes -= entry.size
        self.unname(entry)

    def unname(self, entry: Entry) -> None:
        """Its name does not lead to it any more."""
        if entry.name is not None and self._names.get(entry.name) == entry.info.data_id:
            del self._names[entry.name]

    def take_name(self, name: str, revision: int) -> None:
        """An object got this name at this revision: it leads to nothing older any more."""
        holder = self._names.get(name)
        if holder is not None and self.entries[holder].info.revision < revision:
            del self._names[name]

    def describe(self, entry: Entry, info: ObjectInfo) -> None:
        """What the store says of the same bytes."""
        if info.revision >= entry.info.revision:
            entry.describe(info)
            self.put(entry)

    def note(self, change: Change) -> None:
        """A change was heard of."""
        if not self.airborne:
            return
        self.changed[change.data_id] = max(self.changed.get(change.data_id, 0), change.revision)
        if len(self.changed) > _MOST_CHANGED:  # the air is never clear: know less, rather than grow
            self.changed_all = max(self.changed_all, *self.changed.values())
            self.changed.clear()

    def note_all(self, revision: int) -> None:
        """Some object changed, unknown which."""
        if self.airborne:
            self.changed_all = max(self.changed_all, revision)

    def clear_air(self) -> None:
        """Nothing is in the air: what changes finds it here."""
        self.changed.clear()
        self.changed_all = 0

    def is_newest(self, info: ObjectInfo) -> bool:
        """Whether no newer change of it was heard of since requests left."""
        return self.changed.get(info.data_id, 0) <= info.revision

    def epoch_of(self, info: ObjectInfo, epoch: int) -> int:
        """Under which epoch it is current; `epoch` is the one that held before the request left."""
        return epoch if self.is_newest(info) and self.changed_all <= info.revision else 0
