"""The settings of dataclasses as options of a command: flag, variable, default, range and help come of the field."""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from typing import Any, TypeVar

import click

from vault.cli.arguments import NumberRange
from vault.store.setting import Setting, settings_of

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def settings_by_key(kind: type) -> dict[str, Setting]:
    """The settings of a dataclass that commands have, by the names that variables and files know them by.

    Those of the dataclasses in its fields are among them.
    """
    return {setting.name or field.name: setting for field, setting in _offered(kind)}


def setting_options(kind: type) -> Callable[[F], F]:
    """Gives a command an option for each setting of a dataclass, and of the dataclasses in its fields."""

    def decorate(function: F) -> F:
        for field, setting in reversed(list(_offered(kind))):
            function = _option(field, setting)(function)
        return function

    return decorate


def assembled(kind: type[T], values: dict[str, Any], **more: Any) -> T:
    """The dataclass made of the values that a command's options have, and of more for its other fields."""
    known = settings_of(kind)
    made = dict(more)
    for field in fields(kind):  # type: ignore[arg-type]  # a dataclass
        setting = known.get(field.name)
        if setting is not None and setting.help is not None:
            value = values[setting.name or field.name]
            made[field.name] = None if _zero_is_none(field, setting) and value == 0 else value
        elif isinstance(field.type, type) and is_dataclass(field.type):
            made[field.name] = assembled(field.type, values)
    return kind(**made)


def _offered(kind: type) -> Iterator[tuple[Field[Any], Setting]]:
    known = settings_of(kind)
    for field in fields(kind):
        setting = known.get(field.name)
        if setting is not None and setting.help is not None:
            yield field, setting
        elif isinstance(field.type, type) and is_dataclass(field.type):
            yield from _offered(field.type)


def _option(field: Field[Any], setting: Setting) -> Callable[[F], F]:
    return click.option(
        setting.flag or f"--{(setting.name or field.name).replace('_', '-')}",
        setting.name or field.name,
        type=type_of(replace(setting, above=setting.above and not _zero_is_none(field, setting))),
        is_flag=setting.kind == "switch",
        multiple=setting.kind in ("texts", "units"),
        default=None if field.default in (None, (), MISSING) else field.default,
        show_default=setting.kind not in ("switch", "units"),
        show_envvar=True,
        metavar=setting.metavar,
        help=setting.help,
    )


def type_of(setting: Setting) -> click.ParamType | None:  # type: ignore[type-arg]  # generic from click 8.4 on
    """What click checks a setting's text with; None: it takes any."""
    match setting.kind:
        case "seconds" | "number":
            return NumberRange(setting.least, setting.most, min_open=setting.above)
        case "whole":
            return click.IntRange(int(setting.least), int(setting.most))
        case "choice":
            return click.Choice(setting.choices)
    return None


def _zero_is_none(field: Field[Any], setting: Setting) -> bool:
    """Whether 0 stands for None: that a flag cannot say, where leaving it out means something else."""
    return setting.optional and field.default is not None
