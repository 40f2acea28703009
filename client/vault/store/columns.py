"""What batch calls take and give: sequences that are kept as columns, and whose items are made when looked at."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

from vault._display import ShownAsRows, first_of
from vault.errors import VaultError
from vault.store.limits import check_keys
from vault.store.specs import LoadItem
from vault.store.values import Key, LoadedObject, LoadResult, ObjectInfo, info_of_row, row_of_info

ItemT = TypeVar("ItemT")
OtherT = TypeVar("OtherT", bound=VaultError | None)
ValueT = TypeVar("ValueT")


class Column(Generic[ValueT]):
    """One of the columns of a class of `Columns`, by its place."""

    def __init__(self, place: int) -> None:
        self._place = place

    def __get__(self, columns: "Columns[Any]", _: type) -> Sequence[ValueT]:
        return columns.columns[self._place]


class Columns(Sequence[ItemT]):
    """An immutable sequence that is kept as columns, one for each field of its items. An item is made when it is looked
    at. It equals every sequence of equal items.

    Attributes:
        columns: Sequences of one length, in the order of the fields.
        others: By index, what is not made of columns: errors, and None. The columns have a filler there.
    """

    __slots__ = ("columns", "others")

    FILLER: ClassVar[tuple[Any, ...]]
    """The values that columns have where one of the others is."""

    _kind: ClassVar[type]

    def __init__(self, columns: Sequence[Sequence[Any]], others: Mapping[int, Any] | None = None) -> None:
        self.columns = columns
        self.others: Mapping[int, Any] = {} if others is None else others

    @classmethod
    def of(cls, items: Iterable[ItemT]) -> Self:
        """Columns of these items; themselves when that is what they are."""
        if isinstance(items, cls):
            return items
        return cls.of_rows([cls.row_of(item) if cls._holds(item) else item for item in items])

    @classmethod
    def of_rows(cls, given: Iterable[Any]) -> Self:
        """Columns of what `rows` gives."""
        rows: list[tuple[Any, ...]] = []
        others: dict[int, ItemT] = {}
        for index, row in enumerate(given):
            if isinstance(row, tuple):
                rows.append(row)
            else:
                others[index] = row
                rows.append(cls.FILLER)
        return cls(tuple(zip(*rows, strict=True)) if rows else ((),) * len(cls.FILLER), others)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Columns of the items of all of these, of which there is one at least."""
        if len(parts) == 1:
            return parts[0]
        columns = [
            list(chain.from_iterable(columns)) for columns in zip(*[part.columns for part in parts], strict=True)
        ]
        starts = accumulate(map(len, parts[:-1]), initial=0)
        others = {
            start + at: other for start, part in zip(starts, parts, strict=True) for at, other in part.others.items()
        }
        return cls(columns, others)

    @classmethod
    def _holds(cls, item: object) -> bool:
        """Whether it is made of columns, rather than one of the others."""
        return isinstance(item, cls._kind)

    @staticmethod
    def row_of(item: Any) -> tuple[Any, ...]:
        """An item's value in each column."""
        raise NotImplementedError

    @staticmethod
    def item_of(*values: Any) -> Any:
        """The item that has these values."""
        raise NotImplementedError

    def at(self, places: Sequence[int]) -> Self:
        """Columns of the items at some places."""
        if len(places) == len(self) and list(places) == list(range(len(self))):
            return self
        others = {index: self.others[place] for index, place in enumerate(places) if place in self.others}
        return type(self)([[column[place] for place in places] for column in self.columns], others)

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, index: int) -> ItemT: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> ItemT | Self:
        if isinstance(index, slice):
            return self.at(range(len(self))[index])
        if self.others and (place := range(len(self))[index]) in self.others:
            item: ItemT = self.others[place]
        else:
            item = self.item_of(*[column[index] for column in self.columns])
        return item

    def __iter__(self) -> Iterator[ItemT]:
        return map(self.__getitem__, range(len(self))) if self.others else map(self.item_of, *self.columns)

    def rows(self) -> Iterator[Any]:
        """Of each item its values, in a tuple, and the others as they are: what is there without making items."""
        rows = zip(*self.columns, strict=True)
        if not self.others:
            return rows
        return (self.others.get(at, row) for at, row in enumerate(rows))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a list's: its items may have no hash

    def __repr__(self) -> str:
        return f"{type(self).__name__}.of({first_of(self)})"


