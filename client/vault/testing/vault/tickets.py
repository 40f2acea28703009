"""What holds for tickets and for the cache behind them: what is served is current, what is edited is written."""

import asyncio

import pytest

from vault._async.objects.ticket import AsyncTicket
from vault._async.vault.facade import AsyncVault
from vault.errors import ClosedError, ConflictError, NotFoundError
from vault.store.values import Key
from vault.testing.store.feed import PATIENCE
from vault.testing.store.objects import raises_refusal
from vault.testing.vault.harness import Document, VaultHarness, read, text_of


async def _ticket(vault: AsyncVault, unit: str, key: Key) -> AsyncTicket:
    ticket = await vault.load(unit, key)
    assert ticket is not None
    return ticket


async def _until(vault: AsyncVault, unit: str, key: Key, text: str) -> None:
    """Loads until the text is there: another vault's write may take a moment to arrive."""
    async with asyncio.timeout(PATIENCE):
        while not isinstance(found := await read(vault, unit, key), Document) or found.text != text:
            await _moment()


async def _until_gone(vault: AsyncVault, unit: str, key: Key) -> None:
    async with asyncio.timeout(PATIENCE):
        while await read(vault, unit, key) is not None:
            await _moment()


async def _moment() -> None:
    await asyncio.sleep(0.01)


