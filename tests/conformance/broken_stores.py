"""Stores that break one promise each."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from vault.errors import VaultError
from vault.store.contract import AsyncBlockReader, AsyncBlockWriter, AsyncWatch, LoadResult
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import (
    DeleteSpec,
    LoadItem,
    MetadataSpec,
    PutSpec,
    SmallPut,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    new_request_id,
)
from vault.store.threaded import _ThreadedReader, _ThreadedWriter
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo, UnitLimits
from vault.store.values import Block, Change, Key, NotModified, ObjectInfo, Page, Progress, checksum
from vault.testing import AsyncFace
from vault.testing.store.sync_and_async import AsyncWatchFace
from vault_server import EmbeddedStore


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


class ForgetsLimitsOfPrincipals(AsyncFace):
    async def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        return replace(await super().principal_info(principal), limits=limits)


class ChargesNobody(AsyncFace):
    def for_principal(self, principal: str) -> Self:  # that is it
        return self


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
