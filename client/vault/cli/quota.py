"""The command quota: what units and principals hold, and how much they may."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import click

from vault.cli.arguments import PRINCIPAL, UNIT, Parsed, parse_size
from vault.cli.location import opened_store
from vault.cli.options import json_option, location_options
from vault.cli.output import write_records
from vault.errors import InvalidArgumentError
from vault.store.contract import Store
from vault.store.limits import MAX_DATA_ID
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo, UnitLimits

_NO_LIMIT: Final = "none"


def _parse_number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else -1
    if not 0 <= number <= MAX_DATA_ID:
        raise InvalidArgumentError(f"bad number {text[:40]!r}: a whole number up to 2^63 - 1, or none")
    return number


def _or_none(parse: Callable[[str], int]) -> Callable[[str], int | str]:
    return lambda text: _NO_LIMIT if text.lower() == _NO_LIMIT else parse(text)


@click.command()
@click.option("--unit", "-u", type=UNIT, help="Of this unit.")
@click.option("--principal", type=PRINCIPAL, help="Of this principal, in all units together.")
@click.option(
    "--max-bytes", metavar="SIZE", type=Parsed("size", _or_none(parse_size)), help="As 10GB, 512MiB; none: no limit."
)
@click.option("--max-objects", metavar="N", type=Parsed("number", _or_none(_parse_number)), help="none: no limit.")
@click.option(
    "--when-full",
    type=click.Choice(["refuse", "evict"]),
    help="Of a unit: refuse what is too much, or delete what was stored longest ago.",
)
@click.option("--none", "clear", is_flag=True, help="No limits any more.")
@json_option
@location_options
def quota(
    unit: str | None,
    principal: str | None,
    max_bytes: int | str | None,
    max_objects: int | str | None,
    when_full: str | None,
    *,
    clear: bool,
    as_json: bool,
) -> None:
    """Show or set how much a unit may hold, or may be charged to a principal, which is what it wrote.

    Without a name: of all that have limits or hold something. A line each: bytes and the limit of them,
    objects and the limit of them, what a full unit does, unit, principal. What is not given stays as it is.
    """
    given: dict[str, Any] = {"max_bytes": max_bytes, "max_objects": max_objects, "when_full": when_full}
    changes = {name: None if value == _NO_LIMIT else value for name, value in given.items() if value is not None}
    if unit is not None and principal is not None:
        raise click.UsageError("--unit or --principal: each has limits of its own.")
    if unit is None and principal is None and (changes or clear):
        raise click.UsageError("whose limits? Give --unit or --principal.")
    if principal is not None and when_full is not None:
        raise click.UsageError("--when-full is of a unit: what goes over a principal's limit is refused.")
    if clear and changes:
        raise click.UsageError("--none takes all limits away: no other is set with it.")
    with opened_store() as store:
        if unit is not None:
            rows = [_of_unit(store, unit, changes, clear=clear)]
        elif principal is not None:
            rows = [_of_principal(store, principal, changes, clear=clear)]
        else:
            rows = list(_all(store))
    write_records(rows, as_json=as_json)


def _of_unit(store: Store, unit: str, changes: dict[str, Any], *, clear: bool) -> dict[str, Any]:
    if clear:
        return _row(store.set_unit_limits(unit, UnitLimits()))
    info = store.unit_info(unit)
    return _row(store.set_unit_limits(unit, replace(info.limits, **changes)) if changes else info)


def _of_principal(store: Store, principal: str, changes: dict[str, Any], *, clear: bool) -> dict[str, Any]:
    if clear:
        return _row(store.set_principal_limits(principal, PrincipalLimits()))
    info = store.principal_info(principal)
    return _row(store.set_principal_limits(principal, replace(info.limits, **changes)) if changes else info)


def _all(store: Store) -> Iterator[dict[str, Any]]:
    token = ""
    while True:
        units = store.unit_page(page_token=token)
        yield from map(_row, units.units)
        if not (token := units.next_page_token):
            break
    while True:
        principals = store.principal_page(page_token=token)
        yield from map(_row, principals.principals)
        if not (token := principals.next_page_token):
            break


def _row(info: UnitInfo | PrincipalInfo) -> dict[str, Any]:
    limits = info.limits
    return {
        "bytes": info.bytes,
        "max_bytes": limits.max_bytes,
        "objects": info.objects,
        "max_objects": limits.max_objects,
        "when_full": limits.when_full if isinstance(limits, UnitLimits) and limits.are_set else None,
        "unit": info.unit if isinstance(info, UnitInfo) else None,
        "principal": info.principal if isinstance(info, PrincipalInfo) else None,
    }
