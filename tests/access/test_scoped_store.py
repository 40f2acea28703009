"""What a scope lets in: every method of the contract, for every scope, and for nobody."""

import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from vault.errors import (
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnknownUnitError,
    UnsupportedError,
    VaultError,
)
from vault.store import (
    AsyncStore,
    Change,
    CopySpec,
    DeleteSpec,
    LoadItem,
    MetadataSpec,
    ObjectInfo,
    PrincipalLimits,
    Progress,
    PutSpec,
    UnitLimits,
    UpdateSpec,
)
from vault.testing.store.objects import small_put, small_update, small_upload, upload_spec
from vault_server import StoreOptions
from vault_server.access.grants import ANYBODY, SCOPES, Grant, Principal, Scope
from vault_server.rpc.scoped_store import ScopedStore, ScopedStores
from vault_server.storage.memory import AsyncMemoryStore

UNIT, OTHER, EMPTY = "unit", "other", "empty"
HOLDER = b"1" * 16


def principal(*grants: str, name: str = "ann") -> Principal:
    return Principal(name, [Grant.parse(grant) for grant in grants])


@asynccontextmanager
async def filled() -> AsyncIterator[AsyncMemoryStore]:
    async with AsyncMemoryStore() as store:
        for unit in (UNIT, OTHER):
            for data_id, name in ((1, "one"), (2, "two")):
                await store.put_many(unit, [small_put(PutSpec(name, data_id, tags={"a": name}), b"data")])
        yield store


@pytest.fixture
async def store() -> AsyncIterator[AsyncMemoryStore]:
    async with filled() as store:
        yield store


class Calls:
    """Who calls, and what he was let in for."""

    def __init__(self, who: Principal, used: set[tuple[str, Scope]] | None = None) -> None:
        self.principal = who
        self._used = set() if used is None else used

    def used(self, unit: str, scope: Scope) -> None:
        self._used.add((unit, scope))


def scoped(store: AsyncStore, who: Principal, used: set[tuple[str, Scope]] | None = None) -> ScopedStore:
    return ScopedStores(store, ()).of(Calls(who, used))


async def _blocks(found: Any) -> Any:
    if found is None:
        return None
    async with found:
        return [bytes(block.data) async for block in found]


async def _written(writer: Any) -> ObjectInfo:
    async with writer:
        info: ObjectInfo = await writer.commit(0)
        return info


async def _told(watch: Any, count: int = 1) -> list[Any]:
    async with watch:
        told: list[Any] = []
        async for events in watch.groups():
            told += events
            if len(told) >= count:
                return told
    return told


@dataclass(frozen=True)
class Rule:
    """What a call needs in the unit that it is given; `shows`: without any scope the unit looks empty to it."""

    needs: tuple[Scope, ...]
    call: Callable[[AsyncStore, str], Awaitable[Any]]
    shows: bool = False


def _shows(scope: Scope, call: Callable[[AsyncStore, str], Awaitable[Any]]) -> Rule:
    return Rule((scope,), call, shows=True)


def _rename(*, replace: bool) -> MetadataSpec:
    return MetadataSpec("one", name="two" if replace else "three", replace=replace)


async def _load(store: AsyncStore, unit: str) -> Any:
    return await _blocks(await store.load(unit, "one"))


async def _load_one(store: AsyncStore, unit: str) -> Any:
    return await _blocks(await store.load(unit, 1, generation=1))


async def _upload(store: AsyncStore, unit: str) -> Any:
    return await _written(await store.upload(unit, upload_spec(data_id=7)))


async def _update(store: AsyncStore, unit: str) -> Any:
    return await _written(await store.update(unit, UpdateSpec("one")))


async def _put(store: AsyncStore, unit: str) -> Any:
    return await _written(await store.put(unit, PutSpec("one")))


