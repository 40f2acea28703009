"""Commands about objects and their metadata: ls, stat, find, tag, rm, units."""

from collections.abc import Iterator, Mapping, Sequence

import click

from vault.cli.arguments import KEY, NAME, UNIT, tags_callback
from vault.cli.exits import Exit, complain, exit_code
from vault.cli.location import opened_store
from vault.cli.options import json_option, location_options, unit_option
from vault.cli.output import json_of, write_lines, write_object, write_objects
from vault.errors import VaultError, object_not_found
from vault.store.contract import Store
from vault.store.limits import MAX_BATCH_ITEMS, MAX_DATA_ID, MAX_PAGE_SIZE
from vault.store.values import DeleteSpec, Key, MetadataSpec, ObjectInfo


@click.command("ls")
@unit_option
@click.option("--prefix", "-p", help="Only objects whose name begins so, by name.")
@click.option(
    "--tag", "-t", "tags", metavar="K=V", multiple=True, callback=tags_callback, help="Only objects so tagged."
)
@click.option("--long", "-l", is_flag=True, help="Generation, datatype and tags, too.")
@json_option
@location_options
def list_objects(unit: str, prefix: str | None, tags: Mapping[str, str], *, long: bool, as_json: bool) -> None:
    """List a unit's objects: by id, or by name with --prefix ('' for every named object).

    A table on a terminal; id, size and name between tabs in a pipe (--long: id, size, generation,
    time of the last change, datatype, tags, name).
    """
    with opened_store() as store:
        write_objects(_listed(store, unit, prefix, tags), as_json=as_json, long=long)


@click.command()
@click.argument("key", type=KEY)
@unit_option
@json_option
@location_options
def stat(key: Key, unit: str, *, as_json: bool) -> None:
    """Show all that is known of an object, without reading its bytes."""
    with opened_store() as store:
        write_object(found(store, unit, key), as_json=as_json)


@click.command()
@click.argument("name", type=NAME)
@click.option("--unit", "-u", type=UNIT, help="Only in this unit; in all of them by default.")
@json_option
@location_options
def find(name: str, unit: str | None, *, as_json: bool) -> None:
    """Find an object by its name, in one unit or in all: unit, id, size and name, a line for each.

    Ends with 3 when there is none.
    """
    with opened_store() as store:
        units = [unit] if unit is not None else store.list_units()
        matches = (info for one in units for info in store.stat_many(one, [name]) if info is not None)
        if not write_objects(matches, as_json=as_json, long=False, with_unit=True):
            raise object_not_found(unit, name)


@click.command()
@click.argument("key", type=KEY)
@click.argument("tags", metavar="[K=V]...", nargs=-1, callback=tags_callback)
@unit_option
@click.option("--remove", "-r", "removed", metavar="K", multiple=True, help="Take this tag away.")
@click.option("--name", type=NAME, help="Give the object this name.")
@click.option("--no-name", is_flag=True, help="Take the object's name away.")
@json_option
@location_options
def tag(
    key: Key,
    tags: Mapping[str, str],
    unit: str,
    removed: Sequence[str],
    name: str | None,
    *,
    no_name: bool,
    as_json: bool,
) -> None:
    """Show or change an object's tags, or its name. Its bytes and its generation stay.

    Tags that are not mentioned stay as they are. They are read, changed and written as one, so of two
    changes at the same moment the later wins whole.
    """
    if name is not None and no_name:
        raise click.UsageError("--name and --no-name exclude each other.")
    if both := sorted(set(tags) & set(removed)):
        raise click.UsageError(f"tag {both[0]!r} is both set and removed.")
    with opened_store() as store:
        info = found(store, unit, key)
        if tags or removed or name is not None or no_name:
            merged = {**{k: v for k, v in info.tags.items() if k not in removed}, **tags}
            info = store.set_metadata(
                unit,
                MetadataSpec(info.data_id, name="" if no_name else name, tags=merged if tags or removed else None),
            )
    write_lines(json_of(info), (f"{key}={value}" for key, value in sorted(info.tags.items())), as_json=as_json)


@click.command("rm")
@click.argument("keys", metavar="KEY...", type=KEY, nargs=-1, required=True)
@unit_option
@click.option("--force", "-f", is_flag=True, help="An object that does not exist is no error.")
@click.option(
    "--if-generation", type=click.IntRange(0, MAX_DATA_ID), help="Only when the object is at this generation."
)
@location_options
def remove(keys: Sequence[Key], unit: str, if_generation: int | None, *, force: bool) -> None:
    """Delete objects. Each is deleted or not by itself; the exit code is that of the first that was not."""
    if if_generation is not None and len(keys) > 1:
        raise click.UsageError("--if-generation is for one KEY.")
    code = Exit.OK
    with opened_store() as store:
        limit = min(store.capabilities().max_batch_items, MAX_BATCH_ITEMS)
        for start in range(0, len(keys), limit):
            batch = keys[start : start + limit]
            outcomes = store.delete_many(unit, [DeleteSpec(key, if_generation) for key in batch])
            for key, outcome in zip(batch, outcomes, strict=True):
                error = _failure(unit, key, outcome, force=force)
                if error is not None:
                    complain(error.message, exit_code(error))
                    code = code or exit_code(error)
    click.get_current_context().exit(code)


@click.command()
@json_option
@location_options
def units(*, as_json: bool) -> None:
    """List the units that hold an object, one on a line."""
    with opened_store() as store:
        names = store.list_units()
    write_lines(names, names, as_json=as_json)


def found(store: Store, unit: str, key: Key) -> ObjectInfo:
    """What is known of an object; NotFoundError when there is none."""
    info = store.stat_many(unit, [key])[0]
    if info is None:
        raise object_not_found(unit, key)
    return info


def _listed(store: Store, unit: str, prefix: str | None, tags: Mapping[str, str]) -> Iterator[ObjectInfo]:
    token = ""
    while True:
        page = store.list_page(unit, prefix=prefix, tags=tags, page_size=MAX_PAGE_SIZE, page_token=token)
        yield from page.objects
        token = page.next_page_token
        if not token:
            return


def _failure(unit: str, key: Key, outcome: int | VaultError, *, force: bool) -> VaultError | None:
    if isinstance(outcome, VaultError):
        return outcome
    return None if outcome or force else object_not_found(unit, key)
