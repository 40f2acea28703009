"""A Store in front of another, which forwards every call; `vault.store.wrapper` says what it is for."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from vault.errors import VaultError
from vault.store._async.contract import (
    AsyncBlockReader,
    AsyncBlockWriter,
    AsyncStore,
    AsyncWatch,
)
from vault.store.values import (
    Capabilities,
    Change,
    DeleteSpec,
    Key,
    LoadItem,
    LoadResult,
    MetadataSpec,
    NotModified,
    ObjectInfo,
    Page,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    WriteStatus,
)


class AsyncWrapperStore(AsyncStore):
    """A AsyncStore that is what `inner` is, but for the methods that a class derived from it overrides.

    It closes `inner` when it is closed. What it can do is what `inner` can and its class allows: `local_feed = False`
    in a class has caches follow `watch`, and an override of `capabilities` may say less than `inner` does.

    Attributes:
        inner: The AsyncStore that calls go to.
    """

    local_feed: ClassVar[bool] = True

    def __init__(self, inner: AsyncStore) -> None:
        self.inner = inner
        self.local_feed = type(self).local_feed and inner.local_feed  # type: ignore[misc]  # what both can

    @property
    def revision(self) -> int:
        return self.inner.revision

    async def capabilities(self) -> Capabilities:
        return await self.inner.capabilities()

    async def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        return await self.inner.exists_many(unit, keys)

    async def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        return await self.inner.stat_many(unit, keys)

    async def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> Page:
        return await self.inner.list_page(unit, prefix=prefix, tags=tags, page_size=page_size, page_token=page_token)

    async def list_units(self) -> list[str]:
        return await self.inner.list_units()

    async def load(
        self,
        unit: str,
        key: Key,
        *,
        offset: int = 0,
        length: int | None = None,
        if_generation: int | None = None,
        if_generation_not_match: int | None = None,
        generation: int | None = None,
    ) -> AsyncBlockReader | NotModified | None:
        return await self.inner.load(
            unit,
            key,
            offset=offset,
            length=length,
            if_generation=if_generation,
            if_generation_not_match=if_generation_not_match,
            generation=generation,
        )

    async def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        return await self.inner.load_many(unit, items)

    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return await self.inner.upload(unit, spec, resumable=resumable)

    async def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return await self.inner.update(unit, spec, resumable=resumable)

    async def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        return await self.inner.write_status(unit, request_id)

    async def abort_write(self, unit: str, request_id: bytes) -> None:
        await self.inner.abort_write(unit, request_id)

    async def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        return await self.inner.upload_many(unit, items)

    async def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        return await self.inner.update_many(unit, items)

    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        return await self.inner.delete_many(unit, items)

    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        return await self.inner.set_metadata(unit, spec)

    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        return await self.inner.watch(units, since=since)

    async def changes(self, since: int) -> tuple[int, list[Change]]:
        return await self.inner.changes(since)

    async def close(self) -> None:
        await self.inner.close()