RULES: dict[str, Rule] = {
    "exists_many": _shows("read", lambda store, unit: store.exists_many(unit, ["one", 2, "none"])),
    "stat_many": _shows("read", lambda store, unit: store.stat_many(unit, ["one", 2, "none"])),
    "load": _shows("read", _load),
    "load, at a generation": _shows("read", _load_one),
    "load_many": _shows("read", lambda store, unit: store.load_many(unit, [LoadItem("one"), LoadItem(9)])),
    "read": _shows("read", lambda store, unit: store.read(unit, "one", [(0, 2)])),
    "list_page": _shows("list", lambda store, unit: store.list_page(unit, prefix="")),
    "unit_info": _shows("list", lambda store, unit: store.unit_info(unit)),
    "upload": Rule(("write",), _upload),
    "update": Rule(("write",), _update),
    "put": Rule(("write",), _put),
    "upload_many": Rule(("write",), lambda store, unit: store.upload_many(unit, [small_upload(b"x")])),
    "update_many": Rule(
        ("write",), lambda store, unit: store.update_many(unit, [small_update(UpdateSpec("one"), b"x")])
    ),
    "put_many": Rule(("write",), lambda store, unit: store.put_many(unit, [small_put(PutSpec("one"), b"x")])),
    "set_metadata": Rule(("write",), lambda store, unit: store.set_metadata(unit, _rename(replace=False))),
    "set_metadata, over a name": Rule(
        ("write", "delete"), lambda store, unit: store.set_metadata(unit, _rename(replace=True))
    ),
    "set_metadata_many": Rule(("write",), lambda store, unit: store.set_metadata_many(unit, [_rename(replace=False)])),
    "set_metadata_many, over a name": Rule(
        ("write", "delete"), lambda store, unit: store.set_metadata_many(unit, [_rename(replace=True)])
    ),
    "copy_many": Rule(("write", "read"), lambda store, unit: store.copy_many(unit, [CopySpec("one", "copy")])),
    "write_status": Rule(("write",), lambda store, unit: store.write_status(unit, HOLDER)),
    "abort_write": Rule(("write",), lambda store, unit: store.abort_write(unit, HOLDER)),
    "acquire_lease": Rule(("write",), lambda store, unit: store.acquire_lease(unit, "name", HOLDER, 1.0)),
    "release_lease": Rule(("write",), lambda store, unit: store.release_lease(unit, "name", HOLDER)),
    "delete_many": Rule(("delete",), lambda store, unit: store.delete_many(unit, [DeleteSpec("one")])),
    "set_unit_limits": Rule(("admin",), lambda store, unit: store.set_unit_limits(unit, UnitLimits(5))),
}

OTHERWISE = {
    "capabilities", "list_units", "unit_page", "watch", "changes", "for_principal", "close", "revision", "time",
    "principal_info", "principal_page", "set_principal_limits", "local_feed", "local_bytes",
}  # fmt: skip
"""What is not about one unit, and has tests of its own."""


def test_every_method_of_the_contract_has_a_rule() -> None:
    methods = {name for name in vars(AsyncStore) if not name.startswith("_")}
    assert methods - {name.partition(",")[0] for name in RULES} - OTHERWISE == set(), "give it a rule, and a test here"
    assert methods - set(vars(ScopedStore)) == {"local_feed", "local_bytes"}, "what is not ruled on is not passed on"


async def outcome(call: Awaitable[Any]) -> Any:
    """What a call came to, but for times and for ids that are drawn."""
    try:
        return re.sub(r"\d{10,}|datetime\.datetime\([^)]*\)|\d{4}-[0-9T:.Z+-]+", "…", repr(await call))
    except VaultError as error:
        return type(error), error.reason


@pytest.mark.parametrize("name", RULES)
async def test_a_call_is_let_in_by_its_scopes_and_by_nothing_less(name: str, store: AsyncMemoryStore) -> None:
    rule = RULES[name]
    choices = [chosen for size in (1, 2) for chosen in itertools.combinations(SCOPES, size)]
    for chosen in [*choices, SCOPES]:
        used: set[tuple[str, Scope]] = set()
        mine = scoped(store, principal(f"{UNIT}:{','.join(chosen)}"), used)
        revision = store.revision
        if set(rule.needs) <= set(chosen):
            continue
        with pytest.raises(PermissionDeniedError) as refused:
            await rule.call(mine, UNIT)
        assert refused.value.context["unit"] == UNIT
        assert refused.value.context["scope"] in rule.needs
        assert store.revision == revision
        assert not {scope for unit, scope in used if unit == UNIT} - set(chosen)
    used = set()
    mine = scoped(store, principal(f"un*:{','.join(rule.needs)}"), used)
    came_to = await outcome(rule.call(mine, UNIT))
    assert used == {(UNIT, scope) for scope in rule.needs}
    async with filled() as other:
        assert came_to == await outcome(rule.call(other, UNIT)), "as whoever may do everything is answered"


