# Generated from _async/index_store.py by scripts/unasync: DO NOT CHANGE.
"""The Store of an engine that is an index, blobs and a signal: it commits, collects and resumes by `generic`."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

from vault._runtime.fork import fork_count, refuse_inherited
from vault.errors import AlreadyExistsError, ClosedError, ConflictError, NotFoundError

from vault_server.storage.decision.plan import Plan
from vault_server.storage.decision.writes import Update, Upload
from vault_server.storage.generic._sync.collection import Collection
from vault_server.storage.generic._sync.commits import Commits
from vault_server.storage.generic._sync.protocols import BlobStore, CommitSignal, WritableIndex
from vault_server.storage.generic._sync.store import EngineStore
from vault_server.storage.generic._sync.suspended import Suspended
from vault_server.storage.generic._sync.writer import AnsweredWriter, Incoming, StagedWriter
from vault_server.storage.options import StoreOptions

_REFUSALS: Final = (AlreadyExistsError, ConflictError, NotFoundError)
"""What ends a write for good: what was staged of it is of no use."""


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class IndexStore(EngineStore):
    """In a forked child every call raises ClosedError."""

    blobs: BlobStore
    commits: Commits
    suspended: Suspended

    def __init__(
        self,
        index: WritableIndex,
        blobs: BlobStore,
        signal: CommitSignal,
        options: StoreOptions,
        *,
        durability: Literal["none", "relaxed", "full"],
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        super().__init__(options)
        self.index = index
        self.blobs = blobs
        self.signal = signal
        self.collection = Collection(index, blobs, clock)
        self.commits = Commits(index, blobs, signal, self.collection, options.keep, clock, self._applied)
        self.suspended = Suspended(float(options.resume_window))
        self._durability = durability
        self._revision = 0
        self._closed = False
        self._forks = fork_count()

    @property
    def durability(self) -> Literal["none", "relaxed", "full"]:
        return self._durability

    @property
    def revision(self) -> int:
        self.require_open()
        return self._revision

    def require_open(self) -> None:
        refuse_inherited(self._forks, "the store")
        if self._closed:
            raise ClosedError("the store is closed")

    def begin(self, write: Upload | Update, *, resumable: bool) -> StagedWriter | AnsweredWriter:
        resumable = resumable and self.suspended.window > 0
        writer = StagedWriter(self, lambda content: replace(write, content=content), resumable=resumable)
        incoming = self.suspended.enter(writer) if resumable else None
        try:
            answered = self.answered(write)
            if incoming is None:
                incoming = Incoming(self.blobs.stage())
            writer.begin(incoming)
            if answered is None or not resumable:
                return writer
            writer.abort()
            return AnsweredWriter(answered)
        except BaseException as error:
            if incoming is not None:
                writer.begin(incoming)
            (writer.abort() if isinstance(error, _REFUSALS) else writer.suspend())
            raise

    def keep(self, writer: StagedWriter, incoming: Incoming) -> None:
        """Keeps a write that was suspended."""
        self.suspended.keep(writer, incoming)

    def leave(self, writer: StagedWriter) -> None:
        """The writer is over."""
        self.suspended.leave(writer)

    def close(self) -> None:
        self._closed = True
        self.signal.ring()
        self.suspended.close()

    def _applied(self, plan: Plan) -> None:
        self._revision = max(self._revision, plan.revision)
