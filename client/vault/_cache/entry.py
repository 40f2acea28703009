"""A decoded object in memory, and the working copy that its edited tickets share. No I/O."""

import threading
from collections.abc import Callable
from typing import Any, Protocol

from vault.store.values import ObjectInfo


class Draft:
    """A working copy: what `get_ref` hands out, shared by the edited tickets of one entry.

    Attributes:
        data: The copy.
        editors: Open tickets that have it.
        sealed: Its last editor is writing it: whoever edits now begins with a copy of it.
        broken: It must not be written: an edit was given up, or a write-back of it failed.
    """

    __slots__ = ("_generation", "_parent", "broken", "data", "editors", "sealed")

    def __init__(self, data: Any, base: "int | Draft") -> None:
        self._parent: Draft | None = base if isinstance(base, Draft) else None
        self._generation = 0 if isinstance(base, Draft) else base
        self.data = data
        self.editors = 0
        self.sealed = False
        self.broken = False

    @property
    def generation(self) -> int | None:
        """What it was made from, and so what it may replace; None when that was never written."""
        if self._parent is None:
            return self._generation
        return None if self._parent.broken else self._parent.generation

    def written(self, generation: int) -> None:
        """The store holds it, at this generation."""
        self._parent, self._generation = None, generation


class Editor(Protocol):
    """Whoever has a working copy."""

    _draft: Draft | None


class Entry:
    """One object at one generation, decoded. Tickets stand on it, the cache may know it.

    Attributes:
        pins: Open tickets. The cache alone touches this and the next six.
        shelf: The part of the cache that holds it; None when none does.
        epoch: When it was last known to be current; see the cache.
        size, name: What it is counted and found as.
        writing: The flight in which a working copy of it is being written back; None, or one that is over, while none
            is.
        overtaken: The newest change that was heard of meanwhile: it may be this very write.
        write_lock: Held around a write-back of a working copy; made by the first `edit`.
    """

    __slots__ = (
        "_draft", "_lock", "_state", "epoch", "name", "overtaken", "pins", "shelf", "size", "write_lock", "writing",
    )  # fmt: skip

    def __init__(self, info: ObjectInfo, data: Any) -> None:
        self._state = (info, data)
        self._lock = threading.Lock()
        self._draft: Draft | None = None
        self.write_lock: Any = None
        self.pins = 0
        self.shelf: Any = None
        self.epoch = 0
        self.size = 0
        self.name: str | None = None
        self.writing: Any = None
        self.overtaken = 0

    @property
    def state(self) -> tuple[ObjectInfo, Any]:
        """`info` and `data`, of one generation."""
        return self._state

    @property
    def info(self) -> ObjectInfo:
        return self._state[0]

    @property
    def data(self) -> Any:
        """The committed object."""
        return self._state[1]

    @property
    def is_being_written(self) -> bool:
        """Whether a working copy of it is being written back: also false when that was interrupted."""
        return self.writing is not None and not self.writing.is_over()

    def describe(self, info: ObjectInfo) -> None:
        """Newer metadata of the same generation."""
        self._state = (info, self._state[1])

    def edit(self, make_lock: Callable[[], Any], editor: "Editor") -> None:
        """Has the editor join the working copy, which is made when there is none."""
        with self._lock:
            if self.write_lock is None:
                self.write_lock = make_lock()
            draft = self._draft
            if draft is None or draft.broken:
                info, data = self._state
                draft = Draft(_clone(data), info.generation)
            elif draft.sealed:
                draft = Draft(_clone(draft.data), draft)
            self._draft = draft
            editor._draft = draft  # noqa: SLF001  # no call, at which an interrupt might come in between
            draft.editors += 1

    def seal(self, draft: Draft) -> bool:
        """Whether the caller is its only editor; then nobody joins it any more."""
        with self._lock:
            draft.sealed = draft.editors == 1
            return draft.sealed

    def leave_or_seal(self, draft: Draft) -> bool:
        """Whether the caller was its last editor; then it is sealed, else it has one editor less."""
        with self._lock:
            if draft.editors > 1:
                draft.editors -= 1
                return False
            draft.sealed = True
            return True

    def commit(self, draft: Draft, info: ObjectInfo, data: Any) -> None:
        """The working copy was written, as `data`; it has one editor less."""
        with self._lock:
            self._state = (info, data)
            draft.written(info.generation)
            draft.editors -= 1
            if draft.sealed and self._draft is draft:
                self._draft = None


def _clone(data: Any) -> Any:
    return data._clone()  # noqa: SLF001  # a hook of the Datatype's contract
