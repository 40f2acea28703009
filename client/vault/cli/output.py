"""What the commands print: JSON for programs, lines for pipes, tables for people."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from vault._display import size_text
from vault._escaping import escape_hidden, json_line
from vault.cli.batches import batches
from vault.cli.wording import tags_text, times
from vault.store.values import ObjectInfo

Row = ObjectInfo | str
"""What a listing has on a line: an object, or a level of names."""

_ROWS_AT_ONCE = 200
"""Objects in one piece of a table: a listing of any length begins at once and needs no memory."""


def json_of(info: ObjectInfo) -> dict[str, Any]:
    """An object as JSON.

    The id is text: it has up to 63 bits, and readers that keep numbers as doubles (JavaScript, jq
    before 1.7) change whole numbers above 2^53. The checksum is text in the 16 hexadecimal digits
    that `xxhsum -H3` prints. Counters and sizes stay far below 2^53, so they are numbers.
    """
    names = dict.fromkeys(["unit", "data_id", "name", "size", *(field.name for field in fields(info))])
    return {**{name: _as_json(name, getattr(info, name)) for name in names}, "checksum": info.checksum_hex}


def _as_json(name: str, value: object) -> object:
    match name, value:
        case "data_id", _:
            return str(value)
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


def write_objects(objects: Iterable[Row], *, as_json: bool, long: bool, with_unit: bool = False) -> int:
    """Objects as they come, in the form that suits whoever reads. Returns how many."""
    count = 0
    for group in batches(objects, _ROWS_AT_ONCE):
        write_group(group, as_json=as_json, long=long, with_unit=with_unit, header=count == 0)
        count += len(group)
    return count


def write_group(
    objects: Sequence[Row], *, as_json: bool, header: bool, long: bool = False, with_unit: bool = False
) -> None:
    """Some of the objects; `header`: the first."""
    if as_json:
        for info in objects:
            write_json({"level": info} if isinstance(info, str) else json_of(info))
    elif sys.stdout.isatty():
        _table().show_objects(objects, long=long, with_unit=with_unit, header=header)
    else:
        for info in objects:
            write_line(*_fields(info, long=long, with_unit=with_unit))


def write_object(info: ObjectInfo, *, as_json: bool) -> None:
    """All that is known of one object."""
    document = json_of(info)
    if not as_json:
        document["name"] = info.name if info.name is not None else ""
        document["tags"] = tags_text(info)
    write_fields(document, as_json=as_json)


def write_fields(document: Mapping[str, Any], *, as_json: bool) -> None:
    """One thing, a field on each line; as JSON a document."""
    if as_json:
        write_json(document)
        return
    shown = {field: " ".join(v) if isinstance(v, tuple) else "" if v is None else v for field, v in document.items()}
    if sys.stdout.isatty():
        _table().show_fields(shown)
        return
    for field, value in shown.items():
        write_line(field, value)


def write_record(document: Mapping[str, Any], *, as_json: bool) -> None:
    """One of many things, on one line: its values, None an empty one; as JSON a document."""
    if as_json:
        write_json(document)
    else:
        write_line(*("" if value is None else value for value in document.values()))


def write_records(documents: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Several of them; on a terminal a table, with bytes in the unit that fits."""
    if as_json or not sys.stdout.isatty():
        for document in documents:
            write_record(document, as_json=as_json)
    elif documents:
        shown = [{name: _size_shown(name, value) for name, value in each.items()} for each in documents]
        _table().show_rows(list(shown[0]), [list(each.values()) for each in shown])


def _size_shown(name: str, value: Any) -> Any:
    return size_text(value) if name in ("bytes", "max_bytes") and value is not None else value


def _fields(info: Row, *, long: bool, with_unit: bool) -> Iterator[object]:
    if isinstance(info, str):
        yield from [""] * (8 if long else 2)
        yield info
        return
    if with_unit:
        yield info.unit
    yield info.data_id
    yield info.size
    if long:
        yield info.generation
        yield from ("" if moment is None else moment.isoformat() for moment in times(info))
        yield info.datatype
        yield tags_text(info)
    yield info.name or ""


def _table() -> Any:
    from vault.cli import table  # noqa: PLC0415  # rich costs 80 ms, and only a terminal needs it

    return table
