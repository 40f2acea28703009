"""A store as one principal may use it: every call of the contract is let in by a scope in a unit, or refused.

Where a principal has no scope at all in a unit, reads answer as if it held nothing. Where he has some but not the one
that a call needs, and for whatever changes something, PermissionDeniedError is raised, before anything is done.

What a write is answered belongs to its scope: the metadata of the object that it was of, that a name or an id is
taken, and the generation that a precondition did not match. Revisions are the whole store's: a caller learns how many
changes there were, and of those of other units nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import wraps
from typing import Any, Final, NoReturn, Protocol, Self, TypeVar

from vault.errors import UnknownUnitError, VaultError, unsupported
from vault.store.contract import AsyncStore, AsyncWatch
from vault.store.limits import check_batch, check_generation, check_spec, check_unit
from vault.store.specs import CopySpec, MetadataSpec
from vault.store.usage import PrincipalInfo, PrincipalLimits, PrincipalPage, UnitPage
from vault.store.values import Capabilities, Change, ObjectInfo, Progress

from vault_server.access.grants import Principal, Scope, denied
from vault_server.rpc.scoped_units import Cursors, visible_page
from vault_server.storage.memory import AsyncMemoryStore

MethodT = TypeVar("MethodT", bound=Callable[..., Any])

_SLICE: Final = 1000
"""Units that are looked through before others have their turn."""


def _shown(scope: Scope, method: MethodT) -> MethodT:
    """A method of the contract that shows something of its unit."""

    @wraps(method)
    async def call(self: "ScopedStore", unit: str, *args: Any, **options: Any) -> Any:
        store = self._seen(unit, scope)
        try:
            return await getattr(store, method.__name__)(unit, *args, **options)
        except UnknownUnitError:
            _refuse_unit(unit)

    call.__isabstractmethod__ = False  # type: ignore[attr-defined]  # as the one that it is made of is
    return call  # type: ignore[return-value]  # of the same signature


def _changed(scope: Scope, method: MethodT) -> MethodT:
    """A method of the contract that changes something of its unit, or is about such a change."""

    @wraps(method)
    async def call(self: "ScopedStore", unit: str, *args: Any, **options: Any) -> Any:
        self.require(unit, scope)
        try:
            return await getattr(self._inner, method.__name__)(unit, *args, **options)
        except UnknownUnitError:
            _refuse_unit(unit)

    call.__isabstractmethod__ = False  # type: ignore[attr-defined]  # likewise
    return call  # type: ignore[return-value]


class Caller(Protocol):
    """Who makes a call."""

    @property
    def principal(self) -> Principal:
        """Asked anew each time: while the call runs the grants may change."""

    def used(self, unit: str, scope: Scope) -> None:
        """Told of each unit and scope by which something is let in."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the stores of one principal have in common, whatever his grants are by now."""

    inner: AsyncStore
    cursors: Cursors = field(default_factory=Cursors)


class ScopedStores:
    """The stores of all principals over one. Belongs to one event loop.

    Args:
        store: It tells principals apart.
        allowed: Units that there are for anybody; none: all.
    """

    def __init__(self, store: AsyncStore, allowed: Iterable[str]) -> None:
        self.store = store
        self.allowed = frozenset(allowed)
        self.nothing = AsyncMemoryStore()
        self._parts: dict[str, _Parts] = {}

    def of(self, caller: Caller) -> "ScopedStore":
        """The store for one call.

        Raises:
            UnsupportedError: The store does not tell principals apart.
        """
        name = caller.principal.name
        parts = self._parts.get(name)
        if parts is None:
            parts = self._parts[name] = _Parts(self.store.for_principal(name) if name else self.store)
        return ScopedStore(self, parts, caller)


