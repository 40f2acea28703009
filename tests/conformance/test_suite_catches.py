"""The suite is held to something too: each of these stores breaks one promise, and the test of that promise fails."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from vault.errors import VaultError
from vault.store.contract import AsyncBlockReader, AsyncBlockWriter, AsyncWatch, LoadResult
from vault.store.limits import BLOCK_SIZE
from vault.store.threaded import _ThreadedReader, _ThreadedWriter
from vault.store.values import (
    Block,
    Change,
    DeleteSpec,
    Key,
    ListOrder,
    LoadItem,
    MetadataSpec,
    NotModified,
    ObjectInfo,
    Page,
    Progress,
    PutSpec,
    SmallPut,
    SmallUpload,
    UnitInfo,
    UnitLimits,
    UpdateSpec,
    UploadSpec,
    checksum,
    new_request_id,
)
from vault.testing import AsyncFace, StoreConformance
from vault.testing.store import expiry, feed
from vault.testing.store.objects import put
from vault.testing.store.sync_and_async import AsyncWatchFace
from vault_server import EmbeddedStore, StoreOptions


class LosesTags(AsyncFace):
    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return await super().upload(unit, replace(spec, tags={}), resumable=resumable)


class _CommittingWriter(_ThreadedWriter):
    size = 0

    async def write(self, block: Block) -> None:
        await super().write(block)
        self.size += len(block.data)

    async def abort(self) -> None:
        try:
            await self.commit(self.size)
        except VaultError:
            await super().abort()


class TakesTheEndForACommit(AsyncFace):
    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return _CommittingWriter(self._store.upload(unit, spec, resumable=resumable), self._pool)


class _TrustingWriter(_ThreadedWriter):
    async def write(self, block: Block) -> None:
        await super().write(Block(block.offset, block.data, checksum(block.data)))


class TrustsChecksums(AsyncFace):
    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return _TrustingWriter(self._store.upload(unit, spec, resumable=resumable), self._pool)


class _CarelessWriter(_ThreadedWriter):
    size = 0

    async def write(self, block: Block) -> None:
        await super().write(block)
        self.size += len(block.data)

    async def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        return await super().commit(self.size)


class CommitsWhateverCame(AsyncFace):
    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return _CarelessWriter(self._store.upload(unit, spec, resumable=resumable), self._pool)


class IgnoresPreconditions(AsyncFace):
    async def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return await super().update(unit, replace(spec, if_generation=None), resumable=resumable)

    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        return await super().delete_many(unit, [replace(item, if_generation=None) for item in items])


class ForgetsRequests(AsyncFace):
    async def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return await super().update(unit, replace(spec, request_id=new_request_id()), resumable=resumable)

    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        return await super().delete_many(unit, [replace(item, request_id=new_request_id()) for item in items])


class TakesOtherBytesForARetry(AsyncFace):
    """Answers a batch's item whose request id it knows without a look at its bytes."""

    def __init__(self, store: EmbeddedStore) -> None:
        super().__init__(store)
        self._answered: dict[bytes, ObjectInfo] = {}

    async def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        if items[0].spec.request_id not in self._answered:
            (outcome,) = await super().upload_many(unit, items)
            assert isinstance(outcome, ObjectInfo)
            self._answered[items[0].spec.request_id] = outcome
        return [self._answered[items[0].spec.request_id]]


class DeletesBeforeAPut(AsyncFace):
    """What an adapter does that has no put."""

    async def put(self, unit: str, spec: PutSpec | UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        assert isinstance(spec, PutSpec)
        if spec.name is not None:
            await self.delete_many(unit, [DeleteSpec(spec.name)])
        return await super().upload(unit, UploadSpec(spec.data_id, spec.name, spec.tags, spec.datatype))


class PutsAgain(AsyncFace):
    async def put_many(self, unit: str, items: Sequence[SmallPut]) -> Sequence[ObjectInfo | VaultError]:
        fresh = [replace(item, spec=replace(item.spec, request_id=new_request_id())) for item in items]
        return await super().put_many(unit, fresh)


class PutsWhateverIsThere(AsyncFace):
    async def put_many(self, unit: str, items: Sequence[SmallPut]) -> Sequence[ObjectInfo | VaultError]:
        return await super().put_many(
            unit, [replace(item, spec=replace(item.spec, if_generation=None)) for item in items]
        )


class RenamesInTwoSteps(AsyncFace):
    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        if spec.replace and spec.name and spec.name != spec.key:
            await self.delete_many(unit, [DeleteSpec(spec.name)])
        return await super().set_metadata(unit, spec)


class OverwritesTags(AsyncFace):
    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        return await super().set_metadata(unit, replace(spec, if_revision=None))


class ListsByWildcard(AsyncFace):
    async def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
        **order: Any,
    ) -> Page:
        prefix = prefix and prefix.split("%", maxsplit=1)[0]
        return await super().list_page(
            unit, prefix=prefix, tags=tags, page_size=page_size, page_token=page_token, **order
        )


