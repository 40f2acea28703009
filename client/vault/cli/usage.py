"""The command du: how many objects a unit, and each level of its names, holds, and how large they are."""

from collections import defaultdict
from collections.abc import Iterator

import click

from vault.cli.arguments import UNIT
from vault.cli.choice import LEVELS, NO_KEYS, Choice, filter_options, level_of
from vault.cli.location import opened_store
from vault.cli.options import json_option, location_options
from vault.cli.output import write_records
from vault.errors import UnsupportedError
from vault.store.contract import Store


@click.command("du", context_settings=NO_KEYS)
@click.option("--unit", "-u", type=UNIT, help="Only this unit; all of them by default.")
@filter_options
@click.option("--level", "-l", is_flag=True, help="Also each level directly below the prefix, a/ and b/ of a/1, b/2.")
@json_option
@location_options
def usage(unit: str | None, choice: Choice, *, level: bool, as_json: bool) -> None:
    """Show how much units hold: bytes, objects, unit and level, a line each, the whole unit after its levels.

    --prefix, --tag and --older-than count only what they choose.
    """
    with opened_store() as store:
        rows = [
            {"bytes": size, "objects": objects, "unit": one, "level": below}
            for one in (store.list_units() if unit is None else [unit])
            for size, objects, below in _used(store, one, choice, by_level=level)
        ]
    write_records(rows, as_json=as_json)


def _used(store: Store, unit: str, choice: Choice, *, by_level: bool) -> Iterator[tuple[int, int, str | None]]:
    if not (by_level or choice.is_given):
        try:
            whole = store.unit_info(unit)
            yield whole.bytes, whole.objects, None
            return
        except UnsupportedError:  # an older server
            pass
    begin = len(level_of(choice.prefix))
    used: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for info in choice.objects(store, unit):
        end = (info.name or "").find(LEVELS, begin) + 1
        for level in {"", info.name[:end] if info.name and by_level else ""}:
            used[level][0] += info.size
            used[level][1] += 1
    for level in sorted(used.keys() - {""}):
        yield used[level][0], used[level][1], level
    yield used[""][0], used[""][1], None
