"""Batches: order kept, one round trip for hundreds, every item's outcome when some fail."""

import itertools
from pathlib import Path
from typing import Any

import grpc
import pytest
from vault import (
    AlreadyExistsError,
    BatchError,
    BytesWrapper,
    DecodeError,
    InvalidArgumentError,
    RemoteVault,
    Ticket,
    Vault,
)
from vault._sync.objects import batches, write_through
from vault.store.limits import BLOCK_SIZE, MAX_BATCH_ITEMS
from vault_server import EmbeddedStore, Server

from tests.vault.places import STRUCTURE, Count, Note, Place


def texts(tickets: list[Ticket | None]) -> list[str | None]:
    """What they hold; closes them."""
    found: list[str | None] = [None if ticket is None else ticket.get_data().text for ticket in tickets]
    for ticket in tickets:
        if ticket is not None:
            ticket.close()
    return found


def test_order_is_kept_and_what_is_not_there_is_none(vault: Vault) -> None:
    ids = vault.upload_many("notes", [Note(str(n)) for n in range(300)], names=[f"n{n}" for n in range(300)])
    keys: list[int | str] = [ids[7], "n3", 12345, ids[7], "n7", "nobody", *ids]
    expected = ["7", "3", None, "7", "7", None, *(str(n) for n in range(300))]
    for _ in range(2):
        assert texts(vault.load_many("notes", keys)) == expected
    assert vault.exists_many("notes", keys) == [text is not None for text in expected]
    assert vault.delete_many("notes", [ids[0], 12345, "n1", ids[0]]) == [True, False, True, False]
    assert vault.exists_many("notes", ids[:3]) == [False, False, True]
    assert texts(vault.load_many("notes", ["n0", ids[1], "n2"])) == [None, None, "2"]
    assert vault.cache_stats().open_tickets == 0


def test_nothing_is_a_batch_too(vault: Vault) -> None:
    assert vault.exists_many("notes", []) == []
    assert vault.load_many("notes", []) == []
    assert vault.upload_many("notes", []) == []
    assert vault.delete_many("notes", []) == []


def test_one_text_is_not_taken_for_the_names_that_its_letters_are(vault: Vault) -> None:
    vault.upload_many("notes", [Note("1"), Note("2")], names=["a", "b"])
    for call in (vault.exists_many, vault.load_many, vault.delete_many):
        for keys in ("ab", b"ab"):
            with pytest.raises(InvalidArgumentError, match="several ids or names") as caught:
                call("notes", keys)
            assert caught.value.reason == "BAD_BATCH"
    with pytest.raises(InvalidArgumentError, match="names are one for each object") as caught:
        vault.upload_many("notes", [Note("3"), Note("4")], names="cd")
    assert caught.value.reason == "BAD_BATCH"
    assert sorted(info.name or "" for info in vault.list("notes")) == ["a", "b"]


def test_large_and_small_objects_go_together(place: Place) -> None:
    vault = place.open({"blobs": (BytesWrapper, 0)})
    sizes = [0, 5, BLOCK_SIZE, BLOCK_SIZE + 1, 7, 3 * BLOCK_SIZE]
    ids = vault.upload_many("blobs", [BytesWrapper(bytes([n]) * size) for n, size in enumerate(sizes)])
    tickets = vault.load_many("blobs", ids)
    for number, (ticket, size) in enumerate(zip(tickets, sizes, strict=True)):
        assert ticket is not None
        with ticket:
            assert ticket.get_data().data == bytes([number]) * size


def test_a_failed_upload_names_every_outcome_and_keeps_the_others(vault: Vault) -> None:
    vault.upload("notes", Note("there"), name="taken")
    other: Any = Count(1)
    with pytest.raises(BatchError) as caught:
        vault.upload_many("notes", [Note("a"), Note("b"), other, Note("d")], names=["a", "taken", None, "d"])
    results = caught.value.results
    assert [type(result) for result in results] == [int, AlreadyExistsError, InvalidArgumentError, int]
    assert sorted(caught.value.errors) == [1, 2]
    assert vault.find("notes", "a") == results[0]
    assert vault.find("notes", "d") == results[3]


def test_a_failed_load_hands_out_the_tickets_of_the_others(vault: Vault) -> None:
    good = vault.upload("counts", Count(1))
    with vault.open_writer("counts") as writer:
        writer.write(b"not a number")
    bad_key: Any = -1
    with pytest.raises(BatchError) as caught:
        vault.load_many("counts", [good, writer.data_id, bad_key, 99])
    ticket, error, refused, nothing = caught.value.results
    assert isinstance(error, DecodeError)
    assert isinstance(refused, InvalidArgumentError)
    assert nothing is None
    with ticket:
        assert ticket.get_data().number == 1
    assert vault.cache_stats().open_tickets == 0