def rows_of(items: Iterable[Any]) -> Iterator[Any]:
    """The rows of columns; of any other sequence the items themselves."""
    return items.rows() if isinstance(items, Columns) else iter(items)


class _Objects(Columns[ItemT]):
    """Columns in the order of the fields of ObjectInfo. Times are microseconds since 1970."""

    __slots__ = ()

    FILLER: ClassVar[tuple[Any, ...]] = ("", 0, 0, 0, 0, 0, "", None, {}, 0, 0, 0, None)

    units = Column[str](0)
    data_ids = Column[int](1)
    generations = Column[int](2)
    revisions = Column[int](3)
    sizes = Column[int](4)
    checksums = Column[int](5)
    datatypes = Column[str](6)
    names = Column[str | None](7)
    tags = Column[Mapping[str, str]](8)
    created_at = Column[int](9)
    updated_at = Column[int](10)
    written_at = Column[int | None](11)
    expires_at = Column[int | None](12)


def any_expires(results: Sequence[Any]) -> bool:
    """Whether there is an object among these that expires: of ObjectInfo and LoadedObject, or columns of them."""
    if isinstance(results, _Objects):
        return results.expires_at.count(None) < len(results)
    infos = (getattr(each, "info", each) for each in results)
    return any(getattr(info, "expires_at", None) is not None for info in infos)


class ObjectInfos(_Objects[ObjectInfo | OtherT], ShownAsRows):
    """What is known of several objects; among the others None where there is none, and a VaultError where a write
    failed. Where there is one of these, `generations` has 0.
    """

    __slots__ = ()

    _kind = ObjectInfo

    def _shown(self) -> tuple[Sequence[ObjectInfo | OtherT], dict[str, object]]:
        return self, {}

    row_of = staticmethod(row_of_info)
    item_of = staticmethod(info_of_row)


class LoadedObjects(_Objects[LoadResult]):
    """Several objects with their bytes; what else a load of one comes to is among the others."""

    __slots__ = ()

    FILLER = (*_Objects.FILLER, None)
    _kind = LoadedObject

    data = Column[bytes | None](13)

    def info(self, at: int) -> ObjectInfo:
        """What is known of the object at this place, which is none of the others."""
        return ObjectInfos.item_of(*[column[at] for column in self.columns[:-1]])

    def infos(self) -> Iterator[ObjectInfo]:
        """`info` of each, one after the other; of the others what their filler comes to."""
        return map(ObjectInfos.item_of, *self.columns[:-1])

    @staticmethod
    def row_of(item: LoadedObject) -> tuple[Any, ...]:
        return (*ObjectInfos.row_of(item.info), item.data)

    @staticmethod
    def item_of(*values: Any) -> LoadedObject:
        return LoadedObject(ObjectInfos.item_of(*values[:-1]), values[-1])


class LoadItems(Columns[LoadItem]):
    """What is wanted of a batch of loads."""

    __slots__ = ()

    FILLER = (0, None)
    _kind = LoadItem
    item_of = LoadItem

    @staticmethod
    def row_of(item: LoadItem) -> tuple[Any, ...]:
        return item.key, item.if_generation_not_match

    keys = Column[Key](0)
    if_generation_not_match = Column[int | None](1)

    @property
    def are_plain(self) -> bool:
        """Whether each of them can be asked for, and without a condition."""
        if self.others or self.if_generation_not_match.count(None) < len(self):
            return False
        try:
            check_keys(self.keys)
        except VaultError:
            return False
        return True
