"""What batches of uploads and puts take, as columns: one for each field of the objects that are to be written."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

from vault.errors import VaultError
from vault.store.columns import Column, Columns
from vault.store.limits import (
    BLOCK_SIZE,
    MAX_DATA_ID,
    check_batch,
    check_datatype,
    check_expires_in,
    check_generation,
    check_name,
    check_new,
    check_tags,
)
from vault.store.specs import PutSpec, SmallObject, SmallPut, SmallUpload, SmallWrite, UploadSpec
from vault.store.values import checksum

ItemT = TypeVar("ItemT")
WritesT = TypeVar("WritesT", bound="_Writes[Any]")

_REQUEST_ID: Final = 16
_PLACE: Final = 4
"""Bytes of a request id that tell the items of a batch apart. The others are random, and the batch's: 96 bits."""

_UNCOMMON: Final = (TypeError, AttributeError, ValueError, VaultError)


class _Writes(Columns[ItemT]):
    __slots__ = ()

    FILLER: ClassVar[tuple[Any, ...]] = (1, None, {}, "", b"", b"", 0)
    _kind = SmallObject

    spec: ClassVar[type[UploadSpec | PutSpec]]
    """What each item has; what has another is among the others."""

    data_ids = Column[int](0)
    names = Column[str | None](1)
    tags = Column[Mapping[str, str]](2)
    datatypes = Column[str](3)
    request_ids = Column[bytes](4)
    data = Column[bytes](5)
    checksums = Column[int](6)

    @classmethod
    def _holds(cls, item: object) -> bool:
        return isinstance(item, SmallObject) and type(item.spec) is cls.spec

    def are_valid(self) -> bool:
        """Whether each item is valid, as its `validate` says, and keeps to `check_new`. False: that has to be asked
        item by item."""
        ids, names, tags, datatypes, requests, data, checksums = self.columns[:7]
        if self.others or not ids:
            return False
        try:
            if not (
                set(map(type, data)) == {bytes}
                and max(map(len, data)) <= BLOCK_SIZE
                and set(map(type, requests)) == {bytes}
                and set(map(len, requests)) == {_REQUEST_ID}
                and _are_whole(ids, 1, MAX_DATA_ID)
                and _are_whole(checksums, 0, (1 << 64) - 1)
                and self._rest_is_valid()
            ):
                return False
            for datatype in set(datatypes):
                check_datatype(datatype)
                check_new(datatype=datatype)
            if names.count(None) < len(names):
                for name in names:
                    if name is not None:
                        check_name(name)
                        check_new(name=name)
            for each in tags:
                if each or not isinstance(each, dict):
                    check_tags(each)
                    check_new(tags=each)
        except _UNCOMMON:
            return False
        return True

    def _rest_is_valid(self) -> bool:
        return True


class SmallUploads(_Writes[SmallUpload]):
    """New objects of at most one block each."""

    __slots__ = ()

    spec = UploadSpec

    @staticmethod
    def row_of(item: SmallUpload) -> tuple[Any, ...]:
        spec = item.spec
        return (spec.data_id, spec.name, spec.tags, spec.datatype, spec.request_id, item.data, item.checksum)

    @staticmethod
    def item_of(*values: Any) -> SmallUpload:
        return SmallObject(UploadSpec(*values[:5]), *values[5:])


class SmallPuts(_Writes[SmallPut]):
    """Objects of at most one block each, to be put. What has an UpdateSpec, or brings times, is among the others."""

    __slots__ = ()

    FILLER = (*_Writes.FILLER, None, None)
    spec = PutSpec

    if_generations = Column[int | None](7)
    expires_in = Column[float | None](8)

    @classmethod
    def _holds(cls, item: Any) -> bool:
        return super()._holds(item) and item.spec.times is None

    @staticmethod
    def row_of(item: Any) -> tuple[Any, ...]:
        spec = item.spec
        about = (spec.data_id, spec.name, spec.tags, spec.datatype, spec.request_id)
        return (*about, item.data, item.checksum, spec.if_generation, spec.expires_in)

    @staticmethod
    def item_of(*values: Any) -> SmallPut:
        data_id, name, tags, datatype, request_id, data, checksum, if_generation, expires_in = values
        return SmallObject(
            PutSpec(name, data_id, tags, datatype, if_generation, expires_in, request_id), data, checksum
        )

    def _rest_is_valid(self) -> bool:
        for generation in set(self.if_generations):
            check_generation(generation)
        for seconds in set(self.expires_in):
            if seconds is not None:
                check_expires_in(seconds)
        return True


def new_columns(
    places: Sequence[int],
    datatypes: Sequence[str],
    data: Sequence[bytes],
    names: Sequence[str | None] | None,
    tags: Sequence[Mapping[str, str] | None] | None,
) -> tuple[Sequence[Any], ...]:
    """The columns of some objects of a batch, under new ids and request ids, each of which follow one another from a
    random one on: in an index they are neighbours. (Of random ones each is on a page of its own: 23 rather than 11 µs
    an object of a thousand.)

    Args:
        places: Where those objects are in `names` and `tags`.
        names, tags: None: none has any.
    """
    number = len(places)
    first = 1 + int.from_bytes(os.urandom(8)) % (MAX_DATA_ID - number)
    batch = os.urandom(_REQUEST_ID - _PLACE)
    return (
        range(first, first + number),
        (None,) * number if names is None else [names[place] for place in places],
        ({},) * number if tags is None else [{} if (some := tags[place]) is None else some for place in places],
        datatypes,
        [batch + place.to_bytes(_PLACE, "big") for place in range(number)],
        data,
        list(map(checksum, data)),
    )


def check_small_batch(items: Sequence[SmallWrite], spec: type | tuple[type, ...]) -> None:
    """The items of a batch of writes, and the type of their specs."""
    if type(items) is not list and isinstance(items, _Writes) and not items.others and issubclass(items.spec, spec):
        check_batch(items)
        return
    check_batch(items, SmallObject)
    check_batch([item.spec for item in items], spec)


def valid_columns(kind: type[WritesT], items: Sequence[Any]) -> WritesT | None:
    """The items as columns, where all of them can be and are valid; None: they go item by item."""
    columns = kind.of(items)
    return columns if columns.are_valid() else None


def _are_whole(numbers: Sequence[int], least: int, most: int) -> bool:
    if isinstance(numbers, range):
        return least <= numbers[0] and numbers[-1] <= most
    return set(map(type, numbers)) == {int} and min(numbers) >= least and max(numbers) <= most
