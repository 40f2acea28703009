"""What holds for a vault's copies, and for what it reads of objects as bytes."""

import pytest

from vault._async.vault.facade import AsyncVault
from vault.errors import AlreadyExistsError, BatchError, ConflictError, InvalidArgumentError, NotFoundError
from vault.store.limits import BLOCK_SIZE
from vault.testing.store.objects import assert_failed_with, payload, raises_refusal
from vault.testing.vault.harness import Document, VaultHarness, long_text, read, text_of
from vault.wrappers import BytesWrapper


class VaultCopyConformance(VaultHarness):
    """copy, copy_many, read, read_ranges."""

    @pytest.mark.parametrize("text", ["short", long_text(2)], ids=["small", "streamed"])
    async def test_a_copy_is_an_object_of_its_own_and_shows_at_once(
        self, vault: AsyncVault, other: AsyncVault, unit: str, text: str
    ) -> None:
        source = await vault.put(unit, "source", Document(text), tags={"a": "1"})
        made = await vault.copy(unit, "source", name="copy")
        assert (made.name, dict(made.tags), made.checksum) == ("copy", {"a": "1"}, source.checksum)
        assert await text_of(vault, unit, "copy") == await text_of(other, unit, made.data_id) == text
        await vault.update(unit, "source", Document("changed"))
        assert await text_of(vault, unit, "copy") == text
        assert await text_of(vault, unit, "source") == "changed"

    async def test_a_copy_over_a_cached_object_is_seen(self, vault: AsyncVault, unit: str) -> None:
        await vault.put(unit, "source", Document("source"))
        old = await vault.put(unit, "copy", Document("old"))
        assert await text_of(vault, unit, "copy") == await text_of(vault, unit, old.data_id) == "old"
        with raises_refusal(AlreadyExistsError, "NAME_TAKEN", "copy"):
            await vault.copy(unit, "source", name="copy")
        made = await vault.copy(unit, "source", name="copy", replace=True)
        assert made.data_id == old.data_id
        assert await text_of(vault, unit, "copy") == await text_of(vault, unit, old.data_id) == "source"
        with raises_refusal(InvalidArgumentError, "BAD_NAME", "itself"):
            await vault.copy(unit, "copy", name="copy", replace=True)

    async def test_a_copy_into_another_unit(self, vault: AsyncVault, unit: str) -> None:
        await vault.put(unit, "source", Document("text"))
        made = await vault.copy(unit, "source", name=None, to_unit=f"{unit}.few")
        assert (made.unit, made.name) == (f"{unit}.few", None)
        assert await text_of(vault, f"{unit}.few", made.data_id) == "text"
        with pytest.raises(InvalidArgumentError):
            await vault.copy(unit, "source", name="copy", to_unit="no/unit")

    async def test_many_copies_have_their_own_outcomes(self, vault: AsyncVault, unit: str) -> None:
        source = await vault.put(unit, "source", Document("text"))
        with pytest.raises(BatchError) as caught:
            await vault.copy_many(unit, [("source", "a"), ("nobody", "b"), (source.data_id, "c")])
        first, failed, last = caught.value.results
        assert (first.name, last.name) == ("a", "c")
        assert_failed_with(failed, NotFoundError, "OBJECT_NOT_FOUND", "nobody")
        assert [info.name for info in await vault.copy_many(unit, {"a": "d", "c": "e"})] == ["d", "e"]
        assert await text_of(vault, unit, "e") == "text"
        assert await vault.copy_many(unit, {}) == []
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            await vault.copy(unit, "source", name="f", if_generation=source.generation + 1)
        with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND"):
            await vault.copy(unit, "nobody", name="f")

    @pytest.mark.parametrize("size", [0, 10, 3 * BLOCK_SIZE + 7, 6 * BLOCK_SIZE])
    async def test_parts_are_read_as_they_are_stored(self, vault: AsyncVault, unit: str, size: int) -> None:
        blobs, data = f"{unit}.bytes", payload(size)
        await vault.put(blobs, "name", BytesWrapper(data))
        assert await vault.read(blobs, "name") == data
        assert await vault.read(blobs, "name", verify="end_to_end") == data
        assert await vault.read(blobs, "name", offset=-5) == data[-5:]
        assert await vault.read(blobs, "name", offset=size // 2, length=100) == data[size // 2 : size // 2 + 100]
        ranges: list[tuple[int, int | None]] = [(size // 3, None), (0, 5), (0, 0), (-7, 3), (0, None)]
        expected = [data[size // 3 :], data[:5], b"", (data[-7:] if size else b"")[:3], data]
        assert await vault.read_ranges(blobs, "name", ranges) == expected
        assert await vault.read_ranges(blobs, "name", ranges, verify="end_to_end") == expected
        with raises_refusal(InvalidArgumentError, "BAD_RANGE", str(size + 1)):
            await vault.read(blobs, "name", offset=size + 1)
        with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", "nobody"):
            await vault.read(blobs, "nobody")

    async def test_parts_of_an_object_of_any_datatype_are_its_bytes(self, vault: AsyncVault, unit: str) -> None:
        info = await vault.put(unit, "name", Document("hello"))
        assert await vault.read(unit, info.data_id, offset=1, length=3) == b"ell"
        assert (await read(vault, unit, "name")).text == "hello"
