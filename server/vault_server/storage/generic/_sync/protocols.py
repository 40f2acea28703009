# Generated from _async/protocols.py by scripts/unasync: DO NOT CHANGE.
"""What an engine is made of: an index, blobs, and a signal that something was committed.

What they raise derives from VaultError. Everything else of a store is policy over these.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol

from vault.store.values import Change, Key

from vault_server.storage.decision.plan import Facts, Plan
from vault_server.storage.decision.rows import Row
from vault_server.storage.decision.writes import Asked
from vault_server.storage.generic.values import Claimed, Stored


class Turn(Protocol):
    """What one writer at a time holds, by `with`."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> object: ...


class Index(Protocol):
    """What exists and what happened: objects, generations that are retained, the feed."""

    @property
    def turn(self) -> Turn:
        """Held from before `facts` until after `apply`: nobody else, in any process, applies anything meanwhile."""

    def identity(self) -> str:
        """The store's id."""

    def facts(self, asked: Asked) -> Facts:
        """What is known of what is asked, in one moment."""

    def apply(self, plan: Plan) -> None:
        """Makes the plan so, durably and whole, or raises and changes nothing; within the turn of its facts.

        UnavailableError says that the outcome is unknown. Applied again with new facts it comes to the same, since
        every request's answer is among these.
        """

    def find(self, unit: str, keys: Sequence[Key]) -> list[Row | None]:
        """The objects, in order, as they are in one moment; None where there is none."""

    def stored(self, unit: str, keys: Sequence[Key]) -> list[Stored | None]:
        """As `find`, with where their bytes are."""

    def retained(self, unit: str, data_id: int, generation: int) -> Stored | None:
        """A generation that was replaced or deleted, while it is retained."""

    def page(
        self, unit: str, prefix: str | None, tags: Mapping[str, str], after: Key | None, limit: int
    ) -> tuple[list[Row], Key | None]:
        """Objects after a key, in order of their ids, or with a prefix of their names; at most `limit`.

        Returns:
            They, and the key after which the next page begins; None: there is none.
        """

    def units(self) -> list[str]:
        """Those that hold an object, in alphabetical order."""

    def changes(self, since: int, limit: int | None = None) -> tuple[int, list[Change]]:
        """The changes after a revision, at most `limit`, and the revision up to which they are complete.

        Raises:
            RevisionCompactedError: It is older than the feed's history, or after the store's revision.
        """

    def revision(self) -> int:
        """Of the last change."""

    def claim(self, now: int, most: int) -> Claimed:
        """Gives up the generations whose time has come, and the oldest while over `most` bytes are retained."""

    def forget(self, files: Sequence[str]) -> None:
        """These blobs are gone."""


class Staged(Protocol):
    """Bytes on their way, which no object has."""

    def append(self, data: bytes) -> None:
        """Takes a block."""

    def discard(self) -> None:
        """Removes them. Harmless when repeated, or when they were placed."""


class Blob(Protocol):
    """A blob, open: it stays readable when it is removed."""

    def block(self, index: int) -> bytes:
        """One block; what is missing of it is missing in the answer."""

    def close(self) -> None: ...


class BlobStore(Protocol):
    """Bytes that are too many for the index, under names that are never given out twice."""

    def stage(self) -> Staged: ...

    def place(self, staged: Any, unit: str, data_id: int, generation: int) -> str:
        """Gives staged bytes a name, durably, before the index has it; the name."""

    def open(self, file: str) -> Blob | None:
        """None: there is no such blob."""

    def remove(self, files: Sequence[str]) -> None:
        """Harmless for those that are gone."""


class CommitSignal(Protocol):
    """Wakes watchers. It may be late, or lost: who waits looks by itself from time to time."""

    @property
    def rings(self) -> int:
        """How often it rang."""

    def ring(self) -> None:
        """Something was committed, or the store is closed."""

    def wait(self, rings: int, timeout: float) -> None:
        """Returns when it has rung more often than `rings`, or after `timeout` seconds."""
