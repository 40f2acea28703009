"""One statement for many keys: prepared for a few sizes, and filled up to the next one."""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

MOST_KEYS: Final = 1 << 10
"""Keys in one statement. SQLite takes 32,766 values, and no key takes less in a longer one."""

NULLS: Final = (None,) * 2 * MOST_KEYS

_SIZES: Final = tuple(1 << power for power in range(MOST_KEYS.bit_length()))


def for_sizes(statement: str) -> list[str]:
    """The statement for each size: with as many `?` in the place of `{values}`, `(?)` of `{rows}`, `(?, ?)` of
    `{pairs}`."""
    marks = {"values": "?", "rows": "(?)", "pairs": "(?, ?)"}
    return [statement.format(**{name: ", ".join([mark] * size) for name, mark in marks.items()}) for size in _SIZES]


def select(
    connection: sqlite3.Connection,
    statements: Sequence[str],
    keys: Sequence[Any],
    *,
    pairs: bool = False,
    first: Sequence[Any] = (),
) -> list[Any]:
    """The rows that the keys, which may be pairs, lead to; see `selected`."""
    return [row for cursor in selected(connection, statements, keys, pairs=pairs, first=first) for row in cursor]


def selected(
    connection: sqlite3.Connection,
    statements: Sequence[str],
    keys: Sequence[Any],
    *,
    pairs: bool = False,
    first: Sequence[Any] = (),
) -> Iterator[sqlite3.Cursor]:
    """Cursors on the rows that the keys, which may be pairs, lead to. These are filled up with NULL, which finds none.

    Args:
        statements: Of `for_sizes`.
        first: Values that come before the keys.
    """
    for start in range(0, len(keys), MOST_KEYS):
        some = keys[start : start + MOST_KEYS]
        power = power_for(some)
        values = chain.from_iterable(some) if pairs else some
        padding = NULLS[: ((1 << power) - len(some)) * (1 + pairs)]
        yield connection.execute(statements[power], [*first, *values, *padding])


def power_for(keys: Sequence[object]) -> int:
    """That of two, and the place of the statement, for so many keys."""
    return (len(keys) - 1).bit_length() if keys else 0
