"""Which bytes are a generation's: in the old register or in the files that are left, known by their checksums."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from vault.errors import VaultError
from vault.store.limits import MAX_DATA_ID, check_unit
from vault.store.progress import Meter
from vault.store.values import checksum

from vault_server.storage.decision.rows import Row, pack_checksums, to_info, unsigned
from vault_server.storage.decision.writes import NOTHING, Content
from vault_server.storage.files.blobs import Measured, blob_files, blob_generation, blob_id, folder_unit, measure
from vault_server.storage.index.objects import is_file_of
from vault_server.storage.index.restoring import insert_contents, insert_object
from vault_server.storage.maintenance.rebuild.salvage import Salvage
from vault_server.storage.os_errors import storing

IMPLAUSIBLE: Final = 1 << 53
"""No store comes to such a revision; a damaged row, or a name that somebody gave, does."""


class Key(NamedTuple):
    unit: str
    data_id: int

    @property
    def is_valid(self) -> bool:
        try:
            check_unit(self.unit)
        except VaultError:
            return False
        return 0 < self.data_id <= MAX_DATA_ID


class Left(NamedTuple):
    """A file: the generation in its name, 0 where there is none; and when it came to be, of two of one generation."""

    generation: int
    changed: int
    file: str


class Contents:
    """Finds the bytes of generations, and brings them into a new register.

    Attributes:
        files: Those that Vault may have named, by the object that they are of.
        newest: The highest generation in a name that can be one.
        size: Bytes of the files in all.
    """

    def __init__(self, root: Path, salvaged: Salvage, register: sqlite3.Connection, meter: Meter) -> None:
        self._root = root
        self._work = salvaged.work
        self._complete = salvaged.complete
        self._register = register
        self._meter = meter
        self._measured: dict[str, Measured] = {}
        self._sizes: dict[str, int] = {}
        self.files: dict[Key, list[Left]] = defaultdict(list)
        self.newest = 0
        with storing("look through the store's directory"):
            for file in chain.from_iterable(blob_files(root)):
                folder, name = file.split("/")
                status = (root / file).stat()
                self._sizes[file] = status.st_size
                generation = blob_generation(file) or 0
                self.files[Key(folder_unit(folder), blob_id(name) or 0)].append(
                    Left(generation, status.st_ctime_ns, file)
                )
                if generation < IMPLAUSIBLE:
                    self.newest = max(self.newest, generation)
        self.size = sum(self._sizes.values())

    def measure(self, file: str) -> Measured:
        """What a file comes to, which is read once."""
        if file not in self._measured:
            with storing(f"read {file}"):
                self._measured[file] = measure(self._root / file, self._meter)
        return self._measured[file]

    def is_known(self, file: str, row: Row | None) -> bool:
        """Whether a file is of a retired generation, or of that which the object has by this row."""
        query = "SELECT 1 FROM contents c JOIN retired r ON r.content = c.number WHERE c.file = ?"
        if self._work.execute(query, (file,)).fetchone():
            return True
        return row is not None and (
            any(file == claim.file for claim in self._claimed(row)) or self._holds(file, row) is not None
        )

    def find(self, row: Row) -> Content:
        """The bytes of a generation; damaged ones, which reading refuses, when there are no others; or NOTHING."""
        claims = list(self._claimed(row))
        for claim in claims:
            data = claim.data
            if claim.file is None:
                fits = data is not None and len(data) == row.size and checksum(data) == claim.checksum
            elif self._complete:
                fits = self._sizes.get(claim.file) == row.size
            else:
                held = self._holds(claim.file, row)
                fits = held is not None and held.blocks == claim.blocks
            if fits:
                return claim
        # Its file may be there though nothing says so.
        files = [left.file for left in self.files.get(Key(row.unit, row.data_id), ())]
        for found in filter(None, (self._holds(file, row) for file in files)):
            return found
        for claim in claims:
            return claim
        for file in files:
            # Which of its blocks is not what was stored cannot be told, so none may pass for it.
            refused = [block ^ 1 for block in self.measure(file).blocks][: to_info(row).block_count]
            return self._content(row, pack_checksums(refused), None, file)
        return NOTHING

    def insert(self, row: Row, found: Content) -> bool:
        """Inserts an object, unless the number of its bytes is that of others."""
        query = "SELECT checksum, file FROM contents WHERE number = ?"
        there = self._register.execute(query, (row.content,)).fetchone()
        if there not in (None, (row.checksum, found.file)):
            return False
        insert_object(self._register, row, found)
        return True

    def keep(self, row: Row) -> bool:
        """Inserts the contents of a retired generation, unless it is an object's, or its bytes are not there."""
        query = (
            "SELECT 1 FROM objects WHERE unit = ? AND data_id = ? AND generation = ? "
            "UNION ALL SELECT 1 FROM retired WHERE generation = ?"
        )
        if self._register.execute(query, (*row[:3], row.generation)).fetchone():
            return False
        for claim in self._claimed(row):
            file = claim.file
            if self._sizes.get(file) == row.size if file is not None else claim.data is not None:
                query = "SELECT checksum, file FROM contents WHERE number = ? OR file = ?"
                taken = self._register.execute(query, (row.content, file)).fetchone()
                if taken is None:
                    insert_contents(self._register, row, claim)
                return taken in (None, (row.checksum, file))
        return False

    def _claimed(self, row: Row) -> Iterator[Content]:
        """What the old register says of where a generation's bytes are, as far as it can be so."""
        found = self._work.execute(
            "SELECT DISTINCT file, blocks, data FROM contents WHERE number IN (?, ?) AND checksum = ?",
            (row.content, row.generation, row.checksum),
        ).fetchall()
        info = to_info(row)
        for file, blocks, data in found:
            if len(blocks) == 8 * info.block_count and (file is None or is_file_of(info, file)):
                yield self._content(row, blocks, data if file is None else None, file)

    def _holds(self, file: str, row: Row) -> Content | None:
        """The bytes of this generation in this file; None where it has others."""
        if self._sizes.get(file) != row.size or self.measure(file).checksum != unsigned(row.checksum):
            return None
        return self._content(row, pack_checksums(self.measure(file).blocks), None, file)

    def _content(self, row: Row, blocks: bytes, data: bytes | None, file: str | None) -> Content:
        return Content(row.size, unsigned(row.checksum), blocks, data, file)
