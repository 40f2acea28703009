"""The command ls: a unit's objects, in an order, from either end, or one level of their names."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from operator import attrgetter
from typing import Any, Final

import click

from vault.cli.batches import pages
from vault.cli.choice import LEVELS, NO_KEYS, Choice, filter_options
from vault.cli.location import opened_store
from vault.cli.options import json_option, location_options, unit_option
from vault.cli.output import write_objects
from vault.errors import UnsupportedError
from vault.store.contract import Store
from vault.store.values import ListOrder, ObjectInfo

_ORDERS: Final = {"name": ListOrder.NAME, "id": ListOrder.ID, "time": ListOrder.REVISION}
_KEYS: Final[dict[str, Callable[[ObjectInfo], Any]]] = {
    "name": attrgetter("name"),
    "id": attrgetter("data_id"),
    "time": attrgetter("revision"),
    "size": attrgetter("size"),
}


@click.command("ls", context_settings=NO_KEYS)
@unit_option
@filter_options
@click.option("--long", "-l", is_flag=True, help="Generation, times, datatype and tags, too.")
@click.option(
    "--sort", type=click.Choice(list(_KEYS)), help="By name, id, time of the last change, or size; the least first."
)
@click.option("--reverse", is_flag=True, help="The last first.")
@click.option("--limit", type=click.IntRange(0), help="At most so many.")
@click.option(
    "--level",
    is_flag=True,
    help="One level, as of folders: a/b/ instead of all names that begin so, after --prefix a/.",
)
@json_option
@location_options
def list_objects(
    unit: str,
    choice: Choice,
    sort: str | None,
    limit: int | None,
    *,
    long: bool,
    reverse: bool,
    level: bool,
    as_json: bool,
) -> None:
    """List a unit's objects: by id, or by name with --prefix ('' for every named object).

    A table on a terminal; id, size and name between tabs in a pipe (--long: id, size, generation,
    times of the last change and of the last one of the bytes, when it expires, datatype, tags, name).
    """
    if level and (sort not in (None, "name") or choice.changed_before is not None):
        raise click.UsageError("--level is by name, and has no age: neither another --sort nor --older-than.")
    with opened_store() as store:
        if level:
            rows = _level(store, unit, choice, descending=reverse)
        else:
            rows = _ordered(store, unit, choice, sort, limit, descending=reverse)
        write_objects(islice(rows, limit), as_json=as_json, long=long)


def _level(store: Store, unit: str, choice: Choice, *, descending: bool) -> Iterator[ObjectInfo | str]:
    """The objects of a level and the levels below it, by name."""
    for page in pages(store, unit, prefix=choice.prefix, tags=choice.tags, descending=descending, delimiter=LEVELS):
        rows: list[tuple[str, ObjectInfo | str]] = [(info.name or "", info) for info in page.objects]
        rows += [(prefix, prefix) for prefix in page.prefixes]
        yield from (row for _, row in sorted(rows, key=lambda row: row[0], reverse=descending))


def _ordered(
    store: Store, unit: str, choice: Choice, sort: str | None, limit: int | None, *, descending: bool
) -> Iterator[ObjectInfo]:
    if sort == "size":
        return _sorted_here(choice.objects(store, unit), sort, limit, descending=descending)
    order = None if sort is None else _ORDERS[sort]
    objects = choice.objects(store, unit, order=order, descending=descending)
    try:
        first = list(islice(objects, 1))
    except UnsupportedError:  # an older server
        sort = sort or ("id" if choice.prefix is None else "name")
        return _sorted_here(choice.objects(store, unit), sort, limit, descending=descending)
    return chain(first, objects)


def _sorted_here(
    objects: Iterable[ObjectInfo], sort: str, limit: int | None, *, descending: bool
) -> Iterator[ObjectInfo]:
    if sort == "name":
        objects = (info for info in objects if info.name is not None)
    if limit is None:
        return iter(sorted(objects, key=_KEYS[sort], reverse=descending))
    return iter((heapq.nlargest if descending else heapq.nsmallest)(limit, objects, key=_KEYS[sort]))
