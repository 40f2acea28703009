"""A decoded object in memory, which tickets stand on. No I/O."""

import threading
from collections.abc import Callable
from typing import Any

from vault._cache.working_copy import Editor, WorkingCopy
from vault.store.values import ObjectInfo


class Entry:
    """One object at one generation, decoded. Tickets stand on it, the cache may hold it.

    Attributes:
        state: `info` and `data`, of one generation.
        pins: Open tickets. The cache alone changes this and the next eight.
        used: When the last ticket on it was closed, by the cache's clock.
        is_queued: Whether it is among those that may go; see `UnitCache.idle`.
        held_by: The part of the cache that holds it; None when none does.
        epoch: When it was last known to be current; see `vault._cache.cache`.
        size, name: What it is counted and found as.
        writing: The flight in which a working copy of it is being written back; None, or one that is over, while none
            is.
        overtaken: The newest change that became known meanwhile: it may be this very write.
        write_lock: Held around a write-back of a working copy; made by the first `edit`.
    """

    __slots__ = (
        "_lock", "_working_copy", "epoch", "held_by", "is_queued", "name", "overtaken", "pins", "size", "state", "used",
        "write_lock", "writing",
    )  # fmt: skip

    def __init__(self, info: ObjectInfo, data: Any) -> None:
        self.state: tuple[ObjectInfo, Any] = (info, data)
        self._lock = threading.Lock()
        self._working_copy: WorkingCopy | None = None
        self.write_lock: Any = None
        self.pins = self.used = 0
        self.is_queued = False
        self.held_by: Any = None
        self.epoch = 0
        self.size = 0
        self.name: str | None = None
        self.writing: Any = None
        self.overtaken = 0

    @property
    def info(self) -> ObjectInfo:
        return self.state[0]

    @property
    def data(self) -> Any:
        """The committed object."""
        return self.state[1]

    @property
    def is_being_written(self) -> bool:
        """Whether a working copy of it is being written back: also false when that was interrupted."""
        return self.writing is not None and not self.writing.is_over()

    def describe(self, info: ObjectInfo) -> None:
        """Newer metadata of the same generation."""
        self.state = (info, self.state[1])

    def edit(self, make_lock: Callable[[], Any], editor: Editor) -> None:
        """Has the editor join the working copy, which is made when there is none."""
        with self._lock:
            if self.write_lock is None:
                self.write_lock = make_lock()
            working = self._working_copy
            if working is None or working.broken:
                info, data = self.state
                working = WorkingCopy(_clone(data), info.generation)
            elif working.sealed:
                working = WorkingCopy(_clone(working.data), working)
            self._working_copy = working
            editor._working_copy = working  # noqa: SLF001  # no call, at which an interrupt might come in between
            working.editors += 1

    def replace(self, make_lock: Callable[[], Any], editor: Editor, data: Any, generation: int) -> None:
        """Gives the editor a working copy with this in it, which may replace `generation`.

        It takes the place of the one that the editor has alone. What others edit goes on beside it: they do not see
        this, nor is theirs lost by it; who writes second has a conflict.
        """
        with self._lock:
            if self.write_lock is None:
                self.write_lock = make_lock()
            shared = editor._working_copy  # noqa: SLF001  # as in `edit`
            if shared is not None and shared.editors == 1 and not shared.broken:
                shared.data = data
                return
            alone = WorkingCopy(data, generation)
            alone.editors = 1
            editor._working_copy = alone  # noqa: SLF001  # as in `edit`
            if shared is not None:
                shared.editors -= 1

    def seal(self, working: WorkingCopy) -> bool:
        """Whether the caller is its only editor; then nobody joins it any more."""
        with self._lock:
            working.sealed = working.editors == 1
            return working.sealed

    def leave_or_seal(self, working: WorkingCopy) -> bool:
        """Whether the caller was its last editor; then it is sealed, else it has one editor less."""
        with self._lock:
            if working.editors > 1:
                working.editors -= 1
                return False
            working.sealed = True
            return True

    def commit(self, working: WorkingCopy, info: ObjectInfo, data: Any) -> None:
        """The working copy was written, as `data`; it has one editor less."""
        with self._lock:
            self.state = (info, data)
            working.written(info.generation)
            working.editors -= 1
            current = self._working_copy
            if current is working:
                if working.sealed:
                    self._working_copy = None
            elif current is not None and not current.is_made_of(working):
                self._working_copy = None  # made of what is replaced now: who edits next begins with the new


def _clone(data: Any) -> Any:
    return data._clone()  # noqa: SLF001  # a hook of the Datatype's contract
