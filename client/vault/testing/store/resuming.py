"""What holds for writes that are resumed: they go on where they were, are applied once, and can be given up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from vault.errors import (
    AlreadyExistsError,
    ChecksumError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    VaultError,
)
from vault.store.contract import AsyncBlockWriter, AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UpdateSpec, UploadSpec
from vault.store.values import Block, WriteStatus, checksum
from vault.testing.cases import each
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import blocks_of, fetch, payload, put, raises_refusal, replace, stat, upload_spec

DATA = payload(3 * BLOCK_SIZE + 17)


async def write_some(writer: AsyncBlockWriter, data: bytes, start: int, stop: int) -> None:
    """The blocks of `data` with those indexes."""
    for block in blocks_of(data)[start:stop]:
        await writer.write(block)


async def write_rest(writer: AsyncBlockWriter, data: bytes) -> None:
    """The blocks that a writer which was just begun does not have."""
    assert writer.persisted_size % BLOCK_SIZE == 0 or writer.persisted_size == len(data)
    for block in blocks_of(data):
        if block.offset >= writer.persisted_size:
            await writer.write(block)


class ResumeConformance(StoreHarness):
    """`resumable`, `suspend`, `write_status` and `abort_write`, of a store that keeps what it is sent."""

    @pytest.fixture(autouse=True)
    async def keeps(self, subject: AsyncStore) -> None:
        """The store is one that keeps writes."""
        if not self.resumes:
            pytest.skip("the store keeps no writes, as its class says")
        assert (await subject.capabilities()).resume_window > 0

    @asynccontextmanager
    async def suspended(
        self, store: AsyncStore, unit: str, spec: UploadSpec, blocks: int = 2
    ) -> AsyncIterator[AsyncBlockWriter]:
        """The writer of an upload that was suspended after so many blocks, and begun again."""
        writer = await store.upload(unit, spec, resumable=True)
        assert writer.persisted_size == 0
        await write_some(writer, DATA, 0, blocks)
        await writer.suspend()
        async with await store.upload(unit, spec, resumable=True) as again:
            yield again

    @pytest.mark.parametrize("blocks", [1, 2, 3, 4])
    async def test_an_upload_goes_on_where_it_was_suspended(self, subject: AsyncStore, unit: str, blocks: int) -> None:
        spec = upload_spec(name="name", tags={"a": "1"}, datatype="bytes")
        async with self.suspended(subject, unit, spec, blocks) as writer:
            assert writer.persisted_size == min(blocks * BLOCK_SIZE, len(DATA))
            assert await subject.exists_many(unit, ["name"]) == [0]
            await write_rest(writer, DATA)
            info = await writer.commit(len(DATA), checksum(DATA))
        assert await fetch(subject, unit, "name") == DATA
        assert await stat(subject, unit, spec.data_id) == info
        assert (info.checksum, info.tags) == (checksum(DATA), {"a": "1"})
        self.assert_raw(unit, spec.data_id, DATA)

    async def test_an_update_goes_on_where_it_was_suspended(self, subject: AsyncStore, unit: str) -> None:
        before = await put(subject, unit, b"before")
        spec = UpdateSpec(before.data_id, if_generation=before.generation)
        writer = await subject.update(unit, spec, resumable=True)
        await write_some(writer, DATA, 0, 3)
        await writer.suspend()
        assert await fetch(subject, unit, before.data_id) == b"before"
        async with await subject.update(unit, spec, resumable=True) as again:
            assert again.persisted_size == 3 * BLOCK_SIZE
            await write_rest(again, DATA)
            info = await again.commit(len(DATA), checksum(DATA))
        assert info.generation > before.generation
        assert await fetch(subject, unit, before.data_id) == DATA

    async def test_a_write_may_be_suspended_again_and_again(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        for index in range(4):
            writer = await subject.upload(unit, spec, resumable=True)
            assert writer.persisted_size == index * BLOCK_SIZE
            await write_some(writer, DATA, index, index + 1)
            await writer.suspend()
            await writer.suspend()
            await writer.abort()
        async with await subject.upload(unit, spec, resumable=True) as writer:
            assert writer.persisted_size == len(DATA)
            await writer.commit(len(DATA), checksum(DATA))
            await writer.suspend()
        assert await fetch(subject, unit, spec.data_id) == DATA

    async def test_a_suspended_writer_is_over(self, subject: AsyncStore, unit: str) -> None:
        writer = await subject.upload(unit, upload_spec(), resumable=True)
        await write_some(writer, DATA, 0, 2)
        await writer.suspend()
        with pytest.raises(VaultError):
            await write_some(writer, DATA, 2, 3)
        with pytest.raises(VaultError):
            await writer.commit(2 * BLOCK_SIZE)

    async def test_suspending_what_is_not_resumable_aborts_it(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        writer = await subject.upload(unit, spec)
        await write_some(writer, DATA, 0, 2)
        await writer.suspend()
        with raises_refusal(NotFoundError, "WRITE_NOT_FOUND"):
            await subject.write_status(unit, spec.request_id)
        await put(subject, unit, DATA, spec)

    @pytest.mark.parametrize("size", [0, 1000, len(DATA)])
    async def test_a_committed_write_that_is_begun_again_is_answered_as_then(
        self, subject: AsyncStore, unit: str, size: int
    ) -> None:
        data, spec = DATA[:size], upload_spec(name="name")
        async with await subject.upload(unit, spec, resumable=True) as writer:
            await write_rest(writer, data)
            info = await writer.commit(size, checksum(data))
        async with self.unchanged(subject, unit):
            async with await subject.upload(unit, spec, resumable=True) as again:
                assert again.persisted_size == size
                assert await again.commit(size, checksum(data)) == info
            assert await subject.write_status(unit, spec.request_id) == WriteStatus(size, info)
            await subject.abort_write(unit, spec.request_id)
            assert await put(subject, unit, data, spec) == info
        assert await fetch(subject, unit, "name") == data

    async def test_another_commit_of_a_committed_write_is_refused(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        await put(subject, unit, DATA, spec)
        for size, whole in ((5, None), (len(DATA), 5)):
            async with await subject.upload(unit, spec, resumable=True) as writer:
                with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                    await writer.commit(size, whole)

    async def test_a_commit_after_other_blocks_is_refused_by_the_checksum(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        other = payload(len(DATA), seed=1)
        with raises_refusal(ChecksumError, "CHECKSUM_MISMATCH"):
            async with self.suspended(subject, unit, spec) as writer:
                await write_rest(writer, other)
                await writer.commit(len(other), checksum(other))
        assert await subject.exists_many(unit, [spec.data_id]) == [0]
        with raises_refusal(NotFoundError, "WRITE_NOT_FOUND"):
            await subject.write_status(unit, spec.request_id)

    async def test_the_request_id_is_for_the_same_write_only(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        writer = await subject.upload(unit, spec, resumable=True)
        await write_some(writer, DATA, 0, 2)
        await writer.suspend()
        existing = await put(subject, unit, b"data")
        other = upload_spec(request_id=spec.request_id)
        update = UpdateSpec(existing.data_id, request_id=spec.request_id)
        with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
            await subject.upload(unit, other, resumable=True)
        with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
            await subject.upload(f"{unit}.b", spec, resumable=True)
        with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
            await subject.update(unit, update, resumable=True)
        async with await subject.upload(unit, spec, resumable=True) as again:
            assert again.persisted_size == 2 * BLOCK_SIZE

    async def test_status_tells_how_far_a_write_is(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        with raises_refusal(NotFoundError, "WRITE_NOT_FOUND"):
            await subject.write_status(unit, spec.request_id)
        writer = await subject.upload(unit, spec, resumable=True)
        await write_some(writer, DATA, 0, 2)
        await writer.suspend()
        assert await subject.write_status(unit, spec.request_id) == WriteStatus(2 * BLOCK_SIZE)
        with raises_refusal(NotFoundError, "WRITE_NOT_FOUND"):
            await subject.write_status(f"{unit}.b", spec.request_id)

    async def test_an_aborted_write_begins_anew(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        writer = await subject.upload(unit, spec, resumable=True)
        await write_some(writer, DATA, 0, 2)
        await writer.suspend()
        await subject.abort_write(f"{unit}.b", spec.request_id)
        assert await subject.write_status(unit, spec.request_id) == WriteStatus(2 * BLOCK_SIZE)
        await subject.abort_write(unit, spec.request_id)
        await subject.abort_write(unit, spec.request_id)
        with raises_refusal(NotFoundError, "WRITE_NOT_FOUND"):
            await subject.write_status(unit, spec.request_id)
        async with await subject.upload(unit, spec, resumable=True) as again:
            assert again.persisted_size == 0
            await write_rest(again, DATA)
            await again.commit(len(DATA))
        assert await fetch(subject, unit, spec.data_id) == DATA

    async def test_leaving_without_a_commit_keeps_nothing(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        async with await subject.upload(unit, spec, resumable=True) as writer:
            await write_some(writer, DATA, 0, 2)
        with raises_refusal(NotFoundError, "WRITE_NOT_FOUND"):
            await subject.write_status(unit, spec.request_id)

    async def test_a_refused_block_keeps_nothing(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        with raises_refusal(ChecksumError, "CHECKSUM_MISMATCH"):
            async with self.suspended(subject, unit, spec) as writer:
                block = blocks_of(DATA)[2]
                await writer.write(Block(block.offset, block.data, block.checksum ^ 1))
                await writer.commit(3 * BLOCK_SIZE)
        with raises_refusal(NotFoundError, "WRITE_NOT_FOUND"):
            await subject.write_status(unit, spec.request_id)

    async def test_a_write_that_is_begun_again_is_taken_from_who_had_it(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        old = await subject.upload(unit, spec, resumable=True)
        await write_some(old, DATA, 0, 2)
        async with await subject.upload(unit, spec, resumable=True) as new:
            with raises_refusal(ConflictError, "WRITE_TAKEN_OVER"):
                await write_some(old, DATA, 2, 3)
                await old.commit(3 * BLOCK_SIZE)
            await old.abort()
            await write_rest(new, DATA)
            await new.commit(len(DATA), checksum(DATA))
        assert await fetch(subject, unit, spec.data_id) == DATA

    async def test_preconditions_are_looked_at_again(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        writer = await subject.upload(unit, spec, resumable=True)
        await write_some(writer, DATA, 0, 2)
        await writer.suspend()
        await put(subject, unit, b"first", upload_spec(data_id=spec.data_id))
        with raises_refusal(AlreadyExistsError, "OBJECT_EXISTS"):
            await subject.upload(unit, spec, resumable=True)
        before = await stat(subject, unit, spec.data_id)
        assert before is not None
        update = UpdateSpec(spec.data_id, if_generation=before.generation)
        second = await subject.update(unit, update, resumable=True)
        await write_some(second, DATA, 0, 2)
        await second.suspend()
        await replace(subject, unit, spec.data_id, b"faster")
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            await subject.update(unit, update, resumable=True)
        assert await fetch(subject, unit, spec.data_id) == b"faster"

    @each("request_id", [b"", b"x" * 15, "x" * 16, None])
    async def test_what_is_no_request_id_is_refused(self, subject: AsyncStore, unit: str, request_id: bytes) -> None:
        for call in (subject.write_status, subject.abort_write):
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                await call(unit, request_id)
            with raises_refusal(InvalidArgumentError, "BAD_UNIT"):
                await call("../x", b"x" * 16)
