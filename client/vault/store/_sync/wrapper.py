# Generated from _async/wrapper.py by scripts/unasync: DO NOT CHANGE.
"""A Store in front of another, which forwards every call; `vault.store.wrapper` says what it is for."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from vault.errors import VaultError
from vault.store._sync.contract import (
    BlockReader,
    BlockWriter,
    Store,
    Watch,
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


class WrapperStore(Store):
    """A Store that is what `inner` is, but for the methods that a class derived from it overrides.

    It closes `inner` when it is closed. What it can do is what `inner` can and its class allows: `local_feed = False`
    in a class has caches follow `watch`, and an override of `capabilities` may say less than `inner` does.

    Attributes:
        inner: The Store that calls go to.
    """

    local_feed: ClassVar[bool] = True

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.local_feed = type(self).local_feed and inner.local_feed  # type: ignore[misc]  # what both can

    @property
    def revision(self) -> int:
        return self.inner.revision

    def capabilities(self) -> Capabilities:
        return self.inner.capabilities()

    def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        return self.inner.exists_many(unit, keys)

    def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        return self.inner.stat_many(unit, keys)

    def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> Page:
        return self.inner.list_page(unit, prefix=prefix, tags=tags, page_size=page_size, page_token=page_token)

    def list_units(self) -> list[str]:
        return self.inner.list_units()

    def load(
        self,
        unit: str,
        key: Key,
        *,
        offset: int = 0,
        length: int | None = None,
        if_generation: int | None = None,
        if_generation_not_match: int | None = None,
        generation: int | None = None,
    ) -> BlockReader | NotModified | None:
        return self.inner.load(
            unit,
            key,
            offset=offset,
            length=length,
            if_generation=if_generation,
            if_generation_not_match=if_generation_not_match,
            generation=generation,
        )

    def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        return self.inner.load_many(unit, items)

    def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> BlockWriter:
        return self.inner.upload(unit, spec, resumable=resumable)

    def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> BlockWriter:
        return self.inner.update(unit, spec, resumable=resumable)

    def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        return self.inner.write_status(unit, request_id)

    def abort_write(self, unit: str, request_id: bytes) -> None:
        self.inner.abort_write(unit, request_id)

    def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        return self.inner.upload_many(unit, items)

    def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        return self.inner.update_many(unit, items)

    def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        return self.inner.delete_many(unit, items)

    def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        return self.inner.set_metadata(unit, spec)

    def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> Watch:
        return self.inner.watch(units, since=since)

    def changes(self, since: int) -> tuple[int, list[Change]]:
        return self.inner.changes(since)

    def close(self) -> None:
        self.inner.close()
