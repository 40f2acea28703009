"""What a listing is asked for: the order, where it begins, one level of names. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from vault._display import ShownAsRows
from vault.errors import InvalidArgumentError
from vault.store.limits import (
    MAX_DATA_ID,
    MAX_NAME_BYTES,
    check_delimiter,
    check_flag,
    check_prefix,
    check_tags,
    check_unit,
    shown,
)
from vault.store.values import Key, ListOrder, ObjectInfo

_ATTRIBUTES: Final = {ListOrder.ID: "data_id", ListOrder.NAME: "name", ListOrder.REVISION: "revision"}
_AFTER: Final = {
    ListOrder.ID: "an id from 0 to 2^63 - 1, for an order of ids",
    ListOrder.NAME: f"text of at most {MAX_NAME_BYTES} UTF-8 bytes, for an order of names",
    ListOrder.REVISION: "a revision from 0 to 2^63 - 1, for an order of changes",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """The arguments of a `list_page` that do not change from page to page, valid and with their defaults.

    It is of entries: objects, and with a delimiter prefixes. An entry's place is what it is ordered by: of an object
    its id, name or revision, of a prefix its text. Names are ordered by code points, as Python and UTF-8 do.

    Attributes:
        prefix: None: objects without a name, too; never so in order of names.
        after: Only entries whose place comes after it.
    """

    unit: str
    prefix: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    order: ListOrder = ListOrder.ID
    descending: bool = False
    after: Key | None = None
    delimiter: str | None = None

    @classmethod
    def of(
        cls,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        order: ListOrder | None = None,
        descending: bool = False,
        after: Key | None = None,
        delimiter: str | None = None,
    ) -> Self:
        """
        Raises:
            InvalidArgumentError: As `Store.list_page` says.
        """
        check_unit(unit)
        if prefix is not None:
            check_prefix(prefix)
        if tags is not None:
            check_tags(tags)
        if order is not None and not isinstance(order, ListOrder):
            raise InvalidArgumentError(f"bad order {shown(order)}: a ListOrder, or None", reason="BAD_ORDER")
        check_flag("descending", descending)
        check_delimiter(delimiter)
        if order is None:
            order = ListOrder.ID if prefix is None and delimiter is None else ListOrder.NAME
        elif delimiter is not None and order is not ListOrder.NAME:
            raise InvalidArgumentError(
                f"a delimiter is for an order of names, not for {order.name}: levels have no other", reason="BAD_ORDER"
            )
        if order is ListOrder.NAME and prefix is None:
            prefix = ""
        if after is not None:
            check_after(after, order)
        return cls(unit, prefix, tags or {}, order, descending, after, delimiter)

    @property
    def is_plain(self) -> bool:
        """Whether it is what there was before orders: all of it by name under a prefix, by id without one."""
        natural = ListOrder.ID if self.prefix is None else ListOrder.NAME
        return self.order is natural and not self.descending and self.after is None and self.delimiter is None

    def place(self, info: ObjectInfo) -> Any:
        """Where an object stands in it."""
        return getattr(info, _ATTRIBUTES[self.order])

    def prefix_of(self, name: str) -> str | None:
        """What stands for a name that goes on below the level; None: the name stands for itself.

        Args:
            name: It begins with `prefix`.
        """
        if self.delimiter is None:
            return None
        at = name.find(self.delimiter, len(self.prefix or ""))
        return None if at < 0 else name[: at + len(self.delimiter)]

    def follows(self, place: Any, other: Any) -> bool:
        """Whether the first of two places comes after the other."""
        return bool(place < other if self.descending else place > other)


@dataclass(frozen=True, slots=True, repr=False)
class Level(ShownAsRows):
    """One level of a unit's names, as of a folder.

    Attributes:
        prefixes: The beginnings of names that go on below it, each once, with the delimiter at their end.
        objects: Those at it.
        next_after: `after` of the call for the rest, where there was a limit; None: this is all.
    """

    prefixes: list[str]
    objects: list[ObjectInfo]
    next_after: str | None = None

    def _shown(self) -> tuple[list[ObjectInfo], dict[str, object]]:
        return self.objects, {"prefixes": self.prefixes, "next_after": self.next_after}


def check_after(after: object, order: ListOrder) -> None:
    """A place to begin after."""
    if order is ListOrder.NAME:
        if isinstance(after, str):
            check_prefix(after)
            return
    elif isinstance(after, int) and not isinstance(after, bool) and 0 <= after <= MAX_DATA_ID:
        return
    raise InvalidArgumentError(f"bad after {shown(after)}: {_AFTER[order]}", reason="BAD_ORDER")
