"""What holds for a store that tells principals apart: what one of them asked for is nobody else's request."""

from typing import Any

import pytest

from vault.errors import AlreadyExistsError, ClosedError, InvalidArgumentError, NotFoundError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE, MAX_LEASE
from vault.store.outcomes import single
from vault.store.specs import CopySpec, DeleteSpec, MetadataSpec, UpdateSpec
from vault.store.values import WriteStatus, checksum
from vault.testing.cases import each
from vault.testing.store.objects import (
    WAYS,
    fetch,
    payload,
    put,
    raises_refusal,
    send,
    small_update,
    small_upload,
    stat,
    upload_spec,
)
from vault.testing.store.quotas import ChargeConformance
from vault.testing.store.resuming import write_rest, write_some

DATA = payload(3 * BLOCK_SIZE + 17)


class PrincipalConformance(ChargeConformance):
    """`Store.for_principal`. For stores that have it: StoreConformance goes without."""

    @pytest.fixture
    def ann(self, subject: AsyncStore) -> AsyncStore:
        return subject.for_principal("ann")

    @pytest.fixture
    def bob(self, subject: AsyncStore) -> AsyncStore:
        return subject.for_principal("bob")

    @pytest.mark.parametrize("way", WAYS)
    async def test_one_request_id_of_two_principals_is_two_uploads(
        self, subject: AsyncStore, ann: AsyncStore, bob: AsyncStore, unit: str, way: str
    ) -> None:
        first, request_id = upload_spec(), upload_spec().request_id

        async def upload(store: AsyncStore, data_id: int, data: bytes) -> Any:
            spec = upload_spec(data_id=data_id, request_id=request_id)
            if way == "batch":
                return single(await store.upload_many(unit, [small_upload(data, spec)]))
            return await send(await store.upload(unit, spec, resumable=way == "resumable"), data)

        written = [await upload(store, first.data_id + at, b"%d" % at) for at, store in enumerate((subject, ann, bob))]
        async with self.unchanged(subject, unit):
            for at, store in enumerate((subject, ann, bob)):
                assert await upload(store, first.data_id + at, b"%d" % at) == written[at]
                with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                    await upload(store, first.data_id + at, b"other")
        assert len({info.generation for info in written}) == 3

    async def test_one_request_id_of_two_principals_is_two_writes_of_each_kind(
        self, subject: AsyncStore, ann: AsyncStore, bob: AsyncStore, unit: str
    ) -> None:
        request_id = upload_spec().request_id
        for store in (ann, bob):
            key = (await put(subject, unit, b"data")).data_id
            spec = UpdateSpec(key, request_id=request_id)
            info = single(await store.update_many(unit, [small_update(spec, b"new")]))
            async with self.unchanged(subject, unit):
                assert single(await store.update_many(unit, [small_update(spec, b"new")])) == info
        request_id = upload_spec().request_id
        for store in (ann, bob):
            key = (await put(subject, unit, b"data")).data_id
            named = MetadataSpec(key, tags={"a": "1"}, request_id=request_id)
            info = await store.set_metadata(unit, named)
            async with self.unchanged(subject, unit):
                assert await store.set_metadata(unit, named) == info
                assert single(await store.set_metadata_many(unit, [named])) == info
        request_id = upload_spec().request_id
        for store in (ann, bob):
            copied = CopySpec(key, data_id=upload_spec().data_id, request_id=request_id)
            info = single(await store.copy_many(unit, [copied]))
            async with self.unchanged(subject, unit):
                assert single(await store.copy_many(unit, [copied])) == info
        request_id = upload_spec().request_id
        for store in (ann, bob):
            key = (await put(subject, unit, b"data")).data_id
            gone = DeleteSpec(key, request_id=request_id)
            revision = single(await store.delete_many(unit, [gone]))
            async with self.unchanged(subject, unit):
                assert single(await store.delete_many(unit, [gone])) == revision > 0

    async def test_suspended_writes_of_two_principals_go_on_side_by_side(
        self, subject: AsyncStore, ann: AsyncStore, bob: AsyncStore, unit: str
    ) -> None:
        if not self.resumes:
            pytest.skip("the store keeps no writes, as its class says")
        first, request_id = upload_spec(), upload_spec().request_id
        specs = [upload_spec(data_id=first.data_id + at, request_id=request_id) for at in range(3)]
        stores = (subject, ann, bob)
        for at, store in enumerate(stores):
            writer = await store.upload(unit, specs[at], resumable=True)
            assert writer.persisted_size == 0
            await write_some(writer, DATA, 0, at + 1)
            await writer.suspend()
        for at, store in enumerate(stores):
            assert await store.write_status(unit, request_id) == WriteStatus((at + 1) * BLOCK_SIZE)
        await ann.abort_write(unit, request_id)
        with raises_refusal(NotFoundError, "WRITE_NOT_FOUND"):
            await ann.write_status(unit, request_id)
        for at, store in ((0, subject), (2, bob)):
            async with await store.upload(unit, specs[at], resumable=True) as writer:
                assert writer.persisted_size == (at + 1) * BLOCK_SIZE
                await write_rest(writer, DATA)
                info = await writer.commit(len(DATA), checksum(DATA))
            assert await store.write_status(unit, request_id) == WriteStatus(len(DATA), info)
            assert await fetch(subject, unit, specs[at].data_id) == DATA
        with raises_refusal(NotFoundError, "WRITE_NOT_FOUND"):
            await ann.write_status(unit, request_id)

    async def test_a_write_is_nobody_elses_to_take_over_ask_about_or_abort(
        self, subject: AsyncStore, ann: AsyncStore, bob: AsyncStore, unit: str
    ) -> None:
        if not self.resumes:
            pytest.skip("the store keeps no writes, as its class says")
        spec = upload_spec()
        async with await ann.upload(unit, spec, resumable=True) as writer:
            await write_some(writer, DATA, 0, 2)
            for other in (subject, bob):
                with raises_refusal(NotFoundError, "WRITE_NOT_FOUND"):
                    await other.write_status(unit, spec.request_id)
                await other.abort_write(unit, spec.request_id)
                async with await other.upload(unit, spec, resumable=True) as another:
                    assert another.persisted_size == 0
            await write_rest_from(writer, DATA, 2)
            info = await writer.commit(len(DATA), checksum(DATA))
        for other in (subject, bob):
            with raises_refusal(NotFoundError, "WRITE_NOT_FOUND"):
                await other.write_status(unit, spec.request_id)
            with raises_refusal(AlreadyExistsError, "OBJECT_EXISTS"):
                await other.upload(unit, spec, resumable=True)
        assert await ann.write_status(unit, spec.request_id) == WriteStatus(len(DATA), info)

    async def test_a_lease_is_one_principals_whatever_the_others_call_themselves(
        self, subject: AsyncStore, ann: AsyncStore, bob: AsyncStore, unit: str
    ) -> None:
        holder = b"1" * 16
        stores = (subject, ann, bob)
        for one in stores:
            assert await one.acquire_lease(unit, "name", holder, MAX_LEASE) == 0.0
            assert await one.acquire_lease(unit, "name", holder, MAX_LEASE) == 0.0
            for other in stores:
                if other is not one:
                    await other.release_lease(unit, "name", holder)
                    assert await other.acquire_lease(unit, "name", holder, 1) > 0
            await one.release_lease(unit, "name", holder)

    async def test_it_is_the_same_store(self, subject: AsyncStore, ann: AsyncStore, bob: AsyncStore, unit: str) -> None:
        info = await put(ann, unit, b"data", upload_spec(name="name"))
        for store in (subject, bob, bob.for_principal("ann")):
            assert await stat(store, unit, "name") == info
            assert store.revision == ann.revision
            assert (await store.capabilities()) == await ann.capabilities()
        async with await bob.watch([unit], since=info.revision - 1) as watch:
            told = [event async for event in _first(watch, 2)]
        assert told[-1].revision == info.revision

    async def test_closing_it_closes_nothing_and_closing_the_store_closes_it(
        self, subject: AsyncStore, ann: AsyncStore, unit: str
    ) -> None:
        async with ann:
            await put(ann, unit, b"data", upload_spec(name="name"))
        await ann.close()
        assert await fetch(ann, unit, "name") == await fetch(subject, unit, "name") == b"data"
        await subject.close()
        with pytest.raises(ClosedError):
            await ann.exists_many(unit, ["name"])
        await ann.close()

    @each("name", ["", "a b", "-a", "x" * 129, "ä", None, 5, b"a"])
    async def test_a_principals_name_is_as_a_units(self, subject: AsyncStore, unit: str, name: Any) -> None:  # noqa: ARG002  # as `each` asks for
        with raises_refusal(InvalidArgumentError, "BAD_PRINCIPAL"):
            subject.for_principal(name)


async def write_rest_from(writer: Any, data: bytes, block: int) -> None:
    """The blocks from that one on."""
    await write_some(writer, data, block, len(data) // BLOCK_SIZE + 1)


async def _first(events: Any, count: int) -> Any:
    async for event in events:
        yield event
        count -= 1
        if not count:
            return