@pytest.mark.parametrize("name", RULES)
async def test_without_any_scope_a_unit_looks_empty_and_nothing_is_written(name: str, store: AsyncMemoryStore) -> None:
    rule = RULES[name]
    revision, units = store.revision, await store.list_units()
    for grants in ((), (f"{OTHER}:{','.join(SCOPES)}",)):
        mine = scoped(store, principal(*grants))
        if rule.shows:
            shown = await rule.call(mine, UNIT)
            assert repr(shown) == repr(await rule.call(store, EMPTY)).replace(EMPTY, UNIT)
        else:
            with pytest.raises(PermissionDeniedError):
                await rule.call(mine, UNIT)
    assert (store.revision, await store.list_units()) == (revision, units)


@pytest.mark.parametrize("name", RULES)
async def test_a_bad_units_name_is_told_so_whoever_asks(name: str, store: AsyncMemoryStore) -> None:
    for who in (principal(), principal("*:*")):
        with pytest.raises(InvalidArgumentError) as refused:
            await RULES[name].call(scoped(store, who), "a b" * 1000)
        assert refused.value.reason == "BAD_UNIT"


async def test_a_copy_reads_one_unit_and_writes_to_another(store: AsyncMemoryStore) -> None:
    item = [CopySpec("one", "copy")]
    mine = scoped(store, principal(f"{UNIT}:read", f"{OTHER}:write"))
    (copied,) = await mine.copy_many(UNIT, item, to_unit=OTHER)
    assert isinstance(copied, ObjectInfo)
    assert copied.unit == OTHER
    for source, target in ((OTHER, UNIT), (UNIT, UNIT), (OTHER, OTHER), (UNIT, EMPTY)):
        with pytest.raises(PermissionDeniedError):
            await mine.copy_many(source, [CopySpec("one", "again")], to_unit=target)
    revision = store.revision
    (absent,) = await mine.copy_many(EMPTY, [CopySpec("one", "again")], to_unit=OTHER)
    (hidden,) = await scoped(store, principal(f"{OTHER}:write")).copy_many(UNIT, item, to_unit=OTHER)
    assert isinstance(absent, NotFoundError)
    assert isinstance(hidden, NotFoundError)
    assert absent.message.partition(" ")[2] == hidden.message.replace(f"'{UNIT}'", f"'{EMPTY}'").partition(" ")[2]
    assert store.revision == revision


async def test_units_are_shown_where_there_is_any_scope_and_figures_where_they_may_be_listed(
    store: AsyncMemoryStore,
) -> None:
    for grants, names, figures in (
        ((), [], {}),
        ((f"{UNIT}:admin",), [UNIT], {UNIT: 0}),
        (("*:list",), [OTHER, UNIT], {OTHER: 2, UNIT: 2}),
        (("o*:list", "*:write"), [OTHER, UNIT], {OTHER: 2, UNIT: 0}),
    ):
        mine = scoped(store, principal(*grants))
        assert await mine.list_units() == names
        page = await mine.unit_page()
        assert {info.unit: info.objects for info in page.units} == figures
        assert page.next_page_token == ""


async def test_it_is_never_another_principals_and_has_no_local_feed(store: AsyncMemoryStore) -> None:
    mine = scoped(store, principal("*:read"))
    with pytest.raises(UnsupportedError):
        mine.for_principal("bob")
    with pytest.raises(UnsupportedError):
        await mine.changes(0)
    assert (mine.local_feed, mine.revision) == (False, store.revision)
    await mine.close()
    assert await mine.exists_many(UNIT, ["one"]) == [1]


