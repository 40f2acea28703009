"""What holds for a vault's puts and renames: in one step, seen at once, also by its own cache and by other vaults."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from vault._async.vault.facade import AsyncVault
from vault.errors import (
    AlreadyExistsError,
    BatchError,
    ConflictError,
    EncodeError,
    InvalidArgumentError,
    NotFoundError,
    VaultError,
)
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import MetadataSpec
from vault.store.values import Key, checksum
from vault.testing.store.objects import assert_failed_with, payload, raises_refusal
from vault.testing.vault.harness import Document, Streamed, VaultHarness, long_text, read, text_of
from vault.wrappers import BytesWrapper, JsonWrapper


class VaultPutConformance(VaultHarness):
    """put, put_many, put_file, open_writer(replace=True), rename, rename_many, set_metadata_many, if_revision."""

    @pytest.mark.parametrize("text", ["short", long_text(2)], ids=["small", "streamed"])
    async def test_a_put_is_new_or_replaces_and_shows_at_once(
        self, vault: AsyncVault, other: AsyncVault, unit: str, text: str
    ) -> None:
        first = await vault.put(unit, "name", Document("first"), tags={"a": "1"})
        assert await text_of(vault, unit, "name") == "first"
        assert await text_of(other, unit, "name") == "first"
        second = await vault.put(unit, "name", Document(text), tags={"b": "2"})
        assert await text_of(vault, unit, "name") == text
        assert await text_of(vault, unit, first.data_id) == text
        assert (second.data_id, second.created_at, second.tags) == (first.data_id, first.created_at, {"b": "2"})
        assert (second.size, second.checksum) == (len(text.encode()), checksum(text.encode()))
        assert await vault.stat(unit, "name") == second
        assert [info async for info in other.list(unit)] == [second]

    async def test_a_put_of_what_streams_by_itself(self, vault: AsyncVault, unit: str) -> None:
        for size in (10, BLOCK_SIZE + 1, 3 * BLOCK_SIZE + 7):
            await vault.put(f"{unit}.streamed", "name", Streamed(payload(size)))
            assert (await read(vault, f"{unit}.streamed", "name")).data == payload(size)

    async def test_an_open_ticket_keeps_what_it_has_and_loses_its_edit(self, vault: AsyncVault, unit: str) -> None:
        await vault.put(unit, "name", Document("old"))
        ticket = await vault.load(unit, "name")
        assert ticket is not None
        await vault.put(unit, "name", Document("new"))
        assert ticket.get_data().text == "old"
        ticket.get_ref().text = "lost"
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            await ticket.close()
        assert await text_of(vault, unit, "name") == "new"

    async def test_preconditions_of_a_put(self, vault: AsyncVault, unit: str) -> None:
        info = await vault.put(unit, "name", Document("one"), if_generation=0)
        with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(info.generation)):
            await vault.put(unit, "name", Document("no"), if_generation=0)
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            await vault.put(unit, "name", Document(long_text()), if_generation=info.generation + 1)
        with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", "nobody"):
            await vault.put(unit, "nobody", Document("no"), if_generation=info.generation)
        assert await text_of(vault, unit, "name") == "one"
        await vault.put(unit, "name", Document("two"), if_generation=info.generation)
        assert await text_of(vault, unit, "name") == "two"

    async def test_of_many_that_put_only_what_is_new_one_does(self, vault: AsyncVault, unit: str) -> None:
        async def put(number: int) -> Any:
            try:
                return await vault.put(unit, "name", Document(f"{number}"), if_generation=0)
            except ConflictError as error:
                return error.reason

        outcomes = await asyncio.gather(*map(put, range(8)))
        (winner,) = [outcome for outcome in outcomes if not isinstance(outcome, str)]
        assert outcomes.count("GENERATION_MISMATCH") == 7
        assert await text_of(vault, unit, "name") == f"{outcomes.index(winner)}"

    async def test_bad_puts_are_refused_and_nothing_is_lost(self, vault: AsyncVault, unit: str) -> None:
        await vault.put(unit, "name", Document("old"))
        before = [info async for info in vault.list(unit)]
        bad: list[tuple[type[VaultError], str, tuple[Any, ...], dict[str, Any]]] = [
            (InvalidArgumentError, "BAD_NAME", ("", Document("no")), {}),
            (InvalidArgumentError, "BAD_NAME", (None, Document("no")), {}),
            (InvalidArgumentError, "BAD_NAME", ("a\n", Document("no")), {}),
            (InvalidArgumentError, "BAD_OBJECT", ("name", BytesWrapper(b"no")), {}),
            (InvalidArgumentError, "BAD_TAGS", ("name", Document("no")), {"tags": {"a": 1}}),
            (InvalidArgumentError, "BAD_EXPIRY", ("name", Document("no")), {"expires_in": 0}),
            (InvalidArgumentError, "BAD_EXPIRY", ("name", Document("no")), {"expires_in": "soon"}),
            (InvalidArgumentError, "BAD_GENERATION", ("name", Document("no")), {"if_generation": -1}),
        ]
        for kind, reason, args, options in bad:
            with raises_refusal(kind, reason):
                await vault.put(unit, *args, **options)
        with raises_refusal(EncodeError, "ENCODE"):
            await vault.put(f"{unit}.json", "name", JsonWrapper({1, 2}))
        assert [info async for info in vault.list(unit)] == before
        assert await text_of(vault, unit, "name") == "old"

    async def test_many_are_put_in_order_and_each_succeeds_or_fails_alone(self, vault: AsyncVault, unit: str) -> None:
        blobs = f"{unit}.bytes"
        first = await vault.put(blobs, "b", BytesWrapper(b"old"))
        sizes = [10, BLOCK_SIZE + 1, 0, BLOCK_SIZE, 2 * BLOCK_SIZE]
        objects = {name: BytesWrapper(payload(size)) for name, size in zip("abcde", sizes, strict=True)}
        infos = await vault.put_many(blobs, objects, tags=[{"k": name} for name in objects])
        assert [(info.name, info.size, info.tags) for info in infos] == [
            (name, size, {"k": name}) for name, size in zip("abcde", sizes, strict=True)
        ]
        assert infos[1].data_id == first.data_id
        for name, expected in objects.items():
            assert (await read(vault, blobs, name)).data == expected.data
        with pytest.raises(BatchError) as caught:
            await vault.put_many(f"{unit}.json", [("x", JsonWrapper(1)), ("y", JsonWrapper({2})), ("", JsonWrapper(3))])
        done, *failed = caught.value.results
        assert done.name == "x"
        assert_failed_with(failed[0], EncodeError, "ENCODE")
        assert_failed_with(failed[1], InvalidArgumentError, "BAD_NAME")
        twice = await vault.put_many(f"{unit}.json", [("x", JsonWrapper(4)), ("x", JsonWrapper(5))])
        assert {info.data_id for info in twice} == {done.data_id}
        assert (await read(vault, f"{unit}.json", "x")).data == 5
        assert await vault.put_many(unit, {}) == []
        for what in ("xy", ["x"], [("x",)], 5, [("x", Document("a"), Document("b"))]):
            with raises_refusal(InvalidArgumentError, "BAD_BATCH"):
                await vault.put_many(unit, what)  # type: ignore[arg-type]
        with raises_refusal(InvalidArgumentError, "BAD_BATCH"):
            await vault.put_many(unit, {"x": Document("a")}, tags=[])

    async def test_files_are_put(self, vault: AsyncVault, unit: str, tmp_path: Path) -> None:
        blobs, file = f"{unit}.bytes", tmp_path / "file"
        file.write_bytes(payload(2 * BLOCK_SIZE + 5))
        first = await vault.put_file(blobs, "name", file)
        assert first.checksum == checksum(payload(2 * BLOCK_SIZE + 5))
        second = await vault.put_file(
            blobs, "name", io.BytesIO(b"short"), tags={"a": "1"}, if_generation=first.generation
        )
        assert (second.data_id, second.size, second.tags, second.datatype) == (first.data_id, 5, {"a": "1"}, "bytes")
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            await vault.put_file(blobs, "name", file, if_generation=0)
        with pytest.raises(FileNotFoundError):
            await vault.put_file(blobs, "name", tmp_path / "nothing")
        assert (await read(vault, blobs, "name")).data == b"short"

    async def test_a_writer_replaces_and_the_object_is_there_until_it_closes(
        self, vault: AsyncVault, unit: str
    ) -> None:
        blobs = f"{unit}.bytes"
        first = await vault.put(blobs, "name", BytesWrapper(b"old"), tags={"a": "1"})
        async with await vault.open_writer(blobs, name="name", replace=True, expires_in=3600) as writer:
            await writer.write(payload(2 * BLOCK_SIZE))
            assert await vault.stat(blobs, "name") == first
            assert (await read(vault, blobs, "name")).data == b"old"
        assert (writer.info.data_id, writer.data_id, writer.info.tags) == (first.data_id, first.data_id, {})
        assert writer.info.expires_at is not None
        assert (await read(vault, blobs, "name")).data == payload(2 * BLOCK_SIZE)
        async with await vault.open_writer(blobs, name="name", replace=True) as writer:
            await writer.write(b"half")
            await writer.abort()
        assert await vault.stat(blobs, "name") is not None
        assert (await read(vault, blobs, "name")).data == payload(2 * BLOCK_SIZE)
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            await vault.open_writer(blobs, name="name", replace=True, if_generation=first.generation)
        bad: list[dict[str, Any]] = [{"replace": True}, {"name": "x", "if_generation": 1}, {"expires_in": 5}]
        for options in bad:
            with pytest.raises(InvalidArgumentError):
                await vault.open_writer(blobs, **options)

    async def test_tags_with_an_update_and_nobodys_tags_are_lost(
        self, vault: AsyncVault, other: AsyncVault, unit: str
    ) -> None:
        mine = await vault.put(unit, "name", Document("one"))
        theirs = await other.set_metadata(unit, "name", tags={"by": "other"}, if_revision=mine.revision)
        for call in (
            vault.update(unit, "name", Document("no"), tags={"by": "me"}, if_revision=mine.revision),
            vault.set_metadata(unit, "name", tags={"by": "me"}, if_revision=mine.revision),
            vault.delete(unit, "name", if_revision=mine.revision),
        ):
            with raises_refusal(ConflictError, "REVISION_MISMATCH", str(theirs.revision)):
                await call
        info = await vault.update(unit, "name", Document("two"), tags={"by": "both"}, if_revision=theirs.revision)
        assert info.tags == {"by": "both"}
        assert await text_of(vault, unit, "name") == "two"
        assert await vault.delete(unit, "name", if_revision=info.revision)

    async def test_a_rename_over_a_name_shows_at_once(self, vault: AsyncVault, other: AsyncVault, unit: str) -> None:
        new, old = [await vault.put(unit, name, Document(name)) for name in ("new", "name")]
        for each in (vault, other):
            assert [await text_of(each, unit, key) for key in ("new", "name", old.data_id)] == ["new", "name", "name"]
        with raises_refusal(AlreadyExistsError, "NAME_TAKEN", "name"):
            await vault.rename(unit, "new", "name")
        info = await vault.rename(unit, "new", "name", replace=True)
        assert (info.data_id, info.name) == (new.data_id, "name")
        assert await text_of(vault, unit, "name") == "new"
        assert await read(vault, unit, old.data_id) is None
        assert await read(vault, unit, "new") is None
        assert (await vault.rename(unit, "name", "name", replace=True)).data_id == new.data_id
        for bad in ("", None, 5, "x" * 2000):
            with raises_refusal(InvalidArgumentError, "BAD_NAME"):
                await vault.rename(unit, "name", bad)  # type: ignore[arg-type]
        assert await text_of(vault, unit, "name") == "new"

    async def test_a_directory_is_renamed_by_one_call(self, vault: AsyncVault, unit: str) -> None:
        await vault.put_many(unit, {f"old/{number:03}": Document(f"{number}") for number in range(500)})
        assert await text_of(vault, unit, "old/007") == "7"
        moved = {info.data_id: f"new/{(info.name or '')[4:]}" async for info in vault.list(unit, prefix="old/")}
        infos = await vault.rename_many(unit, moved)
        assert [info.name for info in infos] == [f"new/{number:03}" for number in range(500)]
        assert [info.name async for info in vault.list(unit)] == [moved[key] for key in sorted(moved)]
        assert await text_of(vault, unit, "new/007") == "7"
        assert await read(vault, unit, "old/007") is None

    async def test_names_are_swapped_by_a_third_and_each_fails_alone(self, vault: AsyncVault, unit: str) -> None:
        one, two = [await vault.put(unit, name, Document(name)) for name in ("one", "two")]
        await vault.rename_many(unit, [("one", "tmp"), ("two", "one"), ("tmp", "two")])
        assert [await text_of(vault, unit, name) for name in ("one", "two")] == ["two", "one"]
        names: dict[Key, str] = {"nobody": "x", two.data_id: "two", "one": "", one.data_id: "three"}
        with pytest.raises(BatchError) as caught:
            await vault.rename_many(unit, names)
        assert_failed_with(caught.value.results[0], NotFoundError, "OBJECT_NOT_FOUND")
        assert_failed_with(caught.value.results[1], AlreadyExistsError, "NAME_TAKEN")
        assert_failed_with(caught.value.results[2], InvalidArgumentError, "BAD_NAME")
        assert caught.value.results[3].name == "three"
        assert await text_of(vault, unit, "three") == "one"
        (info,) = await vault.rename_many(unit, {"one": "three"}, replace=True)
        assert (info.data_id, await read(vault, unit, one.data_id)) == (two.data_id, None)
        assert await vault.rename_many(unit, {}) == []
        for what in ("xy", ["x"], 5):
            with raises_refusal(InvalidArgumentError, "BAD_BATCH"):
                await vault.rename_many(unit, what)  # type: ignore[arg-type]

    async def test_metadata_of_many_is_changed_by_one_call(self, vault: AsyncVault, unit: str) -> None:
        await vault.put_many(unit, {name: Document(name) for name in "abc"})
        infos = await vault.set_metadata_many(unit, [MetadataSpec(name, tags={"k": name}) for name in "abc"])
        assert [info async for info in vault.list(unit, prefix="")] == infos
        with pytest.raises(BatchError) as caught:
            await vault.set_metadata_many(unit, [MetadataSpec("a", tags={}), MetadataSpec("x", tags={})])
        assert caught.value.results[0].tags == {}
        assert_failed_with(caught.value.results[1], NotFoundError, "OBJECT_NOT_FOUND")
        with pytest.raises(InvalidArgumentError):
            await vault.set_metadata_many(unit, ["a"])  # type: ignore[list-item]
