# Generated from _async/reopening.py by scripts/unasync: DO NOT CHANGE.
"""Reading one generation of an object again, wherever in it reading goes on."""

from typing import Protocol

from vault.errors import ConflictError, ProtocolError
from vault.store._sync.streams import BlockReader
from vault.store.blocks import check_same
from vault.store.values import Key, NotModified, ObjectInfo


class Loading(Protocol):
    """A Store, as far as it is needed here."""

    def load(
        self,
        unit: str,
        key: Key,
        *,
        offset: int = 0,
        length: int | None = None,
        if_generation: int | None = None,
        generation: int | None = None,
    ) -> BlockReader | NotModified | None: ...


class Reopen(Protocol):
    """Opens the same generation of an object from an offset on, for so many bytes; None: to its end."""

    def __call__(self, offset: int, length: int | None = None) -> BlockReader: ...


def reopener(store: Loading, info: ObjectInfo) -> Reopen:
    """Opens the generation that `info` shows, from an offset on; also when it was replaced or deleted since.

    As long as the store retains it; ConflictError then.
    """

    def reopen(offset: int, length: int | None = None) -> BlockReader:
        try:
            # A server of before `generation` knows its precondition.
            reader = store.load(
                info.unit,
                info.data_id,
                offset=offset,
                length=length,
                if_generation=info.generation,
                generation=info.generation,
            )
        except ConflictError as error:
            raise replaced(info, error) from error
        if reader is None:
            raise deleted(info)
        if isinstance(reader, NotModified):
            raise not_asked_for(info.unit, info.data_id)
        try:
            check_same(info, reader.info)
        except ConflictError:
            reader.close()
            raise
        return reader

    return reopen


def replaced(info: ObjectInfo, error: ConflictError) -> ConflictError:
    """The error for a generation that is not retained any more, of what it was refused with."""
    return ConflictError(
        f"object {info.data_id} in unit {info.unit!r} was replaced while it was read: "
        "what was not read yet of its old bytes is gone",
        **error.context,
    )


def deleted(info: ObjectInfo) -> ConflictError:
    """The error for a generation that is not retained any more, of an object that is not there either."""
    return ConflictError(
        f"object {info.data_id} in unit {info.unit!r} was deleted while it was read",
        unit=info.unit,
        data_id=info.data_id,
        generation=info.generation,
    )


def not_asked_for(unit: str, key: Key) -> ProtocolError:
    """The error for a NotModified where bytes were asked for."""
    return ProtocolError(f"the store answered a load of {key!r} in unit {unit!r} with 'not modified'", unit=unit)