class ScopedStore(AsyncStore):
    """Made by ScopedStores. Closing it closes nothing."""

    def __init__(self, shared: ScopedStores, parts: _Parts, caller: Caller) -> None:
        self._inner = parts.inner
        self._cursors = parts.cursors
        self._shared = shared
        self._caller = caller

    @property
    def revision(self) -> int:
        return self._inner.revision

    @property
    def time(self) -> datetime:
        return self._inner.time

    async def capabilities(self) -> Capabilities:
        capabilities = await self._inner.capabilities()
        return replace(capabilities, allowed_units=tuple(await self._visible(capabilities.allowed_units)))

    exists_many = _shown("read", AsyncStore.exists_many)
    stat_many = _shown("read", AsyncStore.stat_many)
    load = _shown("read", AsyncStore.load)
    load_many = _shown("read", AsyncStore.load_many)
    read = _shown("read", AsyncStore.read)
    list_page = _shown("list", AsyncStore.list_page)
    unit_info = _shown("list", AsyncStore.unit_info)
    upload = _changed("write", AsyncStore.upload)
    update = _changed("write", AsyncStore.update)
    put = _changed("write", AsyncStore.put)
    upload_many = _changed("write", AsyncStore.upload_many)
    update_many = _changed("write", AsyncStore.update_many)
    put_many = _changed("write", AsyncStore.put_many)
    write_status = _changed("write", AsyncStore.write_status)
    abort_write = _changed("write", AsyncStore.abort_write)
    acquire_lease = _changed("write", AsyncStore.acquire_lease)
    release_lease = _changed("write", AsyncStore.release_lease)
    delete_many = _changed("delete", AsyncStore.delete_many)
    set_unit_limits = _changed("admin", AsyncStore.set_unit_limits)
    _set_metadata = _changed("write", AsyncStore.set_metadata)
    _set_metadata_many = _changed("write", AsyncStore.set_metadata_many)

    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        check_spec(spec, MetadataSpec)
        self._require_for_renames(unit, [spec])
        return await self._set_metadata(unit, spec)

    async def set_metadata_many(self, unit: str, items: Sequence[MetadataSpec]) -> Sequence[ObjectInfo | VaultError]:
        check_batch(items, MetadataSpec)
        self._require_for_renames(unit, items)
        return await self._set_metadata_many(unit, items)

    async def copy_many(
        self, unit: str, items: Sequence[CopySpec], *, to_unit: str | None = None
    ) -> Sequence[ObjectInfo | VaultError]:
        target = unit if to_unit is None else to_unit
        self.require(target, "write")
        store = self._seen(unit, "read")  # one that holds nothing has nothing to copy, and writes nothing
        try:
            return await store.copy_many(unit, items, to_unit=to_unit)
        except UnknownUnitError as error:
            _refuse_unit(str(error.context.get("unit", unit)))

    async def list_units(self) -> list[str]:
        return await self._visible(await self._inner.list_units())

    async def unit_page(self, *, prefix: str = "", page_size: int = 0, page_token: str = "") -> UnitPage:
        return await visible_page(
            self._inner, self._caller.principal, self._scopes, self._cursors, prefix, page_size, page_token
        )

    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        check_generation(since)
        followed = []
        for unit in dict.fromkeys(units):
            check_unit(unit)
            scopes = self._scopes(unit)
            if "watch" in scopes:
                self._caller.used(unit, "watch")
                followed.append(unit)
            elif scopes:
                raise denied(self._caller.principal, "watch", unit)
        if followed:
            return await self._inner.watch(followed, since=since)
        # Of no unit alone, by whose Progress its changes could be timed.
        return _ScopedWatch(await self._inner.watch(since=since), (lambda _: False) if units else self._may_watch)

    async def principal_info(self, principal: str) -> PrincipalInfo:
        if principal != self._caller.principal.name:
            self._require_admin()
        return await self._inner.principal_info(principal)

    async def principal_page(self, *, prefix: str = "", page_size: int = 0, page_token: str = "") -> PrincipalPage:
        self._require_admin()
        return await self._inner.principal_page(prefix=prefix, page_size=page_size, page_token=page_token)

    async def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        self._require_admin()
        return await self._inner.set_principal_limits(principal, limits)

    def for_principal(self, principal: str) -> Self:  # noqa: ARG002  # nobody is another
        raise unsupported(self, "for_principal")

    async def changes(self, since: int) -> tuple[int, list[Change]]:  # noqa: ARG002  # there is no local feed
        raise unsupported(self, "changes")

    async def close(self) -> None:
        """It is the server's."""

    def _scopes(self, unit: str) -> frozenset[Scope]:
        """All that the principal may do in a unit that is there for anybody."""
        allowed = self._shared.allowed
        return _NONE if allowed and unit not in allowed else self._caller.principal.scopes(unit)

    def _seen(self, unit: str, scope: Scope) -> AsyncStore:
        """The store, or one that holds nothing, where to the principal the unit does not."""
        check_unit(unit)  # first: of what is none, nothing is kept
        scopes = self._caller.principal.scopes(unit)
        if not scopes:
            return self._shared.nothing
        if scope not in scopes:
            raise denied(self._caller.principal, scope, unit)
        return self._let_in(unit, scope)

    def require(self, unit: str, scope: Scope) -> None:
        """Lets the call in; raises PermissionDeniedError where the principal has no such scope in the unit."""
        check_unit(unit)
        self._caller.principal.require(unit, scope)
        self._let_in(unit, scope)

    def _let_in(self, unit: str, scope: Scope) -> AsyncStore:
        if self._shared.allowed and unit not in self._shared.allowed:
            _refuse_unit(unit)
        self._caller.used(unit, scope)
        return self._inner

    def _require_for_renames(self, unit: str, specs: Sequence[MetadataSpec]) -> None:
        """A rename over a name deletes what bears it."""
        if any(spec.replace for spec in specs):
            self.require(unit, "delete")

    def _require_admin(self) -> None:
        if not self._caller.principal.is_admin:
            raise denied(self._caller.principal, "admin")

    def _may_watch(self, unit: str) -> bool:
        return "watch" in self._scopes(unit)

    async def _visible(self, units: Sequence[str]) -> list[str]:
        """Those in which the principal has any scope."""
        found: list[str] = []
        for begin in range(0, len(units), _SLICE):
            found += [unit for unit in units[begin : begin + _SLICE] if self._scopes(unit)]
            await asyncio.sleep(0)
        return found


class _ScopedWatch(AsyncWatch):
    """A watch of all units that tells of changes in some of them, whenever these come to be, and how far it is."""

    def __init__(self, watch: AsyncWatch, tells_of: Callable[[str], bool]) -> None:
        self._watch = watch
        self._tells_of = tells_of

    async def __aiter__(self) -> AsyncIterator[Change | Progress]:
        async for event in self._watch:
            if isinstance(event, Progress) or self._tells_of(event.unit):
                yield event

    async def groups(self) -> AsyncIterator[Sequence[Change | Progress]]:
        async for events in self._watch.groups():
            told = [event for event in events if isinstance(event, Progress) or self._tells_of(event.unit)]
            if told:
                yield told

    async def close(self) -> None:
        await self._watch.close()


_NONE: Final[frozenset[Scope]] = frozenset()


def _refuse_unit(unit: str) -> NoReturn:
    """Raises the error for a unit that is not allowed. The others' names are not the caller's to know."""
    raise UnknownUnitError(f"unit {unit!r} is not allowed here", unit=unit) from None