async def test_principals_are_an_admins_and_each_ones_own(store: AsyncMemoryStore) -> None:
    calls: dict[str, Callable[[AsyncStore], Awaitable[Any]]] = {
        "own": lambda store: store.principal_info("ann"),
        "another": lambda store: store.principal_info("bob"),
        "page": lambda store: store.principal_page(),
        "set": lambda store: store.set_principal_limits("ann", PrincipalLimits(max_objects=5)),
    }
    nobody = principal("u*:admin", "*:*")
    for name, call in calls.items():
        let_in = await outcome(call(scoped(store, principal("*:admin"))))
        assert let_in == await outcome(call(store))
        refused = (PermissionDeniedError, "PERMISSION_DENIED")
        assert await outcome(call(scoped(store, nobody))) == (let_in if name == "own" else refused)


async def test_units_that_are_not_allowed_are_told_of_by_their_own_names_alone() -> None:
    async with AsyncMemoryStore(StoreOptions(allowed_units=("mine", "secret"))) as inner:
        for allowed in ((), ("mine", "secret")):
            mine = ScopedStores(inner, allowed).of(Calls(principal("mine*:read,write,watch", "other:read")))
            assert (await mine.capabilities()).allowed_units == ("mine",)
            assert await mine.exists_many("secret", [1]) == [0]
            assert await mine.exists_many("elsewhere", [1]) == [0]
            for unit in ("other", "mine2"):
                with pytest.raises(UnknownUnitError) as refused:
                    await mine.exists_many(unit, [1])
                assert "secret" not in str(refused.value)
            with pytest.raises(UnknownUnitError) as refused:
                await mine.copy_many("mine", [CopySpec(1, "copy")], to_unit="mine2")
            assert "secret" not in str(refused.value)


# -- Watching


async def test_a_watch_tells_of_the_units_that_may_be_watched(store: AsyncMemoryStore) -> None:
    for grants, units in (
        (("*:watch",), {UNIT, OTHER}),
        ((f"{UNIT}:watch", f"{OTHER}:read"), {UNIT}),
        (("u*:watch",), {UNIT}),
        (("*:read,list,write,delete,admin",), set()),
        ((), set()),
    ):
        mine = scoped(store, principal(*grants))
        told = await _told(await mine.watch(since=0), 2 if not units else 1 + 2 * len(units))
        assert {event.unit for event in told if isinstance(event, Change)} == units
        assert isinstance(told[0], Progress)
        one_by_one = []
        async with await mine.watch(since=0) as watch:
            async for event in watch:
                one_by_one.append(event)
                if len(one_by_one) == len(told):
                    break
        assert one_by_one == told


async def test_a_watch_of_named_units_is_silent_of_those_without_a_scope(store: AsyncMemoryStore) -> None:
    used: set[tuple[str, Scope]] = set()
    mine = scoped(store, principal(f"{UNIT}:watch"), used)
    told = await _told(await mine.watch([OTHER, UNIT, EMPTY], since=0), 4)
    assert {event.unit for event in told if isinstance(event, Change)} == {UNIT}
    assert used == {(UNIT, "watch")}
    told = await _told(await mine.watch([OTHER], since=0), 2)
    assert [type(event) for event in told] == [Progress, Progress]
    assert told[-1].revision == store.revision
    with pytest.raises(PermissionDeniedError):
        await scoped(store, principal(f"{UNIT}:watch", f"{OTHER}:read")).watch([UNIT, OTHER])


async def test_units_that_come_later_are_told_of(store: AsyncMemoryStore) -> None:
    mine = scoped(store, principal("new*:watch"))
    async with await mine.watch() as watch:
        events = watch.groups()
        assert [type(event) for event in await anext(events)] == [Progress]
        for unit in ("hidden", "new-1", "hidden", "new-2"):
            await store.put_many(unit, [small_put(PutSpec("name"), b"x")])
        told: list[Any] = []
        while len(told) < 2:
            told += [event for event in await anext(events) if isinstance(event, Change)]
    assert [event.unit for event in told] == ["new-1", "new-2"]


async def test_grants_that_change_meanwhile_are_those_of_the_next_call(store: AsyncMemoryStore) -> None:
    caller = Calls(principal("*:read"))
    mine = ScopedStores(store, ()).of(caller)
    assert await mine.exists_many(UNIT, ["one"]) == [1]
    caller.principal = principal(f"{OTHER}:read")
    assert await mine.exists_many(UNIT, ["one"]) == [0]


def test_anybody_may_do_everything() -> None:
    assert ANYBODY.scopes("any") == frozenset(SCOPES)
