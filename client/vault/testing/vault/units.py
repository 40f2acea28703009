"""What holds for typed units, plain types, and the calls that want an object to be there."""

from typing import Any

import pytest

from vault._async.vault.facade import AsyncVault
from vault.datatype import Datatype
from vault.errors import BatchError, ClosedError, ConflictError, DecodeError, InvalidArgumentError, NotFoundError
from vault.testing.store.objects import assert_failed_with, raises_refusal
from vault.testing.vault.harness import Document, VaultHarness, long_text, read, text_of
from vault.wrappers import BytesWrapper, JsonWrapper

PLAIN: dict[Any, tuple[Any, Any]] = {
    bytes: (b"one", b"two"),
    str: ("one", "two"),
    int: (1, 2),
    float: (1.5, 2.5),
    bool: (True, False),
    dict: ({"a": [1]}, {"b": None}),
    dict[str, int]: ({"a": 1}, {}),
    list: ([1], ["two", {}]),
}


class Raw(Datatype):
    """Loads what was stored as bytes."""

    datatype_tag = "bytes"

    def __init__(self, text: str) -> None:
        self.text = text

    def _dump(self) -> bytes:
        return self.text.encode()

    @classmethod
    def _load(cls, raw: bytes) -> "Raw":
        return cls(raw.decode())


each_plain_type = pytest.mark.parametrize("kind", PLAIN, ids=str)


