"""What holds for a vault's calls about one object."""

from typing import Any

import pytest

from vault._async.vault.facade import AsyncVault
from vault.errors import (
    AlreadyExistsError,
    ClosedError,
    ConflictError,
    DecodeError,
    EncodeError,
    InvalidArgumentError,
    NotFoundError,
    UnknownUnitError,
)
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key, ObjectInfo, checksum
from vault.testing.store.objects import every_size, payload, raises_refusal
from vault.testing.vault.harness import Document, Report, Streamed, VaultHarness, long_text, read, text_of
from vault.wrappers import BytesWrapper, JsonWrapper


async def _listed(vault: AsyncVault, unit: str) -> list[ObjectInfo]:
    return [info async for info in vault.list(unit)]


class VaultObjectConformance(VaultHarness):
    """exists, load, upload, create, update, delete, stat, find, set_metadata, edit, units."""

    @every_size
    async def test_bytes_come_back_as_they_went_in(self, vault: AsyncVault, unit: str, size: int) -> None:
        blobs = f"{unit}.bytes"
        data_id = await vault.upload(blobs, BytesWrapper(payload(size)), name="blob", tags={"a": "1"})
        for key in (data_id, "blob", data_id):
            assert (await read(vault, blobs, key)).data == payload(size)
        info = await vault.stat(blobs, "blob")
        assert info is not None
        assert (info.data_id, info.size, info.checksum) == (data_id, size, checksum(payload(size)))
        assert (info.name, dict(info.tags), info.datatype) == ("blob", {"a": "1"}, "bytes")

    @pytest.mark.parametrize("value", [None, True, 5, -1.5, "ä", [], {"a": [1, {"b": None}]}])
    async def test_json_comes_back_as_it_went_in(self, vault: AsyncVault, unit: str, value: Any) -> None:
        data_id = await vault.upload(f"{unit}.json", JsonWrapper(value))
        assert (await read(vault, f"{unit}.json", data_id)).data == value

    @pytest.mark.parametrize("size", [0, 1000, BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE + 17])
    async def test_streaming_hooks_store_the_same_bytes(self, vault: AsyncVault, unit: str, size: int) -> None:
        streamed = f"{unit}.streamed"
        data_id = await vault.upload(streamed, Streamed(payload(size, 1)))
        assert (await read(vault, streamed, data_id)).data == payload(size, 1)
        info = await vault.update(streamed, data_id, Streamed(payload(size, 2)))
        assert info.checksum == checksum(payload(size, 2))
        assert (await read(vault, streamed, data_id)).data == payload(size, 2)

    async def test_an_object_comes_back_in_its_own_class(self, vault: AsyncVault, unit: str) -> None:
        one = await vault.upload(unit, Document("one"))
        two = await vault.upload(unit, Report("two"))
        assert type(await read(vault, unit, one)) is Document
        assert type(await read(vault, unit, two)) is Report
        info = await vault.update(unit, one, Report("changed"))
        assert info.datatype == "Report"
        assert type(await read(vault, unit, one)) is Report

    async def test_what_is_not_there(self, vault: AsyncVault, unit: str) -> None:
        for key in (5, "name"):
            assert await vault.load(unit, key) is None
            assert await vault.stat(unit, key) is None
            assert await vault.exists(unit, key) is False
            assert await vault.delete(unit, key) is False
            with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", unit, str(key)):
                await vault.update(unit, key, Document("no"))
            with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", unit, str(key)):
                await vault.set_metadata(unit, key, tags={})
            with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", unit, str(key)):
                await vault.edit(unit, key, lambda _document: None)
            with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", unit, str(key)):
                await vault.open(unit, key)
        assert await vault.find(unit, "name") is None
        assert await _listed(vault, unit) == []
        assert unit not in await vault.units()

    async def test_ids_are_random_unless_given(self, vault: AsyncVault, unit: str) -> None:
        ids = {await vault.upload(unit, Document("same")) for _ in range(5)}
        assert len(ids) == 5
        assert min(ids) > 0
        assert await vault.upload(unit, Document("mine"), data_id=7) == 7
        assert await text_of(vault, unit, 7) == "mine"

    async def test_an_id_and_a_name_are_given_once(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("first"), name="name")
        with raises_refusal(AlreadyExistsError, "NAME_TAKEN", "name"):
            await vault.upload(unit, Document("second"), name="name")
        with raises_refusal(AlreadyExistsError, "OBJECT_EXISTS", str(data_id)):
            await vault.upload(unit, Document("second"), data_id=data_id)
        assert await text_of(vault, unit, "name") == "first"
        assert [info.data_id for info in await _listed(vault, unit)] == [data_id]

    async def test_create_gives_the_id_and_a_ticket(self, vault: AsyncVault, unit: str) -> None:
        data_id, ticket = await vault.create(unit, Document("first"), name="name", tags={"a": "1"})
        async with ticket:
            assert ticket.get_data().text == "first"
            ticket.get_ref().text = "second"
        assert await text_of(vault, unit, "name") == "second"
        info = await vault.stat(unit, data_id)
        assert info is not None
        assert dict(info.tags) == {"a": "1"}

    async def test_an_update_is_seen_by_the_next_load(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("first"), name="name")
        assert await text_of(vault, unit, data_id) == "first"
        keys: list[Key] = [data_id, "name"]
        for number, key in enumerate(keys):
            info = await vault.update(unit, key, Document(f"update {number}"))
            assert await vault.stat(unit, data_id) == info
            assert await text_of(vault, unit, "name") == await text_of(vault, unit, data_id) == f"update {number}"

    async def test_if_generation_protects_from_lost_updates(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("first"))
        first = await vault.stat(unit, data_id)
        assert first is not None
        second = await vault.update(unit, data_id, Document("second"), if_generation=first.generation)
        with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(second.generation)):
            await vault.update(unit, data_id, Document("third"), if_generation=first.generation)
        with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(second.generation)):
            await vault.delete(unit, data_id, if_generation=first.generation)
        with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(second.generation)):
            await vault.set_metadata(unit, data_id, name="n", if_generation=first.generation)
        assert await text_of(vault, unit, data_id) == "second"
        assert await vault.delete(unit, data_id, if_generation=second.generation) is True

    async def test_a_deleted_object_is_gone_from_the_cache_too(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"), name="name")
        assert await text_of(vault, unit, "name") == "text"
        assert await vault.delete(unit, "name") is True
        assert await vault.load(unit, data_id) is None
        assert await vault.load(unit, "name") is None
        assert await vault.delete(unit, data_id) is False
        await vault.upload(unit, Document("another"), name="name", data_id=data_id)
        assert await text_of(vault, unit, data_id) == await text_of(vault, unit, "name") == "another"

    async def test_names_move_and_loads_follow(self, vault: AsyncVault, unit: str) -> None:
        one = await vault.upload(unit, Document("one"), name="name")
        two = await vault.upload(unit, Document("two"), name="other")
        assert await text_of(vault, unit, "name") == "one"
        await vault.set_metadata(unit, one, name="")
        assert await vault.load(unit, "name") is None
        info = await vault.set_metadata(unit, "other", name="name", tags={"a": "1"})
        assert (info.data_id, info.name, dict(info.tags)) == (two, "name", {"a": "1"})
        assert await text_of(vault, unit, "name") == "two"
        assert await vault.load(unit, "other") is None
        assert await vault.find(unit, "name") == two
        with raises_refusal(AlreadyExistsError, "NAME_TAKEN", "name"):
            await vault.set_metadata(unit, one, name="name")

    async def test_edit_reads_changes_and_writes(self, vault: AsyncVault, unit: str) -> None:
        def louder(document: Document) -> None:
            document.text += "!"

        data_id = await vault.upload(unit, Document("hello"), name="name")
        info = await vault.edit(unit, "name", louder)
        assert await vault.stat(unit, data_id) == info
        assert await text_of(vault, unit, data_id) == "hello!"
        await vault.edit(unit, data_id, lambda document: Document(document.text.upper()))
        assert await text_of(vault, unit, data_id) == "HELLO!"

    async def test_an_edit_that_raises_writes_nothing(self, vault: AsyncVault, unit: str) -> None:
        def fail(document: Document) -> None:
            document.text = "half done"
            raise KeyError("mine")

        data_id = await vault.upload(unit, Document("hello"))
        before = await vault.stat(unit, data_id)
        with pytest.raises(KeyError, match="mine"):
            await vault.edit(unit, data_id, fail)
        assert await vault.stat(unit, data_id) == before
        assert await text_of(vault, unit, data_id) == "hello"

    # What fails

    async def test_a_unit_that_is_not_in_the_structure_is_unknown(self, vault: AsyncVault, unit: str) -> None:
        unknown = f"{unit}.unknown"
        if not self.structured:
            assert vault.get_datatype(unknown) is BytesWrapper
            return  # VaultUnitConformance has the rest
        calls = [
            vault.exists(unknown, 5),
            vault.load(unknown, 5),
            vault.upload(unknown, Document("text")),
            vault.create(unknown, Document("text")),
            vault.update(unknown, 5, Document("text")),
            vault.delete(unknown, 5),
            vault.stat(unknown, 5),
            vault.find(unknown, "name"),
            vault.set_metadata(unknown, 5, tags={}),
            vault.edit(unknown, 5, lambda _document: None),
            vault.exists_many(unknown, [5]),
            vault.load_many(unknown, [5]),
            vault.upload_many(unknown, [Document("text")]),
            vault.delete_many(unknown, [5]),
            vault.open(unknown, 5),
            vault.open_writer(unknown),
            vault.upload_file(unknown, "no such file"),
            vault.download_file(unknown, 5, "no such folder/file"),
        ]
        for call in calls:
            with raises_refusal(UnknownUnitError, "UNKNOWN_UNIT", unknown):
                await call
        with raises_refusal(UnknownUnitError, "UNKNOWN_UNIT", unknown):
            vault.list(unknown)
        with raises_refusal(UnknownUnitError, "UNKNOWN_UNIT", unknown):
            vault.get_datatype(unknown)
        assert vault.get_datatype(unit) is Document

    async def test_an_object_of_another_datatype_is_refused(self, vault: AsyncVault, unit: str) -> None:
        wrong: Any = "text"
        data_id = await vault.upload(f"{unit}.reports", Report("text"))
        for data in (wrong, Document("not a report"), BytesWrapper(b"")):
            with raises_refusal(InvalidArgumentError, "BAD_OBJECT", f"{unit}.reports", "Report"):
                await vault.upload(f"{unit}.reports", data)
            with raises_refusal(InvalidArgumentError, "BAD_OBJECT", f"{unit}.reports", "Report"):
                await vault.update(f"{unit}.reports", data_id, data)
        assert len(await _listed(vault, f"{unit}.reports")) == 1

    async def test_an_object_that_does_not_dump_is_not_stored(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(f"{unit}.json", JsonWrapper("old"))
        before = await _listed(vault, f"{unit}.json")
        bad = JsonWrapper({1, 2})
        with raises_refusal(EncodeError, "ENCODE", f"{unit}.json") as caught:
            await vault.upload(f"{unit}.json", bad)
        assert isinstance(caught.value.__cause__, TypeError)
        with raises_refusal(EncodeError, "ENCODE", f"{unit}.json", str(data_id)) as caught:
            await vault.update(f"{unit}.json", data_id, bad)
        assert isinstance(caught.value.__cause__, TypeError)
        assert await _listed(vault, f"{unit}.json") == before

    async def test_bytes_that_do_not_decode_are_said_to_be_so(self, vault: AsyncVault, unit: str) -> None:
        async with await vault.open_writer(f"{unit}.json", name="broken") as writer:
            await writer.write(b"{")
        with raises_refusal(DecodeError, "DECODE", f"{unit}.json", str(writer.data_id)) as caught:
            await vault.load(f"{unit}.json", "broken")
        assert isinstance(caught.value.__cause__, ValueError)
        assert await vault.exists(f"{unit}.json", "broken")

    async def test_long_objects_take_every_way_too(self, vault: AsyncVault, unit: str) -> None:
        text = long_text()
        data_id = await vault.upload(unit, Document(text), name="long")
        assert await text_of(vault, unit, "long") == text
        await vault.update(unit, data_id, Document(text + "updated"))
        ticket = await vault.load(unit, data_id)
        assert ticket is not None
        async with ticket:
            assert ticket.get_data().text == text + "updated"
            ticket.get_ref().text = text + "edited"
        assert await text_of(vault, unit, data_id) == text + "edited"

    # Closing

    async def test_a_closed_vault_is_closed(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))
        await vault.close()
        await vault.close()
        for call in (
            vault.exists(unit, data_id),
            vault.load(unit, data_id),
            vault.upload(unit, Document("text")),
            vault.update(unit, data_id, Document("text")),
            vault.delete(unit, data_id),
            vault.stat(unit, data_id),
            vault.units(),
            vault.load_many(unit, [data_id]),
            vault.open(unit, data_id),
            vault.open_writer(unit),
        ):
            with pytest.raises(ClosedError):
                await call
        with pytest.raises(ClosedError):
            vault.list(unit)
