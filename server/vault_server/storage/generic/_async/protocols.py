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


class AsyncTurn(Protocol):
    """What one writer at a time holds, by `async with`."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> object: ...


class AsyncIndex(Protocol):
    """What exists and what happened: objects, generations that are retained, the feed."""

    @property
    def turn(self) -> AsyncTurn:
        """Held from before `facts` until after `apply`: nobody else, in any process, applies anything meanwhile."""

    async def identity(self) -> str:
        """The store's id."""

    async def facts(self, asked: Asked) -> Facts:
        """What is known of what is asked, in one moment."""

    async def apply(self, plan: Plan) -> None:
        """Makes the plan so, durably and whole, or raises and changes nothing; within the turn of its facts.

        UnavailableError says that the outcome is unknown. Applied again with new facts it comes to the same, since
        every request's answer is among these.
        """

    async def find(self, unit: str, keys: Sequence[Key]) -> list[Row | None]:
        """The objects, in order, as they are in one moment; None where there is none."""

    async def stored(self, unit: str, keys: Sequence[Key]) -> list[Stored | None]:
        """As `find`, with where their bytes are."""

    async def retained(self, unit: str, data_id: int, generation: int) -> Stored | None:
        """A generation that was replaced or deleted, while it is retained."""

    async def page(
        self, unit: str, prefix: str | None, tags: Mapping[str, str], after: Key | None, limit: int
    ) -> tuple[list[Row], Key | None]:
        """Objects after a key, in order of their ids, or with a prefix of their names; at most `limit`.

        Returns:
            They, and the key after which the next page begins; None: there is none.
        """

    async def units(self) -> list[str]:
        """Those that hold an object, in alphabetical order."""

    async def changes(self, since: int, limit: int | None = None) -> tuple[int, list[Change]]:
        """The changes after a revision, at most `limit`, and the revision up to which they are complete.

        Raises:
            RevisionCompactedError: It is older than the feed's history, or after the store's revision.
        """

    async def revision(self) -> int:
        """Of the last change."""

    async def claim(self, now: int, most: int) -> Claimed:
        """Gives up the generations whose time has come, and the oldest while over `most` bytes are retained."""

    async def forget(self, files: Sequence[str]) -> None:
        """These blobs are gone."""


class AsyncStaged(Protocol):
    """Bytes on their way, which no object has."""

    async def append(self, data: bytes) -> None:
        """Takes a block."""

    async def discard(self) -> None:
        """Removes them. Harmless when repeated, or when they were placed."""


class AsyncBlob(Protocol):
    """A blob, open: it stays readable when it is removed."""

    async def block(self, index: int) -> bytes:
        """One block; what is missing of it is missing in the answer."""

    async def close(self) -> None: ...


class AsyncBlobStore(Protocol):
    """Bytes that are too many for the index, under names that are never given out twice."""

    async def stage(self) -> AsyncStaged: ...

    async def place(self, staged: Any, unit: str, data_id: int, generation: int) -> str:
        """Gives staged bytes a name, durably, before the index has it; the name."""

    async def open(self, file: str) -> AsyncBlob | None:
        """None: there is no such blob."""

    async def remove(self, files: Sequence[str]) -> None:
        """Harmless for those that are gone."""


class AsyncCommitSignal(Protocol):
    """Wakes watchers. It may be late, or lost: who waits looks by itself from time to time."""

    @property
    def rings(self) -> int:
        """How often it rang."""

    def ring(self) -> None:
        """Something was committed, or the store is closed."""

    async def wait(self, rings: int, timeout: float) -> None:
        """Returns when it has rung more often than `rings`, or after `timeout` seconds."""