class VaultUnitConformance(VaultHarness):
    """unit, get, open_ticket, and a ticket's set."""

    async def test_what_must_be_there_is_given_or_not_found(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"), name="name")
        for key in (data_id, "name"):
            assert (await vault.get(unit, key)).text == (await vault.get(unit, key, default=None)).text == "text"
            async with await vault.open_ticket(unit, key) as ticket:
                assert ticket.get_data().text == "text"
        for missing in (data_id + 1, "other"):
            for call in (vault.get, vault.open_ticket):
                with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", unit, str(missing)):
                    await call(unit, missing)
            for default in (None, 0, "text"):
                assert await vault.get(unit, missing, default=default) is default
        assert vault.cache_stats().open_tickets == 0

    async def test_what_get_gives_is_ones_own(self, vault: AsyncVault, unit: str) -> None:
        await vault.upload(unit, Document("text"), name="name")
        mine = await vault.get(unit, "name")
        mine.text = "mine"
        assert (await vault.get(unit, "name")).text == await text_of(vault, unit, "name") == "text"

    async def test_a_missing_name_is_answered_with_names_like_it(self, vault: AsyncVault, unit: str) -> None:
        await vault.upload_many(
            unit, [Document("")] * 4, names=["reports/2026-01", "reports/2026-02", "unlike", "Reports"]
        )
        await vault.upload(f"{unit}.few", Document(""), name="reports/2026-11")
        with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", "'reports/2026-01'", "'reports/2026-02'") as caught:
            await vault.get(unit, "reports/2026-1")
        assert "unlike" not in str(caught.value)
        assert "2026-11" not in str(caught.value), "that is of another unit"
        with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", "'Reports'"):
            await vault.open_ticket(unit, "reporst")
        with pytest.raises(NotFoundError) as caught:
            await vault.get(unit, "xyz" * 300)
        assert "like" not in str(caught.value)

    async def test_set_replaces_the_object_when_the_ticket_closes(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("old"), name="name", tags={"a": "1"})
        new = Document("new")
        async with await vault.open_ticket(unit, data_id) as ticket:
            ticket.set(new)
            assert ticket.get_data().text == ticket.get_ref().text == "new"
            assert await text_of(vault, unit, data_id) == "old", "not before it closes"
            ticket.set(Document("newer"))
        info = await vault.stat(unit, "name")
        assert info is not None
        assert (ticket.info.generation, dict(info.tags)) == (info.generation, {"a": "1"})
        assert await text_of(vault, unit, data_id) == "newer"
        with raises_refusal(ClosedError, "CLOSED"):
            ticket.set(new)

    async def test_what_was_set_stays_the_callers(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("old"))
        mine = Document("new")
        async with await vault.open_ticket(unit, data_id) as ticket:
            ticket.set(mine)
            mine.text = "changed before"
        mine.text = "changed after"
        assert await text_of(vault, unit, data_id) == "new"

    async def test_a_set_that_is_left_by_an_exception_is_discarded(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("old"))

        async def fail() -> None:
            async with await vault.open_ticket(unit, data_id) as ticket:
                ticket.set(Document("no"))
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
        assert await text_of(vault, unit, data_id) == "old"

    async def test_set_refuses_another_type_and_changes_nothing(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("old"))
        wrong: Any = BytesWrapper(b"")
        async with await vault.open_ticket(unit, data_id) as ticket:
            with raises_refusal(InvalidArgumentError, "BAD_OBJECT", "Document", "BytesWrapper"):
                ticket.set(wrong)
            assert ticket.get_data().text == "old"
        info = await vault.stat(unit, data_id)
        assert info is not None
        assert info.generation == ticket.generation

    @pytest.mark.parametrize("first", ["set", "edit"])
    async def test_of_a_set_and_another_edit_the_second_to_close_is_a_conflict(
        self, vault: AsyncVault, unit: str, first: str
    ) -> None:
        data_id = await vault.upload(unit, Document("old"))
        setting, editing = await vault.open_ticket(unit, data_id), await vault.open_ticket(unit, data_id)
        editing.get_ref().text = "edited"
        setting.set(Document("set"))
        assert editing.get_data().text == "edited"
        one, two = (setting, editing) if first == "set" else (editing, setting)
        await one.close()
        after = await vault.open_ticket(unit, data_id)
        after.get_ref().text += " again"
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            await two.close()
        await after.close()
        assert await text_of(vault, unit, data_id) == f"{'set' if first == 'set' else 'edited'} again"

    async def test_a_set_never_replaces_what_its_ticket_has_not_shown(self, vault: AsyncVault, unit: str) -> None:
        counts = vault.unit(f"{unit}.counts", int)
        data_id = await counts.upload(0)
        one, two = await counts.open_ticket(data_id), await counts.open_ticket(data_id)
        one.set(one.get_data() + 1)
        await one.close()
        two.set(two.get_data() + 1)
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            await two.close()
        assert await counts.get(data_id) == 1

    async def test_set_after_an_edit_of_ones_own_replaces_that(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("old"))
        async with await vault.open_ticket(unit, data_id) as ticket:
            ticket.get_ref().text = "edited"
            ticket.set(Document("set"))
        assert await text_of(vault, unit, data_id) == "set"

    async def test_a_set_leaves_an_edit_that_is_shared_to_the_others(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("old"))
        one, two = await vault.open_ticket(unit, data_id), await vault.open_ticket(unit, data_id)
        one.get_ref().text += " one"
        two.get_ref().text += " two"  # on the same working copy, where there is a cache
        two.set(Document("set"))
        await one.close()
        assert await text_of(vault, unit, data_id) == ("old one two" if self.cached else "old one")
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            await two.close()

    @each_plain_type
    async def test_objects_of_a_plain_type_come_and_go_as_they_are(
        self, vault: AsyncVault, other: AsyncVault, unit: str, kind: Any
    ) -> None:
        first, second = PLAIN[kind]
        plain, elsewhere = vault.unit(f"{unit}.plain", kind), other.unit(f"{unit}.plain", kind)
        data_id = await plain.upload(first, name="name")
        for reader in (plain, elsewhere):
            assert await reader.get("name") == await reader.get("name", default=None) == first
            assert await reader.get("other", default=None) is None
            assert type(await reader.get(data_id)) is type(first)
        await plain.update("name", second)
        assert await plain.get("name") == second
        async with await plain.open_ticket("name") as ticket:
            assert ticket.get_data() == ticket.get_clone() == ticket.get_ref() == second
            ticket.set(first)
            assert ticket.get_data() == first
        await plain.edit("name", lambda held: second if held == first else None)
        ids = await plain.upload_many(iter([first, second]), names=["a", "b"])
        tickets = await plain.load_many(["a", "name", "none", ids[1]])
        assert [ticket and ticket.get_data() for ticket in tickets] == [first, second, None, second]
        for opened in tickets:
            if opened is not None:
                await opened.close()
        created, opened = await plain.create(first)
        async with opened:
            assert (opened.data_id, opened.get_data()) == (created, first)
        assert vault.cache_stats().open_tickets == 0

    async def test_a_plain_object_is_edited_in_place_where_it_can_be(self, vault: AsyncVault, unit: str) -> None:
        settings = vault.unit(f"{unit}.settings", dict[str, list[int]])
        await settings.upload({"a": [1]}, name="name")
        async with await settings.open_ticket("name") as ticket:
            ticket.get_ref()["a"].append(2)
        await settings.edit("name", lambda held: held["a"].append(3))
        assert await settings.get("name") == {"a": [1, 2, 3]}
        assert (await read(vault, settings.name, "name")).data == {"a": [1, 2, 3]}, "the vault gives the Wrapper"

    async def test_a_plain_object_of_another_type_is_refused_both_ways(self, vault: AsyncVault, unit: str) -> None:
        mixed = f"{unit}.json"
        await vault.upload(mixed, JsonWrapper([1]), name="list")
        await vault.upload(mixed, JsonWrapper({}), name="dict")
        dicts = vault.unit(mixed, dict)
        wrong: Any = [1]
        for call in (dicts.upload(wrong), dicts.update("dict", wrong), dicts.edit("dict", lambda _: wrong)):
            with raises_refusal(InvalidArgumentError, "BAD_OBJECT", mixed, "dict", "list"):
                await call
        with pytest.raises(BatchError) as caught:
            await dicts.upload_many([{"a": 1}, wrong])
        assert_failed_with(caught.value.results[1], InvalidArgumentError, "BAD_OBJECT", "dict", "list")
        async with await dicts.open_ticket("dict") as ticket:
            with raises_refusal(InvalidArgumentError, "BAD_OBJECT", "dict", "list"):
                ticket.set(wrong)
        for read_it in (dicts.get("list"), dicts.load("list"), dicts.open_ticket("list")):
            with raises_refusal(DecodeError, "DATATYPE_MISMATCH", "list", "dict"):
                await read_it
        with pytest.raises(BatchError) as caught:
            await dicts.load_many(["dict", "list"])
        opened, mismatch = caught.value.results
        assert_failed_with(mismatch, DecodeError, "DATATYPE_MISMATCH")
        async with opened:
            assert opened.get_data() == {}
        assert vault.cache_stats().open_tickets == 0

    async def test_a_unit_is_declared_once_and_asked_for_often(self, vault: AsyncVault, unit: str) -> None:
        name = f"{unit}.new"
        declared = vault.unit(name, Document, max_cached=5)
        again = vault.unit(name, Document)
        assert declared == again
        assert {declared, again} == {again}
        assert declared != vault.unit(f"{unit}.newer", Document)
        data_id = await declared.upload(Document("text"))
        assert (await again.get(data_id)).text == await text_of(vault, name, data_id) == "text"
        for options in ({"max_cached": 4}, {"max_bytes": 1}):
            with raises_refusal(InvalidArgumentError, "BAD_STRUCTURE", name, "max_cached=5"):
                vault.unit(name, Document, **options)
        for other in (BytesWrapper, bytes, JsonWrapper, dict):
            with raises_refusal(InvalidArgumentError, "BAD_STRUCTURE", name, "Document", other.__name__):
                vault.unit(name, other)
        with raises_refusal(InvalidArgumentError, "BAD_UNIT"):
            vault.unit("no name", Document)
        assert (await again.get(data_id)).text == "text"

    async def test_a_unit_of_a_wrapper_may_be_asked_for_with_the_type_in_it_and_no_other(
        self, vault: AsyncVault, unit: str
    ) -> None:
        wrapped, plain = vault.unit(f"{unit}.new", JsonWrapper), vault.unit(f"{unit}.new", dict)
        assert wrapped != plain
        data_id = await wrapped.upload(JsonWrapper({"a": 1}))
        assert await plain.get(data_id) == (await wrapped.get(data_id)).data == {"a": 1}
        with raises_refusal(InvalidArgumentError, "BAD_STRUCTURE", "dict", "list"):
            vault.unit(f"{unit}.new", list)

    async def test_a_long_plain_object_is_as_any(self, vault: AsyncVault, unit: str) -> None:
        texts = vault.unit(f"{unit}.texts", str)
        data_id = await texts.upload(long_text())
        assert await texts.get(data_id) == long_text()

    async def test_an_undeclared_unit_holds_bytes_where_there_is_no_structure(
        self, vault: AsyncVault, unit: str
    ) -> None:
        if self.structured:
            return  # it is unknown: VaultObjectConformance says so
        name = f"{unit}.undeclared"
        assert await vault.exists(name, "name") is False
        wrong: Any = Document("text")
        for call in (vault.upload(name, wrong), vault.update(name, "name", wrong), vault.create(name, wrong)):
            with raises_refusal(InvalidArgumentError, "BAD_OBJECT", f"vault.unit({name!r}, Document) declares it"):
                await call
        await vault.upload(name, BytesWrapper(b"one"), name="bytes")
        assert (await vault.get(name, "bytes")).data == b"one"
        documents = vault.unit(name, Document)
        with raises_refusal(DecodeError, "DATATYPE_MISMATCH", "'bytes'"):
            await documents.get("bytes")
        await documents.upload(wrong, name="name")
        assert (await vault.get(name, "name")).text == "text"

    async def test_what_was_loaded_before_its_unit_was_declared_is_loaded_anew(
        self, vault: AsyncVault, unit: str
    ) -> None:
        if self.structured:
            return  # as above
        name = f"{unit}.undeclared"
        await vault.upload(name, BytesWrapper(b"[1]"), name="name")
        before = await vault.open_ticket(name, "name")
        raw = vault.unit(name, Raw)
        assert type(await raw.get("name")) is Raw
        assert before.get_data().data == b"[1]"
        before.get_ref().data = b"[2]"
        with raises_refusal(InvalidArgumentError, "BAD_OBJECT", "Raw, not BytesWrapper"):
            await before.close()
        assert (await raw.get("name")).text == "[1]"
