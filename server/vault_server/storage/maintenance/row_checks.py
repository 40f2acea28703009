"""What the register's rows must say of each other, row by row, as far as it can be told without the objects' bytes."""

import sqlite3
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from vault.store.limits import BLOCK_SIZE
from vault.store.values import ObjectInfo, checksum

from vault_server.storage.decision.rows import INFO_COLUMNS, signed, unpack_checksums
from vault_server.storage.engine.engine import Engine
from vault_server.storage.index.objects import is_file_of

FIRST: Final = -(1 << 63)
"""No row has a lower number, not even a damaged one."""

_ROWS: Final = 500
_INFO: Final = len(INFO_COLUMNS)


class Contents(NamedTuple):
    """An object's row of `contents`, but for the bytes."""

    checksum: int
    file: str | None
    data_size: int | None
    blocks: bytes


class Stored(NamedTuple):
    """A row of `objects` or `retired`, and what else the register says of that generation, all read at one moment.

    Attributes:
        table: Which of the two it is in.
        number: Of the row; of a retired generation that is the generation.
        row: INFO_COLUMNS.
        contents: None where there is none.
        change: INFO_COLUMNS of the change that last made it; None where the feed does not reach back to it.
    """

    table: str
    number: int
    row: tuple[Any, ...]
    contents: Contents | None
    change: tuple[Any, ...] | None

    @property
    def generation(self) -> int:
        return int(self.row[2])

    @property
    def size(self) -> int:
        return int(self.row[4])

    @property
    def retired(self) -> bool:
        return self.table == "retired"


def integrity(connection: sqlite3.Connection, *, full: bool) -> list[str]:
    """What SQLite's own check finds wrong; with `full`, also where indexes and rows disagree."""
    pragma = "PRAGMA integrity_check" if full else "PRAGMA quick_check"
    return [line for (line,) in connection.execute(pragma) if line != "ok"]


def is_of_an_index(fault: str) -> bool:
    """Whether what `integrity` found is that an index is not as its table is, which REINDEX mends."""
    return " index " in fault


def totals(connection: sqlite3.Connection, table: str) -> tuple[int, int]:
    """How many rows `objects` or `retired` has, and their bytes."""
    count, size = connection.execute(f"SELECT count(*), total(size) FROM {table}").fetchone()  # noqa: S608
    return count, int(size)


def page_from(connection: sqlite3.Connection, *, table: str, first: int, limit: int) -> list[Stored]:
    """The next rows of `objects` or `retired` by number, from this one on."""
    info, change = (", ".join(f"{name}.{column}" for column in INFO_COLUMNS) for name in "oh")
    found = connection.execute(
        f"SELECT o.rowid, {info}, c.number, c.checksum, c.file, length(c.data), c.blocks, {change} "  # noqa: S608
        f"FROM {table} o NOT INDEXED LEFT JOIN contents c ON c.number = o.content "
        "LEFT JOIN changes h ON h.revision = o.revision WHERE o.rowid >= ? ORDER BY o.rowid LIMIT ?",
        (first, limit),
    )
    stored = []
    for number, *row in found:
        contents, change_row = row[_INFO : _INFO + 5], tuple(row[_INFO + 5 :])
        stored.append(
            Stored(
                table,
                number,
                tuple(row[:_INFO]),
                Contents(*contents[1:]) if contents[0] is not None else None,
                change_row if change_row[3] is not None else None,
            )
        )
    return stored


def all_rows(engine: Engine, table: str) -> Iterator[Stored]:
    """Every row of `objects` or `retired`, some at a time, each of these at one moment."""
    first = FIRST
    while page := engine.connections.read(partial(page_from, table=table, first=first, limit=_ROWS)):
        yield from page
        first = page[-1].number + 1


def faults(info: ObjectInfo, stored: Stored) -> tuple[str | None, str | None]:
    """What is wrong with what is said of a generation's bytes, and where its row and the feed contradict each other."""
    return _contents_fault(info, stored), _change_fault(stored)


def _contents_fault(info: ObjectInfo, stored: Stored) -> str | None:
    contents = stored.contents
    if contents is None:
        return "it has no row that says where its bytes are"
    whole, file, data_size, packed = contents
    if file is None and data_size != info.size:
        return f"the register holds {data_size or 0} bytes of it, not {info.size}"
    if file is not None and (data_size is not None or not is_file_of(info, file)):
        return f"its bytes are said to be in {file!r}, which is not its file"
    if whole != signed(info.checksum):
        return "its bytes are said to have another checksum than it has"
    if len(packed) != 8 * info.block_count:
        return f"{len(packed) / 8:g} blocks' checksums are there, of {info.block_count}"
    blocks = unpack_checksums(packed)
    if info.size <= BLOCK_SIZE and info.checksum != (blocks[0] if blocks else checksum(b"")):
        return "the checksums of the whole and of its one block differ"
    return None


def _change_fault(stored: Stored) -> str | None:
    """Adopted objects, and those changed before the feed's history begins, have no change to be held against."""
    if stored.change is None or stored.change == stored.row:
        return None
    pairs = zip(INFO_COLUMNS, stored.row, stored.change, strict=True)
    differing = ", ".join(f"{what} {ours!r} against {theirs!r}" for what, ours, theirs in pairs if ours != theirs)
    return f"its row and the feed's entry of its last change differ: {differing}"
