"""What is written on the command line, and what it means: keys, tags, sizes."""

import math
import re
from collections.abc import Iterable
from typing import Any

import click

from vault.errors import InvalidArgumentError
from vault.store.limits import check_datatype, check_key, check_name, check_tags, check_unit
from vault.store.values import Key

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?)B?|B)?", re.ASCII | re.IGNORECASE)
_MOST_BYTES = (1 << 63) - 1
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


def parse_key(text: str) -> Key:
    """`5` and `id:5` are an id; `name:5` and everything else a name.

    Raises:
        InvalidArgumentError: An id out of its range, or text that cannot be a name.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "id":
        key: Key = int(rest) if _digits(rest) else rest
        if isinstance(key, str):
            raise InvalidArgumentError(f"bad id {rest!r}: a whole number from 1 to 2^63 - 1", reason="BAD_ID")
    elif colon and kind == "name":
        key = rest
    else:
        key = int(text) if _digits(text) else text
    check_key(key)
    return key


def _digits(text: str) -> bool:
    # At most 19 digits can be an id; int() itself refuses text of thousands.
    return text.isascii() and text.isdigit() and len(text) <= 4000


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
    size = (
        int(Fraction(number) * (base ** _POWERS[unit.upper()] if unit else 1)) if len(number) <= 40 else _MOST_BYTES + 1
    )
    if size > _MOST_BYTES:
        raise InvalidArgumentError(f"bad size {text[:40]!r}: at most 2^63 - 1 bytes")
    return size


class _Parsed(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """A parameter whose parser raises InvalidArgumentError; click then says which parameter it was."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except InvalidArgumentError as error:
            self.fail(error.message, param, ctx)

    def parse(self, text: str) -> Any:
        raise NotImplementedError


class KeyType(_Parsed):
    """An object's id or name, see `parse_key`."""

    name = "key"

    def parse(self, text: str) -> Key:
        return parse_key(text)


class NameType(_Parsed):
    """An object's name, also when it is all digits."""

    name = "name"

    def parse(self, text: str) -> str:
        check_name(text)
        return text


class DatatypeType(_Parsed):
    """The tag of a Datatype."""

    name = "datatype"

    def parse(self, text: str) -> str:
        check_datatype(text)
        return text


class UnitType(_Parsed):
    """A unit's name."""

    name = "unit"

    def parse(self, text: str) -> str:
        check_unit(text)
        return text


class SizeType(_Parsed):
    """A number of bytes, see `parse_size`."""

    name = "size"

    def parse(self, text: str) -> int:
        return parse_size(text)


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
