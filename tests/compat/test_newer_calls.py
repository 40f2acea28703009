"""Every call and option that an older server does not have: right at it, or refused with nothing done."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from vault import AsyncRemoteStore, AsyncVault, RemoteStore, Vault
from vault.errors import UnsupportedError
from vault.store.contract import AsyncStore
from vault.testing.store.sync_and_async import AsyncFace
from vault.testing.vault.faces import as_async_vault

from tests.compat.interface import interface
from tests.compat.newer_calls import CASES, LEFT_OUT, REFUSED, STRUCTURE, Case, fill
from tests.compat.older import Older
from tests.server.process import Served


@pytest.fixture(scope="module")
def older_server(older: Older, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    directory = tmp_path_factory.mktemp("older") / "store"
    served = older.serve(directory, "--durability", "relaxed")
    yield served, directory
    served.kill()


@asynccontextmanager
async def clients(face: str, address: str) -> AsyncIterator[tuple[AsyncVault, AsyncStore]]:
    if face == "async":
        async with AsyncRemoteStore(address) as store, AsyncVault(store, STRUCTURE) as vault:
            yield vault, store
        return
    with RemoteStore(address) as behind, Vault(behind, STRUCTURE) as sync_vault:
        store_face = AsyncFace(behind)
        yield as_async_vault(sync_vault), store_face
        store_face.release()


async def state(store: AsyncStore, directory: Path) -> Any:
    """All that the server has: its objects, its revision, and the files in its directory."""
    objects = {}
    for unit in await store.list_units():
        page = await store.list_page(unit, page_size=1000)
        loaded = [await store.load(unit, info.data_id) for info in page.objects]
        objects[unit] = [(reader.info, [bytes(block.data) async for block in reader]) for reader in loaded]  # type: ignore[union-attr]  # they are there
    return objects, store.revision, files_of(directory)


def files_of(directory: Path) -> list[str]:
    return sorted(str(path) for path in directory.rglob("*") if not path.name.startswith("register.db"))


@pytest.mark.parametrize("face", ["sync", pytest.param("async", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_what_is_new_is_right_or_refused_at_an_older_server(
    case: Case, face: str, older_server: tuple[Served, Path]
) -> None:
    served, directory = older_server
    async with clients(face, served.address) as (vault, store):
        for unit in await store.list_units():
            await vault.delete_many(unit, [info.data_id async for info in vault.list(unit)])
        await fill(vault)
        before = await state(store, directory)
        try:
            came_to = await case.run(vault, store)
        except UnsupportedError:
            came_to = REFUSED
        assert came_to == case.comes_to
        if not case.writes:
            assert await state(store, directory) == before


def test_nothing_that_is_new_goes_untried(older: Older) -> None:
    before = set(json.loads(older.run("-m", "tests.compat.interface")))
    new = {each for each in interface() if each not in before and (each.partition("(")[0] in before or "(" not in each)}
    tried = {use for case in CASES.values() for use in case.uses}
    assert new - tried - set(LEFT_OUT) == set(), "give it a case in tests/compat/newer_calls.py"
    assert before - set(interface()) == set(), "nothing that there was is gone"
