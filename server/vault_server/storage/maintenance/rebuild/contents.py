"""Which bytes are a generation's: in the old register or in files, known by their checksums."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from vault.store.values import checksum

from vault_server.storage.decision.rows import Row, pack_checksums, to_info, unsigned
from vault_server.storage.index.objects import is_file_of
from vault_server.storage.index.restoring import insert_contents, insert_object
from vault_server.storage.maintenance.rebuild.files import Files, Key, Left
from vault_server.storage.maintenance.rebuild.salvage import Salvage

Bytes = tuple[str | None, bytes, bytes | None]
"""Where bytes are: their file, or None; their blocks' checksums; themselves, or None."""

NOWHERE: Final[Bytes] = (None, b"", None)
"""Of an object whose bytes are gone; reading it says so."""


class Contents:
    """Finds the bytes of generations, and brings them into a new register."""

    def __init__(self, salvaged: Salvage, register: sqlite3.Connection, files: Files) -> None:
        self._work = salvaged.work
        self._complete = salvaged.complete
        self._register = register
        self._files = files

    def is_known(self, file: str, row: Row | None) -> bool:
        """Whether a file is of a retired generation, or of that which the object has by this row."""
        query = "SELECT 1 FROM contents c JOIN retired r ON r.content = c.number WHERE c.file = ?"
        if self._work.execute(query, (file,)).fetchone():
            return True
        return row is not None and (
            any(file == claimed for claimed, _, _ in self._claimed(row)) or self._files.holds(file, row)
        )

    def find(self, row: Row) -> Bytes:
        """The bytes of a generation; damaged ones, which reading refuses, when there are no others; or NOWHERE."""
        return self._sound(row) or self._damaged(row) or NOWHERE

    def insert(self, row: Row, found: Bytes) -> bool:
        """Inserts an object, unless the number of its bytes is that of others."""
        there = self._register.execute(
            "SELECT checksum, file FROM contents WHERE number = ?", (row.content,)
        ).fetchone()
        if there not in (None, (row.checksum, found[0])):
            return False
        insert_object(self._register, row, *found)
        return True

    def keep(self, row: Row) -> bool:
        """Inserts the contents of a retired generation, unless it is an object's, or its bytes are not there."""
        query = (
            "SELECT 1 FROM objects WHERE unit = ? AND data_id = ? AND generation = ? "
            "UNION ALL SELECT 1 FROM retired WHERE generation = ?"
        )
        if self._register.execute(query, (*row[:3], row.generation)).fetchone():
            return False
        for file, blocks, data in self._claimed(row):
            if self._files.has(file, row.size) if file is not None else data is not None:
                taken = self._register.execute(
                    "SELECT checksum, file FROM contents WHERE number = ? OR file = ?", (row.content, file)
                ).fetchone()
                if taken is None:
                    insert_contents(self._register, row, file, blocks, data)
                return taken in (None, (row.checksum, file))
        return False

    def _claimed(self, row: Row) -> Iterator[Bytes]:
        """What the old register says of where a generation's bytes are, as far as it can be so."""
        found = self._work.execute(
            "SELECT DISTINCT file, blocks, data FROM contents WHERE number IN (?, ?) AND checksum = ?",
            (row.content, row.generation, row.checksum),
        ).fetchall()
        info = to_info(row)
        for file, blocks, data in found:
            if len(blocks) == 8 * info.block_count and (file is None or is_file_of(info, file)):
                yield file, blocks, data if file is None else None

    def _in_files(self, row: Row) -> list[Left]:
        return self._files.by_key.get(Key(row.unit, row.data_id), [])

    def _sound(self, row: Row) -> Bytes | None:
        for file, blocks, data in self._claimed(row):
            if file is None:
                fits = data is not None and len(data) == row.size and checksum(data) == unsigned(row.checksum)
            elif self._complete:
                fits = self._files.has(file, row.size)
            else:
                fits = self._files.holds(file, row, blocks)
            if fits:
                return file, blocks, data
        # Its file may be there though nothing says so.
        for left in self._in_files(row):
            if self._files.holds(left.file, row):
                return left.file, pack_checksums(self._files.measure(left.file).blocks), None
        return None

    def _damaged(self, row: Row) -> Bytes | None:
        for claimed in self._claimed(row):
            return claimed
        for left in self._in_files(row):
            # Which of its blocks is not what was stored cannot be told, so none may pass for it.
            refused = [block ^ 1 for block in self._files.measure(left.file).blocks][: to_info(row).block_count]
            return left.file, pack_checksums(refused), None
        return None
