"""The Store in memory."""

from collections.abc import Sequence
from typing import ClassVar

from vault.store.limits import MAX_DATA_ID, check_number, check_seconds, check_unit

from vault_server.storage.decision.plan import FEED_HISTORY, RETENTION, Keep
from vault_server.storage.generic._async.store import AsyncEngineStore
from vault_server.storage.memory._async.engine import AsyncMemoryBlobs, AsyncMemoryIndex, AsyncMemorySignal
from vault_server.storage.memory.tables import MemoryTables
from vault_server.storage.uploads.resumption import RESUME_WINDOW


class AsyncMemoryStore(AsyncEngineStore):
    """Objects in memory, which end with the process or with `close`. Each is a store of its own.

    It promises what every Store does, as long as its process lives: `Capabilities.durability` is "none". In a forked
    child every call raises ClosedError.

    Args:
        allowed_units: The only units accepted; none: any.
        feed_history: Changes that the feed keeps, and among which retried writes are recognised, at least.
        retention: Seconds for which a generation that was replaced or deleted stays readable; 0: its bytes go at once.
            Of such generations at most 64 MiB are retained. What is due is freed by the next commit or load.
        resume_window: Seconds that a resumable write is kept after it lost its writer; 0: not at all. Suspended writes
            hold at most 256 MiB.

    Raises:
        InvalidArgumentError: A setting is not what it may be.
    """

    local_feed: ClassVar[bool] = True

    index: AsyncMemoryIndex
    blobs: AsyncMemoryBlobs

    def __init__(
        self,
        *,
        allowed_units: Sequence[str] = (),
        feed_history: int = FEED_HISTORY,
        retention: float = RETENTION,
        resume_window: float = RESUME_WINDOW,
    ) -> None:
        for unit in allowed_units:
            check_unit(unit)
        check_number("feed_history", feed_history, 1, MAX_DATA_ID, whole=True)
        check_seconds("retention", retention, zero=True)
        check_seconds("resume_window", resume_window, zero=True)
        keep = Keep(round(retention * 1e6), feed_history, round(resume_window * 1e6))
        super().__init__(
            AsyncMemoryIndex(keep),
            AsyncMemoryBlobs(),
            AsyncMemorySignal(),
            allowed_units=allowed_units,
            keep=keep,
            resume_window=float(resume_window),
            durability="none",
        )

    @property
    def revision(self) -> int:
        self.require_open()
        return self.index.tables.revision

    async def close(self) -> None:
        await super().close()
        self.index.tables = MemoryTables()
        self.blobs.blobs = {}
