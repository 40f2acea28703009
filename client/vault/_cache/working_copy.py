"""The working copy of a cached object: what `get_ref` hands out, shared by the edited tickets of one entry. No I/O."""

from typing import Any, Protocol


class WorkingCopy:
    """An object that is edited, until it is written or given up. See docs/CACHE.md for its states.

    Attributes:
        data: The copy.
        editors: Open tickets that have it.
        sealed: Its last editor is writing it: whoever edits now begins with a copy of it.
        broken: It must not be written: an edit was given up, or a write-back of it failed.
    """

    __slots__ = ("_generation", "_parent", "broken", "data", "editors", "sealed")

    def __init__(self, data: Any, base: "int | WorkingCopy") -> None:
        self._parent: WorkingCopy | None = base if isinstance(base, WorkingCopy) else None
        self._generation = 0 if isinstance(base, WorkingCopy) else base
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

    def is_made_of(self, other: "WorkingCopy") -> bool:
        """Whether it began as a copy of the other, which was not written then, or as one of such a copy."""
        parent = self._parent
        while parent is not None and parent is not other:
            parent = parent._parent  # noqa: SLF001  # of this class
        return parent is other

    def written(self, generation: int) -> None:
        """The store holds it, at this generation."""
        self._parent, self._generation = None, generation


class Editor(Protocol):
    """Whoever has a working copy."""

    _working_copy: WorkingCopy | None
