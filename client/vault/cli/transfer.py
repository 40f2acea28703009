"""Commands that move bytes: put, get, cat. In pieces, at any size, in flat memory."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click
from click.shell_completion import CompletionItem

from vault._escaping import holds_hidden
from vault._sync.files.object_reader import open_reader
from vault._sync.files.transfer import download_file
from vault.cli.arguments import DATATYPE, KEY, NAME, PREFIX, SIZE, File, NumberRange, tags_callback
from vault.cli.choice import Choice, choice_options, chosen, level_of, missing
from vault.cli.downloading import Downloads
from vault.cli.folder import MAX_FILE_NAME, Target
from vault.cli.location import local_directory, opened_store
from vault.cli.options import dry_run_option, json_option, location_options, no_skip_option, unit_option
from vault.cli.progress import progress_of
from vault.cli.tally import Tally
from vault.cli.uploading import STREAM, Uploads
from vault.errors import InvalidArgumentError, NotFoundError
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE, MAX_EXPIRES_IN, check_range
from vault.store.values import Key


@click.command()
@click.argument("files", metavar="FILE...", type=File(), nargs=-1, required=True)
@unit_option
@click.option("--name", "-n", type=NAME, help="The object's name; the file's own (without folders) by default.")
@click.option("--no-name", is_flag=True, help="No name: the object has its id alone.")
@click.option("--tag", "-t", "tags", metavar="K=V", multiple=True, callback=tags_callback, help="May be repeated.")
@click.option(
    "--datatype",
    type=DATATYPE,
    metavar="TAG",
    help="What the bytes are, for programs that load them as objects. Without it: what their unit holds.",
)
@click.option(
    "--expires-in",
    type=NumberRange(0, MAX_EXPIRES_IN, min_open=True),
    metavar="SECONDS",
    help="New objects are gone after so long. Those that get new bytes keep what they have.",
)
@click.option(
    "--replace/--no-replace",
    "-f",
    default=None,
    help="Whether an object that has the name gets the new bytes; its id and tags stay. With --recursive it does.",
)
@click.option("--recursive", "-r", is_flag=True, help="FILE is a folder: all files below it, but those that are equal.")
@click.option("--prefix", "-p", type=PREFIX, default="", help="With --recursive: what all names begin with.")
@no_skip_option
@dry_run_option
@json_option
@location_options
def put(
    files: Sequence[str],
    unit: str,
    name: str | None,
    tags: Mapping[str, str],
    datatype: str | None,
    expires_in: float | None,
    prefix: str,
    *,
    no_name: bool,
    replace: bool | None,
    recursive: bool,
    no_skip: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Store files, each as a new object under the file's name, and print their ids.

    FILE - is standard input, stored without a name unless --name gives one. A name that is taken ends
    with 4 and changes nothing, unless --replace is given. Each file is stored or not by itself; the exit
    code is that of the first that was not. A directory given as --vault is made when it is not there.

    With --recursive FILE is one folder, and an object's name the file's path below it. What is there and
    equal is left alone, what differs is replaced, and what was stored is printed as ls does.
    """
    if name is not None and (no_name or len(files) > 1):
        raise click.UsageError("--name is for one FILE, and excludes --no-name.")
    if files.count(STREAM) > 1:
        raise click.UsageError("standard input can be stored once.")
    if recursive:
        if len(files) > 1 or STREAM in files or name is not None or no_name:
            raise click.UsageError("--recursive takes one folder, and neither --name nor --no-name.")
    elif prefix or no_skip or dry_run:
        raise click.UsageError("--prefix, --no-skip and --dry-run go with --recursive.")
    elif replace and (no_name or tags or expires_in or (STREAM in files and name is None)):
        raise click.UsageError(
            "--replace needs a name, and takes no --tag or --expires-in: an object that is there keeps its own."
        )
    tally = Tally(as_json=as_json, ids_only=not recursive, dry_run=dry_run)
    with opened_store(create=not dry_run) as store:
        uploads = partial(Uploads, store, unit, tally, tags, datatype or "", expires_in)
        if recursive:
            sent = uploads(replace=replace is not False, resend=no_skip)
            sent.below(files[0], prefix, without=local_directory())
        else:
            named = [(file, name or (None if no_name or file == STREAM else Path(file).name)) for file in files]
            uploads(replace=bool(replace), resend=True).named(named)
    tally.end("stored" if recursive else "")


