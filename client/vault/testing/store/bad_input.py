"""What holds for arguments that can never work: refused before any I/O, by name, with nothing changed."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest

from vault.errors import InvalidArgumentError, NotFoundError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.outcomes import single
from vault.store.specs import (
    DeleteSpec,
    LoadItem,
    MetadataSpec,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
)
from vault.store.usage import UnitLimits
from vault.store.values import Block
from vault.testing.cases import each
from vault.testing.store.bad_values import (
    CHECKSUMS,
    DATATYPES,
    GENERATIONS,
    HIDDEN,
    IDS,
    NAMES,
    RANGES,
    REQUEST_IDS,
    SEEN,
    TAGS,
    UNITS,
)
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    put,
    raises_refusal,
    remove,
    replace,
    small_put,
    small_update,
    small_upload,
    upload_spec,
)

Act = Callable[[AsyncStore, str, Any], Awaitable[Any]]
ACTS: dict[str, Act] = {
    "exists": lambda store, unit, key: store.exists_many(unit, [key]),
    "stat": lambda store, unit, key: store.stat_many(unit, [key]),
    "load": lambda store, unit, key: store.load(unit, key),
    "update": lambda store, unit, key: replace(store, unit, UpdateSpec(key), b"data"),
    "delete": lambda store, unit, key: remove(store, unit, key),
    "set_metadata": lambda store, unit, key: store.set_metadata(unit, MetadataSpec(key, tags={})),
    "load_many": lambda store, unit, key: _only(store.load_many(unit, [LoadItem(key)])),
    "update_many": lambda store, unit, key: _only(store.update_many(unit, [small_update(UpdateSpec(key), b"data")])),
    "update by put": lambda store, unit, key: store.put(unit, UpdateSpec(key, tags={})),
    "update by put_many": lambda store, unit, key: _only(store.put_many(unit, [small_put(UpdateSpec(key), b"data")])),
    "delete at a revision": lambda store, unit, key: remove(store, unit, DeleteSpec(key, if_revision=1)),
    "set_metadata_many": lambda store, unit, key: _only(store.set_metadata_many(unit, [MetadataSpec(key, tags={})])),
}
"""Every call that takes a key."""

UNIT_ACTS: dict[str, Act] = {
    **ACTS,
    "upload": lambda store, unit, _: put(store, unit, b"data"),
    "upload_many": lambda store, unit, _: _only(store.upload_many(unit, [small_upload(b"data")])),
    "put": lambda store, unit, _: store.put(unit, PutSpec("name")),
    "put_many": lambda store, unit, _: _only(store.put_many(unit, [small_put(PutSpec("name"), b"data")])),
    "list_page": lambda store, unit, _: store.list_page(unit),
    "unit_info": lambda store, unit, _: store.unit_info(unit),
    "set_unit_limits": lambda store, unit, _: store.set_unit_limits(unit, UnitLimits()),
    "watch": lambda store, unit, _: _begin_watch(store, unit),
}
"""Every call that takes a unit."""


TYPED: dict[str, Act] = {
    "load_many": lambda store, unit, wrong: store.load_many(unit, wrong),
    "upload_many": lambda store, unit, wrong: store.upload_many(unit, wrong),
    "update_many": lambda store, unit, wrong: store.update_many(unit, wrong),
    "delete_many": lambda store, unit, wrong: store.delete_many(unit, wrong),
    "one of load_many": lambda store, unit, wrong: store.load_many(unit, [LoadItem(5), wrong]),
    "one of upload_many": lambda store, unit, wrong: store.upload_many(unit, [small_upload(b"data"), wrong]),
    "one of update_many": lambda store, unit, wrong: store.update_many(unit, [small_update(UpdateSpec(5), b""), wrong]),
    "one of delete_many": lambda store, unit, wrong: store.delete_many(unit, [DeleteSpec(5), wrong]),
    "spec in upload_many": lambda store, unit, wrong: store.upload_many(unit, [SmallUpload(wrong, b"", 0)]),
    "spec in update_many": lambda store, unit, wrong: store.update_many(unit, [SmallUpdate(wrong, b"", 0)]),
    "put": lambda store, unit, wrong: store.put(unit, wrong),
    "put_many": lambda store, unit, wrong: store.put_many(unit, wrong),
    "one of put_many": lambda store, unit, wrong: store.put_many(unit, [small_put(PutSpec("name"), b""), wrong]),
    "spec in put_many": lambda store, unit, wrong: store.put_many(unit, [SmallPut(wrong, b"", 0)]),
    "set_metadata_many": lambda store, unit, wrong: store.set_metadata_many(unit, wrong),
    "one of set_metadata_many": lambda store, unit, wrong: store.set_metadata_many(
        unit, [MetadataSpec(5, tags={}), wrong]
    ),
    "upload": lambda store, unit, wrong: store.upload(unit, wrong),
    "update": lambda store, unit, wrong: store.update(unit, wrong),
    "set_metadata": lambda store, unit, wrong: store.set_metadata(unit, wrong),
    "set_unit_limits": lambda store, unit, wrong: store.set_unit_limits(unit, wrong),
    "set_principal_limits": lambda store, unit, wrong: store.set_principal_limits(unit, wrong),
    "write": lambda store, unit, wrong: _begin_and_write(store, unit, wrong),
}
"""Every place that takes a value of a type of `vault.store`."""


async def _begin_and_write(store: AsyncStore, unit: str, block: Any) -> None:
    async with await store.upload(unit, upload_spec()) as writer:
        await writer.write(block)


async def _only(batch: Awaitable[Sequence[Any]]) -> Any:
    """Raises the one item's error: whether a whole batch is refused or the item is left open."""
    return single(await batch)


