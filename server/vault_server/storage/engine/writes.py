"""Changing objects: arguments checked, bytes staged, writes handed to the writer.

What takes a commit returns a future, so that a thread waits for it and an event loop awaits it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from vault.errors import VaultError
from vault.store.limits import check_batch, check_request_id, check_resumable
from vault.store.values import (
    DeleteSpec,
    MetadataSpec,
    ObjectInfo,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    WriteStatus,
)

from vault_server.storage.commit.committer import Item
from vault_server.storage.decision.decide import look
from vault_server.storage.decision.plan import Keep
from vault_server.storage.decision.writes import Content, Delete, SetMetadata, Update, Upload
from vault_server.storage.engine.engine import Engine
from vault_server.storage.files.blobs import unit_folder
from vault_server.storage.index.facts import facts, find_written
from vault_server.storage.uploads.resumable_writer import AnsweredWriter, ResumableWriter
from vault_server.storage.uploads.staging_writer import StagingWriter, small_contents

StagedWriter = StagingWriter | AnsweredWriter
T = TypeVar("T")

_NO_CONTENT: Final = Content(0, 0, b"", None)
"""Of a write whose bytes are still to come."""


class Writes:
    """The writing half of an EmbeddedStore; what its methods promise is in `vault.store`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> StagedWriter:
        self._engine.require_unit(unit)
        spec.validate()
        check_resumable(resumable)
        return self._begin(Upload(unit, spec, _NO_CONTENT), upload_fingerprint(unit, spec), resumable=resumable)

    def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> StagedWriter:
        self._engine.require_unit(unit)
        spec.validate()
        check_resumable(resumable)
        return self._begin(Update(unit, spec, _NO_CONTENT), update_fingerprint(unit, spec), resumable=resumable)

    def status(self, unit: str, request_id: bytes) -> WriteStatus:
        self._engine.require_unit(unit)
        check_request_id(request_id)
        info = self._engine.connections.read(lambda connection: find_written(connection, unit, request_id))
        return self._engine.resumption.status(unit, request_id) if info is None else WriteStatus(info.size, info)

    def abort(self, unit: str, request_id: bytes) -> None:
        self._engine.require_unit(unit)
        check_request_id(request_id)
        self._engine.resumption.abort(unit, request_id)

    def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> "Future[list[ObjectInfo | VaultError]]":
        return self._write_many(unit, items, lambda item: Upload(unit, item.spec, self._content(unit, item)))

    def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> "Future[list[ObjectInfo | VaultError]]":
        return self._write_many(unit, items, lambda item: Update(unit, item.spec, self._content(unit, item)))

    def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> "Future[list[int | VaultError]]":
        return self._write_many(unit, items, lambda spec: Delete(unit, _valid(spec)))

    def set_metadata(self, unit: str, spec: MetadataSpec) -> "Future[ObjectInfo]":
        self._engine.require_unit(unit)
        spec.validate()
        return self._engine.writer.write(SetMetadata(unit, spec))

    def _begin(self, write: Upload | Update, fingerprint: dict[str, Any], *, resumable: bool) -> StagedWriter:
        """Begins a write, or goes on with it."""
        engine = self._engine
        settings = engine.settings

        # The commit decides; this is to refuse before the bytes are sent.
        def answered() -> ObjectInfo | None:
            return engine.connections.read(lambda connection: look(facts(connection, [write], Keep()), write))

        def submit(content: Content) -> "Future[ObjectInfo]":
            return engine.writer.write(replace(write, content=content))

        if not (resumable and settings.resume_window):
            answered()
            create = partial(engine.staging.create, unit_folder(write.unit))
            return StagingWriter(create, submit, durable=settings.durable, inline_limit=settings.inline_limit)
        writer = ResumableWriter(
            engine.resumption,
            fingerprint,
            write.spec.request_id,
            submit,
            answered,
            durable=settings.durable,
            inline_limit=settings.inline_limit,
        )
        info = writer.open()
        return writer if info is None else AnsweredWriter(info)

    def _content(self, unit: str, item: SmallUpload | SmallUpdate) -> Content:
        item.spec.validate()
        settings = self._engine.settings
        return small_contents(
            partial(self._engine.staging.create, unit_folder(unit)),
            item.data,
            item.checksum,
            durable=settings.durable,
            inline_limit=settings.inline_limit,
        )

    def _write_many(self, unit: str, items: Sequence[T], prepare: Callable[[T], Item]) -> "Future[list[Any]]":
        """Submits a write for each item; one that cannot be prepared has its error as its outcome."""
        self._engine.require_unit(unit)
        check_batch(len(items))
        writes: list[Item] = []
        for item in items:
            try:
                writes.append(prepare(item))
            except VaultError as error:
                writes.append(error)
        return self._engine.writer.write_many(writes)


def _valid(spec: DeleteSpec) -> DeleteSpec:
    spec.validate()
    return spec


def upload_fingerprint(unit: str, spec: UploadSpec) -> dict[str, Any]:
    """What an upload begins, as JSON has it: the same for the same, and after a restart."""
    return {
        "kind": "upload",
        "unit": unit,
        "data_id": spec.data_id,
        "name": spec.name,
        "tags": dict(spec.tags),
        "datatype": spec.datatype,
    }


def update_fingerprint(unit: str, spec: UpdateSpec) -> dict[str, Any]:
    """`upload_fingerprint`, of an update."""
    return {
        "kind": "update",
        "unit": unit,
        "key": spec.key,
        "if_generation": spec.if_generation,
        "datatype": spec.datatype,
    }
