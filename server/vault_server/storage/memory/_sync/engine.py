# Generated from _async/engine.py by scripts/unasync: DO NOT CHANGE.
"""The engine of a store in memory: nothing here waits for anything but a lock, or for the next commit."""

import secrets
from array import array
from collections.abc import Callable, Sequence
from typing import Final, Self

from vault._runtime.elapsed import elapsed_ns
from vault._runtime.sync_async import Lock
from vault.errors import VaultError
from vault.store.listing import Listing
from vault.store.specs import LoadItem, SmallWrite
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo, UnitLimits
from vault.store.values import Change, Key, LoadResult, ObjectInfo

from vault_server.storage.decision import leases
from vault_server.storage.decision.leases import Lease, lease_key
from vault_server.storage.decision.listing import Listed, Span
from vault_server.storage.decision.plan import Facts, Oldest, Plan, Retention
from vault_server.storage.decision.rows import Row
from vault_server.storage.decision.stored import Claimed, Purged, Stored
from vault_server.storage.decision.writes import Asked, Content
from vault_server.storage.memory.tables import MemoryTables
from vault_server.storage.uploads.incoming import small_contents


class MemoryIndex:
    """MemoryTables as an index."""

    def __init__(self, retention: Retention) -> None:
        self.lock = Lock()
        self.tables = MemoryTables()
        self._retention = retention

    def identity(self) -> str:
        return self.tables.store_id

    def facts(self, asked: Asked) -> Facts:
        return self.tables.facts(asked, self._retention)

    def apply(self, plan: Plan) -> None:
        self.tables.apply(plan)

    def generations(self, unit: str, keys: Sequence[Key]) -> list[int]:
        return [0 if info is None else info.generation for info in self.tables.find(unit, keys)]

    def find(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        return self.tables.find(unit, keys)

    def load_small(self, unit: str, items: Sequence[LoadItem], room: int) -> list[LoadResult | Stored]:
        return self.tables.load_small(unit, items, room)

    def stored(self, unit: str, key: Key) -> Stored | None:
        return self.tables.stored(unit, key)

    def retained(self, unit: str, data_id: int, generation: int) -> Stored | None:
        return self.tables.retained(unit, data_id, generation)

    def page(self, listing: Listing, span: Span, limit: int) -> Listed:
        return self.tables.page(listing, span, limit)

    def units(self) -> list[str]:
        return self.tables.units()

    def unit_infos(self, units: Sequence[str]) -> list[UnitInfo]:
        return self.tables.unit_infos(units)

    def unit_page(self, prefix: str, after: str | None, limit: int) -> tuple[list[UnitInfo], str | None]:
        return self.tables.unit_page(prefix, after, limit)

    def principal_infos(self, principals: Sequence[str]) -> list[PrincipalInfo]:
        return self.tables.principal_infos(principals)

    def principal_page(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[PrincipalInfo], str | None]:
        return self.tables.principal_page(prefix, after, limit)

    def changes(
        self, since: int, limit: int | None = None, units: Sequence[str] = ()
    ) -> tuple[int, Sequence[Change]]:
        return self.tables.changes(since, limit, units)

    def revision(self) -> int:
        return self.tables.revision

    def claim(self, now: int, most: int) -> Claimed:
        return self.tables.claim(now, most)

    def purge(self, unit: str | None) -> Purged:
        return self.tables.purge(unit)

    def forget(self, files: Sequence[str]) -> None:
        self.tables.forget(files)

    def expired(self, limit: int) -> list[Row]:
        return self.tables.expired(limit)

    def next_expiry(self) -> int | None:
        return self.tables.next_expiry()

    def oldest(self, unit: str, most: int) -> Oldest:
        return self.tables.oldest(unit, most)

    def set_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        return self.tables.set_limits(unit, limits)

    def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        return self.tables.set_principal_limits(principal, limits)


class MemoryBlob:
    """A blob as its blocks: staged, placed and open alike."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []

    def append(self, data: bytes | memoryview, checksums: "array[int]") -> None:  # noqa: ARG002  # no journal
        self.blocks.append(bytes(data))

    def finish(self) -> Self:
        return self

    def discard(self) -> None:
        """It goes with the last who has it."""

    def release(self) -> None:
        """As it is."""

    def block(self, index: int, size: int, *, ahead: bool) -> bytes:  # noqa: ARG002  # as they were written
        return self.blocks[index] if index < len(self.blocks) else b""

    def map(self, verify: Callable[[memoryview], None]) -> None:
        """There is no file of it."""

    def close(self) -> None:
        """It stays the store's."""


class MemoryBlobs:
    """Blobs by their names."""

    inline_limit: Final = 0

    def __init__(self) -> None:
        self.blobs: dict[str, MemoryBlob] = {}

    def contents(
        self,
        unit: str,  # noqa: ARG002  # where they are staged makes no difference
        items: Sequence[SmallWrite],
    ) -> list[Content | VaultError]:
        return small_contents(items)

    def copy(self, unit: str, found: Stored) -> Content | None:  # noqa: ARG002  # as above
        content = found.content
        copied = Content(found.info.size, found.info.checksum, content.blocks, content.data)
        if content.file is not None:
            copied.staged = self.open(found)
            return None if copied.staged is None else copied
        return copied

    def read(self, found: Sequence[Stored]) -> list[bytes | VaultError | None]:
        blobs = [self.open(each) for each in found]
        return [None if blob is None else b"".join(blob.blocks) for blob in blobs]

    def stage(self, unit: str) -> MemoryBlob:  # noqa: ARG002  # as above
        return MemoryBlob()

    def place(self, staged: MemoryBlob, unit: str, data_id: int, generation: int) -> str:
        file = f"{unit}/{data_id}.{generation}.{secrets.token_hex(8)}"
        self.blobs[file] = staged
        return file

    def open(self, found: Stored) -> MemoryBlob | None:
        return self.blobs.get(found.content.file or "")

    def remove(self, files: Sequence[str]) -> None:
        for file in files:
            self.blobs.pop(file, None)


class MemoryLeases:
    """Leases in pages, as those of a directory are.

    Args:
        clock: Nanoseconds, never set.
    """

    def __init__(self, clock: Callable[[], int] = elapsed_ns) -> None:
        self._clock = clock
        self._pages: dict[int, bytes] = {}
        self._lock = Lock()

    def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        key, now = lease_key(unit, name), self._clock()
        number, wanted = leases.page_number(key), Lease(key, holder, leases.ends_after(seconds, now))
        with self._lock:
            remaining, self._pages[number] = leases.acquire(self._pages.get(number, b""), b"", wanted, now)
        return remaining

    def release_lease(self, unit: str, name: str, holder: bytes) -> None:
        key = lease_key(unit, name)
        number = leases.page_number(key)
        with self._lock:
            self._pages[number] = leases.release(self._pages.get(number, b""), b"", key, holder, self._clock())
