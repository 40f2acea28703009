"""Other faces of a vault behind the shape of AsyncVault, so that one suite drives all: the sync one, and its units.

What is awaited of the async class is called of the sync one, on a worker thread; what is not, directly. The
async class says which is which, so that nothing is listed twice. Through its units a vault is asked by whatever
AsyncUnit has of its calls.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Self, cast

from vault._async.files.object_reader import AsyncObjectReader
from vault._async.files.object_writer import AsyncObjectWriter
from vault._async.objects.ticket import AsyncTicket
from vault._async.vault.facade import AsyncVault
from vault._async.vault.typed_unit import AsyncUnit
from vault._sync.files.object_reader import ObjectReader
from vault._sync.files.object_writer import ObjectWriter
from vault._sync.objects.ticket import Ticket
from vault._sync.vault.facade import Vault
from vault._sync.vault.typed_unit import Unit
from vault.errors import BatchError
from vault.unit import UnitLike, UnitSettings

_SHAPES: dict[type[Any], type[Any]] = {
    Vault: AsyncVault,
    Unit: AsyncUnit,
    Ticket: AsyncTicket,
    ObjectReader: AsyncObjectReader,
    ObjectWriter: AsyncObjectWriter,
}


class _Face:
    """An object of the sync side, used as one of the async side is."""

    def __init__(self, behind: Any, shape: type[Any]) -> None:
        self._behind = behind
        self._shape = shape

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._behind, name)
        if not inspect.iscoroutinefunction(inspect.getattr_static(self._shape, name, None)):
            return (lambda *args, **options: _faced(found(*args, **options))) if callable(found) else found

        async def call(*args: Any, **options: Any) -> Any:
            try:
                return _faced(await asyncio.to_thread(found, *args, **options))
            except BatchError as error:
                raise BatchError(_faced(error.results)) from error

        return call

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Face) and bool(self._behind == other._behind)

    def __hash__(self) -> int:
        return hash(self._behind)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._behind.__enter__)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.to_thread(self._behind.__exit__, *exc_info)


def _faced(value: Any) -> Any:
    """`value` with a face before everything of the sync side in it."""
    for kind, shape in _SHAPES.items():
        if isinstance(value, kind):
            return _Face(value, shape)
    if isinstance(value, list | tuple):
        return type(value)(_faced(item) for item in value)
    return _from_threads(value) if isinstance(value, Iterator) else value


async def _from_threads(items: Iterator[Any]) -> AsyncIterator[Any]:
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item


def as_async_vault(vault: Vault | AsyncVault) -> AsyncVault:
    """`vault` behind the shape of AsyncVault: itself when it is one."""
    return vault if isinstance(vault, AsyncVault) else cast(AsyncVault, _faced(vault))


class _ThroughUnits:
    """A vault whose calls on a unit of the structure go to the unit, which is declared by the first of them."""

    def __init__(self, vault: AsyncVault, structure: Mapping[str, UnitLike]) -> None:
        self._vault = vault
        self._structure = {
            name: unit if isinstance(unit, UnitSettings) else UnitSettings(*unit) for name, unit in structure.items()
        }
        self._units: dict[str, AsyncUnit[Any]] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._vault, name)
        if not hasattr(AsyncUnit, name):
            return found

        def call(unit: Any, *args: Any, **options: Any) -> Any:
            settings = self._structure.get(unit) if isinstance(unit, str) else None
            if settings is None:
                return found(unit, *args, **options)
            if unit not in self._units:
                self._units[unit] = self._vault.unit(
                    unit, settings.datatype, max_cached=settings.max_cached, max_bytes=settings.max_bytes
                )
            return getattr(self._units[unit], name)(*args, **options)

        return call


def through_units(vault: AsyncVault, structure: Mapping[str, UnitLike]) -> AsyncVault:
    """`vault` behind the shape of AsyncVault, with every call on a unit made of the unit."""
    return cast(AsyncVault, _ThroughUnits(vault, structure))
