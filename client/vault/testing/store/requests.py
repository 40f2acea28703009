"""What holds for request ids: each stands for one write, and another write under it is an error, never a silent OK."""

from dataclasses import replace as changed
from typing import Any, Final

import pytest

from vault.errors import InvalidArgumentError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.outcomes import single
from vault.store.specs import DeleteSpec, MetadataSpec, UpdateSpec, UploadSpec
from vault.store.values import ObjectInfo
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    WAYS,
    assert_failed_with,
    payload,
    put,
    raises_refusal,
    remove,
    replace,
    send,
    small_update,
    small_upload,
    upload_spec,
)

OTHER_UPLOADS: Final[tuple[dict[str, Any], ...]] = (
    {"data_id": 7_000_007},
    {"name": "another"},
    {"name": None},
    {"tags": {"a": "2"}},
    {"tags": {}},
    {"datatype": "another"},
)
OTHER_BYTES: Final = (b"other", b"more than it was", b"")


class RequestConformance(StoreHarness):
    """Retries that are none."""

    async def _upload(self, store: AsyncStore, unit: str, way: str, spec: UploadSpec, data: bytes) -> ObjectInfo:
        if way == "batch":
            return single(await store.upload_many(unit, [small_upload(data, spec)]))
        return await send(await store.upload(unit, spec, resumable=way == "resumable"), data)

    async def _update(self, store: AsyncStore, unit: str, way: str, spec: UpdateSpec, data: bytes) -> ObjectInfo:
        if way == "batch":
            return single(await store.update_many(unit, [small_update(spec, data)]))
        return await send(await store.update(unit, spec, resumable=way == "resumable"), data)

    @pytest.mark.parametrize("way", WAYS)
    async def test_an_upload_of_other_bytes_under_a_used_request_id_is_refused(
        self, subject: AsyncStore, unit: str, way: str
    ) -> None:
        spec = upload_spec(name="name", tags={"a": "1"}, datatype="text")
        info = await self._upload(subject, unit, way, spec, b"first")
        async with self.unchanged(subject, unit):
            for again in WAYS:
                for other in OTHER_BYTES:
                    with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                        await self._upload(subject, unit, again, spec, other)
                assert await self._upload(subject, unit, again, spec, b"first") == info
        self.assert_raw(unit, info.data_id, b"first")

    async def test_another_upload_under_a_used_request_id_is_refused(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec(name="name", tags={"a": "1"}, datatype="text")
        await put(subject, unit, b"data", spec)
        async with self.unchanged(subject, unit):
            for way in WAYS:
                for other in OTHER_UPLOADS:
                    with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                        await self._upload(subject, unit, way, changed(spec, **other), b"data")

    @pytest.mark.parametrize("way", WAYS)
    async def test_an_update_of_other_bytes_under_a_used_request_id_is_refused(
        self, subject: AsyncStore, unit: str, way: str
    ) -> None:
        old = await put(subject, unit, b"old", upload_spec(name="name"))
        spec = UpdateSpec("name", if_generation=old.generation, datatype="text")
        info = await self._update(subject, unit, way, spec, b"first")
        async with self.unchanged(subject, unit):
            for again in WAYS:
                for other in OTHER_BYTES:
                    with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                        await self._update(subject, unit, again, spec, other)
                assert await self._update(subject, unit, again, spec, b"first") == info
        self.assert_raw(unit, info.data_id, b"first")

    async def test_another_update_under_a_used_request_id_is_refused(self, subject: AsyncStore, unit: str) -> None:
        one = await put(subject, unit, b"one", upload_spec(name="one"))
        two = await put(subject, unit, b"two", upload_spec(name="two"))
        spec = UpdateSpec(one.data_id, datatype="text")
        info = await replace(subject, unit, spec, b"data")
        others: tuple[dict[str, Any], ...] = (
            {"key": two.data_id},
            {"key": "two"},
            {"datatype": "another"},
            {"if_generation": info.generation},
        )
        async with self.unchanged(subject, unit):
            for way in WAYS:
                for other in others:
                    with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                        await self._update(subject, unit, way, changed(spec, **other), b"data")

    async def test_one_request_id_twice_in_a_batch_is_one_write(self, subject: AsyncStore, unit: str) -> None:
        item = small_upload(b"data")
        one, two, three = await subject.upload_many(unit, [item, item, small_upload(b"other", item.spec)])
        assert isinstance(one, ObjectInfo)
        assert two == one
        assert_failed_with(three, InvalidArgumentError, "BAD_REQUEST_ID")
        self.assert_raw(unit, one.data_id, b"data")

    async def test_another_deletion_under_a_used_request_id_is_refused(self, subject: AsyncStore, unit: str) -> None:
        gone = await put(subject, unit, b"gone", upload_spec(name="gone"))
        kept = await put(subject, unit, b"kept", upload_spec(name="kept"))
        spec = DeleteSpec("gone", if_generation=gone.generation)
        revision = await remove(subject, unit, spec)
        others: tuple[dict[str, Any], ...] = (
            {"key": "kept"},
            {"key": kept.data_id},
            {"if_generation": kept.generation},
            {"if_generation": None},
        )
        async with self.unchanged(subject, unit):
            for other in others:
                with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                    await remove(subject, unit, changed(spec, **other))
            assert await remove(subject, unit, spec) == revision
        self.assert_raw(unit, kept.data_id, b"kept")

    async def test_another_change_of_metadata_under_a_used_request_id_is_refused(
        self, subject: AsyncStore, unit: str
    ) -> None:
        one = await put(subject, unit, b"one", upload_spec(name="one"))
        two = await put(subject, unit, b"two", upload_spec(name="two"))
        spec = MetadataSpec(one.data_id, name="new", tags={"a": "1"}, if_generation=one.generation)
        info = await subject.set_metadata(unit, spec)
        others: tuple[dict[str, Any], ...] = (
            {"key": two.data_id},
            {"name": "another"},
            {"name": ""},
            {"tags": {}},
            {"tags": {"a": "2"}},
            {"if_generation": two.generation},
        )
        async with self.unchanged(subject, unit):
            for other in others:
                with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                    await subject.set_metadata(unit, changed(spec, **other))
            assert await subject.set_metadata(unit, spec) == info

    async def test_a_request_id_of_one_kind_of_write_is_none_of_another(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        await put(subject, unit, b"data", spec)
        used: dict[str, Any] = {"key": spec.data_id, "request_id": spec.request_id}
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                await replace(subject, unit, UpdateSpec(**used), b"data")
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                await remove(subject, unit, DeleteSpec(**used))
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                await subject.set_metadata(unit, MetadataSpec(**used, tags={"a": "1"}))
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                await put(subject, f"{unit}.b", b"data", spec)

    async def test_a_large_upload_of_other_bytes_under_a_used_request_id_is_refused(
        self, subject: AsyncStore, unit: str
    ) -> None:
        spec = upload_spec()
        await put(subject, unit, payload(BLOCK_SIZE + 5), spec)
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                await put(subject, unit, payload(BLOCK_SIZE + 5, seed=1), spec)
        self.assert_raw(unit, spec.data_id, payload(BLOCK_SIZE + 5))