class SkipsBetweenPages(AsyncFace):
    async def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
        **order: Any,
    ) -> Page:
        page = await super().list_page(
            unit, prefix=prefix, tags=tags, page_size=page_size, page_token=page_token, **order
        )
        return Page(page.objects[1:] if page_token else page.objects, page.next_page_token)


class ListsOneWay(AsyncFace):
    async def list_page(self, unit: str, *, descending: bool = False, **options: Any) -> Page:
        page = await super().list_page(unit, **options)
        return replace(page, objects=page.objects[::-1], prefixes=page.prefixes[::-1]) if descending else page


class BeginsWithThePlace(AsyncFace):
    async def list_page(self, unit: str, *, after: Any = None, **options: Any) -> Page:
        return await super().list_page(unit, after=after and after - 1, **options)


class ListsAPrefixOnEveryPage(AsyncFace):
    """As one does who goes on after the last name."""

    async def list_page(self, unit: str, *, page_token: str = "", delimiter: str | None = None, **options: Any) -> Page:
        page = await super().list_page(unit, page_token=page_token, delimiter=delimiter, **options)
        return replace(page, prefixes=[*page.prefixes[:1], *page.prefixes]) if page_token else page


class ShowsWhatIsBelow(AsyncFace):
    async def list_page(self, unit: str, *, delimiter: str | None = None, **options: Any) -> Page:
        if delimiter is None:
            return await super().list_page(unit, **options)
        flat = await super().list_page(unit, **{"prefix": "", **options})
        level = await super().list_page(unit, delimiter=delimiter, **options)
        return replace(level, objects=flat.objects)


class _Reader(_ThreadedReader):
    """Blocks with something changed."""

    def __init__(self, reader: _ThreadedReader, change: Any) -> None:
        super().__init__(reader._reader, reader._pool)
        self._change = change

    async def __aiter__(self) -> AsyncIterator[Block]:
        async for block in super().__aiter__():
            yield self._change(block)


class MakesNewChecksums(AsyncFace):
    async def load(self, unit: str, key: Key, **options: Any) -> AsyncBlockReader | NotModified | None:
        found = await super().load(unit, key, **options)
        if isinstance(found, _ThreadedReader):
            return _Reader(found, lambda block: Block(block.offset, block.data, 0))
        return found


class SendsMoreThanTheRange(AsyncFace):
    async def load(self, unit: str, key: Key, **options: Any) -> AsyncBlockReader | NotModified | None:
        return await super().load(unit, key, **{**options, "length": None})


class _LateReader(_ThreadedReader):
    def __init__(self, store: EmbeddedStore, reader: _ThreadedReader) -> None:
        super().__init__(reader._reader, reader._pool)
        self._store = store

    async def __aiter__(self) -> AsyncIterator[Block]:
        for index in range(self.info.block_count):
            newest: Any = self._store.load(self.info.unit, self.info.data_id, offset=index * BLOCK_SIZE, length=1)
            if newest is None:
                return
            with newest:
                for block in newest:
                    yield block


class ReadsTheNewest(AsyncFace):
    async def load(self, unit: str, key: Key, **options: Any) -> AsyncBlockReader | NotModified | None:
        found = await super().load(unit, key, **options)
        assert isinstance(self._store, EmbeddedStore)
        return _LateReader(self._store, found) if isinstance(found, _ThreadedReader) else found


class LoadsThePresentGeneration(AsyncFace):
    async def load(self, unit: str, key: Key, **options: Any) -> AsyncBlockReader | NotModified | None:
        return await super().load(unit, key, **{**options, "generation": None})


class AnswersOutOfOrder(AsyncFace):
    async def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        return list(reversed(await super().load_many(unit, items)))


class WritesOnMetadata(AsyncFace):
    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        info = await super().set_metadata(unit, spec)
        return replace(info, generation=info.revision)


class KnowsOnlyThatItExists(AsyncFace):
    async def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        return [min(generation, 1) for generation in await super().exists_many(unit, keys)]


class _Watch(AsyncWatchFace):
    def __init__(self, watch: AsyncWatchFace, keep: Any) -> None:
        super().__init__(watch._watch)
        self._keep = keep

    async def __aiter__(self) -> AsyncIterator[Change | Progress]:
        async for event in super().__aiter__():
            if self._keep(event):
                yield event


class LosesChanges(AsyncFace):
    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        watch = await super().watch(units, since=since)
        assert isinstance(watch, AsyncWatchFace)
        return _Watch(watch, lambda event: not (isinstance(event, Change) and event.kind.name == "METADATA"))


