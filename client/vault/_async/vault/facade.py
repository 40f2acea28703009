"""AsyncVault: typed Python objects and large files in units."""

from typing import Any, TypeVar, cast

from vault._async.vault.calls import AsyncCalls
from vault._async.vault.typed_unit import AsyncUnit
from vault.plain import plain_type

T = TypeVar("T")


class AsyncVault(AsyncCalls):
    """Typed Python objects and large files in units, in a directory or on a storage host.

        >>> async with AsyncVault("./example") as example:
        ...     settings = example.unit("settings", dict[str, str])
        ...     info = await settings.put("theme", {"color": "red"})
        ...     async with await settings.open_ticket("theme") as ticket:
        ...         ticket.get_ref()["color"] = "blue"  # written back when the ticket closes
        ...     print(await settings.get("theme"))
        {'color': 'blue'}

    Without a structure, `unit` declares what a unit holds, where it is used; one that is not declared holds bytes. A
    structure is the list of what may be used; `unit` adds to it.

    A key is an id or a name. Every call raises UnknownUnitError for a unit that is not in the structure and
    InvalidArgumentError for a key that can be none, both before any I/O; ClosedError when the vault is closed;
    UnavailableError when a server does not answer in time, StorageError when the store cannot read or write.

    Of `…_many`, each item succeeds or fails alone, in order. When some fail, one BatchError carries every item's
    outcome in `results`: what the call returns for it, or its error. What was done stays done. A call that fails as a
    whole (the unit is unknown, the vault closed, the server away) raises that error instead; then it is not known which
    items took effect. Any number of items is taken, in several requests when need be.

    The examples of the methods have a `vault` with the units "notes" (of TextWrapper), which holds the text "hello",
    named "greeting", under the id 1; "files" (BytesWrapper), which holds two lines, named "lines"; and "settings"
    (JsonWrapper), which holds nothing.

    Threads may share one; an asynchronous one belongs to one event loop, whose tasks may share it. One that is not
    asynchronous may be made before a fork and used in the child, which then has connections and a cache of its
    own; tickets, readers, writers and subscriptions stay with the process that opened them.
    """

    def unit(
        self, name: str, datatype: type[T], *, max_cached: int | None = None, max_bytes: int | None = None
    ) -> AsyncUnit[T]:
        """A unit of the vault, which holds objects of this type, and every call on it: typed, and without its name.

        It may be asked for as often as is convenient, in one place or in many: for the same name and type the units are
        equal. Nothing is asked of the store. A unit of the structure may be asked for with its type.

        Args:
            datatype: A Datatype; or a plain type, whose objects go in and come out as they are, while their Wrapper is
                stored and cached: bytes, str, int, float, bool, dict and list (as JSON), and, where their library and
                its wrapper are installed, pandas.DataFrame, polars.DataFrame, pyarrow.Table, numpy.ndarray,
                PIL.Image.Image, and any class of pydantic models or msgspec Structs.
            max_cached: Objects kept in the cache; 0: no limit by count. None: as the unit was declared, or 0.
            max_bytes: Bytes kept in the cache, as they are stored; 0: no limit by bytes. None: likewise.

        Raises:
            InvalidArgumentError: BAD_UNIT; BAD_STRUCTURE, the unit was declared with another type or other limits, or
                nothing stores such objects.
            ModuleNotFoundError: The type's Wrapper needs a library that is missing.
            ClosedError: The vault is closed.

        Example:
            >>> scores = vault.unit("scores", dict[str, int])
            >>> data_id = await scores.upload({"ada": 3}, name="today")
            >>> await scores.get("today")
            {'ada': 3}
        """
        self._require_open()
        plain = plain_type(datatype, name)
        self._declare(name, cast(Any, datatype) if plain is None else plain.wrapper, plain, max_cached, max_bytes)
        return AsyncUnit(self, name, datatype, plain)
