"""Puts and renames over connections that are lost: each is applied once, whatever its client was told, and when."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from vault.errors import ConflictError, VaultError
from vault.store.contract import AsyncStore
from vault.store.specs import DeleteSpec, MetadataSpec, PutSpec, UpdateSpec
from vault.store.values import ChangeKind, checksum
from vault.testing.store.objects import put as uploaded
from vault.testing.store.objects import raises_refusal, send, small_put, stat, upload_spec
from vault_server import EmbeddedStore, Server

from tests.faults.proxy import Proxy
from tests.remote.transfers import DATA, PART
from tests.remote.transfers import send as send_slowly

U, D, M = ChangeKind.UPDATED, ChangeKind.DELETED, ChangeKind.METADATA
CALLS: dict[str, tuple[Callable[[AsyncStore, int], Awaitable[Sequence[Any]]], list[ChangeKind]]] = {
    "put_many": (
        lambda store, _: store.put_many("u", [small_put(PutSpec("a"), b"x"), small_put(PutSpec("a"), b"y")]),
        [U, U],
    ),
    "update with tags": (
        lambda store, at: store.put_many("u", [small_put(UpdateSpec("a", if_revision=at, tags={"k": "v"}), b"x")]),
        [U],
    ),
    "rename over a name": (
        lambda store, at: store.set_metadata_many("u", [MetadataSpec("a", "b", if_revision=at, replace=True)]),
        [D, M],
    ),
    "delete": (lambda store, at: store.delete_many("u", [DeleteSpec("a", if_revision=at)]), [D]),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("after", [1, 60, 150])
async def test_a_call_whose_reply_is_lost_is_applied_once_and_answered_as_it_was(
    local: Server,
    proxy: Proxy,
    store: EmbeddedStore,
    open_store: Callable[[str], AsyncStore],
    call: str,
    after: int,
) -> None:
    make, kinds = CALLS[call]
    async with open_store(proxy.address) as remote:
        await uploaded(remote, "u", b"there", upload_spec(name="b"))
        info = await uploaded(remote, "u", b"old", upload_spec(name="a"))
        cut = proxy.cut_after(after, "down")
        outcomes = await make(remote, info.revision)
        assert cut.is_set() or after > 1
        assert not [outcome for outcome in outcomes if isinstance(outcome, VaultError)]
        assert [change.kind for change in store.changes(info.revision)[1]] == kinds
        revisions = [outcome if isinstance(outcome, int) else outcome.revision for outcome in outcomes]
        assert revisions[-1] == store.revision == info.revision + len(kinds)


@pytest.mark.parametrize("when", ["on its way", "the commit", "the reply"])
async def test_a_streamed_put_goes_on_over_a_lost_connection_and_replaces_once(
    local: Server, proxy: Proxy, store: EmbeddedStore, open_store: Callable[[str], AsyncStore], when: str
) -> None:
    cuts = []

    def cut(index: int) -> None:
        if (index == 9) == (when == "on its way") and index in (9, -1):
            cuts.append(proxy.cut_after(1 if when == "the reply" else 10, "down" if when == "the reply" else "up"))

    async with open_store(proxy.address) as remote:
        first = await uploaded(remote, "u", b"old", upload_spec(name="a"))
        spec = PutSpec("a", tags={"k": "v"}, if_generation=first.generation, expires_in=3600)
        info = await send_slowly(await remote.put("u", spec), cut, PART)
        assert cuts[0].is_set()
        assert (info.data_id, info.checksum, info.tags) == (first.data_id, checksum(PART), {"k": "v"})
        assert [change.kind for change in store.changes(first.revision)[1]] == [U]
        assert await send(await remote.put("u", spec), PART) == info
        assert store.stat_many("u", ["a"]) == [info]


async def test_of_two_clients_that_put_only_what_is_new_one_does_and_the_other_is_told(
    local: Server, proxy: Proxy, store: EmbeddedStore, open_store: Callable[[str], AsyncStore]
) -> None:
    async with open_store(proxy.address) as one, open_store(proxy.address) as other:
        writer = await one.put("u", PutSpec("a", if_generation=0))
        info = await send(await other.put("u", PutSpec("a", if_generation=0)), DATA[: 1 << 20])
        with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(info.generation)):
            await send(writer, DATA[: 1 << 20])
        outcomes = await asyncio.gather(
            *[each.put_many("u", [small_put(PutSpec("b", if_generation=0), b"x")]) for each in (one, other) * 4]
        )
        won = [outcome for (outcome,) in outcomes if not isinstance(outcome, VaultError)]
        assert won == [await stat(one, "u", "b")]
