"""Changing objects: arguments checked, bytes staged, jobs handed to the writer.

What takes a commit returns a future, so that a thread waits for it and an event loop awaits it.
"""

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

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

from vault_server.storage.commit import commands
from vault_server.storage.commit.commands import NewContents
from vault_server.storage.commit.transaction import Transaction
from vault_server.storage.commit.writer import Job
from vault_server.storage.engine.engine import Engine
from vault_server.storage.files.blobs import unit_folder
from vault_server.storage.uploads.resumable_writer import AnsweredWriter, ResumableWriter
from vault_server.storage.uploads.staging_writer import StagingWriter, small_contents

Look = Callable[[sqlite3.Connection], ObjectInfo | None]
"""What a write was answered when it was committed before; None when it was not. Raises what refuses it."""

Write = Callable[[Transaction, NewContents], ObjectInfo]
"""A write in a transaction, once its bytes are there."""

StagedWriter = StagingWriter | AnsweredWriter


class Writes:
    """The writing half of an EmbeddedStore; what its methods promise is in `vault.store`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> StagedWriter:
        self._engine.require_unit(unit)
        spec.validate()
        check_resumable(resumable)

        # The commit decides; this is to refuse before the bytes are sent.
        def look(connection: sqlite3.Connection) -> ObjectInfo | None:
            answered = commands.find_uploaded(connection, unit, spec)
            if answered is None:
                commands.refuse_new(connection, unit, spec)
            return answered

        def write(tx: Transaction, contents: NewContents) -> ObjectInfo:
            return commands.upload(tx, unit, spec, contents)

        if resumable and self._engine.settings.resume_window:
            return self._resume(spec.request_id, upload_fingerprint(unit, spec), look, write)
        return self._begin(unit, look, write)

    def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> StagedWriter:
        self._engine.require_unit(unit)
        spec.validate()
        check_resumable(resumable)

        def look(connection: sqlite3.Connection) -> ObjectInfo | None:
            answered = commands.find_updated(connection, unit, spec)
            if answered is None:
                commands.require_updatable(connection, unit, spec)
            return answered

        def write(tx: Transaction, contents: NewContents) -> ObjectInfo:
            return commands.update(tx, unit, spec, contents)

        if resumable and self._engine.settings.resume_window:
            return self._resume(spec.request_id, update_fingerprint(unit, spec), look, write)
        return self._begin(unit, look, write)

    def status(self, unit: str, request_id: bytes) -> WriteStatus:
        self._engine.require_unit(unit)
        check_request_id(request_id)
        info = self._engine.connections.read(lambda connection: commands.find_written(connection, unit, request_id))
        return self._engine.resumption.status(unit, request_id) if info is None else WriteStatus(info.size, info)

    def abort(self, unit: str, request_id: bytes) -> None:
        self._engine.require_unit(unit)
        check_request_id(request_id)
        self._engine.resumption.abort(unit, request_id)

    def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> "Future[list[ObjectInfo | VaultError]]":
        return self._write_many(unit, items, commands.upload)

    def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> "Future[list[ObjectInfo | VaultError]]":
        return self._write_many(unit, items, commands.update)

    def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> "Future[list[int | VaultError]]":
        self._engine.require_unit(unit)
        check_batch(len(items))

        def prepare(spec: DeleteSpec) -> Job:
            spec.validate()
            return Job(lambda tx: commands.delete(tx, unit, spec), frees=True)

        return self._submit(items, prepare)

    def set_metadata(self, unit: str, spec: MetadataSpec) -> "Future[ObjectInfo]":
        self._engine.require_unit(unit)
        spec.validate()
        return self._engine.writer.submit(lambda tx: commands.set_metadata(tx, unit, spec))

    def _begin(self, unit: str, look: Look, write: Write) -> StagingWriter:
        settings = self._engine.settings
        self._engine.connections.read(look)
        return StagingWriter(
            partial(self._engine.staging.create, unit_folder(unit)),
            self._submitting(write),
            durable=settings.durable,
            inline_limit=settings.inline_limit,
        )

    def _resume(
        self,
        request_id: bytes,
        fingerprint: dict[str, Any],
        look: Look,
        write: Write,
    ) -> StagedWriter:
        """Begins a resumable write, or goes on with it."""
        engine = self._engine

        def answered() -> ObjectInfo | None:
            return engine.connections.read(look)

        writer = ResumableWriter(
            engine.resumption,
            fingerprint,
            request_id,
            self._submitting(write),
            answered,
            durable=engine.settings.durable,
            inline_limit=engine.settings.inline_limit,
        )
        info = writer.open()
        return writer if info is None else AnsweredWriter(info)

    def _submitting(self, write: Write) -> Callable[[NewContents], "Future[ObjectInfo]"]:
        writer = self._engine.writer

        def submit(contents: NewContents) -> "Future[ObjectInfo]":
            return writer.submit(lambda tx: write(tx, contents), staged=contents.staged)

        return submit

    def _write_many(
        self, unit: str, items: Sequence[Any], write: Callable[..., ObjectInfo]
    ) -> "Future[list[ObjectInfo | VaultError]]":
        engine = self._engine
        engine.require_unit(unit)
        check_batch(len(items))

        def prepare(item: Any) -> Job:
            item.spec.validate()
            contents = small_contents(
                partial(engine.staging.create, unit_folder(unit)),
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
    write: Callable[..., ObjectInfo], unit: str, spec: UploadSpec | UpdateSpec, contents: NewContents, tx: Transaction
) -> ObjectInfo:
    return write(tx, unit, spec, contents)


def _refuse(error: VaultError, _tx: Transaction) -> None:
    raise error


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