class _Groups(AsyncWatchFace):
    async def groups(self) -> AsyncIterator[Sequence[Change | Progress]]:
        async for events in super().groups():
            yield events[-1:]


class LosesChangesInGroups(AsyncFace):
    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        watch = await super().watch(units, since=since)
        assert isinstance(watch, AsyncWatchFace)
        return _Groups(watch._watch)


class StartsInSilence(AsyncFace):
    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        watch = await super().watch(units, since=since)
        assert isinstance(watch, AsyncWatchFace)
        return _Watch(watch, lambda event: isinstance(event, Change))


class TellsOfEveryUnit(AsyncFace):
    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        return await super().watch([], since=since)


class StaysOpen(AsyncFace):
    async def close(self) -> None:
        """Does not."""


class MakesUnitsOfAnyName(AsyncFace):
    async def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        try:
            return await super().exists_many(unit, keys)
        except ValueError:
            return [0] * len(keys)


class ShowsWhatHasExpired(AsyncFace):
    """Goes on showing what it has seen to expire, as long as nothing else is there."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._seen: dict[Key, ObjectInfo] = {}

    async def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        infos = await super().stat_many(unit, keys)
        for key, info in zip(keys, infos, strict=True):
            if info is not None:
                self._seen[key] = info
        return [info or self._seen.get(key) for key, info in zip(keys, infos, strict=True)]


class ForgetsWhenToExpire(AsyncFace):
    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        return await super().set_metadata(unit, replace(spec, expires_in=None))


class TellsNothingOfExpiries(AsyncFace):
    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        watch = await super().watch(units, since=since)
        assert isinstance(watch, AsyncWatchFace)
        return _Watch(watch, lambda event: not (isinstance(event, Change) and event.kind.name == "DELETED"))


class ForgetsLimits(AsyncFace):
    async def set_unit_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        return replace(await super().unit_info(unit), limits=limits)


class RefusesWhereItShouldEvict(AsyncFace):
    async def set_unit_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        return await super().set_unit_limits(unit, replace(limits, when_full="refuse"))


class CountsWhatWasDeleted(AsyncFace):
    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._deleted = 0

    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        outcomes = await super().delete_many(unit, items)
        self._deleted += sum(isinstance(outcome, int) and outcome > 0 for outcome in outcomes)
        return outcomes

    async def unit_info(self, unit: str) -> UnitInfo:
        info = await super().unit_info(unit)
        return replace(info, objects=info.objects + self._deleted)


Broken = tuple[type[AsyncFace], str, dict[str, Any]]
STREAMED: dict[str, Any] = {"way": "stream", "size": 1000}
BROKEN: list[Broken] = [
    (LosesTags, "test_the_info_says_all_that_the_spec_said", {}),
    (TakesTheEndForACommit, "test_a_writer_left_without_a_commit_leaves_nothing", {}),
    (TakesTheEndForACommit, "test_a_writer_left_by_an_exception_leaves_nothing", {}),
    (TrustsChecksums, "test_a_block_with_a_wrong_checksum_is_refused", {"wrong": 1}),
    (CommitsWhateverCame, "test_a_commit_with_a_wrong_size_is_refused", {"size": 3}),
    (CommitsWhateverCame, "test_a_commit_with_a_wrong_checksum_is_refused", {"size": 4}),
    (IgnoresPreconditions, "test_if_generation_lets_the_right_writer_through", {}),
    (IgnoresPreconditions, "test_of_two_writers_of_one_generation_the_first_to_commit_wins", {}),
    (IgnoresPreconditions, "test_if_generation_protects_what_was_written_since", {}),
    (ForgetsRequests, "test_a_retried_update_is_done_once_and_answers_the_same", {"size": 1000}),
    (ForgetsRequests, "test_a_retried_deletion_is_done_once_and_answers_the_same", {}),
    (TakesOtherBytesForARetry, "test_an_upload_of_other_bytes_under_a_used_request_id_is_refused", {"way": "batch"}),
    (DeletesBeforeAPut, "test_the_object_is_there_until_the_commit_and_after_it", {}),
    (DeletesBeforeAPut, "test_whether_it_is_new_is_decided_at_the_commit", {}),
    (DeletesBeforeAPut, "test_a_put_replaces_what_bears_the_name_but_for_its_id_and_its_beginning", STREAMED),
    (PutsAgain, "test_a_retried_put_is_done_once_and_answers_the_same", {"way": "batch", "there": "name"}),
    (PutsWhateverIsThere, "test_preconditions_are_of_what_bears_the_name_then", {"way": "batch"}),
    (RenamesInTwoSteps, "test_a_rename_over_a_name_deletes_what_bears_it_and_nobody_sees_neither", {}),
    (RenamesInTwoSteps, "test_a_rename_over_a_name_that_is_refused_leaves_both", {}),
    (OverwritesTags, "test_if_revision_asks_for_all_that_one_knows", {}),
    (ListsByWildcard, "test_with_a_prefix_named_objects_come_in_the_order_of_names", {}),
    (SkipsBetweenPages, "test_pages_put_together_are_the_listing", {"page_size": 3}),
    (SkipsBetweenPages, "test_what_exists_all_the_while_is_listed_once", {"prefix": ""}),
    (ListsOneWay, "test_a_listing_is_in_the_order_asked_for", {"order": ListOrder.NAME, "descending": True}),
    (
        BeginsWithThePlace,
        "test_a_listing_begins_after_a_place_that_need_not_be_there",
        {"order": ListOrder.ID, "descending": False},
    ),
    (ListsAPrefixOnEveryPage, "test_a_level_comes_one_entry_a_page", {}),
    (ShowsWhatIsBelow, "test_a_level_has_each_prefix_once_and_the_objects_at_it", {"descending": False}),
    (MakesNewChecksums, "test_blocks_are_whole_in_order_and_carry_the_writers_checksums", {"size": 1000}),
    (SendsMoreThanTheRange, "test_a_range_is_answered_by_the_blocks_that_cover_it", {"offset": 0, "length": 1}),
    (
        ReadsTheNewest,
        "test_a_reader_finishes_the_generation_it_began_while_it_is_replaced",
        {"size": 12 * BLOCK_SIZE + 1},
    ),
    (ReadsTheNewest, "test_a_reader_finishes_an_object_that_is_deleted", {"size": 12 * BLOCK_SIZE + 1}),
    (LoadsThePresentGeneration, "test_a_replaced_generation_is_whole_or_gone", {"size": 1000}),
    (LoadsThePresentGeneration, "test_a_generation_that_never_was_is_a_conflict", {}),
    (AnswersOutOfOrder, "test_each_item_wanted_has_its_own_outcome_in_order", {}),
    (WritesOnMetadata, "test_a_name_and_tags_are_set_without_touching_the_bytes", {}),
    (KnowsOnlyThatItExists, "test_objects_are_asked_for_in_any_order_and_number", {}),
    (LosesChanges, "test_every_kind_of_change_is_told_with_what_came_of_it", {}),
    (LosesChangesInGroups, "test_groups_hold_the_same_events_in_the_same_order", {}),
    (StartsInSilence, "test_the_first_event_says_where_the_watch_starts", {}),
    (TellsOfEveryUnit, "test_a_watch_of_units_tells_of_no_others", {}),
    (ShowsWhatHasExpired, "test_an_object_is_there_until_its_moment_and_never_after_it", {}),
    (ForgetsWhenToExpire, "test_a_later_moment_is_kept_to", {}),
    (ForgetsWhenToExpire, "test_what_never_expires_says_so", {}),
    (TellsNothingOfExpiries, "test_it_is_told_of_as_a_deletion_though_nobody_does_anything", {}),
    (ForgetsLimits, "test_what_goes_over_a_limit_is_refused_and_changes_nothing", {}),
    (ForgetsLimits, "test_limits_are_kept_whatever_is_written", {}),
    (RefusesWhereItShouldEvict, "test_what_was_stored_longest_ago_goes_first", {}),
    (CountsWhatWasDeleted, "test_every_kind_of_write_is_counted", {}),
    (StaysOpen, "test_leaving_the_with_block_closes", {}),
    (
        MakesUnitsOfAnyName,
        "test_a_bad_unit_is_refused",
        {"act": lambda store, unit, key: store.exists_many(unit, [key])},
    ),
]


@pytest.mark.parametrize(
    ("broken", "test", "options"), BROKEN, ids=[f"{kind.__name__}-{name}" for kind, name, _ in BROKEN]
)
async def test_a_broken_promise_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: type[AsyncFace], test: str, options: dict[str, Any]
) -> None:
    suite = StoreConformance()
    monkeypatch.setattr(StoreConformance, "retains", True)
    held_to = getattr(suite, test)
    with EmbeddedStore(tmp_path / "sound", StoreOptions(durability="relaxed")) as store:
        await held_to(AsyncFace(store), "unit", **options)
    with EmbeddedStore(tmp_path / "broken", StoreOptions(durability="relaxed")) as store:
        subject = broken(store)
        monkeypatch.setattr(expiry, "PATIENCE", 1.0)
        monkeypatch.setattr(feed, "PATIENCE", 1.0)  # what does not come is known not to come
        await put(AsyncFace(store), "another", b"data")
        with pytest.raises((AssertionError, VaultError, pytest.fail.Exception, TimeoutError)):
            await held_to(subject, "unit", **options)
