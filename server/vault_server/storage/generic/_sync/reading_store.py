# Generated from _async/reading_store.py by scripts/unasync: DO NOT CHANGE.
"""The reads of a Store over an engine's parts: arguments checked, asked of the index and the blobs, answered."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Self

from vault._runtime.version import __version__
from vault.errors import VaultError
from vault.store.columns import LoadItems
from vault.store.contract import BlockReader, Store, Watch, LoadResult
from vault.store.limits import (
    BLOCK_SIZE,
    EXACT_BELOW,
    MAX_READ_BYTES,
    check_batch,
    check_generation,
    check_key,
    check_keys,
    check_page_size,
    check_prefix,
    check_principal,
    check_range,
    check_ranges,
)
from vault.store.listing import Listing
from vault.store.ranges import RangeAssembly
from vault.store.specs import LoadItem
from vault.store.usage import PrincipalInfo, PrincipalPage, UnitInfo, UnitPage
from vault.store.values import (
    Capabilities,
    Change,
    Key,
    ListOrder,
    LoadedObject,
    NotModified,
    ObjectInfo,
    ObjectRanges,
    Page,
    to_time,
)

from vault_server.storage.clock import StoreClock
from vault_server.storage.decision.listing import DEFAULT_PAGE_SIZE, Span
from vault_server.storage.decision.refusals import require_allowed, require_generation
from vault_server.storage.decision.stored import Stored, require_whole
from vault_server.storage.generic._sync.protocols import (
    Blobs,
    CommitSignal,
    Committing,
    Index,
    Leases,
    Writes,
)
from vault_server.storage.generic._sync.reader import ContentReader
from vault_server.storage.generic._sync.reads import find_generation, open_found
from vault_server.storage.generic._sync.watch import IndexWatch
from vault_server.storage.index.page_token import listing_mark, query_mark, read_token, write_token
from vault_server.storage.options import StoreOptions

BATCH_BYTES: Final = 64 << 20
"""Bytes in the answer to one `load_many`; objects beyond it come without their data."""


class ReadingStore(Store, ABC):
    """What every engine's Store has and reads alike. What differs is in its parts, which its subclass sets.

    Attributes:
        options: What it was opened with.
        durability: See Capabilities.
        index, blobs, signal, commits: The engine's parts.
        suspended: What is kept of writes that lost their writer.
        leases: On names.
        principal: Whose calls they are; empty: nobody's by name.
        viewed: The store that this one is as a principal uses it; None: it is none.
    """

    # Beside what a store and its views share, which is all the rest.
    __slots__ = ("principal", "viewed")

    local_bytes: ClassVar[bool] = True

    index: Index
    blobs: Blobs
    signal: CommitSignal
    commits: Committing
    suspended: Writes
    leases: Leases

    principal: str
    viewed: Self | None

    def __init__(self, options: StoreOptions) -> None:
        self.principal = ""
        self.viewed = None
        self.options = options
        self.durability: Literal["none", "relaxed", "full"] = options.durability

    @abstractmethod
    def require_open(self) -> None:
        """Raises ClosedError when it is closed, and what else keeps it from being used here."""

    @property
    @abstractmethod
    def clock(self) -> StoreClock:
        """The store's."""

    @property
    def time(self) -> datetime:
        self.require_open()
        return to_time(self.clock.now())

    def for_principal(self, principal: str) -> Self:
        check_principal(principal)
        view = object.__new__(type(self))
        view.__dict__ = self.__dict__  # also what is changed later, as in a forked child
        view.principal, view.viewed = principal, self
        return view

    def close(self) -> None:
        if self.viewed is None:
            self.end()

    @abstractmethod
    def end(self) -> None:
        """See `Store.close`."""

    def capabilities(self) -> Capabilities:
        self.require_open()
        return Capabilities(
            store_id=self.index.identity(),
            version=__version__,
            allowed_units=self.options.allowed_units,
            resume_window=float(self.options.resume_window),
            durability=self.durability,
        )

    def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        self._check_keys(unit, keys)
        return self.index.generations(unit, keys)

    def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        self._check_keys(unit, keys)
        return self.index.find(unit, keys)

    def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
        order: ListOrder | None = None,
        descending: bool = False,
        after: Key | None = None,
        delimiter: str | None = None,
    ) -> Page:
        self._require_unit(unit)
        listing = Listing.of(
            unit, prefix=prefix, tags=tags, order=order, descending=descending, after=after, delimiter=delimiter
        )
        check_page_size(page_size)
        mark = listing_mark(self.index.identity(), listing)
        span = Span.of(listing, read_token(page_token, mark, listing.order))
        page = self.index.page(listing, span, page_size or DEFAULT_PAGE_SIZE)
        token = "" if page.bound is None else write_token(page.bound, mark)
        return Page(page.objects, token, page.prefixes)

    def list_units(self) -> list[str]:
        self.require_open()
        allowed = self.options.allowed_units
        return [unit for unit in self.index.units() if not allowed or unit in allowed]

    def unit_info(self, unit: str) -> UnitInfo:
        self._require_unit(unit)
        (info,) = self.index.unit_infos([unit])
        return info

    def unit_page(self, *, prefix: str = "", page_size: int = 0, page_token: str = "") -> UnitPage:
        self.require_open()
        check_prefix(prefix)
        check_page_size(page_size)
        mark = query_mark(self.index.identity(), prefix)
        after = read_token(page_token, mark, ListOrder.NAME)
        limit = page_size or DEFAULT_PAGE_SIZE
        if allowed := self.options.allowed_units:
            units = sorted(unit for unit in allowed if unit.startswith(prefix) and (after is None or unit > after))
            known = self.index.unit_infos(units[:limit])
            infos = [info for info in known if info.objects or info.limits.are_set]
            last = units[limit - 1] if len(units) > limit else None
        else:
            infos, last = self.index.unit_page(prefix, after, limit)
        return UnitPage(infos, "" if last is None else write_token(last, mark))

    def principal_info(self, principal: str) -> PrincipalInfo:
        self.require_open()
        check_principal(principal)
        (info,) = self.index.principal_infos([principal])
        return info

    def principal_page(self, *, prefix: str = "", page_size: int = 0, page_token: str = "") -> PrincipalPage:
        self.require_open()
        check_prefix(prefix)
        check_page_size(page_size)
        mark = query_mark(self.index.identity(), "principals", prefix)
        after = read_token(page_token, mark, ListOrder.NAME)
        infos, last = self.index.principal_page(prefix, after, page_size or DEFAULT_PAGE_SIZE)
        return PrincipalPage(infos, "" if last is None else write_token(last, mark))

    def load(
        self,
        unit: str,
        key: Key,
        *,
        offset: int = 0,
        length: int | None = None,
        if_generation: int | None = None,
        if_generation_not_match: int | None = None,
        generation: int | None = None,
    ) -> BlockReader | NotModified | None:
        self._require_unit(unit)
        check_key(key)
        check_range(offset, length)
        for number in (if_generation, if_generation_not_match, generation):
            check_generation(number)
        self.commits.collect()
        found = find_generation(self.index, unit, key, generation)
        reader = open_found(self.index, self.blobs, key, found, generation)
        if reader is None:
            return None
        info = reader.info
        try:
            require_generation(unit, info.data_id, info.generation, if_generation)
            if info.generation == if_generation_not_match:
                reader.close()
                return NotModified(info.generation)
            check_range(offset, length, info.size)
        except VaultError:
            reader.close()
            raise
        reader.select(offset, length)
        return reader

    def read(
        self,
        unit: str,
        key: Key,
        ranges: Sequence[tuple[int, int | None]],
        *,
        if_generation: int | None = None,
        generation: int | None = None,
        exact_below: int = EXACT_BELOW,
        max_bytes: int = MAX_READ_BYTES,
    ) -> ObjectRanges | None:
        self._require_unit(unit)
        check_ranges(ranges, exact_below, max_bytes)
        reader = self.load(unit, key, if_generation=if_generation, generation=generation)
        if not isinstance(reader, ContentReader):
            return None
        with reader:
            assembly = RangeAssembly(reader.info, ranges, exact_below=exact_below, max_bytes=max_bytes)
            whole = []
            for first, count in assembly.runs():
                for index in range(first, first + count):
                    block = reader.block(index, ahead=index + 1 < first + count)
                    block.verify(reader.info)
                    assembly.take(index, block.data)
                    if assembly.is_whole(index):
                        whole.append(block)
            return assembly.finish(whole)

    def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        self._require_unit(unit)
        check_batch(items, None if type(items) is LoadItems else LoadItem)
        outcomes: Sequence[Any] = self.index.load_small(unit, items, BATCH_BYTES)
        if type(outcomes) is not list or Stored not in map(type, outcomes):
            return outcomes
        read = iter(self.blobs.read([outcome for outcome in outcomes if type(outcome) is Stored]))
        return [
            self._loaded(item, outcome, next(read)) if type(outcome) is Stored else outcome
            for item, outcome in zip(items, outcomes, strict=True)
        ]

    def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> Watch:
        self.require_open()
        for unit in units:
            self._require_unit(unit)
        check_generation(since)
        revision = self.index.revision() if since is None else since
        return IndexWatch(self, units or self.options.allowed_units, revision)

    def changes(self, since: int) -> tuple[int, list[Change]]:
        self.require_open()
        revision, changes = self.index.changes(since)
        return revision, list(changes)

    def _require_unit(self, unit: str) -> None:
        self.require_open()
        require_allowed(unit, self.options.allowed_units)

    def _check_keys(self, unit: str, keys: Sequence[Key]) -> None:
        self._require_unit(unit)
        check_batch(keys)
        check_keys(keys)

    def _loaded(self, item: LoadItem, found: Stored, data: bytes | VaultError | None) -> LoadResult:
        """The outcome for an object whose blob was read; where it is gone, for what there is by now."""
        try:
            if isinstance(data, bytes):
                return LoadedObject(found.info, require_whole(found.info, data))
            if data is not None:
                return data
            reader = open_found(self.index, self.blobs, item.key, found)
            if reader is None:
                return None
            with reader:
                if reader.info.size > BLOCK_SIZE:  # replaced meanwhile
                    return LoadedObject(reader.info, None)
                return LoadedObject(reader.info, b"".join([bytes(block.data) for block in reader]))
        except VaultError as error:
            return error
