"""Values as notebooks and interactive sessions show them: HTML tables, and listings cut where they are long. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import islice
from typing import Any, Final

from vault._escaping import escape_hidden

MOST_ROWS: Final = 100
"""Of a table."""

_MOST_SHOWN: Final = 5  # of a listing, in its repr
_COLUMNS: Final = ("name", "data_id", "size", "updated_at", "datatype", "tags")


class ShownAsFields:
    """A dataclass that a notebook shows as a table, a field in each row."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        shown: Any = self
        return table([[field.name, getattr(self, field.name)] for field in fields(shown)])


class ShownAsRows:
    """A listing: a notebook shows a table of its objects, and its repr the first of them."""

    __slots__ = ()

    def _shown(self) -> tuple[Sequence[Any], Mapping[str, object]]:
        """Its objects, and what else there is of it."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        objects, others = self._shown()
        rows = [
            [getattr(info, name) for name in _COLUMNS] if hasattr(info, "data_id") else [info]
            for info in islice(objects, MOST_ROWS)
        ]
        more = [f"and {len(objects) - MOST_ROWS} more"] if len(objects) > MOST_ROWS else []
        return table(rows, _COLUMNS, more + [f"{name}: {_text(value)}" for name, value in others.items() if value])

    def __repr__(self) -> str:
        objects, others = self._shown()
        parts = [first_of(objects), *(f"{name}={value!r}" for name, value in others.items() if value)]
        return f"<{type(self).__name__} {', '.join(parts)}>"


def first_of(items: Sequence[object]) -> str:
    """The repr of a list of these, cut where it is long."""
    more = [f"… {len(items) - _MOST_SHOWN} more"] if len(items) > _MOST_SHOWN else []
    return f"[{', '.join([*map(repr, islice(items, _MOST_SHOWN)), *more])}]"


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = (), after: Sequence[str] = ()) -> str:
    """A table and lines after it, as HTML. Whatever text they hold, it stays text."""
    head = "".join(f"<th>{_escaped(title)}</th>" for title in header)
    body = "".join(f"<tr>{''.join(f'<td>{_escaped(_text(cell))}</td>' for cell in row)}</tr>" for row in rows)
    lines = "".join(f"<p>{_escaped(line)}</p>" for line in after)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>{lines}"


def size_text(size: int) -> str:
    """Bytes for people: 999 B, 1.5 KiB, 12 MiB."""
    if size < 1024:
        return f"{size} B"
    amount, unit = float(size), ""
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):  # noqa: B007  # the unit that it stops at is used
        amount /= 1024
        if amount < 1023.95:
            break
    return f"{amount:.1f} {unit}" if amount < 99.95 else f"{amount:.0f} {unit}"


def _escaped(text: str) -> str:
    import html  # noqa: PLC0415  # notebooks alone

    return html.escape(escape_hidden(text))


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case Mapping():
            return " ".join(f"{key}={each}" for key, each in sorted(value.items()))
        case list() | tuple():
            return " ".join(map(str, value[:MOST_ROWS])) + (" …" if len(value) > MOST_ROWS else "")
    return str(value)
