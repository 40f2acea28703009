"""Which objects of a unit a command is about: its options, and the objects."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import click

from vault.cli.arguments import AGE, PREFIX, parse_key, tags_callback
from vault.cli.batches import pages, revision_now
from vault.cli.tally import Tally
from vault.errors import InvalidArgumentError, NotFoundError, VaultError, object_not_found
from vault.store.contract import Store
from vault.store.limits import check_name, check_new, check_prefix
from vault.store.values import Key, ListOrder, ObjectInfo

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

    def objects(
        self,
        store: Store,
        unit: str,
        *,
        until: int | None = None,
        order: ListOrder | None = None,
        descending: bool = False,
    ) -> Iterator[ObjectInfo]:
        """Those that are chosen, by name where there is a prefix, otherwise by id, or in another order.

        Args:
            until: None of which anything changed after this revision: those of a command itself, it may be.
        """
        for page in pages(store, unit, prefix=self.prefix, tags=self.tags, order=order, descending=descending):
            for info in page.objects:
                is_old = self.changed_before is None or info.updated_at < self.changed_before
                if is_old and (until is None or info.revision <= until):
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


def missing(store: Store, unit: str, key: Key) -> NotFoundError:
    """The error for an object that is not there; where names go on below it, it says how those are taken."""
    error = object_not_found(unit, key)
    if isinstance(key, str):
        level = key.rstrip(LEVELS) + LEVELS
        with contextlib.suppress(VaultError):  # such as a name so long that none begins with the level
            if store.list_page(unit, prefix=level, page_size=1).objects:
                return NotFoundError(f"{error.message}; --recursive is for those below {level!r}", **error.context)
    return error


@dataclass(frozen=True)
class Renaming:
    """Objects that are to have other names, here or elsewhere.

    Attributes:
        key: The one object; None: those of `choice`.
        new: In the place of the name, or of the prefix that was chosen by; None: names stay.
    """

    key: Key | None
    choice: Choice
    new: str | None

    def objects(self, store: Store, unit: str) -> Iterator[ObjectInfo]:
        """Them, as they were when this was called: what it makes of them is not among them.

        Raises:
            NotFoundError: There is none with the key.
        """
        if self.key is not None:
            infos = store.stat_many(unit, [self.key])
            if infos[0] is None:
                raise missing(store, unit, self.key)
            return iter([infos[0]])
        return self.choice.objects(store, unit, until=revision_now(store))

    def names(self, objects: Iterable[ObjectInfo], tally: Tally) -> Iterator[tuple[ObjectInfo, str | None]]:
        """Each with what it is to be called; what no object can be called is a failure of the tally."""
        for info in objects:
            name = self._name_of(info)
            try:
                if name is not None and name != info.name:
                    check_name(name)
                    check_new(name=name)
            except InvalidArgumentError as error:
                tally.failed(error)
            else:
                yield info, name

    def replaceable(self, name: str) -> bool:
        """Whether an object of that name may be replaced: it is not one of those that are to have another name."""
        return self.key is not None or not name.startswith(self.choice.prefix or "")

    def in_order(self, objects: Iterable[ObjectInfo]) -> list[ObjectInfo]:
        """Such that none comes before the one whose name it is to have, as in "a" to "aa", and "aa" to "aaa"."""
        is_longer = len(self.new or "") > len(self.choice.prefix or "")
        return sorted(objects, key=lambda info: len(info.name or ""), reverse=is_longer)

    def _name_of(self, info: ObjectInfo) -> str | None:
        if self.new is None or self.key is not None:
            return self.new or info.name
        return None if info.name is None else self.new + info.name[len(self.choice.prefix or "") :]


def renaming(words: Sequence[str], choice: Choice, *, recursive: bool) -> Renaming:
    """What `KEY [NAME]`, a choice and `[PREFIX]`, or with `recursive` `LEVEL [LEVEL]` say.

    Raises:
        click.UsageError: They say nothing, or too much.
        InvalidArgumentError: A key, a name or a prefix that cannot be.
    """
    old, new = (list(words[:1]), words[1:]) if recursive or not choice.is_given else ([], words)
    selected = chosen([parse_key(word) for word in old], choice, recursive=recursive)
    if len(new) > 1 or (selected is None and not old):
        raise click.UsageError(
            "KEY and NAME, or --prefix, --tag, --older-than or --all and what takes the prefix's place."
        )
    if selected is None:
        for name in new:
            check_name(name)
        return Renaming(parse_key(old[0]), choice, new[0] if new else None)
    if new and recursive:
        level = new[0].rstrip(LEVELS)
        new = [level + LEVELS if level else ""]
    for prefix in new:
        check_prefix(prefix)
    return Renaming(None, selected, new[0] if new else None)


def level_of(prefix: str | None) -> str:
    """The level that all names with this prefix are in: it, up to its last slash."""
    return (prefix or "")[: (prefix or "").rfind(LEVELS) + 1]


NO_KEYS: Final = {"allow_extra_args": True}
"""The context settings of a command with `filter_options` that takes no arguments: these say so, and what to do."""


def filter_options(function: F) -> F:
    """`--prefix`, `--tag` and `--older-than`, which come as `choice`; see `NO_KEYS`."""

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
        if extra := click.get_current_context().args:
            raise click.UsageError(f"KEYs are not taken: --prefix {extra[0]!r} is for all names that begin so.")
        before = None if older_than is None else datetime.now(UTC) - older_than
        return function(choice=Choice(prefix, tags, before, everything), **more)

    return command  # type: ignore[return-value]  # with other parameters


def choice_options(function: F) -> F:
    """The same, `--all`, which says that all of a unit's objects are meant, and `--recursive`, for `chosen`."""
    with_all = click.option("--all", "everything", is_flag=True, help="All objects of the unit.")(
        filter_options(function)
    )
    return click.option("--recursive", "-r", is_flag=True, help="KEY is a level: all objects below it.")(with_all)
