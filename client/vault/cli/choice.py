"""Which objects of a unit a command is about: its options, and the objects."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from vault.cli.arguments import AGE, PREFIX, tags_callback
from vault.cli.batches import listed
from vault.store.contract import Store
from vault.store.values import Key, ObjectInfo

F = TypeVar("F", bound=Callable[..., Any])

LEVELS = "/"
"""What parts the levels of a name."""


@dataclass(frozen=True)
class Choice:
    """All of what is given must match; with nothing given, every object does.

    Attributes:
        prefix: Of the name; None: also objects without one.
        tags: Those that it has, and perhaps others.
        changed_before: The time before which it was last changed.
        everything: It was said that all are meant.
    """

    prefix: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    changed_before: datetime | None = None
    everything: bool = False

    @property
    def is_given(self) -> bool:
        """Whether the command line says anything of it."""
        return self.everything or self.prefix is not None or bool(self.tags or self.changed_before)

    def objects(self, store: Store, unit: str) -> Iterator[ObjectInfo]:
        """Those that are chosen, by name where there is a prefix, otherwise by id."""
        for info in listed(store, unit, prefix=self.prefix, tags=self.tags):
            if self.changed_before is None or info.updated_at < self.changed_before:
                yield info


def chosen(keys: Sequence[Key], choice: Choice, *, recursive: bool) -> Choice | None:
    """The choice that a command line comes to; None: it names the objects, by their keys.

    Raises:
        click.UsageError: Both, or `recursive` without one level.
    """
    if recursive:
        if choice.is_given or len(keys) != 1:
            raise click.UsageError("--recursive is about one KEY, a level, and excludes every other choice.")
        if isinstance(keys[0], int):
            raise click.UsageError(f"{keys[0]} is an id and no level; name:{keys[0]} is a name.")
        return Choice(prefix=keys[0].rstrip(LEVELS) + LEVELS)
    if choice.is_given and keys:
        raise click.UsageError("KEY and --prefix, --tag, --older-than or --all exclude each other.")
    return choice if choice.is_given else None


def level_of(prefix: str | None) -> str:
    """The level that all names with this prefix are in: it, up to its last slash."""
    return (prefix or "")[: (prefix or "").rfind(LEVELS) + 1]


def filter_options(function: F) -> F:
    """`--prefix`, `--tag` and `--older-than`, which come as `choice`."""

    @click.option("--prefix", "-p", type=PREFIX, help="Objects whose name begins so, by name ('': that have a name).")
    @click.option(
        "--tag", "-t", "tags", metavar="K=V", multiple=True, callback=tags_callback, help="Objects so tagged."
    )
    @click.option("--older-than", type=AGE, help="Objects not changed for so long: 90s, 30m, 12h, 7d, 2w.")
    @functools.wraps(function)
    def command(
        prefix: str | None,
        tags: Mapping[str, str],
        older_than: timedelta | None,
        *,
        everything: bool = False,
        **more: Any,
    ) -> Any:
        before = None if older_than is None else datetime.now(UTC) - older_than
        return function(choice=Choice(prefix, tags, before, everything), **more)

    return command  # type: ignore[return-value]  # with other parameters


def choice_options(function: F) -> F:
    """The same, `--all`, which says that all of a unit's objects are meant, and `--recursive`, for `chosen`."""
    with_all = click.option("--all", "everything", is_flag=True, help="All objects of the unit.")(
        filter_options(function)
    )
    return click.option("--recursive", "-r", is_flag=True, help="KEY is a level: all objects below it.")(with_all)