async def _begin_watch(store: AsyncStore, unit: str) -> None:
    async with await store.watch([unit]) as watch:
        await anext(aiter(watch))


class BadInputConformance(StoreHarness):
    """What `vault.store.limits` forbids, in every place where it can be put."""

    @each("act", UNIT_ACTS)
    async def test_a_bad_unit_is_refused(self, subject: AsyncStore, unit: str, act: Act) -> None:
        async with self.unchanged(subject, unit):
            for bad in UNITS.values():
                with raises_refusal(InvalidArgumentError, "BAD_UNIT", "unit", _shown(bad)):
                    await act(subject, bad, 5)

    @each("act", TYPED)
    async def test_a_value_of_another_type_is_refused(self, subject: AsyncStore, unit: str, act: Act) -> None:
        await put(subject, unit, b"data", upload_spec(data_id=5))
        async with self.unchanged(subject, unit):
            for wrong in (None, 5, b"junk", ["junk"], LoadItem, {"data_id": 5}):
                with raises_refusal(InvalidArgumentError, "INVALID_ARGUMENT", "type"):
                    await act(subject, unit, wrong)

    @each("act", ACTS)
    async def test_a_bad_key_is_refused(self, subject: AsyncStore, unit: str, act: Act) -> None:
        await put(subject, unit, b"data", upload_spec(data_id=5))
        async with self.unchanged(subject, unit):
            for bad in IDS.values():
                with raises_refusal(InvalidArgumentError, "BAD_ID", _shown(bad)):
                    await act(subject, unit, bad)
            for bad in ["", *NAMES.values()]:
                with raises_refusal(InvalidArgumentError, "BAD_NAME", "name"):
                    await act(subject, unit, bad)

    @each("bad", [*IDS.values(), "5"])
    async def test_a_bad_id_cannot_be_uploaded_under(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        await self._assert_not_uploaded(subject, unit, upload_spec(data_id=5), "BAD_ID", data_id=bad)

    @each("bad", [*NAMES.values(), "", 5, b"a"])
    async def test_a_bad_name_cannot_be_uploaded_under(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        await self._assert_not_uploaded(subject, unit, upload_spec(), "BAD_NAME", name=bad)

    async def test_what_is_hidden_cannot_be_uploaded_under(self, subject: AsyncStore, unit: str) -> None:
        for hidden in HIDDEN.values():
            await self._assert_not_uploaded(subject, unit, upload_spec(), "BAD_NAME", name=hidden)
            await self._assert_not_uploaded(subject, unit, upload_spec(), "BAD_TAGS", tags={"k": hidden})
            await self._assert_not_uploaded(subject, unit, upload_spec(), "BAD_TAGS", tags={hidden: "v"})
            await self._assert_not_uploaded(subject, unit, upload_spec(), "BAD_DATATYPE", datatype=hidden)

    async def test_what_is_hidden_cannot_be_given(self, subject: AsyncStore, unit: str) -> None:
        key = (await put(subject, unit, b"data", upload_spec(tags={"k": "v"}))).data_id
        async with self.unchanged(subject, unit):
            for hidden in HIDDEN.values():
                with raises_refusal(InvalidArgumentError, "BAD_NAME", "name"):
                    await subject.set_metadata(unit, MetadataSpec(key, name=hidden))
                for tags in ({"k": hidden}, {hidden: "v"}):
                    with raises_refusal(InvalidArgumentError, "BAD_TAGS", "tag"):
                        await subject.set_metadata(unit, MetadataSpec(key, tags={"k": "v", **tags}))
                with raises_refusal(InvalidArgumentError, "BAD_DATATYPE"):
                    await replace(subject, unit, UpdateSpec(key, datatype=hidden), b"new")
                with raises_refusal(InvalidArgumentError, "BAD_DATATYPE"):
                    await _only(subject.update_many(unit, [small_update(UpdateSpec(key, datatype=hidden), b"new")]))

    async def test_what_is_hidden_is_looked_for_like_any_other(self, subject: AsyncStore, unit: str) -> None:
        await put(subject, unit, b"data", upload_spec(name="a", tags={"k": "v"}))
        for hidden in HIDDEN.values():
            assert await subject.exists_many(unit, [hidden]) == [0]
            assert await subject.stat_many(unit, [hidden]) == [None]
            assert await subject.load(unit, hidden) is None
            assert await subject.load_many(unit, [LoadItem(hidden)]) == [None]
            assert await remove(subject, unit, hidden) == 0
            with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND"):
                await replace(subject, unit, UpdateSpec(hidden), b"data")
            assert (await subject.list_page(unit, prefix=hidden)).objects == []
            assert (await subject.list_page(unit, tags={hidden: hidden})).objects == []

    @each("seen", SEEN)
    async def test_joiners_and_spaces_are_good_names(self, subject: AsyncStore, unit: str, seen: str) -> None:
        info = await put(subject, unit, b"data", upload_spec(name=seen, tags={seen: seen}, datatype=seen))
        assert (info.name, info.tags, info.datatype) == (seen, {seen: seen}, seen)
        assert await subject.stat_many(unit, [seen]) == [info]

    @each("bad", TAGS)
    async def test_bad_tags_cannot_be_uploaded(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        await self._assert_not_uploaded(subject, unit, upload_spec(), "BAD_TAGS", tags=bad)

    @each("bad", DATATYPES)
    async def test_a_bad_datatype_tag_cannot_be_uploaded(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        await self._assert_not_uploaded(subject, unit, upload_spec(), "BAD_DATATYPE", datatype=bad)

    @each("bad", REQUEST_IDS)
    async def test_a_bad_request_id_is_refused(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        await self._assert_not_uploaded(subject, unit, upload_spec(), "BAD_REQUEST_ID", request_id=bad)
        info = await put(subject, unit, b"data")
        key = info.data_id
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID", "16"):
                await replace(subject, unit, UpdateSpec(key, request_id=bad), b"new")
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID", "16"):
                await remove(subject, unit, DeleteSpec(key, request_id=bad))
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID", "16"):
                await subject.set_metadata(unit, MetadataSpec(key, name="n", request_id=bad))

    @each("bad", DATATYPES)
    async def test_a_bad_datatype_tag_cannot_be_updated_to(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        info = await put(subject, unit, b"data")
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, "BAD_DATATYPE"):
                await replace(subject, unit, UpdateSpec(info.data_id, datatype=bad), b"new")

    @each("bad", [*NAMES.values(), 5, b"a"])
    async def test_a_bad_name_cannot_be_given(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        info = await put(subject, unit, b"data")
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, "BAD_NAME", "name"):
                await subject.set_metadata(unit, MetadataSpec(info.data_id, name=bad))

    @each("bad", TAGS)
    async def test_bad_tags_cannot_be_given_nor_looked_for(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        info = await put(subject, unit, b"data")
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, "BAD_TAGS", "tag"):
                await subject.set_metadata(unit, MetadataSpec(info.data_id, tags=bad))
            with raises_refusal(InvalidArgumentError, "BAD_TAGS", "tag"):
                await subject.list_page(unit, tags=bad)

    @each("bad", GENERATIONS)
    async def test_a_bad_generation_is_refused(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        info = await put(subject, unit, b"data")
        key = info.data_id
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, "BAD_GENERATION", _shown(bad)):
                await subject.load(unit, key, if_generation=bad)
            with raises_refusal(InvalidArgumentError, "BAD_GENERATION", _shown(bad)):
                await subject.load(unit, key, if_generation_not_match=bad)
            with raises_refusal(InvalidArgumentError, "BAD_GENERATION", _shown(bad)):
                await subject.load(unit, key, generation=bad)
            with raises_refusal(InvalidArgumentError, "BAD_GENERATION", _shown(bad)):
                await _only(subject.load_many(unit, [LoadItem(key, if_generation_not_match=bad)]))
            with raises_refusal(InvalidArgumentError, "BAD_GENERATION", _shown(bad)):
                await replace(subject, unit, UpdateSpec(key, if_generation=bad), b"new")
            with raises_refusal(InvalidArgumentError, "BAD_GENERATION", _shown(bad)):
                await remove(subject, unit, DeleteSpec(key, if_generation=bad))
            for name in ("if_generation", "if_revision"):
                with raises_refusal(InvalidArgumentError, "BAD_GENERATION", _shown(bad)):
                    await subject.set_metadata(unit, MetadataSpec(key, tags={}, **{name: bad}))
            with raises_refusal(InvalidArgumentError, "BAD_GENERATION", _shown(bad)):
                await replace(subject, unit, UpdateSpec(key, if_revision=bad), b"new")
            with raises_refusal(InvalidArgumentError, "BAD_GENERATION", _shown(bad)):
                await remove(subject, unit, DeleteSpec(key, if_revision=bad))

    @each("bad", RANGES)
    async def test_a_bad_range_is_refused(self, subject: AsyncStore, unit: str, bad: dict[str, Any]) -> None:
        info = await put(subject, unit, b"data")
        (what, value) = next(iter(bad.items()))
        with raises_refusal(InvalidArgumentError, "BAD_RANGE", what, _shown(value)):
            await subject.load(unit, info.data_id, **bad)

    @each("bad", [True, 5.0, "5", None])
    async def test_a_bad_page_size_is_refused(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_PAGE_SIZE", _shown(bad)):
            await subject.list_page(unit, page_size=bad)

    @each("bad", [*NAMES.values(), 5, b"a"])
    async def test_a_bad_prefix_is_refused(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_NAME", "prefix"):
            await subject.list_page(unit, prefix=bad)

    @each("bad", GENERATIONS)
    async def test_a_bad_revision_cannot_be_watched_from(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        with pytest.raises(InvalidArgumentError):
            async with await subject.watch([unit], since=bad) as watch:
                await anext(aiter(watch))

    @each("bad", CHECKSUMS)
    async def test_a_bad_checksum_is_refused(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        info = await put(subject, unit, b"data")
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, "BAD_CHECKSUM", _shown(bad)):
                async with await subject.upload(unit, upload_spec()) as writer:
                    await writer.write(Block(0, b"data", bad))
            with raises_refusal(InvalidArgumentError, "BAD_CHECKSUM", _shown(bad)):
                await _only(subject.upload_many(unit, [SmallUpload(upload_spec(), b"data", bad)]))
            with raises_refusal(InvalidArgumentError, "BAD_CHECKSUM", _shown(bad)):
                await _only(subject.update_many(unit, [SmallUpdate(UpdateSpec(info.data_id), b"data", bad)]))
            if bad is not None:
                with raises_refusal(InvalidArgumentError, "BAD_CHECKSUM", _shown(bad)):
                    async with await subject.update(unit, UpdateSpec(info.data_id)) as writer:
                        await writer.commit(0, bad)

    @each("bad", ["data", None, 4, [1]])
    async def test_data_that_are_no_bytes_are_refused(self, subject: AsyncStore, unit: str, bad: Any) -> None:
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, "BAD_DATA", type(bad).__name__):
                async with await subject.upload(unit, upload_spec()) as writer:
                    await writer.write(Block(0, bad, 5))
            with raises_refusal(InvalidArgumentError, "BAD_DATA", type(bad).__name__):
                await _only(subject.upload_many(unit, [SmallUpload(upload_spec(), bad, 5)]))

    async def test_errors_do_not_show_all_of_a_long_value(self, subject: AsyncStore) -> None:
        with pytest.raises(InvalidArgumentError) as caught:
            await subject.exists_many("a" * BLOCK_SIZE, [5])
        assert len(str(caught.value)) < 1000

    async def _assert_not_uploaded(
        self, store: AsyncStore, unit: str, spec: UploadSpec, reason: str, **bad: Any
    ) -> None:
        fields = {name: getattr(spec, name) for name in ("data_id", "name", "tags", "datatype", "request_id")}
        spec = cast(Any, UploadSpec)(**{**fields, **bad})
        async with self.unchanged(store, unit):
            with raises_refusal(InvalidArgumentError, reason):
                await put(store, unit, b"data", spec)
            with raises_refusal(InvalidArgumentError, reason):
                await _only(store.upload_many(unit, [small_upload(b"data", spec)]))


def _shown(value: object) -> str:
    """As much of the value as an error must show."""
    return repr(value)[:40]
