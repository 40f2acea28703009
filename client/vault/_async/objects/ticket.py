"""AsyncTicket: an open handle on a cached object."""

import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self

from vault._async.objects.write_through import AsyncWriteThrough
from vault._cache.cache import Held, ObjectCache
from vault._cache.entry import Entry
from vault._cache.working_copy import WorkingCopy
from vault._runtime.fork import inherited
from vault._runtime.sync_async import AsyncLock, other_loop
from vault.errors import ClosedError
from vault.plain import Plain
from vault.store.values import Key, ObjectInfo

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # type checkers have it; before Python 3.13 typing's knows no default

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")


class AsyncTicket(Generic[T]):
    """An object in hand, until `close`. It stays in memory meanwhile.

    Readers share one object: `get_data` gives it, and it is not to be changed. An edit is made on a
    working copy (`get_ref`), which the edited tickets of one object share, and which nobody else sees
    until it is written back, when the ticket closes:

        >>> if ticket := await vault.load("notes", "greeting"):
        ...     async with ticket:
        ...         ticket.get_ref().data += " world"

    Leaving the block by an exception discards the edit. The write-back states the generation that the
    working copy was made from, so that a lost race is a ConflictError and never a lost update.

    A ticket that is dropped without `close` warns (ResourceWarning), and an edit of it is not written.
    One ticket is not for several threads at once, each takes its own; and it does not cross a fork.
    """

    __slots__ = (
        "__weakref__", "_cache", "_closed", "_data", "_entry", "_info", "_plain", "_working_copy", "_writes",
    )  # fmt: skip

    _info: ObjectInfo
    _data: Any
    _plain: Plain[T]  # of an AsyncPlainTicket

    def __init__(self, writes: AsyncWriteThrough) -> None:
        """It is closed until it has an object, from the cache or by `take`; closing takes that away again."""
        self._writes = writes
        self._cache: ObjectCache[Any] = writes.cache
        self._entry: Entry | None = None
        self._working_copy: WorkingCopy | None = None
        self._closed = True

    def take(self, held: Held, key: Key) -> Self:
        """Takes what a caller holds, and opens with it."""
        self._info, self._data = held[key].state  # kept, whatever is committed meanwhile
        self._entry = held[key]  # no call between these, at which an interrupt might come
        del held[key]
        self._closed = False
        return self

    @property
    def data_id(self) -> int:
        return self._info.data_id

    @property
    def info(self) -> ObjectInfo:
        """What is known of the object as it is held here; after `close`, as it was written back."""
        return self._info

    @property
    def generation(self) -> int:
        """The generation held here."""
        return self._info.generation

    @property
    def closed(self) -> bool:
        return self._closed

    def get_data(self) -> T:
        """The object, to read: as it was loaded, or, after this ticket's `get_ref`, the working copy.

        Raises:
            ClosedError: The ticket is closed.

        Example:
            >>> ticket = await vault.load("notes", "greeting")
            >>> ticket.get_data().data
            'hello'
            >>> await ticket.close()
        """
        if self._closed or self._cache.inherited:
            raise self._closed_error()
        data: T = self._data if self._working_copy is None else self._working_copy.data
        return data

    def get_clone(self) -> T:
        """A copy of what `get_data` gives, the caller's own. Nobody writes it back.

        Raises:
            ClosedError: The ticket is closed.

        Example:
            >>> async with await vault.load("notes", "greeting") as ticket:
            ...     mine = ticket.get_clone()
            >>> mine.data
            'hello'
        """
        data: Any = self.get_data()
        clone: T = data._clone()  # noqa: SLF001  # the Datatype's contract
        return clone

    def get_ref(self) -> T:
        """The working copy, to edit; it is written back when the ticket closes. Not to be used after that.

        It is made of the newest generation that this vault has written or loaded through a ticket that is
        open on the same object, which may be newer than what this ticket has shown.

        Raises:
            ClosedError: The ticket is closed.

        Example:
            >>> async with await vault.load("notes", "greeting") as ticket:
            ...     ticket.get_ref().data += " world"
            >>> ticket.info.size
            11
        """
        if self._closed or self._cache.inherited:
            raise self._closed_error()
        entry = self._entry
        if self._working_copy is None and entry is not None:
            entry.edit(AsyncLock, self)
            self._info, self._data = entry.state
        assert self._working_copy is not None  # noqa: S101  # it has an object
        data: T = self._working_copy.data
        return data

    def set(self, data: T) -> None:
        """Puts another object in the place of the one that the ticket is on; it is written when the ticket closes.

        For what cannot be edited in place, as bytes and text, and for what was made anew. Unlike the working copy of
        `get_ref` it is this ticket's own: when the object was written since this ticket has shown it, or another ticket
        with an edit is closed first, closing raises ConflictError.

        Args:
            data: Of the unit's type. It is copied, and stays the caller's.

        Raises:
            ClosedError: The ticket is closed.
            InvalidArgumentError: BAD_OBJECT, `data` is not of the unit's type.

        Example:
            >>> async with await vault.open_ticket("notes", "greeting") as ticket:
            ...     ticket.set(TextWrapper("good evening"))
            >>> ticket.info.size
            12
        """
        if self._closed or self._cache.inherited:
            raise self._closed_error()
        self._replace(data)

    def _replace(self, data: Any) -> None:
        self._writes.check(self._info.unit, data)
        if self._entry is not None:
            self._entry.replace(AsyncLock, self, data._clone(), self.generation)  # noqa: SLF001  # the Datatype's contract

    async def close(self) -> None:
        """Writes an edit back and lets the object go. Harmless when repeated.

        With the vault's `auto_update`, each edited ticket writes the working copy as it then is; without,
        the last edited ticket of the object does. The ticket is closed whatever happens, and an edit that
        could not be written is given up: other tickets that share it get a ConflictError.

        Raises:
            ConflictError: Somebody else wrote the object since it was loaded, or the edit was given up.
            NotFoundError: It was deleted since.
            EncodeError: The Datatype could not dump it.
            ClosedError: The vault is closed and there is an edit to write.
            StorageError, UnavailableError: It could not be written.

        Example:
            >>> ticket = await vault.load("notes", "greeting")
            >>> await ticket.close()
            >>> ticket.closed
            True
        """
        entry, working = self._entry, self._working_copy
        if working is None or self._closed:
            self._closed = True
            self._data = None
            self._let_go()
            return
        if self._writes.affinity.is_foreign:
            raise other_loop(f"the ticket on object {self.data_id} in unit {self._info.unit!r}")
        self._closed = True
        if self._cache.inherited:
            raise self._closed_error()
        try:
            if entry is not None:
                await self._writes.write_back(entry, working, last_only=not self._writes.auto_update)
                self._info = entry.info
        except BaseException:
            working.broken = True
            raise
        finally:
            self._data = None
            self._let_go()

    async def discard(self) -> None:
        """Lets the object go without writing back. Harmless when repeated, or after `close`.

        The working copy is given up: other tickets that share it get a ConflictError when they close.
        Where `auto_update` is off, it goes with what already closed tickets changed in it.

        Example:
            >>> ticket = await vault.load("notes", "greeting")
            >>> ticket.get_ref().data = "a draft"
            >>> await ticket.discard()
            >>> ticket.info.generation
            1
        """
        if self._cache.inherited:
            return
        if not self._closed and self._working_copy is not None:
            self._working_copy.broken = True
        self._closed = True
        self._let_go()

    async def __aenter__(self) -> Self:
        if self._closed or self._cache.inherited:
            raise self._closed_error()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._working_copy is None:  # neither written nor given up: a call less for most tickets
            self._closed = True
            self._data = None
            self._let_go()
        elif kind is None:
            await self.close()
        else:
            await self.discard()

    def __repr__(self) -> str:
        info = self._info
        state = "closed" if self._closed else "open" if self._working_copy is None else "edited"
        return f"<{AsyncTicket.__name__} {info.unit}/{info.data_id} generation {info.generation}, {state}>"

    def _let_go(self) -> None:
        """Also again, after one that was interrupted."""
        if not self._cache.inherited:
            self._cache.let_go(self)
        self.__class__ = AsyncTicket  # only now: see AsyncOpenTicket

    def _closed_error(self) -> ClosedError:
        if self._cache.inherited:
            return inherited(f"the ticket on object {self.data_id} in unit {self._info.unit!r}")
        return ClosedError(
            f"the ticket on object {self.data_id} in unit {self._info.unit!r} is closed",
            unit=self._info.unit,
            data_id=self.data_id,
        )


