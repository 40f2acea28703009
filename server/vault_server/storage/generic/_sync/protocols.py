# Generated from _async/protocols.py by scripts/unasync: DO NOT CHANGE.
"""What an engine is made of: an index, blobs, a signal that something was committed, and what commits.

What they raise derives from VaultError. Everything else of a store is policy over these.
"""

from array import array
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol

from vault.errors import VaultError
from vault.store.listing import Listing
from vault.store.specs import LoadItem, SmallWrite
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo, UnitLimits
from vault.store.values import Change, Key, LoadResult, ObjectInfo, WriteStatus

from vault_server.storage.decision.listing import Listed, Span
from vault_server.storage.decision.plan import Facts, Oldest, Outcome, Plan
from vault_server.storage.decision.rows import Row
from vault_server.storage.decision.stored import Claimed, Purged, Stored
from vault_server.storage.decision.writes import Asked, Content, RequestKey, Write
from vault_server.storage.uploads.incoming import Incoming


class Index(Protocol):
    """What exists and what happened: objects, generations that are retained, the feed. All that is read of it."""

    def identity(self) -> str:
        """The store's id."""

    def facts(self, asked: Asked) -> Facts:
        """What is known of what is asked, in one moment."""

    def generations(self, unit: str, keys: Sequence[Key]) -> list[int]:
        """Of the objects, in order, as they are in one moment; 0 where there is none."""

    def find(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        """The objects, likewise."""

    def load_small(self, unit: str, items: Sequence[LoadItem], room: int) -> Sequence[LoadResult | Stored]:
        """`load_small` of objects as they are in one moment."""

    def stored(self, unit: str, key: Key) -> Stored | None:
        """The object, with where its bytes are."""

    def retained(self, unit: str, data_id: int, generation: int) -> Stored | None:
        """A generation that was replaced or deleted, while it is retained."""

    def page(self, listing: Listing, span: Span, limit: int) -> Listed:
        """At most `limit` entries of what is left of a listing."""

    def units(self) -> list[str]:
        """Those that hold an object, in alphabetical order."""

    def unit_infos(self, units: Sequence[str]) -> list[UnitInfo]:
        """What each of them holds, and its limits."""

    def unit_page(self, prefix: str, after: str | None, limit: int) -> tuple[list[UnitInfo], str | None]:
        """Units with a prefix that hold an object or have limits, after one, at most `limit`, in alphabetical order;
        and the one after which the next page begins, None: there is none."""

    def principal_infos(self, principals: Sequence[str]) -> list[PrincipalInfo]:
        """What is charged to each of them, and its limits."""

    def principal_page(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[PrincipalInfo], str | None]:
        """As `unit_page`, of principals that something is charged to or that have limits."""

    def changes(
        self, since: int, limit: int | None = None, units: Sequence[str] = ()
    ) -> tuple[int, Sequence[Change]]:
        """The changes after a revision in these units (none: in all), and the revision up to which they are complete.

        Args:
            limit: At most so many, about.

        Raises:
            RevisionCompactedError: It is older than the feed's history, or after the store's revision.
        """

    def revision(self) -> int:
        """Of the last change."""


class Mutex(Protocol):
    """What one writer at a time holds, by `with`."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> object: ...


class WritableIndex(Index, Protocol):
    """An index that `Commits` writes to."""

    @property
    def lock(self) -> Mutex:
        """Held from before `facts` until after `apply`: nobody else, in any process, applies anything meanwhile."""

    def apply(self, plan: Plan) -> None:
        """Makes the plan so, durably and whole, or raises and changes nothing; while the lock of its facts is held.

        UnavailableError says that the outcome is unknown. Applied again with new facts it comes to the same, since
        every request's answer is among these.
        """

    def claim(self, now: int, most: int) -> Claimed:
        """Gives up the generations whose time has come, and the oldest while over `most` bytes are retained."""

    def purge(self, unit: str | None) -> Purged:
        """Gives up all that is retained, of one unit or of all: the next claim has their blobs."""

    def forget(self, files: Sequence[str]) -> None:
        """These blobs are gone."""

    def expired(self, limit: int) -> Sequence[Row]:
        """Objects that have expired and are still there."""

    def next_expiry(self) -> int | None:
        """When the first of all objects expires, or did, in microseconds since 1970; None: none does."""

    def oldest(self, unit: str, most: int) -> Oldest:
        """So many objects, at most, that were stored in a unit longest ago, in that order."""

    def set_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        """Sets a unit's limits, durably, while the lock is held; what it holds then, and they."""

    def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        """A principal's, likewise."""


class Staged(Protocol):
    """Bytes on their way, which no object has. A call ends what it began, also when its caller is cancelled."""

    def append(self, data: bytes | memoryview, checksums: "array[int]") -> None:
        """Takes bytes; and the checksums of all blocks until now, for those that are to be resumed."""

    def finish(self) -> Any:
        """Ends writing; what is to be placed, which is the committer's from here on."""

    def discard(self) -> None:
        """Removes them. Harmless when repeated."""

    def release(self) -> None:
        """Leaves them to whoever resumes the write, where that can be."""


class Blob(Protocol):
    """A blob, open: it stays readable when it is removed."""

    def block(self, index: int, size: int, *, ahead: bool) -> bytes | memoryview:
        """One block, of `size` bytes; what is missing of it is missing in the answer.

        Args:
            ahead: The next one will be asked for, so it may be read meanwhile.
        """

    def map(self, verify: Callable[[memoryview], None]) -> memoryview | None:
        """All of it, mapped read-only, once `verify` has not raised for it; None: it cannot be."""

    def close(self) -> None: ...


class Blobs(Protocol):
    """Bytes that are too many for the index, under names that are never given out twice."""

    def contents(self, unit: str, items: Sequence[SmallWrite]) -> list[Content | VaultError]:
        """Each item's bytes, verified, and staged where they are too many for the index; or what refuses it. Items that
        are columns are valid."""

    def copy(self, unit: str, found: Stored) -> Content | None:
        """The same bytes for an object of a unit, staged where they are a blob's; None: there is no such blob.

        A blob is one generation's alone: they have a name of their own.
        """

    def read(self, found: Sequence[Stored]) -> list[bytes | VaultError | None]:
        """The bytes of objects of at most a block each; None: there is no such blob."""

    def open(self, found: Stored) -> Blob | None:
        """None: there is no such blob."""


class StagingBlobs(Blobs, Protocol):
    """Where the bytes of a stream go, too."""

    @property
    def inline_limit(self) -> int:
        """Bytes of an object up to which a stream leaves them to the index."""

    def stage(self, unit: str) -> Staged:
        """For the bytes of a new object; nothing is done for it until they come."""


class BlobStore(StagingBlobs, Protocol):
    """Blobs that `Commits` places."""

    def place(self, staged: Any, unit: str, data_id: int, generation: int) -> str:
        """Gives staged bytes a name, durably, before the index has it; the name."""

    def remove(self, files: Sequence[str]) -> None:
        """Harmless for those that are gone."""


class Committing(Protocol):
    """What commits, groups of callers' writes together."""

    def commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """What each write is answered, once it is durable. What is staged for them is its own from here on.

        Raises what kept all of them from being decided.
        """

    def collect(self) -> None:
        """Removes what nothing needs any more, where nobody else does."""

    def expire(self) -> float | None:
        """Deletes what has expired, where nobody else does; the seconds until the next does, None: there is none to
        wait for."""

    def set_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        """Sets a unit's limits, durably; what it holds then, and they."""

    def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        """A principal's, likewise."""

    def purge(self, unit: str | None) -> Purged:
        """See `EngineStore.purge_retained`."""


class Writes(Protocol):
    """What can be asked of resumable writes that are not committed."""

    def status(self, unit: str, key: RequestKey) -> WriteStatus:
        """See `Store.write_status`, of a write that is not committed."""

    def abort(self, unit: str, key: RequestKey) -> None:
        """See `Store.abort_write`."""


class Pending(Writes, Protocol):
    """Resumable writes: who has which, and what is kept of those that nobody has, for a while."""

    def acquire(self, writer: Any) -> None:
        """The writer has the write from now on, as far as this process goes; whoever had it lets go.

        Raises:
            InvalidArgumentError: BAD_REQUEST_ID, that one writes something else.
        """

    def resume(self, writer: Any) -> Incoming | None:
        """What is kept of the write, verified.

        Raises:
            UnavailableError: WRITE_BUSY. InvalidArgumentError: BAD_REQUEST_ID.
        """

    def stage(self, writer: Any) -> Staged:
        """For the bytes of a write of which nothing is kept; making it raises as `resume` does."""

    def suspend(self, writer: Any, incoming: Incoming) -> None:
        """Nobody has it for now, and what was staged of it was released."""

    def release(self, writer: Any) -> None:
        """The writer is done with it. Harmless when another one has it."""

    def drop(self, key: RequestKey) -> None:
        """Removes what is left of a write that is decided, unless somebody has it."""


class CommitSignal(Protocol):
    """Wakes watchers. It may be late, or lost: who waits looks by itself from time to time."""

    @property
    def notifications(self) -> int:
        """How often `notify` was called."""

    def notify(self) -> None:
        """Something was committed, or the store or a watch is closed."""

    def wait(self, notifications: int, timeout: float) -> object:
        """Returns when it was notified more often than `notifications` says, or after `timeout` seconds, or before."""


class Leases(Protocol):
    """The leases on names; see the contract."""

    def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        """The seconds until somebody else's ends; 0.0: the holder has it."""

    def release_lease(self, unit: str, name: str, holder: bytes) -> None:
        """Gives it back, when the holder has it."""
