"""What this version can be asked for that the older one could not, and what comes of it at an older server."""

import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from vault import AsyncVault, TextWrapper
from vault.store import (
    CopySpec,
    DeleteSpec,
    MetadataSpec,
    PrincipalLimits,
    PutSpec,
    SmallPut,
    SmallUpdate,
    Times,
    UnitLimits,
    UpdateSpec,
)
from vault.store.contract import AsyncBlockWriter, AsyncStore
from vault.store.values import ListOrder, checksum
from vault.testing.store.objects import blocks_of

REFUSED: Final = "UnsupportedError, and nothing was done"
STRUCTURE: Final = {"notes": (TextWrapper, 0), "others": (TextWrapper, 0)}
HOLDER: Final = b"0123456789abcdef"

Run = Callable[[AsyncVault, AsyncStore], Awaitable[Any]]


@dataclass(frozen=True)
class Case:
    """A use of something new.

    Attributes:
        uses: Of `interface`.
        comes_to: What it returns, or REFUSED.
        writes: What it changes by what the older server can is not looked at.
    """

    uses: tuple[str, ...]
    run: Run
    comes_to: Any
    writes: bool = False


async def fill(vault: AsyncVault) -> None:
    """What the cases look for."""
    for data_id, name in ((1, "a"), (2, "dir/b"), (3, "dir/c")):
        await vault.upload("notes", TextWrapper(f"text of {name}"), data_id=data_id, name=name, tags={"k": "v"})


async def _send(writer: AsyncBlockWriter, data: bytes) -> Any:
    async with writer:
        for block in blocks_of(data):
            await writer.write(block)
        return await writer.commit(len(data), checksum(data))


def _of_store(uses: str, run: Callable[[AsyncStore], Awaitable[Any]], comes_to: Any = REFUSED) -> Case:
    return Case(tuple(uses.split()), lambda _, store: run(store), comes_to)


def _of_vault(
    uses: str, run: Callable[[AsyncVault], Awaitable[Any]], comes_to: Any = REFUSED, *, writes: bool = False
) -> Case:
    return Case(tuple(uses.split()), lambda vault, _: run(vault), comes_to, writes)


async def _names(vault: AsyncVault, **options: Any) -> list[str | None]:
    return [info.name async for info in vault.list("notes", **options)]


async def _page(store: AsyncStore, **options: Any) -> Any:
    page = await store.list_page("notes", **options)
    return [info.name for info in page.objects], page.prefixes


async def _level(vault: AsyncVault, **options: Any) -> Any:
    level = await vault.list_level("notes", **options)
    return level.prefixes, [info.name for info in level.objects]


async def _read(store: AsyncStore) -> Any:
    found = await store.read("notes", "a", [(0, 4), (-1, None)])
    return None if found is None else (found.info.data_id, found.parts)


async def _write(vault: AsyncVault, **options: Any) -> Any:
    async with await vault.open_writer("notes", name="a", **options) as writer:
        await writer.write(b"new")
    return writer.info.data_id if writer.info else None


async def _opened(vault: AsyncVault) -> Any:
    async with await vault.open_ticket("notes", "a") as ticket:
        return ticket.get_data().data


async def _set(vault: AsyncVault) -> Any:
    async with await vault.open_ticket("notes", "a") as ticket:
        ticket.set(TextWrapper("set"))
    return (await vault.get("notes", "a")).data


async def _verified(vault: AsyncVault) -> Any:
    async with await vault.open("notes", "a", verify="end_to_end") as reader:
        return await reader.read()


async def _computed(vault: AsyncVault) -> Any:
    return await vault.get_or_compute("notes", "new", _never)


async def _memoized(vault: AsyncVault) -> Any:
    function: Any = _never
    result: Any = vault.memoize("notes")(function)()
    return await result


def _never() -> TextWrapper:
    raise AssertionError("nothing is computed that cannot be stored")


