"""What holds for a vault's batches: order kept, and one BatchError that carries every outcome."""

import pytest

from vault._async.objects.ticket import AsyncTicket
from vault._async.vault.facade import AsyncVault
from vault.errors import AlreadyExistsError, BatchError, DecodeError, EncodeError, InvalidArgumentError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key
from vault.testing.store.objects import assert_failed_with, payload, raises_refusal
from vault.testing.vault.harness import Document, VaultHarness, read, text_of
from vault.wrappers import BytesWrapper, JsonWrapper


class VaultBatchConformance(VaultHarness):
    """exists_many, load_many, upload_many, delete_many."""

    async def test_batches_keep_the_order(self, vault: AsyncVault, unit: str) -> None:
        names = [f"name {number}" if number % 2 else None for number in range(300)]
        ids = await vault.upload_many(unit, [Document(f"{number}") for number in range(300)], names=names)
        assert len(set(ids)) == 300
        keys: list[Key] = [name or data_id for name, data_id in zip(names, ids, strict=True)]
        keys[10], keys[20] = 5, "no such name"
        expected = [number not in (10, 20) for number in range(300)]
        assert await vault.exists_many(unit, keys) == expected
        for _ in range(2):
            tickets = await vault.load_many(unit, keys)
            texts = [None if ticket is None else ticket.get_data().text for ticket in tickets]
            assert texts == [f"{number}" if expected[number] else None for number in range(300)]
            for ticket in tickets:
                if ticket is not None:
                    await ticket.close()
        assert await vault.delete_many(unit, keys) == expected
        assert await vault.exists_many(unit, ids) == [number in (10, 20) for number in range(300)]

    async def test_empty_batches_are_no_error(self, vault: AsyncVault, unit: str) -> None:
        assert await vault.exists_many(unit, []) == []
        assert await vault.load_many(unit, []) == []
        assert await vault.upload_many(unit, []) == []
        assert await vault.delete_many(unit, []) == []

    async def test_small_and_large_objects_go_together(self, vault: AsyncVault, unit: str) -> None:
        blobs = f"{unit}.bytes"
        sizes = [10, BLOCK_SIZE + 1, 0, BLOCK_SIZE, 1000, 2 * BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE]
        objects = [BytesWrapper(payload(size, number)) for number, size in enumerate(sizes)]
        ids = await vault.upload_many(blobs, objects)
        tickets = await vault.load_many(blobs, ids)
        for ticket, expected in zip(tickets, objects, strict=True):
            assert ticket is not None
            async with ticket:
                assert ticket.get_data().data == expected.data

    async def test_an_object_that_is_wanted_twice_has_two_tickets(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"), name="name")
        tickets = await vault.load_many(unit, [data_id, "name", data_id])
        for ticket in tickets:
            assert ticket is not None
            assert ticket.get_data().text == "text"
            await ticket.close()
        assert vault.cache_stats().open_tickets == 0
        assert await vault.delete_many(unit, [data_id, data_id, "name"]) == [True, False, False]

    async def test_an_edited_ticket_of_a_batch_writes_back(self, vault: AsyncVault, unit: str) -> None:
        ids = await vault.upload_many(unit, [Document("a"), Document("b")])
        for ticket in await vault.load_many(unit, ids):
            assert ticket is not None
            async with ticket:
                ticket.get_ref().text += "!"
        assert [await text_of(vault, unit, data_id) for data_id in ids] == ["a!", "b!"]

    async def test_uploads_that_fail_leave_the_others_done(self, vault: AsyncVault, unit: str) -> None:
        taken = await vault.upload(f"{unit}.json", JsonWrapper("taken"), name="taken")
        objects = [JsonWrapper(1), JsonWrapper({2}), JsonWrapper(3), JsonWrapper(4), BytesWrapper(b"5"), JsonWrapper(6)]
        names = ["one", None, "taken", "", None, None]
        with pytest.raises(BatchError) as caught:
            await vault.upload_many(f"{unit}.json", objects, names=names)
        results = caught.value.results
        assert_failed_with(results[1], EncodeError, "ENCODE")
        assert_failed_with(results[2], AlreadyExistsError, "NAME_TAKEN", "taken")
        assert_failed_with(results[3], InvalidArgumentError, "BAD_NAME")
        assert_failed_with(results[4], InvalidArgumentError, "BAD_OBJECT")
        assert sorted(caught.value.errors) == [1, 2, 3, 4]
        assert (await read(vault, f"{unit}.json", results[0])).data == 1
        assert (await read(vault, f"{unit}.json", results[5])).data == 6
        found = {info.data_id async for info in vault.list(f"{unit}.json")}
        assert found == {taken, results[0], results[5]}

    async def test_loads_that_fail_leave_the_others_open(self, vault: AsyncVault, unit: str) -> None:
        good = await vault.upload(f"{unit}.json", JsonWrapper("good"))
        async with await vault.open_writer(f"{unit}.json") as writer:
            await writer.write(b"{")
        with pytest.raises(BatchError) as caught:
            await vault.load_many(f"{unit}.json", [good, writer.data_id, 5, 0])
        first, second, third, fourth = caught.value.results
        assert_failed_with(second, DecodeError, "DECODE", str(writer.data_id))
        assert_failed_with(fourth, InvalidArgumentError, "BAD_ID", "0")
        assert third is None
        ticket: AsyncTicket = first
        assert ticket.get_data().data == "good"
        await ticket.close()
        assert vault.cache_stats().open_tickets == 0

    async def test_deletions_that_fail_leave_the_others_done(self, vault: AsyncVault, unit: str) -> None:
        data_id = await vault.upload(unit, Document("text"))
        with pytest.raises(BatchError) as caught:
            await vault.delete_many(unit, [-1, data_id, 5])
        first, *rest = caught.value.results
        assert_failed_with(first, InvalidArgumentError, "BAD_ID", "-1")
        assert rest == [True, False]
        assert not await vault.exists(unit, data_id)

    async def test_as_many_names_as_objects_are_wanted(self, vault: AsyncVault, unit: str) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_BATCH", "1", "2"):
            await vault.upload_many(unit, [Document("a"), Document("b")], names=["one"])
        with raises_refusal(InvalidArgumentError, "BAD_ID"):
            await vault.exists_many(unit, [5, 0])
        assert [info async for info in vault.list(unit)] == []