def test_a_failed_delete_names_every_outcome(vault: Vault) -> None:
    data_id = vault.upload("notes", Note("a"))
    bad_key: Any = 0
    with pytest.raises(BatchError) as caught:
        vault.delete_many("notes", [data_id, bad_key])
    deleted, refused = caught.value.results
    assert deleted is True
    assert isinstance(refused, InvalidArgumentError)
    assert not vault.exists("notes", data_id)


def test_names_and_tags_are_as_many_as_objects(vault: Vault) -> None:
    with pytest.raises(InvalidArgumentError, match="1 names for 2 objects"):
        vault.upload_many("notes", [Note("a"), Note("b")], names=["a"])
    assert vault.units() == []


def test_more_than_a_store_takes_at_a_time_is_no_matter(place: Place) -> None:
    vault = place.open()
    there = vault.upload("notes", Note("there"))
    keys = [*range(1, MAX_BATCH_ITEMS + 1), there]
    assert vault.exists_many("notes", keys) == [False] * MAX_BATCH_ITEMS + [True]
    assert texts(vault.load_many("notes", keys)) == [None] * MAX_BATCH_ITEMS + ["there"]
    assert vault.delete_many("notes", keys) == [False] * MAX_BATCH_ITEMS + [True]


def test_more_than_is_sent_at_a_time_is_no_matter(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (batches, write_through):
        monkeypatch.setattr(module, "MAX_BATCH_ITEMS", 40)
    monkeypatch.setattr(write_through, "_BYTES_AT_A_TIME", 1000)
    vault = place.open()
    lengths = [1] * 90 + [300] * 10
    ids = vault.upload_many("notes", [Note("x" * length) for length in lengths])
    assert texts(vault.load_many("notes", ids)) == ["x" * length for length in lengths]


class Calls(grpc.aio.ServerInterceptor):
    """Counts the calls that reach a server, by method."""

    def __init__(self) -> None:
        self.methods: list[str] = []

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        self.methods.append(details.method.rsplit("/", 1)[-1])
        return await continuation(details)

    def since(self) -> list[str]:
        """Those since the last look, but for the watch that runs beside."""
        methods, self.methods = self.methods, []
        return [method for method in methods if method != "Watch"]


def test_hundreds_of_small_objects_take_one_round_trip(tmp_path: Path) -> None:
    calls = Calls()
    with (
        EmbeddedStore(tmp_path / "store") as store,
        Server(store, interceptors=[calls]) as server,
        RemoteVault(server.address, STRUCTURE, consistency="strict") as vault,
    ):
        ids = vault.upload_many("notes", [Note(str(n)) for n in range(500)])
        assert calls.since() == ["WriteColumns"]
        texts(vault.load_many("notes", ids))
        assert calls.since() == ["LoadColumns"]
        vault.exists_many("notes", ids)
        assert calls.since() == ["Exists"]
        texts(vault.load_many("notes", ids))  # asked after: no bytes, some messages' worth of metadata
        assert set(calls.since()) == {"Stat"}
        vault.delete_many("notes", ids)
        assert calls.since() == ["Delete"]


def test_one_small_object_takes_one_round_trip(tmp_path: Path) -> None:
    calls = Calls()
    with (
        EmbeddedStore(tmp_path / "store") as store,
        Server(store, interceptors=[calls]) as server,
        RemoteVault(server.address, STRUCTURE, consistency="strict") as vault,
    ):
        data_id = vault.upload("notes", Note("a"))
        assert calls.since() == ["UploadMany"]
        ticket = vault.load("notes", data_id)
        assert ticket is not None
        assert calls.since() == ["LoadMany"]
        ticket.get_ref().text = "b"
        ticket.close()
        assert calls.since() == ["UpdateMany"]
        vault.delete("notes", data_id)
        assert calls.since() == ["Delete"]


def test_keys_may_come_from_any_iterable(vault: Vault) -> None:
    ids = vault.upload_many("notes", (Note(str(n)) for n in range(3)))
    assert texts(vault.load_many("notes", itertools.chain(ids))) == ["0", "1", "2"]
    assert vault.exists_many("notes", iter(ids)) == [True, True, True]
    assert vault.delete_many("notes", iter(ids)) == [True, True, True]


@pytest.mark.parametrize("large", [0, 1])
def test_of_two_with_one_name_the_first_is_stored_whatever_their_sizes(vault: Vault, large: int) -> None:
    texts = ["small", "small"]
    texts[large] = "large" * BLOCK_SIZE
    with pytest.raises(BatchError) as caught:
        vault.upload_many("notes", [Note(text) for text in texts], names=["one name", "one name"])
    first, second = caught.value.results
    assert vault.find("notes", "one name") == first
    assert isinstance(second, AlreadyExistsError)
