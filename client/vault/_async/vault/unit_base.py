"""What every part of an AsyncUnit stands on: the vault, the unit's name, and how objects go in and come out."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar, cast

from vault._async.objects.ticket import AsyncPlainTicket, AsyncTicket
from vault._async.vault.calls import AsyncCalls
from vault.errors import VaultError
from vault.plain import Plain

T = TypeVar("T")


class AsyncUnitBase(Generic[T]):
    """A call takes what goes in through `_wrap`, and gives what comes out through `_shown` or `_ticket`."""

    __slots__ = ("_plain", "_vault", "datatype", "name")

    def __init__(self, vault: AsyncCalls, name: str, datatype: type[T], plain: Plain[T] | None) -> None:
        self.name: Final = name
        self.datatype: Final = datatype
        self._vault: Final = vault
        self._plain: Final = plain

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncUnitBase) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash((id(self._vault), self.name))

    def __repr__(self) -> str:
        kind = getattr(self.datatype, "__name__", None)
        return f"<{type(self).__name__} {self.name!r} of {kind}, in {self._vault!r}>"

    @property
    def _identity(self) -> tuple[int, str, object]:
        return id(self._vault), self.name, self.datatype

    def _wrap(self, data: T) -> Any:
        return data if self._plain is None else self._plain.wrap(data)

    def _wrap_all(self, objects: Iterable[T]) -> Iterable[Any]:
        if self._plain is None or isinstance(objects, str | bytes) or not isinstance(objects, Iterable):
            return objects  # for the vault to refuse
        return map(self._plain.wrap, objects)

    def _wrap_pairs(self, objects: Mapping[str, T] | Iterable[tuple[str, T]]) -> Any:
        if self._plain is None or isinstance(objects, str | bytes) or not isinstance(objects, Iterable):
            return objects  # as in `_wrap_all`
        pairs = objects.items() if isinstance(objects, Mapping) else objects
        wrap = self._plain.wrap
        return [(each[0], wrap(each[1])) if isinstance(each, tuple) and len(each) == 2 else each for each in pairs]

    def _shown(self, data: Any) -> T:
        return cast(T, data) if self._plain is None else self._plain.value(data)

    async def _ticket(self, ticket: AsyncTicket[Any] | None) -> AsyncTicket[T] | None:
        if self._plain is None or ticket is None:
            return ticket
        try:
            return AsyncPlainTicket.of(ticket, self._plain)
        except VaultError:
            await ticket.close()
            raise

    def _editing(self, function: Callable[[T], T | None]) -> Callable[[Any], Any]:
        plain = self._plain
        if plain is None or not callable(function):
            return function

        def edit(wrapper: Any) -> Any:
            returned = function(plain.value(wrapper))
            return None if returned is None else plain.wrap(returned, into=wrapper)

        return edit
