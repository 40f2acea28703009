"""One statement for many keys: prepared for a few sizes, and filled up to the next one."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

MOST_KEYS: Final = 1 << 10
"""Keys in one statement. SQLite takes 32,766 values, and no key takes less in a longer one."""

_SIZES: Final = tuple(1 << power for power in range(MOST_KEYS.bit_length()))


def for_sizes(statement: str, mark: str) -> Sequence[str]:
    """The statement with one `mark` for each key in the place of `{marks}`, for each size."""
    return [statement.format(marks=", ".join([mark] * size)) for size in _SIZES]


def select(
    connection: sqlite3.Connection,
    statements: Sequence[str],
    keys: Sequence[Any],
    *,
    pairs: bool = False,
    first: Sequence[Any] = (),
) -> list[Any]:
    """The rows that the keys, which may be pairs, lead to. They are filled up with NULL, which finds nothing.

    Args:
        statements: Of `for_sizes`.
        first: Values that come before the keys.
    """
    count = len(keys)
    if count == 0:
        return []
    if count > MOST_KEYS:
        rest = select(connection, statements, keys[MOST_KEYS:], pairs=pairs, first=first)
        return select(connection, statements, keys[:MOST_KEYS], pairs=pairs, first=first) + rest
    power = (count - 1).bit_length()
    values = [value for pair in keys for value in pair] if pairs else list(keys)
    values += [None] * ((1 << power) * (1 + pairs) - len(values))
    return connection.execute(statements[power], [*first, *values]).fetchall()
