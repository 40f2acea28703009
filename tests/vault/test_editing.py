"""Read, modify, write: nothing lost under contention."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from vault import ConflictError, InvalidArgumentError, Vault

from tests.vault.places import Count, Note, Place, text_of


def add_one(count: Count) -> None:
    count.number += 1


def number_of(vault: Vault, key: int | str) -> int:
    ticket = vault.load("counts", key)
    assert ticket is not None
    with ticket:
        number: int = ticket.get_data().number
        return number


@pytest.mark.parametrize("vaults", [1, 4])
def test_contention_loses_no_edit(place: Place, vaults: int) -> None:
    """Four threads, on one vault or each on its own."""
    opened = [place.open() for _ in range(vaults)]
    data_id = opened[0].upload("counts", Count(0), name="c")

    def work(number: int) -> None:
        for step in range(25):
            opened[number % vaults].edit("counts", "c" if step % 2 else data_id, add_one, attempts=100)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert [number_of(vault, data_id) for vault in opened] == [100] * vaults


def test_one_vault_does_not_compete_with_itself(vault: Vault) -> None:
    data_id = vault.upload("counts", Count(0))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: vault.edit("counts", data_id, add_one, attempts=1), range(20)))
    assert number_of(vault, data_id) == 20


def test_a_function_may_return_another_object(vault: Vault) -> None:
    data_id = vault.upload("notes", Note("one"))
    info = vault.edit("notes", data_id, lambda note: Note(note.text + " two"))
    assert text_of(vault, data_id) == "one two"
    assert info == vault.stat("notes", data_id)


def test_what_a_function_raises_is_raised_and_nothing_written(vault: Vault) -> None:
    data_id = vault.upload("notes", Note("one"))
    before = vault.stat("notes", data_id)

    def spoil(note: Note) -> None:
        note.text = "half"
        raise KeyError("no")

    with pytest.raises(KeyError):
        vault.edit("notes", data_id, spoil)
    returned: Any = Count(1)
    with pytest.raises(InvalidArgumentError, match="'notes' holds"):
        vault.edit("notes", data_id, lambda note: returned)
    assert vault.stat("notes", data_id) == before
    assert text_of(vault, data_id) == "one"
    assert vault.cache_stats().open_tickets == 0


def test_who_is_always_too_late_gets_the_conflict(place: Place, vault: Vault) -> None:
    data_id = vault.upload("notes", Note("one"))
    other = place.open()
    tried: list[str] = []

    def too_late(note: Note) -> None:
        tried.append(note.text)
        note.text = "mine"
        other.update("notes", data_id, Note(str(len(tried))))

    with pytest.raises(ConflictError):
        vault.edit("notes", data_id, too_late, attempts=3)
    assert tried == ["one", "1", "2"]
    assert text_of(vault, data_id) == "3"


@pytest.mark.parametrize("function", [None, "x", {"a": 1}])
def test_what_is_no_function_is_refused(vault: Vault, function: Any) -> None:
    vault.upload("notes", Note("a"), name="a")
    vault.unit("texts", str).put("a", "a")
    for edit in (vault.unit("texts", str).edit, vault.unit("notes", Note).edit, partial(vault.edit, "notes")):
        with pytest.raises(InvalidArgumentError, match="a function changes the object") as refused:
            edit("a", function)
        assert refused.value.reason == "BAD_FUNCTION"


@pytest.mark.parametrize("attempts", [0, -1, True, 1.5])
def test_attempts_are_from_one(vault: Vault, attempts: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="attempts"):
        vault.edit("notes", 1, lambda note: None, attempts=attempts)
