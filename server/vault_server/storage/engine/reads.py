"""Looking up and loading objects."""

import io
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from vault.errors import VaultError
from vault.store.columns import LoadedObjects, LoadItems
from vault.store.contract import BlockReader, LoadResult
from vault.store.limits import (
    BLOCK_SIZE,
    check_batch,
    check_generation,
    check_key,
    check_page_size,
    check_prefix,
    check_range,
    check_tags,
)
from vault.store.values import Key, LoadedObject, LoadItem, NotModified, ObjectInfo, Page

from vault_server.storage.decision.refusals import require_generation
from vault_server.storage.engine.engine import Engine
from vault_server.storage.files.reader import StoredReader, blocks_covering, require_whole
from vault_server.storage.index import listing
from vault_server.storage.index.object_batches import (
    find_all_small,
    find_generations,
    find_infos,
    take_small,
    to_loaded,
)
from vault_server.storage.index.objects import (
    Known,
    StoredContents,
    find_contents,
    find_row,
    find_small,
    require_sound,
)
from vault_server.storage.index.retirement import find_retired
from vault_server.storage.os_errors import storing

BATCH_BYTES: Final = 64 << 20
"""Bytes in the answer to one `load_many`; objects beyond it come without their data."""

Found = tuple[Known, StoredContents]
"""An object, and where its bytes are."""


class Reads:
    """The reading half of an EmbeddedStore; what its methods promise is in `vault.store`."""

    engine: Engine

    def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        self._check_keys(unit, keys)
        return self.engine.connections.read(lambda connection: find_generations(connection, unit, keys))

    def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        self._check_keys(unit, keys)
        return self.engine.connections.read(lambda connection: find_infos(connection, unit, keys))

    def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> Page:
        self.engine.require_unit(unit)
        if prefix is not None:
            check_prefix(prefix)
        check_tags(tags or {})
        check_page_size(page_size)
        return self.engine.connections.read(
            lambda connection: listing.list_page(
                connection, unit, prefix=prefix, tags=tags or {}, page_size=page_size, page_token=page_token
            )
        )

    def list_units(self) -> list[str]:
        self.engine.require_open()
        units = self.engine.connections.read(listing.list_units)
        allowed = self.engine.settings.allowed_units
        return [unit for unit in units if not allowed or unit in allowed]

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
        self.engine.require_unit(unit)
        check_key(key)
        check_range(offset, length)
        check_generation(if_generation)
        check_generation(if_generation_not_match)
        check_generation(generation)
        found = _found(self.engine, unit, key, generation)
        while found is not None:
            row, contents = found
            _require(row.info, if_generation)
            if row.info.generation == if_generation_not_match:
                return NotModified(row.info.generation)
            check_range(offset, length, row.info.size)
            blocks = blocks_covering(row.info.size, offset, length)
            reader, found = _open(self.engine, row, contents, *blocks, generation=generation)
            if reader is not None:
                return reader
        return None

    def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        return read_found(self.engine, find_many(self.engine, unit, items))

    def _check_keys(self, unit: str, keys: Sequence[Key]) -> None:
        self.engine.require_unit(unit)
        check_batch(len(keys))
        for key in keys:
            check_key(key)


def open_generation(engine: Engine, unit: str, data_id: int, generation: int) -> StoredReader | None:
    """A reader of just this generation, which may be retired; None or ConflictError when it was collected."""
    found = _found(engine, unit, data_id, generation)
    while found is not None:
        reader, found = _open(engine, *found, 0, found[0].info.block_count, generation=generation)
        if reader is not None:
            return reader
    return None


def find_many(engine: Engine, unit: str, items: Sequence[LoadItem]) -> Sequence[Found | LoadResult]:
    """The outcome of each item, but where an object is in a file; `read_found` reads those."""
    engine.require_unit(unit)
    check_batch(len(items))
    return engine.connections.read(lambda connection: _find_small(connection, unit, items), alone=len(items) == 1)


def read_found(engine: Engine, outcomes: Sequence[Found | LoadResult]) -> Sequence[LoadResult]:
    """The outcome of each item of `find_many`."""
    if isinstance(outcomes, LoadedObjects):
        return outcomes
    return [_read_small(engine, *outcome) if isinstance(outcome, tuple) else outcome for outcome in outcomes]


def _found(engine: Engine, unit: str, key: Key, generation: int | None = None) -> Found | None:
    return engine.connections.read(lambda connection: _find(connection, unit, key, generation))


