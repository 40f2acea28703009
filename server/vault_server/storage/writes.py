"""Changing objects: arguments checked, bytes staged, jobs handed to the writer.

What takes a commit returns a future, so that a thread waits for it and an event loop awaits it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from vault.errors import VaultError
from vault.model import (
    ChangeKind,
    DeleteSpec,
    MetadataSpec,
    ObjectInfo,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    WriteStatus,
)
from vault.rules import check_batch, check_request_id, check_resumable
from vault.store import write_not_found

from vault_server.storage import commands
from vault_server.storage.commands import NewContents
from vault_server.storage.engine import Engine
from vault_server.storage.register import require_generation, require_row
from vault_server.storage.upload import StagingWriter, small_contents
from vault_server.storage.writer import Job


class Writes:
    """The writing half of an EmbeddedStore; what its methods promise is in `vault.store`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> StagingWriter:
        self._engine.require_unit(unit)
        spec.validate()
        check_resumable(resumable)

        # The commit decides; this is to refuse before the bytes are sent.
        def refuse(connection: Any) -> None:
            if commands.find_answer(connection, unit, ChangeKind.UPLOADED, spec.request_id) is None:
                commands.refuse_taken(connection, unit, spec)

        self._engine.connections.read(refuse)
        return self._begin(lambda tx, contents: commands.upload(tx, unit, spec, contents))

    def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> StagingWriter:
        self._engine.require_unit(unit)
        spec.validate()
        check_resumable(resumable)

        def refuse(connection: Any) -> None:
            if commands.find_answer(connection, unit, ChangeKind.UPDATED, spec.request_id) is None:
                row = require_row(connection, unit, spec.key)
                require_generation(row.info, spec.if_generation)

        self._engine.connections.read(refuse)
        return self._begin(lambda tx, contents: commands.update(tx, unit, spec, contents))

    def status(self, unit: str, request_id: bytes) -> WriteStatus:
        self._engine.require_unit(unit)
        check_request_id(request_id)
        info = self._engine.connections.read(lambda connection: commands.find_written(connection, unit, request_id))
        if info is None:
            raise write_not_found(unit)
        return WriteStatus(info.size, info)

    def abort(self, unit: str, request_id: bytes) -> None:
        self._engine.require_unit(unit)
        check_request_id(request_id)

    def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> "Future[list[ObjectInfo | VaultError]]":
        return self._write_many(unit, items, commands.upload)

    def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> "Future[list[ObjectInfo | VaultError]]":
        return self._write_many(unit, items, commands.update)

    def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> "Future[list[int | VaultError]]":
        self._engine.require_unit(unit)
        check_batch(len(items))

        def prepare(spec: DeleteSpec) -> Job:
            spec.validate()
            return Job(lambda tx: commands.delete(tx, unit, spec))

        return self._submit(items, prepare)

    def set_metadata(self, unit: str, spec: MetadataSpec) -> "Future[ObjectInfo]":
        self._engine.require_unit(unit)
        spec.validate()
        return self._engine.writer.submit(lambda tx: commands.set_metadata(tx, unit, spec))

    def _begin(self, write: Callable[[Any, NewContents], ObjectInfo]) -> StagingWriter:
        engine = self._engine

        def submit(contents: NewContents) -> "Future[ObjectInfo]":
            return engine.writer.submit(lambda tx: write(tx, contents), staged=contents.staged)

        settings = engine.settings
        return StagingWriter(engine.staging, submit, durable=settings.durable, inline_limit=settings.inline_limit)

    def _write_many(
        self, unit: str, items: Sequence[Any], write: Callable[..., ObjectInfo]
    ) -> "Future[list[ObjectInfo | VaultError]]":
        engine = self._engine
        engine.require_unit(unit)
        check_batch(len(items))

        def prepare(item: Any) -> Job:
            item.spec.validate()
            contents = small_contents(
                engine.staging,
                item.data,
                item.checksum,
                durable=engine.settings.durable,
                inline_limit=engine.settings.inline_limit,
            )
            return Job(partial(_written, write, unit, item.spec, contents), contents.staged)

        return self._submit(items, prepare)

    def _submit(self, items: Sequence[Any], prepare: Callable[[Any], Job]) -> "Future[list[Any]]":
        """Submits a job for each item; one that cannot be prepared has its error as its outcome."""
        jobs: list[Job] = []
        for item in items:
            try:
                jobs.append(prepare(item))
            except VaultError as error:
                jobs.append(Job(partial(_refuse, error)))
        return self._engine.writer.submit_many(jobs)


def _written(
    write: Callable[..., ObjectInfo], unit: str, spec: UploadSpec | UpdateSpec, contents: NewContents, tx: Any
) -> ObjectInfo:
    return write(tx, unit, spec, contents)


def _refuse(error: VaultError, _tx: Any) -> Any:
    raise error
