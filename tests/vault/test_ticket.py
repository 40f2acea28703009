"""Tickets: who sees which object when, and what is written back."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from vault import ClosedError, ConflictError, EncodeError, NotFoundError, Ticket, Vault

from tests.vault.places import Count, Note, Place, text_of


class Fragile(Note):
    """Cannot be dumped while its text says so."""

    def _dump(self) -> bytes:
        if self.text == "broken":
            raise ValueError("no")
        return super()._dump()


def load(vault: Vault, key: int | str, unit: str = "notes") -> Ticket:
    ticket = vault.load(unit, key)
    assert ticket is not None
    return ticket


@pytest.fixture
def data_id(vault: Vault) -> int:
    return vault.upload("notes", Note("one"), name="a")


def test_an_edit_is_written_back_when_the_ticket_closes(place: Place, vault: Vault, data_id: int) -> None:
    with load(vault, data_id) as ticket:
        before = ticket.generation
        ticket.get_ref().text = "two"
        assert text_of(place.open(), data_id) == "one"
    assert ticket.generation > before
    assert ticket.info == vault.stat("notes", data_id)
    assert text_of(vault, data_id) == text_of(place.open(), data_id) == "two"


def test_a_ticket_that_only_reads_writes_nothing(vault: Vault, data_id: int) -> None:
    before = vault.stat("notes", data_id)
    with load(vault, data_id) as ticket:
        ticket.get_clone().text = "mine alone"
        assert ticket.get_data().text == "one"
    assert vault.stat("notes", data_id) == before


def test_readers_share_one_object_and_editors_one_working_copy(vault: Vault, data_id: int) -> None:
    with load(vault, data_id) as reader, load(vault, "a") as other:
        assert reader.get_data() is other.get_data()
        with load(vault, data_id) as one, load(vault, data_id) as two:
            assert one.get_ref() is two.get_ref()
            one.get_ref().text = "half"
            assert one.get_data() is two.get_data() is one.get_ref()
            assert reader.get_data().text == "one"
            assert load_and_read(vault, data_id) == "one"
            two.get_ref().text += " done"
        assert reader.get_data().text == "one"  # a ticket keeps the object it has
    assert text_of(vault, data_id) == "half done"


def load_and_read(vault: Vault, key: int) -> str:
    with load(vault, key) as ticket:
        text: str = ticket.get_data().text
        return text


def test_an_editor_goes_on_after_another_wrote_back_and_readers_do_not_see_it(
    place: Place, vault: Vault, data_id: int
) -> None:
    one, two = load(vault, data_id), load(vault, data_id)
    one.get_ref().text = "first"
    two.get_ref()
    one.close()
    assert text_of(place.open(), data_id) == "first"
    two.get_ref().text += " second"
    with load(vault, data_id) as reader:
        assert reader.get_data().text == "first"
        three = load(vault, data_id)
        assert three.get_ref() is two.get_ref()
    two.close()
    three.get_ref().text += " third"
    three.close()
    assert text_of(vault, data_id) == text_of(place.open(), data_id) == "first second third"


def test_edits_one_after_the_other_begin_with_what_was_written(vault: Vault, data_id: int) -> None:
    first = load(vault, data_id)
    for step in range(3):
        with load(vault, data_id) as ticket:
            ticket.get_ref().text += str(step)
    first.get_ref().text += "!"
    first.close()
    assert text_of(vault, data_id) == "one012!"


def test_without_auto_update_the_last_edited_ticket_writes(place: Place) -> None:
    vault = place.open(auto_update=False)
    data_id = vault.upload("notes", Note("one"))
    before = vault.stat("notes", data_id)
    one, two, reader = load(vault, data_id), load(vault, data_id), load(vault, data_id)
    one.get_ref().text = "two"
    two.get_ref()
    one.close()
    assert vault.stat("notes", data_id) == before
    two.close()
    assert text_of(place.open(), data_id) == "two"
    reader.close()


def test_a_lost_race_is_a_conflict_and_nothing_is_written(place: Place, vault: Vault, data_id: int) -> None:
    ticket = load(vault, data_id)
    ticket.get_ref().text = "mine"
    place.open().update("notes", data_id, Note("theirs"))
    with pytest.raises(ConflictError):
        ticket.close()
    ticket.close()
    with pytest.raises(ClosedError):
        ticket.get_data()
    assert text_of(vault, data_id) == "theirs"
    assert vault.cache_stats().open_tickets == 0


def test_a_write_of_the_same_vault_is_a_race_too(vault: Vault, data_id: int) -> None:
    ticket = load(vault, data_id)
    ticket.get_ref().text = "mine"
    vault.update("notes", data_id, Note("theirs"))
    assert ticket.get_data().text == "mine"
    with pytest.raises(ConflictError):
        ticket.close()
    assert text_of(vault, data_id) == "theirs"


def test_an_edit_of_what_was_deleted_is_not_written(vault: Vault, data_id: int) -> None:
    ticket = load(vault, data_id)
    ticket.get_ref().text = "mine"
    vault.delete("notes", data_id)
    with pytest.raises(NotFoundError):
        ticket.close()
    assert not vault.exists("notes", data_id)


def test_a_holder_keeps_what_it_has_when_others_write(place: Place, vault: Vault, data_id: int) -> None:
    with load(vault, data_id) as ticket:
        place.open().update("notes", data_id, Note("theirs"))
        vault.update("notes", data_id, Note("ours"))
        assert ticket.get_data().text == "one"
        assert text_of(vault, data_id) == "ours"
        vault.delete("notes", data_id)
        assert ticket.get_data().text == "one"


def test_an_exception_discards_the_edit(vault: Vault, data_id: int) -> None:
    before = vault.stat("notes", data_id)

    def edit_and_fail() -> None:
        with load(vault, data_id) as ticket:
            ticket.get_ref().text = "half"
            raise KeyError

    with pytest.raises(KeyError):
        edit_and_fail()
    assert vault.stat("notes", data_id) == before
    assert text_of(vault, data_id) == "one"
    with load(vault, data_id) as ticket:
        ticket.get_ref().text += " more"
    assert text_of(vault, data_id) == "one more"


@pytest.mark.parametrize("auto_update", [True, False])
def test_who_shares_a_discarded_edit_is_told(place: Place, auto_update: bool) -> None:
    vault = place.open(auto_update=auto_update)
    data_id = vault.upload("notes", Note("one"))
    sharer = load(vault, data_id)
    sharer.get_ref().text = "sharer's"
    other = load(vault, data_id)
    other.get_ref().text += " half"
    other.discard()
    other.discard()
    with pytest.raises(ConflictError) as caught:
        sharer.close()
    assert caught.value.reason == "EDIT_GIVEN_UP"
    assert text_of(vault, data_id) == "one"
    assert vault.cache_stats().open_tickets == 0


def test_a_new_edit_begins_anew_beside_one_that_was_given_up(vault: Vault, data_id: int) -> None:
    sharer, other = load(vault, data_id), load(vault, data_id)
    sharer.get_ref().text = "half"
    other.get_ref()
    other.discard()
    with load(vault, data_id) as ticket:
        assert ticket.get_ref().text == "one"
        ticket.get_ref().text = "two"
    with pytest.raises(ConflictError):
        sharer.close()
    assert text_of(vault, data_id) == "two"


def test_what_cannot_be_dumped_is_given_up(place: Place) -> None:
    vault = place.open({"notes": (Fragile, 0)})
    data_id = vault.upload("notes", Fragile("one"))
    with pytest.raises(EncodeError), load(vault, data_id) as ticket:
        ticket.get_ref().text = "broken"
    assert text_of(vault, data_id) == "one"
    assert vault.cache_stats().open_tickets == 0


def test_after_close_nothing_is_handed_out(vault: Vault, data_id: int) -> None:
    ticket = load(vault, data_id)
    ticket.get_ref().text = "two"
    ticket.close()
    ticket.close()
    ticket.discard()
    calls: list[Callable[[], Any]] = [ticket.get_data, ticket.get_ref, ticket.get_clone, ticket.__enter__]
    for call in calls:
        with pytest.raises(ClosedError, match=str(data_id)):
            call()
    assert ticket.closed
    assert ticket.data_id == data_id
    assert text_of(vault, data_id) == "two"


@pytest.mark.parametrize("edited", [False, True])
def test_a_dropped_ticket_warns_and_lets_its_object_go(vault: Vault, data_id: int, edited: bool) -> None:
    tickets = [load(vault, data_id)]
    if edited:
        tickets[0].get_ref().text = "half"
    with pytest.warns(ResourceWarning, match=f"object {data_id}.*'notes'.*dropped") as caught:
        tickets.clear()
    assert ("not written" in str(caught[0].message)) == edited
    assert vault.cache_stats().open_tickets == 0
    assert text_of(vault, data_id) == "one"


def test_a_dropped_edit_is_not_written_by_who_shares_it(vault: Vault, data_id: int) -> None:
    sharer, dropped = load(vault, data_id), [load(vault, data_id)]
    sharer.get_ref()
    dropped[0].get_ref().text = "half"
    with pytest.warns(ResourceWarning):
        dropped.clear()
    with pytest.raises(ConflictError):
        sharer.close()


def test_closing_the_vault_first_keeps_objects_and_refuses_edits(vault: Vault, data_id: int) -> None:
    reader, editor = load(vault, data_id), load(vault, data_id)
    editor.get_ref().text = "two"
    vault.close()
    assert reader.get_data().text == "one"
    reader.close()
    with pytest.raises(ClosedError):
        editor.close()
    editor.close()


def test_tickets_work_without_a_cache_each_with_an_object_of_its_own(place: Place) -> None:
    vault = place.open(cache=False)
    data_id = vault.upload("notes", Note("one"))
    with load(vault, data_id) as one, load(vault, data_id) as two:
        assert one.get_data() is not two.get_data()
        one.get_ref().text = "two"
    assert text_of(vault, data_id) == "two"
    assert vault.cache_stats().entries == 0
    one, two = load(vault, data_id), load(vault, data_id)
    one.get_ref().text, two.get_ref().text = "first", "second"
    one.close()
    with pytest.raises(ConflictError):
        two.close()
    assert text_of(vault, data_id) == "first"


def test_who_begins_to_edit_while_the_last_editor_writes_adds_to_it(place: Place) -> None:
    """The write-back waits in _dump; meanwhile another ticket takes the object up."""
    writing, go_on = threading.Event(), threading.Event()

    class Slow(Note):
        def _dump(self) -> bytes:
            if self.text == "first":
                writing.set()
                assert go_on.wait(20)
            return super()._dump()

    vault = place.open({"notes": (Slow, 0)})
    data_id = vault.upload("notes", Slow("one"))
    first, second = load(vault, data_id), load(vault, data_id)
    first.get_ref().text = "first"
    with ThreadPoolExecutor(2) as threads:
        closing = threads.submit(first.close)
        assert writing.wait(20)
        second.get_ref().text += " second"
        assert first is not second
        also = threads.submit(second.close)
        go_on.set()
        closing.result(20)
        also.result(20)
    assert text_of(vault, data_id) == "first second"


def test_who_builds_on_a_write_that_failed_is_told(place: Place, vault: Vault, data_id: int) -> None:
    writing, go_on = threading.Event(), threading.Event()

    class Slow(Note):
        def _dump(self) -> bytes:
            if self.text == "first":
                writing.set()
                assert go_on.wait(20)
            return super()._dump()

        datatype_tag = "Note"

    slow = place.open({"notes": (Slow, 0)})
    first, second = load(slow, data_id), load(slow, data_id)
    first.get_ref().text = "first"
    with ThreadPoolExecutor(2) as threads:
        closing = threads.submit(first.close)
        assert writing.wait(20)
        second.get_ref().text += " second"
        vault.update("notes", data_id, Note("theirs"))
        go_on.set()
        with pytest.raises(ConflictError):
            closing.result(20)
        with pytest.raises(ConflictError):
            second.close()
    assert text_of(vault, data_id) == "theirs"


def test_many_threads_edit_through_tickets_and_lose_nothing_unnoticed(place: Place) -> None:
    vault = place.open()
    data_id = vault.upload("notes", Note(""))
    landed: list[str] = []

    def work(number: int) -> None:
        for step in range(10):
            mark = f"<{number}.{step}>"
            other = vaults[number]
            try:
                with load(other, data_id) as ticket:
                    ticket.get_ref().text += mark
            except ConflictError:
                continue
            landed.append(mark)

    vaults = [place.open() for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))
    text = text_of(vault, data_id)
    assert text is not None
    assert landed
    assert sorted(landed) == sorted(f"<{part}" for part in text.split("<")[1:])


def test_without_auto_update_editors_of_one_vault_do_not_overtake_each_other(place: Place) -> None:
    vault = place.open(auto_update=False)
    data_id = vault.upload("counts", Count(0))
    counting = threading.Lock()

    def work(_: int) -> None:
        for _ in range(15):
            ticket = load(vault, data_id, "counts")
            with counting:
                ticket.get_ref().number += 1
            ticket.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    with load(vault, data_id, "counts") as ticket:
        assert ticket.get_data().number == 60
