"""Commands about objects and their metadata: stat, find, tag, rm, mv, units."""

import dataclasses
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import click

from vault.cli.arguments import KEY, NAME, UNIT, tags_callback
from vault.cli.batches import batches, found, revision_now
from vault.cli.choice import Choice, choice_options, chosen, renaming
from vault.cli.location import opened_store
from vault.cli.options import dry_run_option, json_option, location_options, unit_option
from vault.cli.output import json_of, write_lines, write_object, write_objects
from vault.cli.tally import Tally
from vault.cli.wording import counted, label
from vault.errors import VaultError, object_not_found
from vault.store.contract import Store
from vault.store.limits import MAX_DATA_ID
from vault.store.specs import DeleteSpec, MetadataSpec
from vault.store.values import Key, ObjectInfo


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
@click.option("--remove", "removed", metavar="K", multiple=True, help="Take this tag away.")
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
@click.argument("keys", metavar="[KEY]...", type=KEY, nargs=-1)
@unit_option
@choice_options
@click.option("--force", "-f", is_flag=True, help="An object that does not exist is no error.")
@click.option(
    "--if-generation", type=click.IntRange(0, MAX_DATA_ID), help="Only when the object is at this generation."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask; without a terminal nothing is asked.")
@dry_run_option
@json_option
@location_options
def remove(
    keys: Sequence[Key],
    unit: str,
    choice: Choice,
    if_generation: int | None,
    *,
    recursive: bool,
    force: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete objects. Each is deleted or not by itself; the exit code is that of the first that was not.

    Without KEY, those that --prefix, --tag and --older-than choose, or --all; with --recursive those
    below the level KEY. These, and with --dry-run all, are printed as ls does. One that somebody
    changes meanwhile stays, and is said (4). On a terminal it is asked first.
    """
    selected = chosen(keys, choice, recursive=recursive)
    tally = Tally(as_json=as_json, dry_run=dry_run)
    if selected is None:
        if not keys:
            raise click.UsageError("which objects? Give KEYs, --prefix, --tag, --older-than or --all.")
        if if_generation is not None and len(keys) > 1:
            raise click.UsageError("--if-generation is for one KEY.")
        if as_json and not dry_run:
            raise click.UsageError("--json is for objects that are chosen, or with --dry-run.")
        if dry_run and if_generation is not None:
            raise click.UsageError("--if-generation is decided when the object is deleted, and excludes --dry-run.")
        with opened_store() as store:
            _remove_keys(store, unit, [DeleteSpec(key, if_generation) for key in keys], tally, force=force)
        tally.end("deleted" if dry_run else "")
    if force or if_generation is not None:
        raise click.UsageError("--force and --if-generation are for KEYs.")
    if selected == Choice(prefix=""):
        raise click.UsageError("--prefix '' is every object that has a name; say --all if that is meant.")
    with opened_store() as store:
        objects = partial(selected.objects, store, unit, until=revision_now(store))
        if not (yes or dry_run) and sys.stdin.isatty() and sys.stderr.isatty():
            _ask(unit, objects())
        _remove_chosen(store, unit, objects(), tally)
    tally.end("deleted")


@click.command("mv")
@click.argument("words", metavar="[KEY] [NAME]", nargs=-1, shell_complete=KEY.shell_complete)
@unit_option
@choice_options
@click.option("--replace", "-f", is_flag=True, help="Delete the object that has the name, in the same moment.")
@dry_run_option
@json_option
@location_options
def move(
    words: Sequence[str], unit: str, choice: Choice, *, recursive: bool, replace: bool, dry_run: bool, as_json: bool
) -> None:
    """Give an object another name, or names another beginning. Ids, bytes, tags and generations stay.

    \b
        vault-grpc mv draft.txt final.txt -u files
        vault-grpc mv --recursive photos/2025 archive/2025 -u files
        vault-grpc mv --prefix tmp- old- -u files

    A name that is taken ends with 4, unless --replace is given; nobody ever finds it missing. Objects are
    printed as ls does, with their new names. One that somebody changes meanwhile stays, and is said (4).
    """
    wanted = renaming(words, choice, recursive=recursive)
    if wanted.new is None:
        raise click.UsageError("what is the new name? KEY NAME, or what takes the prefix's place.")
    tally = Tally(as_json=as_json, dry_run=dry_run)
    with opened_store() as store:
        for batch in batches(wanted.objects(store, unit)):
            named = wanted.names(wanted.in_order(batch), tally)
            renamed = [(info, name) for info, name in named if name is not None and name != info.name]
            if dry_run:
                tally.done([dataclasses.replace(info, name=name) for info, name in renamed])
                continue
            specs = [
                MetadataSpec(
                    info.data_id, name, if_revision=info.revision, replace=replace and wanted.replaceable(name)
                )
                for info, name in renamed
            ]
            outcomes = store.set_metadata_many(unit, specs)
            tally.settle(zip((label(info) for info, _ in renamed), outcomes, strict=True))
    tally.end("renamed")


@click.command()
@json_option
@location_options
def units(*, as_json: bool) -> None:
    """List the units that hold an object, one on a line."""
    with opened_store() as store:
        names = store.list_units()
    write_lines(names, names, as_json=as_json)


def _remove_keys(store: Store, unit: str, specs: Sequence[DeleteSpec], tally: Tally, *, force: bool) -> None:
    for batch in batches(specs):
        outcomes: Sequence[ObjectInfo | VaultError | int | None] = (
            store.stat_many(unit, [spec.key for spec in batch]) if tally.dry_run else store.delete_many(unit, batch)
        )
        for spec, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, ObjectInfo):
                tally.done([outcome])
            elif isinstance(outcome, VaultError):
                tally.failed(outcome)
            elif not outcome and not force:
                tally.failed(object_not_found(unit, spec.key))


def _remove_chosen(store: Store, unit: str, objects: Iterable[ObjectInfo], tally: Tally) -> None:
    for batch in batches(objects):
        if tally.dry_run:
            tally.done(batch)
            continue
        specs = [DeleteSpec(info.data_id, if_revision=info.revision) for info in batch]
        deleted = zip(batch, store.delete_many(unit, specs), strict=True)
        tally.settle(
            (label(info), outcome if isinstance(outcome, VaultError) else info) for info, outcome in deleted if outcome
        )


def _ask(unit: str, objects: Iterable[ObjectInfo]) -> None:
    """Raises click.Abort unless somebody says yes."""
    count, size = 0, 0
    for info in objects:
        count, size = count + 1, size + info.size
    if count:
        click.confirm(f"Delete {counted(count, size)} of unit {unit!r}?", abort=True, err=True)