def _open(
    engine: Engine, row: Known, contents: StoredContents, first: int, end: int, *, generation: int | None = None
) -> tuple[StoredReader | None, Found | None]:
    """A reader; or none, and what there is by now, when that is another since its file was opened."""
    info = row.info
    if contents.file is None:
        return StoredReader(info, contents.data or b"", contents.blocks, first=first, end=end), None
    file: io.FileIO | None = None
    with storing(f"open object {info.data_id} of unit {info.unit!r}"):
        try:
            file = engine.blobs.open(contents.file)
        except FileNotFoundError:
            file = None
    # Asked again after the opening: an id that is deleted and used anew may use its file name anew.
    try:
        now = _found(engine, info.unit, info.data_id, generation)
    except VaultError:  # the generation asked for was collected; or the register cannot be read
        if file is not None:
            file.close()
        raise
    if now is not None and now[1].retired and file is None:  # collected in haste, for the sake of a full disk
        now = _found(engine, info.unit, info.data_id)
        if now is not None:
            _require(now[0].info, generation)
        return None, None
    if now is not None and now[0].info.generation == info.generation:
        source = b"" if file is None else file  # a reader without the bytes reports their loss
        return StoredReader(info, source, contents.blocks, first=first, end=end), None
    if file is not None:
        file.close()
    return None, now


def _read_small(engine: Engine, row: Known, contents: StoredContents) -> LoadResult:
    found: Found | None = (row, contents)
    try:
        while found is not None:
            row, contents = found
            if row.info.size > BLOCK_SIZE:  # replaced meanwhile
                return LoadedObject(row.info, None)
            reader, found = _open(engine, row, contents, 0, row.info.block_count)
            if reader is not None:
                with reader:
                    block = reader.next_block()
                return LoadedObject(row.info, bytes(block.data) if block else b"")
    except VaultError as error:
        return error
    return None


def _find(connection: sqlite3.Connection, unit: str, key: Key, generation: int | None) -> Found | None:
    """The object, or one generation of it, which may be retired."""
    row = find_row(connection, unit, key)
    if generation is not None and (row is None or row.info.generation != generation):
        data_id = row.info.data_id if row else key
        retired = None if isinstance(data_id, str) else find_retired(connection, unit, data_id, generation)
        if retired is not None:
            return retired[0], require_sound(retired[0].info, retired[1])
        if row is not None:
            _require(row.info, generation)
        return None
    return (row, require_sound(row.info, find_contents(connection, row.content))) if row else None


def _require(info: ObjectInfo, wanted: int | None) -> None:
    require_generation(info.unit, info.data_id, info.generation, wanted)


def _find_small(connection: sqlite3.Connection, unit: str, items: Sequence[LoadItem]) -> Sequence[Found | LoadResult]:
    found = None
    if len(items) > 1 and _are_plain(batch := LoadItems.of(items)):  # columns of one take longer
        found = find_all_small(connection, unit, batch.keys, BATCH_BYTES)
        loaded = None if found is None else to_loaded(found, batch.keys)
        if loaded is not None:
            return loaded
    find = partial(find_small, connection, unit) if found is None else partial(take_small, found)
    outcomes: list[Found | LoadResult] = []
    room = BATCH_BYTES
    for item in items:
        try:
            outcome = _find_item(find, item, room)
        except VaultError as error:
            outcome = error
        else:
            if isinstance(outcome, tuple):
                room -= outcome[0].info.size
            elif isinstance(outcome, LoadedObject):
                room -= len(outcome.data or b"")
        outcomes.append(outcome)
    return outcomes


def _are_plain(items: LoadItems) -> bool:
    """Whether each of them can be asked for, and without a condition."""
    if items.if_generation_not_match.count(None) < len(items):
        return False
    try:
        for key in items.keys:
            check_key(key)
    except VaultError:
        return False
    return True


def _find_item(
    find: Callable[[Key], tuple[Known, StoredContents | None] | None], item: LoadItem, room: int
) -> Found | LoadResult:
    check_key(item.key)
    check_generation(item.if_generation_not_match)
    found = find(item.key)
    if found is None:
        return None
    row, contents = found
    info = row.info
    if info.generation == item.if_generation_not_match:
        return NotModified(info.generation)
    if info.size > min(BLOCK_SIZE, room):
        return LoadedObject(info, None)
    contents = require_sound(info, contents)
    if contents.file is not None:
        return row, contents
    return LoadedObject(info, require_whole(info, contents.data or b""))