class VaultTicketConformance(VaultHarness):
    """Tickets, the object cache, and two vaults on one storage."""

    async def test_data_are_read_and_copies_are_ones_own(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))
        async with await _ticket(vault, unit, data_id) as ticket:
            clone = ticket.get_clone()
            clone.text = "mine"
            assert ticket.get_data().text == "text"
            assert (ticket.data_id, ticket.closed) == (data_id, False)
        assert ticket.closed
        assert await text_of(vault, unit, data_id) == "text"

    async def test_an_edit_is_written_when_the_ticket_closes(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"), name="name", tags={"a": "1"})
        before = await vault.stat(unit, data_id)
        assert before is not None
        async with await _ticket(vault, unit, data_id) as ticket:
            ticket.get_ref().text += " edited"
            assert ticket.get_data().text == "text edited"
            assert await vault.stat(unit, data_id) == before, "not before it closes"
        after = await vault.stat(unit, data_id)
        assert after is not None
        assert after.generation > before.generation
        assert (after.name, dict(after.tags)) == ("name", {"a": "1"})
        assert await text_of(vault, unit, data_id) == "text edited"

    async def test_reading_writes_nothing(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))
        before = await vault.stat(unit, data_id)
        async with await _ticket(vault, unit, data_id) as ticket:
            ticket.get_data()
            ticket.get_clone()
        assert await vault.stat(unit, data_id) == before

    async def test_leaving_by_an_exception_discards_the_edit(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))

        async def edit_and_fail() -> None:
            async with await _ticket(vault, unit, data_id) as ticket:
                ticket.get_ref().text = "half done"
                raise KeyError

        with pytest.raises(KeyError):
            await edit_and_fail()
        assert await text_of(vault, unit, data_id) == "text"

    async def test_discard_gives_the_edit_up(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))
        ticket = await _ticket(vault, unit, data_id)
        ticket.get_ref().text = "no"
        await ticket.discard()
        await ticket.close()
        assert await text_of(vault, unit, data_id) == "text"

    async def test_a_closed_ticket_is_closed_and_may_be_closed_again(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))
        ticket = await _ticket(vault, unit, data_id)
        await ticket.close()
        await ticket.close()
        for use in (ticket.get_data, ticket.get_clone, ticket.get_ref):
            with raises_refusal(ClosedError, "CLOSED", str(data_id)):
                use()

    async def test_a_lost_race_is_a_conflict(self, vault: AsyncVault, other: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))
        ticket = await _ticket(vault, unit, data_id)
        ticket.get_ref().text = "mine"
        await other.update(unit, data_id, Document("theirs"))
        with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(data_id)):
            await ticket.close()
        await _until(vault, unit, data_id, "theirs")

    async def test_an_edit_of_what_was_deleted_is_not_found(
        self, vault: AsyncVault, other: AsyncVault, unit: str
    ) -> None:
        data_id = await vault.upload(unit, Document("text"))
        ticket = await _ticket(vault, unit, data_id)
        ticket.get_ref().text = "mine"
        assert await other.delete(unit, data_id)
        with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", str(data_id)):
            await ticket.close()

    async def test_a_holder_keeps_what_it_has_and_a_later_load_gets_the_newer(
        self, vault: AsyncVault, unit: str
    ) -> None:
        data_id = await vault.upload(unit, Document("old"))
        async with await _ticket(vault, unit, data_id) as ticket:
            await vault.update(unit, data_id, Document("new"))
            assert ticket.get_data().text == "old"
            assert await text_of(vault, unit, data_id) == "new"
            assert await vault.delete(unit, data_id)
            assert ticket.get_data().text == "old"
            assert await vault.load(unit, data_id) is None

    async def test_what_another_vault_writes_is_seen(self, vault: AsyncVault, other: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("first"), name="name")
        for key in (data_id, "name"):
            assert await text_of(vault, unit, key) == await text_of(other, unit, key) == "first"
        await other.update(unit, "name", Document("second"))
        assert await text_of(other, unit, data_id) == "second", "own writes show at once"
        await _until(vault, unit, data_id, "second")
        await _until(vault, unit, "name", "second")
        async with await _ticket(vault, unit, data_id) as ticket:
            ticket.get_ref().text = "third"
        assert await text_of(vault, unit, "name") == "third"
        await _until(other, unit, data_id, "third")
        assert await other.delete(unit, data_id)
        await _until_gone(vault, unit, data_id)

    async def test_many_edits_from_two_vaults_lose_none(self, vault: AsyncVault, other: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document(""))

        def mark(document: Document) -> None:
            document.text += "x"

        async def edit(editor: AsyncVault) -> None:
            for _ in range(6):
                await editor.edit(unit, data_id, mark, attempts=1000)

        await asyncio.gather(edit(vault), edit(other), edit(vault))
        await _until(vault, unit, data_id, "x" * 18)
        assert await text_of(other, unit, data_id) == "x" * 18

    # The cache

    async def test_a_cached_object_is_decoded_once(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))
        await text_of(vault, unit, data_id)
        loads = Document.loads
        for _ in range(5):
            assert await text_of(vault, unit, data_id) == "text"
        assert Document.loads - loads == (0 if self.cached else 5)

    async def test_those_who_want_an_object_at_the_same_time_share_one_load(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))
        loads = Document.loads
        tickets = await asyncio.gather(*[_ticket(vault, unit, data_id) for _ in range(6)])
        assert {ticket.get_data().text for ticket in tickets} == {"text"}
        if self.cached:
            assert Document.loads - loads == 1
            assert len({id(ticket.get_data()) for ticket in tickets}) == 1
        for ticket in tickets:
            await ticket.close()

    async def test_a_limit_by_count_puts_the_longest_unused_out(self, vault: AsyncVault, unit: str) -> None:
        few = f"{unit}.few"
        ids = [await vault.upload(few, Document(f"{number}")) for number in range(3)]
        for data_id in ids:
            await text_of(vault, few, data_id)
        stats = vault.cache_stats()
        assert stats.entries == (2 if self.cached else 0)
        loads = Document.loads
        assert await text_of(vault, few, ids[2]) == "2"
        assert await text_of(vault, few, ids[1]) == "1"
        assert Document.loads - loads == (0 if self.cached else 2)
        assert await text_of(vault, few, ids[0]) == "0"
        assert Document.loads - loads == (1 if self.cached else 3)

    async def test_a_limit_by_bytes_holds(self, vault: AsyncVault, unit: str) -> None:
        light = f"{unit}.light"
        for number in range(4):
            data_id = await vault.upload(light, Document(f"{number}" * 1000))
            await text_of(vault, light, data_id)
        assert vault.cache_stats().bytes == (2000 if self.cached else 0)

    async def test_an_object_with_an_open_ticket_stays(self, vault: AsyncVault, unit: str) -> None:
        few = f"{unit}.few"
        held = await vault.upload(few, Document("held"))
        async with await _ticket(vault, few, held) as ticket:
            for number in range(5):
                await text_of(vault, few, await vault.upload(few, Document(f"{number}")))
            loads = Document.loads
            async with await _ticket(vault, few, held) as again:
                assert again.get_data().text == "held"
                assert Document.loads - loads == (0 if self.cached else 1)
            assert vault.cache_stats().open_tickets == 1
            assert ticket.get_data().text == "held"
        assert vault.cache_stats().open_tickets == 0

    async def test_upkeep_and_its_thread_leave_objects_right(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))
        upkeeping = await vault.spawn_upkeeping_thread(0.01)
        for _ in range(5):
            await vault.upkeep()
            assert await text_of(vault, unit, data_id) == "text"
        assert upkeeping is not None
        assert vault.cache_stats().rss > 0

    async def test_a_ticket_outlives_its_vault_but_cannot_write(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))
        reader, editor = await _ticket(vault, unit, data_id), await _ticket(vault, unit, data_id)
        editor.get_ref().text = "too late"
        await vault.close()
        assert reader.get_data().text == "text"
        await reader.close()
        with pytest.raises(ClosedError):
            await editor.close()