class AsyncOpenTicket(AsyncTicket[T]):
    """As tickets are made: one that warns when it is dropped.

    Those that are closed have no finalizer: an interrupt that comes in one is thrown away by Python, and a loop of
    loads would spend a few hundredths of its time there.
    """

    __slots__ = ()

    def __del__(self) -> None:
        cache = getattr(self, "_cache", None)  # none when making it was interrupted
        if cache is None or cache.inherited:
            return
        if self._entry is not None:
            self._cache.dropped += (self._entry,)
        if self._closed:  # that was interrupted
            return
        self._closed = True
        edited = self._working_copy is not None
        if self._working_copy is not None:
            self._working_copy.broken = True
        info = self._info
        warnings.warn(
            f"a ticket on object {info.data_id} in unit {info.unit!r} was dropped without close()"
            + ("; its edit is not written" if edited else ""),
            ResourceWarning,
            stacklevel=2,
            source=self,
        )


class AsyncPlainTicket(AsyncOpenTicket[T]):
    """A ticket on a Wrapper that shows what is in it."""

    __slots__ = ()

    @classmethod
    def of(cls, ticket: AsyncTicket[Any], plain: Plain[T]) -> AsyncTicket[T]:
        """The same ticket, open, which shows the plain value from now on.

        Raises:
            DecodeError: What is stored is of another type. The ticket is not changed.
        """
        plain.value(ticket.get_data())
        ticket._plain = plain  # noqa: SLF001  # of this module
        ticket.__class__ = cls
        return ticket

    def get_data(self) -> T:
        """See AsyncTicket."""
        return self._plain.value(AsyncTicket.get_data(self))

    def get_clone(self) -> T:
        """See AsyncTicket."""
        data: Any = super().get_data()
        return self._plain.value(data._clone())  # noqa: SLF001  # the Datatype's contract

    def get_ref(self) -> T:
        """See AsyncTicket."""
        return self._plain.value(super().get_ref())

    def _replace(self, data: Any) -> None:
        held: Any = super().get_data()
        super()._replace(self._plain.wrap(data, into=held))
