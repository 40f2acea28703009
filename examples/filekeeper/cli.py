"""The program: each command reads its arguments, calls the Keeper, and says what happened."""

from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from vault import (
    AlreadyExistsError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
    VaultError,
)

from .keeper import Keeper

EXIT_CODES: dict[type[VaultError], int] = {
    InvalidArgumentError: 2,
    NotFoundError: 3,
    AlreadyExistsError: 4,
    ConflictError: 4,
    UnavailableError: 5,
}


class Program(click.Group):
    """Shows the vault's errors as one line, each kind with its own exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VaultError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1))


@click.group(cls=Program)
@click.option("--vault", envvar="FILEKEEPER_VAULT", default="./keeper", help="A directory, or grpc://host:port.")
@click.pass_context
def main(ctx: click.Context, vault: str) -> None:
    """Keep documents in folders.

    Exit codes: 0 done, 2 it can never work, 3 there is no such thing, 4 there is one already or others
    were faster, 5 the server is away, 1 anything else.
    """
    ctx.obj = ctx.with_resource(Keeper(vault))


into = click.option("--in", "within", metavar="FOLDER", help="The folder to put it in.")


@main.command()
@click.argument("title")
@into
@click.pass_obj
def new_folder(keeper: Keeper, title: str, within: str | None) -> None:
    """Make an empty folder."""
    keeper.new_folder(title, within=within)
    click.echo(f"made {title}")


@main.command()
@click.argument("file", type=click.File("rb"))
@click.option("--title", help="The file's name, if not given.")
@into
@click.pass_obj
def upload_document(keeper: Keeper, file: BinaryIO, title: str | None, within: str | None) -> None:
    """Keep a file, or standard input (-), as a document."""
    title = title or Path(file.name).name
    keeper.upload_document(title, file.read(), within=within)
    click.echo(f"kept {title}")


@main.command()
@click.argument("title")
@click.option("--output", "-o", type=click.File("wb"), default="-", help="A file; standard output, if not given.")
@click.pass_obj
def get_document(keeper: Keeper, title: str, output: BinaryIO) -> None:
    """Write a document's content to a file."""
    document = keeper.get_document(title)  # before `output.write` opens the file, which empties it
    output.write(document.content)


@main.command()
@click.argument("title", required=False)
@click.pass_obj
def list_folder(keeper: Keeper, title: str | None) -> None:
    """Show what is in a folder; without a TITLE, what is in no folder."""
    table = Table("title", "kind", "changed")
    table.add_column("bytes", justify="right")
    for info in keeper.list_folder(title):
        changed = f"{info.updated_at.astimezone():%Y-%m-%d %H:%M}"
        table.add_row(shown(info.name or ""), shown(info.datatype.lower()), changed, f"{info.size:,}")
    Console().print(table)


def shown(text: str) -> Text:
    """What anybody may have stored, with what would steer the terminal escaped, and not read as markup."""
    return Text("".join(each if each.isprintable() else ascii(each)[1:-1] for each in text))


@main.command()
@click.argument("title")
@click.pass_obj
def remove_document(keeper: Keeper, title: str) -> None:
    """Remove a document, from every folder too."""
    keeper.remove_document(title)
    click.echo(f"removed {title}")


@main.command()
@click.argument("title")
@click.option("--contents", is_flag=True, help="Remove what is in it too, if no other folder holds it.")
@click.pass_obj
def remove_folder(keeper: Keeper, title: str, *, contents: bool) -> None:
    """Remove a folder. What was in it stays, unless --contents is given."""
    keeper.remove_folder(title, contents=contents)
    click.echo(f"removed {title}")


@main.command()
@click.argument("folder")
@click.argument("titles", nargs=-1, required=True)
@click.pass_obj
def add_to_folder(keeper: Keeper, folder: str, titles: tuple[str, ...]) -> None:
    """Put documents and folders into a folder."""
    keeper.add_to_folder(folder, titles)
    click.echo(f"{', '.join(titles)} → {folder}")


@main.command()
@click.argument("folder")
@click.argument("titles", nargs=-1, required=True)
@click.pass_obj
def remove_from_folder(keeper: Keeper, folder: str, titles: tuple[str, ...]) -> None:
    """Take documents and folders out of a folder. They stay in the vault."""
    keeper.remove_from_folder(folder, titles)
    click.echo(f"{', '.join(titles)} ← {folder}")