def _keys_and_file(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> tuple[Sequence[Key], str]:
    *keys, file = words or ("",)
    return [KEY.convert(key, param, ctx) for key in keys], file


def _complete_words(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A KEY, where none was given yet, and then a FILE."""
    given = ctx.params
    words = given.get("words")
    named = isinstance(words, tuple) and words[1]
    chosen_otherwise = given.get("prefix") is not None or given.get("tags") or given.get("everything")
    return (File() if named or chosen_otherwise else KEY).shell_complete(ctx, param, incomplete)


@click.command()
@click.argument(
    "words", metavar="[KEY] FILE", nargs=-1, required=True, callback=_keys_and_file, shell_complete=_complete_words
)
@unit_option
@choice_options
@no_skip_option
@dry_run_option
@json_option
@location_options
def get(
    words: tuple[Sequence[Key], str],
    unit: str,
    choice: Choice,
    *,
    recursive: bool,
    no_skip: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write an object to a file, or to standard output (-); or several to files below a folder.

    A file that is there is replaced, once all bytes have come and are verified; until then, and when
    anything fails, it stays as it was. Its mode stays, links are followed, and a pipe or a device is
    written to. In a directory the file is called as the object was asked for: by the last part of its name, or
    by its id, under which nothing is replaced.

    With --recursive KEY is a level, a/b for all names that begin with a/b/, and FILE a folder; with
    --prefix, --tag, --older-than or --all there is no KEY. The files below FILE are called as the objects, but
    for the level; folders are made, links below FILE are not followed. What is there and equal is left
    alone, and what was written is printed as ls does.
    """
    keys, file = words
    selected = chosen(keys, choice, recursive=recursive)
    if not file:
        raise click.UsageError("FILE is empty.")
    if selected is None:
        if len(keys) != 1:
            raise click.UsageError("KEY and FILE are needed, or FILE with --prefix, --tag, --older-than or --all.")
        if no_skip or dry_run or as_json:
            raise click.UsageError("--no-skip, --dry-run and --json are for several objects.")
        with opened_store() as store:
            _get(store, unit, keys[0], file)
        return
    if file == STREAM:
        raise click.UsageError(
            "several objects are written to a folder, not to standard output; cat takes several KEYs."
        )
    tally = Tally(as_json=as_json, dry_run=dry_run)
    with opened_store() as store:
        download = Downloads(
            store, unit, tally, Target(file, make=not dry_run), level=level_of(selected.prefix), resend=no_skip
        )
        download.run(selected.objects(store, unit))
    tally.end("written")


@click.command()
@click.argument("keys", metavar="KEY...", type=KEY, nargs=-1, required=True)
@unit_option
@click.option("--offset", type=SIZE, default="0", help="Begin here: a number of bytes, or 64KiB, 1MiB, …")
@click.option("--length", type=SIZE, help="At most so many bytes; to the end by default.")
@location_options
def cat(keys: Sequence[Key], unit: str, offset: int, length: int | None) -> None:
    """Write objects, one after the other, to standard output; or part of one, and only that is fetched.

    Every block is verified before it is written. Should one be corrupt, what came before it has been
    written already; the exit code says so.
    """
    part = offset != 0 or length is not None
    if len(keys) > 1 and part:
        raise click.UsageError("--offset and --length are for one KEY.")
    with opened_store() as store:
        for key in keys:
            if part:
                _write_part(store, unit, key, offset, length)
            else:
                _write_all(store, unit, key, sys.stdout.buffer)


def _get(store: Store, unit: str, key: Key, file: str) -> None:
    if file == STREAM:
        _write_all(store, unit, key, sys.stdout.buffer)
        return
    path = Path(file)
    into_directory = path.is_dir()
    if into_directory:
        path /= _name_in_directory(key)
        file = str(path)
    # A bar and bytes on the same terminal would spoil both.
    with nullcontext() if path.is_char_device() else progress_of(path.name) as progress:
        # What was asked for by its id is nobody's choice of a name, so that nothing is to be expected there.
        replace = not (into_directory and isinstance(key, int))
        try:
            download_file(store, unit, key, file, progress, replace=replace)
        except NotFoundError as error:
            raise missing(store, unit, key) from error


def _write_all(store: Store, unit: str, key: Key, sink: BinaryIO) -> None:
    # A bar and bytes on the same terminal would spoil both.
    with nullcontext() if sink.isatty() else progress_of(str(key)) as progress:
        download_file(store, unit, key, sink, progress)
    sink.flush()


def _write_part(store: Store, unit: str, key: Key, offset: int, length: int | None) -> None:
    with open_reader(store, unit, key) as reader:
        check_range(offset, length, reader.size)
        reader.seek(offset)
        left = reader.size - offset if length is None else min(length, reader.size - offset)
        while left:
            left -= sys.stdout.buffer.write(reader.read(min(BLOCK_SIZE, left)))
    sys.stdout.buffer.flush()


def _name_in_directory(key: Key) -> str:
    """The name of a file for what was asked for so. A hidden one, or one that steers a terminal, has to be given."""
    name = str(key).rpartition("/")[2]
    if name.startswith(".") or not name or len(os.fsencode(name)) > MAX_FILE_NAME or holds_hidden(name):
        raise InvalidArgumentError(f"no file in a directory is called after the name {key!r}; give FILE one")
    return name
