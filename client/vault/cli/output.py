"""What the commands print: JSON for programs, lines for pipes, tables for people."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from itertools import islice
from typing import Any

from vault._escaping import escape_hidden, json_line
from vault.cli.wording import tags_text
from vault.store.values import ObjectInfo

_ROWS_AT_ONCE = 200
"""Objects in one piece of a table: a listing of any length begins at once and needs no memory."""


def json_of(info: ObjectInfo) -> dict[str, Any]:
    """An object as JSON.

    The id is text: it has up to 63 bits, and readers that keep numbers as doubles (JavaScript, jq
    before 1.7) change whole numbers above 2^53. The checksum is text in the 16 hexadecimal digits
    that `xxhsum -H3` prints. Counters and sizes stay far below 2^53, so they are numbers.
    """
    names = dict.fromkeys(["unit", "data_id", "name", "size", *(field.name for field in fields(info))])
    return {name: _as_json(name, getattr(info, name)) for name in names}


def _as_json(name: str, value: object) -> object:
    match name, value:
        case "data_id", _:
            return str(value)
        case "checksum", int():
            return f"{value:016x}"
        case _, datetime():
            return value.isoformat()
        case _, Mapping():
            return dict(value)
    return value


def write_json(document: object) -> None:
    """One document on one line."""
    sys.stdout.write(json_line(document, separators=(",", ":")) + "\n")


def write_line(*fields: object) -> None:
    """Fields with a tab between them, and none within: what steers terminals or parts lines is escaped."""
    sys.stdout.write("\t".join(escape_hidden(str(field)) for field in fields) + "\n")


def write_lines(document: object, lines: Iterable[str], *, as_json: bool) -> None:
    """The document, or these lines of it."""
    if as_json:
        write_json(document)
        return
    for line in lines:
        write_line(line)


def write_objects(objects: Iterable[ObjectInfo], *, as_json: bool, long: bool, with_unit: bool = False) -> int:
    """Objects as they come, in the form that suits whoever reads. Returns how many."""
    if as_json:
        return _each(objects, lambda info: write_json(json_of(info)))
    if not sys.stdout.isatty():
        return _each(objects, lambda info: write_line(*_fields(info, long=long, with_unit=with_unit)))
    count = 0
    remaining = iter(objects)
    while rows := list(islice(remaining, _ROWS_AT_ONCE)):
        _table().show_objects(rows, long=long, with_unit=with_unit, header=count == 0)
        count += len(rows)
    return count


def write_object(info: ObjectInfo, *, as_json: bool) -> None:
    """All that is known of one object."""
    document = json_of(info)
    if as_json:
        write_json(document)
        return
    document["name"] = info.name if info.name is not None else ""
    document["tags"] = tags_text(info)
    if sys.stdout.isatty():
        _table().show_fields(document)
        return
    for field, value in document.items():
        write_line(field, value)


def _fields(info: ObjectInfo, *, long: bool, with_unit: bool) -> Iterator[object]:
    if with_unit:
        yield info.unit
    yield info.data_id
    yield info.size
    if long:
        yield info.generation
        yield info.updated_at.isoformat()
        yield info.datatype
        yield tags_text(info)
    yield info.name or ""


def _each(objects: Iterable[ObjectInfo], write: Any) -> int:
    count = 0
    for count, info in enumerate(objects, 1):  # noqa: B007  # the count is what is returned
        write(info)
    return count


def _table() -> Any:
    from vault.cli import table  # noqa: PLC0415  # rich costs 80 ms, and only a terminal needs it

    return table
