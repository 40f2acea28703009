"""Writes, asked of a server: by the first of its methods that can say what is asked for."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

from vault._async.remote.asking import AsyncAsking
from vault._async.remote.split_batches import ask_all, take_sized
from vault._async.remote.writer import AsyncRemoteWriter, WriteMessage
from vault.errors import ProtocolError, UnsupportedError, VaultError
from vault.store import limits
from vault.store.columns import ObjectInfos
from vault.store.contract import AsyncBlockWriter
from vault.store.outcomes import single
from vault.store.specs import (
    CopySpec,
    DeleteSpec,
    MetadataSpec,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    SmallWrite,
    UpdateSpec,
    UploadSpec,
    WriteSpec,
)
from vault.store.values import ObjectInfo, WriteStatus
from vault.store.write_columns import SmallPuts, SmallUploads, check_small_batch, valid_columns
from vault.v1 import vault_pb2 as pb
from vault.wire import messages as wire
from vault.wire import reply_checks as replies
from vault.wire import request_messages as requests
from vault.wire import write_columns as packing

SmallT = TypeVar("SmallT", bound=SmallWrite)

_WRITE_COLUMNS: Final = "WriteColumns"

_COLUMNS: Final = 2
"""Items from which a batch goes as columns."""


class AsyncWriteCalls(AsyncAsking):
    """These calls of an AsyncRemoteStore."""

    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        limits.check_unit(unit)
        limits.check_spec(spec, UploadSpec)
        start = pb.UploadRequest.Start(unit=unit)
        requests.fill_upload_spec(start.spec, spec)
        return await self._begin("Upload", pb.UploadRequest, start, spec, resumable)

    async def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        limits.check_unit(unit)
        limits.check_spec(spec, UpdateSpec)
        if requests.says_more(spec):
            return await self.put(unit, spec, resumable=resumable)
        start = pb.UpdateRequest.Start(unit=unit)
        requests.fill_update_spec(start.spec, spec)
        return await self._begin("Update", pb.UpdateRequest, start, spec, resumable)

    async def put(self, unit: str, spec: PutSpec | UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        limits.check_unit(unit)
        limits.check_spec(spec, (PutSpec, UpdateSpec))
        if isinstance(spec, UpdateSpec) and not requests.says_more(spec):
            return await self.update(unit, spec, resumable=resumable)
        start = pb.PutRequest.Start(unit=unit)
        requests.fill_write(start, spec)
        return await self._begin("Put", pb.PutRequest, start, spec, resumable)

    async def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        limits.check_unit(unit)
        limits.check_request_id(request_id)
        request = pb.GetWriteStatusRequest(unit=unit, request_id=request_id)
        return replies.check_write_status(
            wire.write_status_from_wire(await self._unary("GetWriteStatus", request)), unit
        )

    async def abort_write(self, unit: str, request_id: bytes) -> None:
        limits.check_unit(unit)
        limits.check_request_id(request_id)
        await self._unary("AbortWrite", pb.AbortWriteRequest(unit=unit, request_id=request_id))

    async def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        limits.check_unit(unit)
        check_small_batch(items, UploadSpec)
        if (outcomes := await self._write_columns(unit, SmallUploads, items)) is not None:
            return outcomes
        return await self._write_small("UploadMany", unit, items, requests.fill_small_upload)

    async def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        limits.check_unit(unit)
        check_small_batch(items, UpdateSpec)
        if any(requests.says_more(item.spec) for item in items):
            return await self._write_small("PutMany", unit, items, requests.fill_small_put)
        return await self._write_small("UpdateMany", unit, items, requests.fill_small_update)

    async def put_many(self, unit: str, items: Sequence[SmallPut]) -> Sequence[ObjectInfo | VaultError]:
        limits.check_unit(unit)
        check_small_batch(items, (PutSpec, UpdateSpec))
        if all(isinstance(item.spec, UpdateSpec) for item in items):
            return await self.update_many(unit, cast(Sequence[SmallUpdate], items))
        if (outcomes := await self._write_columns(unit, SmallPuts, items)) is not None:
            return outcomes
        return await self._write_small("PutMany", unit, items, requests.fill_small_put)

    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        limits.check_unit(unit)
        limits.check_batch(items, DeleteSpec)

        def read(result: pb.DeleteResponse.Result, item: DeleteSpec) -> int | VaultError:
            return replies.check_deleted(wire.delete_result_from_wire(result), item)

        if any(map(requests.says_more, items)):
            return await self._ask_valid("DeleteMany", unit, items, requests.fill_delete_item, read, writes=True)
        return await self._ask_valid("Delete", unit, items, requests.fill_delete_spec, read, writes=True)

    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        limits.check_unit(unit)
        limits.check_spec(spec, MetadataSpec)
        if requests.says_more(spec):
            return single(await self.set_metadata_many(unit, [spec]))
        reply = await self._unary("SetMetadata", requests.metadata_spec_to_wire(unit, spec))
        return replies.check_metadata(wire.object_info_from_wire(reply.info), unit, spec)

    async def set_metadata_many(self, unit: str, items: Sequence[MetadataSpec]) -> Sequence[ObjectInfo | VaultError]:
        limits.check_unit(unit)
        limits.check_batch(items, MetadataSpec)

        def read(result: pb.WriteResult, item: MetadataSpec) -> ObjectInfo | VaultError:
            outcome = wire.write_result_from_wire(result)
            return outcome if isinstance(outcome, VaultError) else replies.check_metadata(outcome, unit, item)

        return await self._ask_valid("SetMetadataMany", unit, items, requests.fill_metadata_item, read, writes=True)

    async def copy_many(
        self, unit: str, items: Sequence[CopySpec], *, to_unit: str | None = None
    ) -> Sequence[ObjectInfo | VaultError]:
        target = unit if to_unit is None else to_unit
        limits.check_unit(unit)
        limits.check_unit(target)
        limits.check_batch(items, CopySpec)

        def read(result: pb.WriteResult, item: CopySpec) -> ObjectInfo | VaultError:
            return replies.check_copied(wire.write_result_from_wire(result), target, item)

        return await self._ask_valid("Copy", unit, items, requests.fill_copy, read, writes=True, to_unit=target)

    async def _begin(
        self,
        method: str,
        message: WriteMessage,
        start: Any,
        spec: WriteSpec,
        resumable: bool,  # noqa: FBT001  # as its callers got it
    ) -> AsyncBlockWriter:
        limits.check_resumable(resumable)
        start.resumable = resumable
        writer = AsyncRemoteWriter(self._channel, method, message, start, spec, self._see, self._time)
        try:
            await writer.open()
        except ProtocolError as error:
            raise await self._lacking(method, error) from error.__cause__
        return writer

    async def _write_columns(
        self, unit: str, kind: type[SmallUploads | SmallPuts], items: Sequence[Any]
    ) -> Sequence[ObjectInfo | VaultError] | None:
        """What a batch came to that WriteColumns can say; None: it cannot, or the server does not have it, which has
        done nothing then."""
        if len(items) < _COLUMNS or _WRITE_COLUMNS in self._channel.lacking:
            return None
        columns = valid_columns(kind, items)
        if columns is None or not packing.can_say(columns):
            return None
        sizes = packing.sizes_of(columns)

        def take(pending: deque[int], most: int) -> tuple[Any, Sequence[int]]:
            run = take_sized(sizes, pending, most)
            return packing.write_columns_to_wire(unit, columns.at(run)), run

        async def ask(request: Any, run: Sequence[int], timeout: float) -> Sequence[ObjectInfo | VaultError]:
            reply = await self._unary(_WRITE_COLUMNS, request, timeout=timeout)
            return packing.outcomes_from_wire(reply, unit, columns.at(run))

        try:
            answers = await ask_all(ask, len(columns), take, timeout=self._channel.timeout, writes=True)
        except UnsupportedError as error:
            if error.context.get("method") != _WRITE_COLUMNS:
                raise
            self._channel.lacking.add(_WRITE_COLUMNS)
            return None
        return answers if isinstance(answers, ObjectInfos) else ObjectInfos.of_rows(answers)

    async def _write_small(
        self, method: str, unit: str, items: Sequence[SmallT], fill: Callable[[Any, SmallT], None]
    ) -> list[ObjectInfo | VaultError]:
        def read(result: pb.WriteResult, item: SmallT) -> ObjectInfo | VaultError:
            return replies.check_small(wire.write_result_from_wire(result), unit, item)

        return await self._ask_valid(method, unit, items, fill, read, writes=True)
