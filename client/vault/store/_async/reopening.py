"""Reading one generation of an object again, wherever in it reading goes on."""

from typing import Protocol

from vault.errors import ConflictError, ProtocolError
from vault.store._async.streams import AsyncBlockReader
from vault.store.blocks import check_same
from vault.store.values import Key, NotModified, ObjectInfo


class AsyncLoading(Protocol):
    """A Store, as far as it is needed here."""

    async def load(
        self,
        unit: str,
        key: Key,
        *,
        offset: int = 0,
        length: int | None = None,
        if_generation: int | None = None,
        generation: int | None = None,
    ) -> AsyncBlockReader | NotModified | None: ...


class AsyncReopen(Protocol):
    """Opens the same generation of an object from an offset on, for so many bytes; None: to its end."""

    async def __call__(self, offset: int, length: int | None = None) -> AsyncBlockReader: ...


def reopener(store: AsyncLoading, info: ObjectInfo) -> AsyncReopen:
    """Opens the generation that `info` shows, from an offset on; also when it was replaced or deleted since.

    As long as the store retains it; ConflictError then.
    """

    async def reopen(offset: int, length: int | None = None) -> AsyncBlockReader:
        try:
            # A server of before `generation` knows its precondition.
            reader = await store.load(
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
            await reader.close()
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
