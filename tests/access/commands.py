"""What every command of `vault-grpc` is told to do at a server, and which scopes it takes to do it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click
from vault.cli.program import Program
from vault.store.specs import new_data_id

from tests.access.calling import DATA, Place
from tests.access.model import ALLOWED, DOCS, THEIRS, Who

LOCAL: Final = ("check", "serve", "completion", "cert", "token")
"""Those that ask no server."""

BY_PROCESS: Final = ("watch",)
"""Those that go on until they are ended: what they ask is tried by itself."""

Arguments = Callable[[Place, Path], list[str]]


@dataclass(frozen=True)
class Command:
    """One use of a command.

    Attributes:
        arguments: What follows its name.
        scopes: On the unit; all of them are needed.
        admin: Whether an administrator is needed.
        any_scope: Whether any scope on the unit is enough.
        shows: Whether what it wrote says that it did what it was told.
    """

    arguments: Arguments
    scopes: frozenset[str] = frozenset()
    admin: bool = False
    any_scope: bool = False
    shows: Callable[[bytes], bool] = field(default=lambda _: True)

    def is_allowed(self, who: Who) -> bool:
        if not who.known or (self.admin and not who.admin):
            return False
        return self.scopes <= who.of(DOCS) and (not self.any_scope or bool(who.of(DOCS)))


def _needs(scopes: str, *arguments: str, shows: Callable[[bytes], bool] = lambda _: True) -> Command:
    """`{new}` stands for a new object's name, `{name}` for a name that is free, `{file}` for a file."""

    def filled(place: Place, folder: Path) -> list[str]:
        file = folder / "file"
        file.write_bytes(DATA)
        names = {"name": f"n{new_data_id()}", "file": str(file), "target": str(folder / f"t{new_data_id()}")}
        if any("{new}" in each for each in arguments):
            names["new"] = f"made-{new_data_id()}"
            place.new(names["new"])
        return [each.format(**names) for each in arguments]

    return Command(filled, frozenset(scopes.split()), shows=shows)


def _administers(*arguments: str) -> Command:
    return Command(lambda _place, _folder: list(arguments), admin=True)


_UNIT: Final = f"--unit={DOCS}"

COMMANDS: Final[Mapping[str, Command]] = {
    "put": _needs("write", "{file}", "--name={name}", _UNIT),
    "get": _needs("read", "there", "{target}", _UNIT),
    "cat": _needs("read", "there", _UNIT, shows=lambda out: out == DATA),
    "ls": _needs("list", _UNIT, shows=bool),
    "stat": _needs("read", "there", _UNIT, shows=bool),
    "find": _needs("read", "there", _UNIT, shows=bool),
    "tag": _needs("read write", "{new}", "key=value", _UNIT),
    "cp": _needs("read write", "there", "{name}", _UNIT),
    "mv": _needs("read write", "{new}", "{name}", _UNIT),
    "rm": _needs("delete", "{new}", _UNIT),
    "du": _needs("list", _UNIT, shows=lambda out: not out.startswith(b"0\t0\t")),
    "quota": _needs("list", _UNIT, shows=lambda out: not out.startswith(b"0\t")),
    "quota (set)": _needs("list admin", _UNIT, "--max-bytes=1GiB"),
    "quota (a principal's)": _administers("--principal=somebody-else"),
    "quota (a principal's, set)": _administers("--principal=somebody-else", "--max-bytes=1MiB"),
    "units": Command(lambda _place, _folder: [], any_scope=True, shows=lambda out: DOCS.encode() in out),
    "ping": Command(lambda _place, _folder: ["--count=1"]),
    "admin whoami": Command(lambda _place, _folder: [], shows=bool),
    "admin tokens": _administers(),
    "admin token-add": _administers("guest-of-commands", f"--grant={THEIRS}:read"),
    "admin token-revoke": _administers("guest-of-commands"),
    "admin allowlist get": _administers(),
    "admin allowlist add": _administers("10.9.9.0/24"),
    "admin allowlist remove": _administers("10.9.9.0/24"),
    "admin allowlist set": _administers(*ALLOWED),
    "admin calls": _administers(),
    "admin cut": _administers("--principal=nobody-who-calls"),
    "admin purge": _administers(_UNIT),
}
"""By its name, and in brackets what tells it from its other uses."""


def words_of(use: str) -> list[str]:
    """The command's name, as it is typed."""
    return use.partition(" (")[0].split()


def programs_commands() -> list[str]:
    """The names of all commands, those in groups with their group's before them."""
    program = Program()
    return list(_names(program, click.Context(program), ()))


def _names(group: click.Group, context: click.Context, before: tuple[str, ...]) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group) and name not in LOCAL:
            yield from _names(command, context, (*before, name))
        else:
            yield " ".join((*before, name))
