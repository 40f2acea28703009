"""What is written on the command line, and what it means: keys, tags, sizes."""

import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import click
from click.shell_completion import CompletionItem

from vault.errors import InvalidArgumentError
from vault.store.limits import (
    check_datatype,
    check_key,
    check_name,
    check_prefix,
    check_principal,
    check_tags,
    check_unit,
)
from vault.store.values import Key

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?)B?|B)?", re.ASCII | re.IGNORECASE)
_AGE = re.compile(r"(\d{1,8})\s*([smhdw])", re.ASCII | re.IGNORECASE)
_PERIODS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOST_AGE = timedelta(days=365_000)
_MOST_BYTES = (1 << 63) - 1
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


def parse_key(text: str) -> Key:
    """`5` and `id:5` are an id; `name:5` and everything else a name.

    Raises:
        InvalidArgumentError: An id out of its range, or text that cannot be a name.
    """
    kind, _, rest = text.partition(":") if text.startswith(("id:", "name:")) else ("", "", text)
    # At most 19 digits can be an id; int() itself refuses text of thousands.
    is_number = rest.isascii() and rest.isdigit() and len(rest) <= 4000
    if kind == "id" and not is_number:
        raise InvalidArgumentError(f"bad id {rest!r}: a whole number from 1 to 2^63 - 1", reason="BAD_ID")
    key: Key = int(rest) if is_number and kind != "name" else rest
    check_key(key)
    return key


def parse_tags(words: Iterable[str]) -> dict[str, str]:
    """`K=V` words as tags; the value may be empty and may hold further `=`.

    Raises:
        InvalidArgumentError: No `=`, a key given twice, or what the rules for tags say.
    """
    tags: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgumentError(f"bad tag {word!r}: write it as KEY=VALUE", reason="BAD_TAGS")
        if key in tags:
            raise InvalidArgumentError(f"tag {key!r} is given twice", reason="BAD_TAGS")
        tags[key] = value
    check_tags(tags)
    return tags


def parse_size(text: str) -> int:
    """Bytes: `1000`, `64KiB`, `256MiB`, `1.5G`. K, M, G and T are 1024-based with an `i`, 1000-based without."""
    from fractions import Fraction  # noqa: PLC0415  # few commands take a size

    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidArgumentError(f"bad size {text!r}: a number with B, KB, KiB, MB, MiB, GB, GiB, TB or TiB")
    number, unit, binary = match.groups()
    base = 1024 if binary else 1000
    # Not as a float, which holds no whole numbers above 2^53, and of long ones none.
    factor = base ** _POWERS[unit.upper()] if unit else 1
    size = int(Fraction(number) * factor) if len(number) <= 40 else _MOST_BYTES + 1
    if size > _MOST_BYTES:
        raise InvalidArgumentError(f"bad size {text[:40]!r}: at most 2^63 - 1 bytes")
    return size


def parse_age(text: str) -> timedelta:
    """How long ago: `90s`, `30m`, `12h`, `7d`, `2w`."""
    match = _AGE.fullmatch(text.strip())
    age = timedelta(**{_PERIODS[match[2].lower()]: int(match[1])}) if match else None
    if age is None or age > _MOST_AGE:
        raise InvalidArgumentError(
            f"bad age {text[:40]!r}: a whole number with s, m, h, d or w, a thousand years at most"
        )
    return age


def parse_expires(text: str) -> datetime:
    """`90d`, from now; or a date, at its beginning in UTC, or a time with its zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        return datetime.now(UTC) + parse_age(text)
    except (InvalidArgumentError, OverflowError) as error:
        raise InvalidArgumentError(
            f"bad time {text[:40]!r}: 90d, 12h, …, or a date as 2027-02-25, at its beginning in UTC", reason="BAD_TIME"
        ) from error


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """A parameter whose parser raises InvalidArgumentError; click then says which parameter it was.

    Attributes:
        complete: What a shell is offered for a kind of parameter; set when one asks.
    """

    complete: ClassVar[Callable[[str, click.Context, str], list[CompletionItem]] | None] = None

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except InvalidArgumentError as error:
            self.fail(error.message, param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002  # click calls it so
        incomplete: str,
    ) -> list[CompletionItem]:
        return [] if Parsed.complete is None else Parsed.complete(self.name, ctx, incomplete)


class File(click.ParamType):  # type: ignore[type-arg]  # likewise
    """A path, or `-`, as it is given; a shell completes it."""

    name = "file"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  # likewise
        param: click.Parameter,  # noqa: ARG002  # likewise
        incomplete: str,
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


def _checked(check: Callable[[str], None]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        check(text)
        return text

    return parse


KEY = Parsed("key", parse_key)
NAME = Parsed("name", _checked(check_name))
"""An object's name, also when it is all digits."""

DATATYPE = Parsed("datatype", _checked(check_datatype))
UNIT = Parsed("unit", _checked(check_unit))
PRINCIPAL = Parsed("principal", _checked(check_principal))
PREFIX = Parsed("prefix", _checked(check_prefix))
SIZE = Parsed("size", parse_size)
AGE = Parsed("age", parse_age)
EXPIRES = Parsed("time", parse_expires)


class NumberRange(click.FloatRange):
    """A number in a range: click itself takes nan for one, and fails on whole numbers that no float holds."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            number = super().convert(value, param, ctx)
        except OverflowError:
            number = math.nan
        if math.isnan(number):
            self.fail(f"it is not in the range {self._describe_range()}.", param, ctx)
        return number


def tags_callback(_ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    """For options and arguments that take several `K=V`."""
    try:
        return parse_tags(words)
    except InvalidArgumentError as error:
        raise click.BadParameter(error.message, param=param) from error
