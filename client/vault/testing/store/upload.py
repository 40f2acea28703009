"""What holds for uploads: all or nothing, once, under an id and a name that nobody else has."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from vault.errors import AlreadyExistsError, ChecksumError, InvalidArgumentError, VaultError
from vault.store.contract import AsyncStore
from vault.store.limits import (
    BLOCK_SIZE,
    MAX_DATA_ID,
    MAX_DATATYPE,
    MAX_NAME_BYTES,
    MAX_TAG_KEY,
    MAX_TAG_VALUE,
    MAX_TAGS,
)
from vault.store.values import Block, checksum
from vault.testing.cases import each
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    blocks_of,
    every_size,
    fetch,
    listed,
    payload,
    put,
    raises_refusal,
    remove,
    replace,
    send,
    stat,
    upload_spec,
)

NAMES = ["a", "5", "with space", "ärchiv/2026 % _ * ? [x] \\ ' \"", "文書", "🗄", "..", "x" * MAX_NAME_BYTES]


class UploadConformance(StoreHarness):
    """`Store.upload` and the writer it gives."""

    @every_size
    async def test_an_upload_comes_back_as_it_went_in(self, subject: AsyncStore, unit: str, size: int) -> None:
        data = payload(size)
        spec = upload_spec(name="name", tags={"kind": "test"}, datatype="bytes")
        info = await put(subject, unit, data, spec)
        assert await fetch(subject, unit, spec.data_id) == data
        assert await fetch(subject, unit, "name") == data
        assert await stat(subject, unit, spec.data_id) == info
        assert (info.size, info.checksum) == (size, checksum(data))
        self.assert_raw(unit, spec.data_id, data)

    async def test_the_info_says_all_that_the_spec_said(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec(name="name", tags={"a": "1", "b": ""}, datatype="Document")
        before = datetime.now(UTC)
        info = await put(subject, unit, b"data", spec)
        assert (info.unit, info.data_id, info.name, info.datatype) == (unit, spec.data_id, "name", "Document")
        assert dict(info.tags) == {"a": "1", "b": ""}
        assert info.generation == info.revision > 0
        assert subject.revision >= info.revision
        assert info.created_at == info.updated_at
        assert info.created_at.utcoffset() == timedelta(0)
        assert abs(info.created_at - before) < timedelta(minutes=5), "both clocks are this machine's"

    async def test_later_uploads_have_later_generations(self, subject: AsyncStore, unit: str) -> None:
        generations = [(await put(subject, unit, b"data")).generation for _ in range(3)]
        assert generations == sorted(set(generations))

    async def test_nothing_is_seen_before_the_commit(self, subject: AsyncStore, unit: str) -> None:
        data = payload(2 * BLOCK_SIZE)
        spec = upload_spec(name="name")
        async with await subject.upload(unit, spec) as writer:
            for block in blocks_of(data):
                await writer.write(block)
                await self._assert_absent(subject, unit, spec.data_id)
                assert await subject.exists_many(unit, ["name"]) == [0]
            await writer.commit(len(data))
        assert await fetch(subject, unit, "name") == data

    async def test_a_writer_left_without_a_commit_leaves_nothing(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec(name="name")
        async with await subject.upload(unit, spec) as writer:
            await writer.write(blocks_of(b"data")[0])
        await self._assert_absent(subject, unit, spec.data_id)
        await put(subject, unit, b"id and name are free", spec)

    async def test_a_writer_left_by_an_exception_leaves_nothing(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()

        async def interrupted() -> None:
            async with await subject.upload(unit, spec) as writer:
                await writer.write(blocks_of(payload(BLOCK_SIZE))[0])
                raise KeyError

        with pytest.raises(KeyError):
            await interrupted()
        await self._assert_absent(subject, unit, spec.data_id)

    async def test_abort_may_be_repeated(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        writer = await subject.upload(unit, spec)
        await writer.write(blocks_of(b"data")[0])
        await writer.abort()
        await writer.abort()
        await self._assert_absent(subject, unit, spec.data_id)

    async def test_abort_after_a_commit_changes_nothing(self, subject: AsyncStore, unit: str) -> None:
        writer = await subject.upload(unit, spec := upload_spec())
        await writer.write(blocks_of(b"data")[0])
        await writer.commit(4)
        await writer.abort()
        assert await fetch(subject, unit, spec.data_id) == b"data"

    async def test_an_aborted_writer_cannot_be_committed(self, subject: AsyncStore, unit: str) -> None:
        writer = await subject.upload(unit, spec := upload_spec())
        await writer.write(blocks_of(b"data")[0])
        await writer.abort()
        with pytest.raises(VaultError):
            await writer.commit(4)
        await self._assert_absent(subject, unit, spec.data_id)

    async def test_persisted_size_never_exceeds_what_was_written(self, subject: AsyncStore, unit: str) -> None:
        data = payload(3 * BLOCK_SIZE + 17)
        written = last = 0
        async with await subject.upload(unit, upload_spec()) as writer:
            for block in blocks_of(data):
                await writer.write(block)
                written += len(block.data)
                assert last <= writer.persisted_size <= written
                last = writer.persisted_size
            await writer.commit(written)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    async def test_blocks_hold_any_kind_of_bytes(
        self, subject: AsyncStore, unit: str, kind: type[bytes | bytearray | memoryview]
    ) -> None:
        data = payload(BLOCK_SIZE + 5)
        async with await subject.upload(unit, spec := upload_spec()) as writer:
            for block in blocks_of(data):
                await writer.write(Block(block.offset, kind(block.data), block.checksum))
            await writer.commit(len(data), checksum(data))
        assert await fetch(subject, unit, spec.data_id) == data

    # Blocks and commits that are wrong

    @each(
        ("offsets", "sizes", "reason"),
        [
            ([BLOCK_SIZE], [10], "BAD_OFFSET"),
            ([1], [10], "BAD_OFFSET"),
            ([0, 2 * BLOCK_SIZE], [BLOCK_SIZE, 10], "BAD_OFFSET"),
            ([0, 0], [BLOCK_SIZE, BLOCK_SIZE], "BAD_OFFSET"),
            ([-1], [10], "BAD_OFFSET"),
            ([2**63], [10], "BAD_OFFSET"),
            ([0], [0], "BAD_SIZE"),
            ([0], [BLOCK_SIZE + 1], "BAD_SIZE"),
            ([0, BLOCK_SIZE], [BLOCK_SIZE, 0], "BAD_SIZE"),
            ([0, 10], [10, 10], "BAD_SIZE"),
        ],
    )
    async def test_a_block_out_of_place_or_size_is_refused(
        self, subject: AsyncStore, unit: str, offsets: list[int], sizes: list[int], reason: str
    ) -> None:
        spec = upload_spec()
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, reason):
                async with await subject.upload(unit, spec) as writer:
                    for offset, size in zip(offsets, sizes, strict=True):
                        data = payload(size)
                        await writer.write(Block(offset, data, checksum(data)))
                    await writer.commit(sum(sizes))
        await self._assert_absent(subject, unit, spec.data_id)

    @pytest.mark.parametrize("wrong", [0, 1], ids=["first", "second"])
    async def test_a_block_with_a_wrong_checksum_is_refused(self, subject: AsyncStore, unit: str, wrong: int) -> None:
        data = payload(2 * BLOCK_SIZE)
        blocks = blocks_of(data)
        blocks[wrong] = Block(blocks[wrong].offset, blocks[wrong].data, blocks[wrong].checksum ^ 1)
        spec = upload_spec()
        async with self.unchanged(subject, unit):
            with raises_refusal(ChecksumError, "CHECKSUM_MISMATCH", "checksum"):
                async with await subject.upload(unit, spec) as writer:
                    for block in blocks:
                        await writer.write(block)
                    await writer.commit(len(data))
        await self._assert_absent(subject, unit, spec.data_id)

    @each("size", [0, 3, 5, BLOCK_SIZE, -1, 2**63, 2**64])
    async def test_a_commit_with_a_wrong_size_is_refused(self, subject: AsyncStore, unit: str, size: int) -> None:
        spec = upload_spec()
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, "BAD_SIZE", str(size)):
                async with await subject.upload(unit, spec) as writer:
                    await writer.write(blocks_of(b"data")[0])
                    await writer.commit(size)
        await self._assert_absent(subject, unit, spec.data_id)

    async def test_a_commit_of_bytes_that_were_never_written_is_refused(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        with raises_refusal(InvalidArgumentError, "BAD_SIZE"):
            async with await subject.upload(unit, spec) as writer:
                await writer.commit(1)
        await self._assert_absent(subject, unit, spec.data_id)

    @pytest.mark.parametrize("size", [0, 4, BLOCK_SIZE + 1])
    async def test_a_commit_with_a_wrong_checksum_is_refused(self, subject: AsyncStore, unit: str, size: int) -> None:
        data = payload(size)
        spec = upload_spec()
        async with self.unchanged(subject, unit):
            with raises_refusal(ChecksumError, "CHECKSUM_MISMATCH", "checksum"):
                async with await subject.upload(unit, spec) as writer:
                    for block in blocks_of(data):
                        await writer.write(block)
                    await writer.commit(size, checksum(data) ^ 1)
        await self._assert_absent(subject, unit, spec.data_id)

    async def test_after_a_refused_block_nothing_can_be_committed(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        async with await subject.upload(unit, spec) as writer:
            with suppress(ChecksumError):  # a remote writer may say so later
                await writer.write(Block(0, b"data", 1))
            for size in (4, 0):
                with pytest.raises(VaultError):
                    await writer.commit(size)
        await self._assert_absent(subject, unit, spec.data_id)

    # Ids and names

    @each("data_id", [1, 2**32, 2**53 + 1, MAX_DATA_ID])
    async def test_ids_from_1_to_2_to_the_63_less_1_are_kept(
        self, subject: AsyncStore, unit: str, data_id: int
    ) -> None:
        info = await put(subject, unit, b"data", upload_spec(data_id=data_id))
        assert info.data_id == data_id
        assert await fetch(subject, unit, data_id) == b"data"
        assert [found.data_id for found in await listed(subject, unit)] == [data_id]

    @each("name", NAMES)
    async def test_names_are_any_text(self, subject: AsyncStore, unit: str, name: str) -> None:
        info = await put(subject, unit, b"data", upload_spec(name=name))
        assert info.name == name
        assert await fetch(subject, unit, name) == b"data"
        assert [found.name for found in await listed(subject, unit, prefix=name)] == [name]

    async def test_a_name_made_of_digits_is_no_id(self, subject: AsyncStore, unit: str) -> None:
        await put(subject, unit, b"by id", upload_spec(data_id=5))
        await put(subject, unit, b"by name", upload_spec(data_id=6, name="5"))
        assert await fetch(subject, unit, 5) == b"by id"
        assert await fetch(subject, unit, "5") == b"by name"

    async def test_names_that_differ_in_case_or_composition_are_two(self, subject: AsyncStore, unit: str) -> None:
        for name in ("a", "A", "\u00e9", "e\u0301"):
            await put(subject, unit, name.encode(), upload_spec(name=name))
        assert await fetch(subject, unit, "A") == b"A"
        assert await fetch(subject, unit, "e\u0301") == "e\u0301".encode()

    async def test_tags_and_the_datatype_go_up_to_their_limits(self, subject: AsyncStore, unit: str) -> None:
        tags = {f"{number:02}".ljust(MAX_TAG_KEY, "k"): "v" * MAX_TAG_VALUE for number in range(MAX_TAGS)}
        spec = upload_spec(tags=tags, datatype="d" * MAX_DATATYPE)
        await put(subject, unit, b"data", spec)
        info = await stat(subject, unit, spec.data_id)
        assert info is not None
        assert dict(info.tags) == tags
        assert info.datatype == spec.datatype

    async def test_an_id_that_is_taken_is_refused(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"first")
        async with self.unchanged(subject, unit):
            with raises_refusal(AlreadyExistsError, "OBJECT_EXISTS", str(info.data_id)):
                await put(subject, unit, b"second", upload_spec(data_id=info.data_id))
        assert await fetch(subject, unit, info.data_id) == b"first"
        self.assert_raw(unit, info.data_id, b"first")

    async def test_a_name_that_is_taken_is_refused(self, subject: AsyncStore, unit: str) -> None:
        await put(subject, unit, b"first", upload_spec(name="name"))
        spec = upload_spec(name="name")
        async with self.unchanged(subject, unit):
            with raises_refusal(AlreadyExistsError, "NAME_TAKEN", "name"):
                await put(subject, unit, b"second", spec)
        assert await fetch(subject, unit, "name") == b"first"
        await self._assert_absent(subject, unit, spec.data_id)

    async def test_another_unit_has_ids_and_names_of_its_own(self, subject: AsyncStore, unit: str) -> None:
        await put(subject, unit, b"here", upload_spec(data_id=7, name="name"))
        await put(subject, f"{unit}.b", b"there", upload_spec(data_id=7, name="name"))
        assert await fetch(subject, unit, 7) == await fetch(subject, unit, "name") == b"here"
        assert await fetch(subject, f"{unit}.b", 7) == await fetch(subject, f"{unit}.b", "name") == b"there"

    async def test_of_two_writers_of_one_id_the_first_to_commit_wins(self, subject: AsyncStore, unit: str) -> None:
        data_id = upload_spec().data_id
        first = await subject.upload(unit, upload_spec(data_id=data_id))
        second = await subject.upload(unit, upload_spec(data_id=data_id))
        await second.write(blocks_of(b"second")[0])
        await send(first, b"first")
        with raises_refusal(AlreadyExistsError, "OBJECT_EXISTS"):
            async with second:
                await second.commit(6)
        assert await fetch(subject, unit, data_id) == b"first"

    async def test_of_two_writers_of_one_name_the_first_to_commit_wins(self, subject: AsyncStore, unit: str) -> None:
        first = await subject.upload(unit, upload_spec(name="name"))
        second = await subject.upload(unit, upload_spec(name="name"))
        await second.write(blocks_of(b"second")[0])
        await send(first, b"first")
        with raises_refusal(AlreadyExistsError, "NAME_TAKEN"):
            async with second:
                await second.commit(6)
        assert await fetch(subject, unit, "name") == b"first"

    # Retries

    @pytest.mark.parametrize("size", [0, 1000, BLOCK_SIZE + 1])
    async def test_a_retried_upload_is_done_once_and_answers_the_same(
        self, subject: AsyncStore, unit: str, size: int
    ) -> None:
        spec = upload_spec(name="name")
        first = await put(subject, unit, payload(size), spec)
        async with self.unchanged(subject, unit):
            assert await put(subject, unit, payload(size), spec) == first

    async def test_a_retried_upload_does_not_undo_what_came_after(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        first = await put(subject, unit, b"first", spec)
        await replace(subject, unit, spec.data_id, b"second")
        assert await put(subject, unit, b"first", spec) == first
        assert await fetch(subject, unit, spec.data_id) == b"second"
        await remove(subject, unit, spec.data_id)
        assert await put(subject, unit, b"first", spec) == first
        assert await fetch(subject, unit, spec.data_id) is None

    async def test_a_retry_that_overtakes_its_first_try_is_done_once(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec()
        slow = await subject.upload(unit, spec)
        await slow.write(blocks_of(b"data")[0])
        fast = await put(subject, unit, b"data", spec)
        async with slow:
            assert await slow.commit(4) == fast
        assert await stat(subject, unit, spec.data_id) == fast

    async def _assert_absent(self, store: AsyncStore, unit: str, data_id: int) -> None:
        assert await store.exists_many(unit, [data_id]) == [0]
        assert await stat(store, unit, data_id) is None
        assert await store.load(unit, data_id) is None
        assert data_id not in [info.data_id for info in await listed(store, unit)]
        self.assert_raw(unit, data_id, None)
