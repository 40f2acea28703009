"""Settings that stand once: a field of a dataclass, with its default, range and help.

    @dataclass(frozen=True, kw_only=True)
    class Limits:
        patience: float = seconds(10.0, "How long to wait.", zero=True)

        def __post_init__(self) -> None:
            check_settings(self)

Flags, environment variables and keys of configuration files are made of the fields: see `vault.cli.setting_options`.
"""

import os
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from vault.errors import InvalidArgumentError
from vault.store.limits import MAX_SECONDS, check_number, check_seconds, check_unit, shown

_KEY: Final = "vault.setting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a field may hold, and how a command names and explains it.

    Attributes:
        help: What its flag does; None: no command has it.
        optional: It may be None. Where that is not the default, 0 stands for it in commands.
        least, most: Of numbers, both included; with `above`, `least` is not.
        reason: Of the error for any other value.
        name: Of its variable and key, where that is not the field's.
        flag: Where that is not --NAME, of that name.
    """

    kind: Literal["seconds", "number", "whole", "switch", "choice", "text", "texts", "path", "units"]
    help: str | None = None
    metavar: str | None = None
    optional: bool = False
    least: float = 0
    most: float = MAX_SECONDS
    above: bool = False
    choices: tuple[str, ...] = ()
    reason: str = "BAD_SETTING"
    name: str | None = None
    flag: str | None = None

    def check(self, name: str, value: object) -> None:
        """Raises InvalidArgumentError unless a setting of this name may have the value."""
        if value is None and self.optional:
            return
        match self.kind:
            case "seconds":
                check_seconds(name, value, zero=not self.above, most=self.most, reason=self.reason)
            case "number" | "whole":
                whole = self.kind == "whole"
                check_number(name, value, self.least, self.most, whole=whole, reason=self.reason)
            case "switch":
                if not isinstance(value, bool):
                    raise InvalidArgumentError(f"bad {name} {shown(value)}: True or False", reason=self.reason)
            case "choice":
                if value not in self.choices:
                    expected = " or ".join(map(repr, self.choices))
                    raise InvalidArgumentError(f"bad {name} {shown(value)}: {expected}", reason=self.reason)
            case "units":
                if not isinstance(value, tuple):
                    raise InvalidArgumentError(f"bad {name} {shown(value)}: a tuple of units", reason=self.reason)
                for unit in value:
                    check_unit(unit)
            case "path":
                if not isinstance(value, str | os.PathLike) or not os.fspath(value) or "\0" in str(value):
                    raise InvalidArgumentError(f"bad {name} {shown(value)}: the path of a file", reason=self.reason)
            case "texts":
                if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
                    raise InvalidArgumentError(f"bad {name} {shown(value)}: a tuple of texts", reason=self.reason)
            case "text":
                pass  # whoever reads it knows what it may be


def seconds(
    default: float | None,
    help_text: str | None = None,
    *,
    zero: bool = False,
    **more: Any,
) -> Any:
    """A time, above 0 or, with `zero`, from 0 on."""
    return _field(default, kind="seconds", help=help_text, metavar="SECONDS", above=not zero, **more)


def whole(default: int | None, help_text: str | None = None, *, least: int, most: int, **more: Any) -> Any:
    """A whole number from `least` to `most`."""
    return _field(default, kind="whole", help=help_text, least=least, most=most, **{"metavar": "NUMBER", **more})


def number(default: float, help_text: str | None = None, *, least: float, most: float, metavar: str) -> Any:
    """A number from `least` to `most`."""
    return _field(default, kind="number", help=help_text, least=least, most=most, metavar=metavar)


def switch(help_text: str | None = None) -> Any:
    """True or, by default, False."""
    return _field(default=False, kind="switch", help=help_text)


def choice(default: str, choices: tuple[str, ...], help_text: str = "") -> Any:
    """One of several words."""
    return _field(default, kind="choice", help=help_text, choices=choices)


def secret(help_text: str | None, *, metavar: str) -> Any:
    """Text that its reader checks, None by default. Who prints the dataclass does not print it."""
    return _field(None, kind="text", help=help_text, metavar=metavar, repr=False)


def texts(default: tuple[str, ...], help_text: str, *, metavar: str) -> Any:
    """Texts that their reader checks; at least one."""
    return _field(default, kind="texts", help=help_text, metavar=metavar)


def path(help_text: str) -> Any:
    """The path of a file; None by default."""
    return _field(None, kind="path", help=help_text, metavar="FILE")


def units(help_text: str | None = None) -> Any:
    """Names of units; none by default."""
    return _field((), kind="units", help=help_text, metavar="NAME", name="units", flag="--unit")


def _field(default: object, *, optional: bool = False, repr: bool = True, **attributes: Any) -> Any:  # noqa: A002
    setting = Setting(optional=optional or default is None, **attributes)
    return field(default=default, repr=repr, metadata={_KEY: setting})


def settings_of(settings: Any) -> dict[str, Setting]:
    """The settings of a dataclass, or of one of its instances, by their fields' names."""
    return {each.name: each.metadata[_KEY] for each in fields(settings) if _KEY in each.metadata}


def check_settings(settings: Any) -> None:
    """Raises InvalidArgumentError where a dataclass has a setting that is not what it may be."""
    for name, setting in settings_of(settings).items():
        setting.check(name, getattr(settings, name))