async def _unit_infos(vault: AsyncVault) -> Any:
    return [info async for info in vault.unit_infos()]


def _small(spec: PutSpec | UpdateSpec) -> SmallPut:
    return SmallPut(spec, b"new", checksum(b"new"))


def _putting(field: str, spec: PutSpec) -> Case:
    return _of_store(f"PutSpec.{field}", lambda store: store.put_many("notes", [_small(spec)]))


def _copying(field: str, spec: CopySpec) -> Case:
    return _of_store(f"CopySpec.{field}", lambda store: store.copy_many("notes", [spec]))


_LONG_AGO: Final = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
_RENAMED: Final = MetadataSpec("a", name="renamed")

CASES: Final[Mapping[str, Case]] = {
    # Of a Store
    "put": _of_store("Store.put PutSpec.name", lambda store: _put(store, PutSpec("a"))),
    "put, resumable": _of_store("Store.put", lambda store: _put(store, PutSpec("a"), resumable=True)),
    "put many": _of_store("Store.put_many", lambda store: store.put_many("notes", [_small(PutSpec("a"))] * 2)),
    "put an id": _putting("data_id", PutSpec(None, data_id=1)),
    "put tags": _putting("tags", PutSpec("a", tags={"k": "w"})),
    "put a datatype": _putting("datatype", PutSpec("a", datatype="text")),
    "put at a generation": _putting("if_generation", PutSpec("a", if_generation=1)),
    "put for a while": _putting("expires_in", PutSpec("a", expires_in=60.0)),
    "put as a request": _putting("request_id", PutSpec("a", request_id=HOLDER)),
    "put with times": _putting("times", PutSpec("a", times=Times(_LONG_AGO, _LONG_AGO, _LONG_AGO))),
    "update with tags": _of_store("UpdateSpec.tags", lambda store: _update(store, UpdateSpec("a", tags={}))),
    "update at a revision": _of_store(
        "UpdateSpec.if_revision", lambda store: _update(store, UpdateSpec("a", if_revision=1))
    ),
    "update many with tags": _of_store("UpdateSpec.tags", lambda store: _update_many(store, UpdateSpec("a", tags={}))),
    "update many at a revision": _of_store(
        "UpdateSpec.if_revision", lambda store: _update_many(store, UpdateSpec("a", if_revision=1))
    ),
    "delete at a revision": _of_store(
        "DeleteSpec.if_revision",
        lambda store: store.delete_many("notes", [DeleteSpec("a"), DeleteSpec("dir/b", if_revision=2)]),
    ),
    "metadata at a revision": _of_store(
        "MetadataSpec.if_revision", lambda store: store.set_metadata("notes", replace(_RENAMED, if_revision=1))
    ),
    "a name taken over": _of_store(
        "MetadataSpec.replace",
        lambda store: store.set_metadata("notes", MetadataSpec("a", name="dir/b", replace=True)),
    ),
    "metadata for a while": _of_store(
        "MetadataSpec.expires_in", lambda store: store.set_metadata("notes", MetadataSpec("a", expires_in=60.0))
    ),
    "metadata of many": _of_store(
        "Store.set_metadata_many", lambda store: store.set_metadata_many("notes", [_RENAMED])
    ),
    "copy": _of_store("Store.copy_many", lambda store: store.copy_many("notes", [CopySpec("a")])),
    "copy to a unit": _of_store(
        "Store.copy_many", lambda store: store.copy_many("notes", [CopySpec("a")], to_unit="others")
    ),
    "copy a key": _copying("key", CopySpec(1)),
    "copy to a name": _copying("name", CopySpec("a", name="copy")),
    "copy to an id": _copying("data_id", CopySpec("a", data_id=50)),
    "copy over a name": _copying("replace", CopySpec("a", name="dir/b", replace=True)),
    "copy of a generation": _copying("if_generation", CopySpec("a", if_generation=1)),
    "copy as a request": _copying("request_id", CopySpec("a", request_id=HOLDER)),
    "ranges": _of_store("Store.read", _read, (1, [b"text", b"a"])),
    "a lease": _of_store("Store.acquire_lease", lambda store: store.acquire_lease("notes", "a", HOLDER, 5.0)),
    "a lease given back": _of_store("Store.release_lease", lambda store: store.release_lease("notes", "a", HOLDER)),
    "a unit": _of_store("Store.unit_info", lambda store: store.unit_info("notes")),
    "units in pages": _of_store("Store.unit_page", lambda store: store.unit_page()),
    "limits": _of_store(
        "Store.set_unit_limits", lambda store: store.set_unit_limits("notes", UnitLimits(max_objects=1))
    ),
    "a principal": _of_store("Store.principal_info", lambda store: store.principal_info("ann")),
    "principals in pages": _of_store("Store.principal_page", lambda store: store.principal_page()),
    "limits of a principal": _of_store(
        "Store.set_principal_limits", lambda store: store.set_principal_limits("ann", PrincipalLimits(max_objects=1))
    ),
    "names": _of_store(
        "Store.list_page(order)", lambda store: _page(store, order=ListOrder.NAME), (["a", "dir/b", "dir/c"], [])
    ),
    "after a place": _of_store(
        "Store.list_page(after)", lambda store: _page(store, prefix="", after="a"), (["dir/b", "dir/c"], [])
    ),
    "a level": _of_store("Store.list_page(delimiter)", lambda store: _page(store, delimiter="/"), (["a"], ["dir/"])),
    "changes": _of_store("Store.list_page(order)", lambda store: _page(store, order=ListOrder.REVISION)),
    "from the end": _of_store("Store.list_page(descending)", lambda store: _page(store, descending=True)),
    # Of a Vault
    "vault: get": _of_vault("Vault.get", lambda vault: _get(vault), "text of a"),
    "vault: get of what need not be there": _of_vault(
        "Vault.get(default)", lambda vault: vault.get("notes", "none", default=5), 5
    ),
    "vault: open_ticket": _of_vault("Vault.open_ticket", _opened, "text of a"),
    "vault: a ticket's value": _of_vault("Ticket.set", _set, "set", writes=True),
    "vault: a typed unit": _of_vault("Vault.unit", lambda vault: vault.unit("notes", TextWrapper).exists("a"), True),
    "vault: read": _of_vault("Vault.read", lambda vault: vault.read("notes", "a", offset=-4), b"of a"),
    "vault: read_ranges": _of_vault(
        "Vault.read_ranges", lambda vault: vault.read_ranges("notes", "a", [(0, 4), (5, 2)]), [b"text", b"of"]
    ),
    "vault: open": _of_vault("Vault.open(verify)", _verified, b"text of a"),
    "vault: put": _of_vault("Vault.put", lambda vault: vault.put("notes", "a", TextWrapper("new"))),
    "vault: put something large": _of_vault(
        "Vault.put", lambda vault: vault.put("notes", "a", TextWrapper("new" * 1_000_000))
    ),
    "vault: put_many": _of_vault(
        "Vault.put_many", lambda vault: vault.put_many("notes", {"a": TextWrapper("1"), "z": TextWrapper("2" * 2**21)})
    ),
    "vault: put_file": _of_vault("Vault.put_file", lambda vault: vault.put_file("notes", "a", io.BytesIO(b"new"))),
    "vault: a writer that replaces": _of_vault(
        "Vault.open_writer(replace) Vault.open_writer(if_generation) Vault.open_writer(expires_in)",
        lambda vault: _write(vault, replace=True),
    ),
    "vault: a writer at a generation": _of_vault(
        "Vault.open_writer(if_generation)", lambda vault: _write(vault, replace=True, if_generation=1)
    ),
    "vault: a writer for a while": _of_vault(
        "Vault.open_writer(expires_in)", lambda vault: _write(vault, replace=True, expires_in=60)
    ),
    "vault: rename": _of_vault("Vault.rename", lambda vault: _renamed(vault), ("renamed", 1), writes=True),
    "vault: rename over a name": _of_vault(
        "Vault.rename", lambda vault: vault.rename("notes", "a", "dir/b", replace=True)
    ),
    "vault: rename_many": _of_vault("Vault.rename_many", lambda vault: vault.rename_many("notes", {"a": "renamed"})),
    "vault: set_metadata_many": _of_vault(
        "Vault.set_metadata_many", lambda vault: vault.set_metadata_many("notes", [_RENAMED])
    ),
    "vault: copy": _of_vault("Vault.copy", lambda vault: vault.copy("notes", "a", name="copy")),
    "vault: copy over a name": _of_vault(
        "Vault.copy", lambda vault: vault.copy("notes", "a", to_unit="others", name="dir/b", replace=True)
    ),
    "vault: copy_many": _of_vault("Vault.copy_many", lambda vault: vault.copy_many("notes", {"a": "copy"})),
    "vault: tags with an update": _of_vault(
        "Vault.update(tags)", lambda vault: vault.update("notes", "a", TextWrapper("new"), tags={})
    ),
    "vault: update at a revision": _of_vault(
        "Vault.update(if_revision)", lambda vault: vault.update("notes", "a", TextWrapper("new"), if_revision=1)
    ),
    "vault: metadata at a revision": _of_vault(
        "Vault.set_metadata(if_revision)", lambda vault: vault.set_metadata("notes", "a", tags={}, if_revision=1)
    ),
    "vault: touch": _of_vault("Vault.touch", lambda vault: vault.touch("notes", "a", expires_in=60)),
    "vault: touch for ever": _of_vault("Vault.touch", lambda vault: vault.touch("notes", "a")),
    "vault: delete at a revision": _of_vault(
        "Vault.delete(if_revision)", lambda vault: vault.delete("notes", "a", if_revision=1)
    ),
    "vault: list by name": _of_vault(
        "Vault.list(order) Vault.list(after) Vault.list(limit)",
        lambda vault: _names(vault, order="name", after="a", limit=1),
        ["dir/b"],
    ),
    "vault: list the newest": _of_vault(
        "Vault.list(descending)", lambda vault: _names(vault, order="changed", descending=True)
    ),
    "vault: list_level": _of_vault("Vault.list_level", _level, (["dir/"], ["a"])),
    "vault: unit_info": _of_vault("Vault.unit_info", lambda vault: vault.unit_info("notes")),
    "vault: unit_infos": _of_vault("Vault.unit_infos", _unit_infos),
    "vault: set_unit_limits": _of_vault(
        "Vault.set_unit_limits", lambda vault: vault.set_unit_limits("notes", max_objects=1)
    ),
    "vault: get_or_compute": _of_vault("Vault.get_or_compute", _computed),
    "vault: memoize": _of_vault("Vault.memoize", _memoized),
}

LEFT_OUT: Final[Mapping[str, str]] = {
    "Store.for_principal": "a client is one principal, whoever the server is",
    "Store.time": "it asks for nothing",
}
"""What needs no case, and why."""


async def _put(store: AsyncStore, spec: PutSpec, *, resumable: bool = False) -> Any:
    return await _send(await store.put("notes", spec, resumable=resumable), b"new")


async def _update(store: AsyncStore, spec: UpdateSpec) -> Any:
    return await _send(await store.update("notes", spec), b"new")


async def _update_many(store: AsyncStore, spec: UpdateSpec) -> Any:
    items = [SmallUpdate(UpdateSpec("dir/b"), b"new", checksum(b"new")), SmallUpdate(spec, b"new", checksum(b"new"))]
    return await store.update_many("notes", items)


async def _get(vault: AsyncVault) -> Any:
    return (await vault.get("notes", "a")).data


async def _renamed(vault: AsyncVault) -> Any:
    info = await vault.rename("notes", "a", "renamed")
    return info.name, info.data_id
