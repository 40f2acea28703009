"""One object at a time, embedded and remote: what is written is what is read."""

import threading
from typing import Any

import pytest
from vault import (
    AlreadyExistsError,
    BytesWrapper,
    ConflictError,
    DecodeError,
    EncodeError,
    InvalidArgumentError,
    NotFoundError,
    TextWrapper,
    Vault,
)
from vault.store.limits import BLOCK_SIZE

from tests.vault.places import Count, Note, Place, text_of


class Broken(Note):
    """Cannot be dumped."""

    def _dump(self) -> bytes:
        raise ValueError("no")


def test_an_object_comes_back_by_id_and_by_name(vault: Vault) -> None:
    data_id = vault.upload("notes", Note("hello"), name="a", tags={"k": "v"})
    assert text_of(vault, data_id) == text_of(vault, "a") == "hello"
    assert vault.exists("notes", "a")
    assert vault.find("notes", "a") == data_id
    info = vault.stat("notes", data_id)
    assert info is not None
    assert (info.name, info.tags, info.datatype, info.size) == ("a", {"k": "v"}, "Note", 5)


def test_what_is_not_there_is_none(vault: Vault) -> None:
    assert vault.load("notes", 7) is None
    assert vault.load("notes", "a") is None
    assert vault.stat("notes", 7) is None
    assert vault.find("notes", "a") is None
    assert not vault.exists("notes", 7)
    assert not vault.delete("notes", 7)


def test_what_must_be_there_and_is_not_is_an_error(vault: Vault) -> None:
    calls: list[Any] = [
        lambda: vault.update("notes", 7, Note("")),
        lambda: vault.set_metadata("notes", 7, name="a"),
        lambda: vault.edit("notes", "a", lambda note: None),
        lambda: vault.open("notes", 7),
    ]
    for call in calls:
        with pytest.raises(NotFoundError):
            call()


def test_ids_and_names_are_taken_once(vault: Vault) -> None:
    assert vault.upload("notes", Note("one"), name="a", data_id=42) == 42
    with pytest.raises(AlreadyExistsError) as caught:
        vault.upload("notes", Note("two"), data_id=42)
    assert caught.value.reason == "OBJECT_EXISTS"
    with pytest.raises(AlreadyExistsError) as caught:
        vault.upload("notes", Note("two"), name="a")
    assert caught.value.reason == "NAME_TAKEN"
    assert text_of(vault, 42) == "one"


@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE])
def test_objects_of_every_size_come_back(place: Place, size: int) -> None:
    vault = place.open({"blobs": (BytesWrapper, 0)})
    raw = bytes(range(256)) * (size // 256) + bytes(size % 256)
    data_id = vault.upload("blobs", BytesWrapper(raw))
    for _ in range(2):
        ticket = vault.load("blobs", data_id)
        assert ticket is not None
        with ticket:
            assert ticket.get_data().data == raw
    info = vault.update("blobs", data_id, BytesWrapper(raw + b"!"))
    assert info.size == size + 1
    ticket = vault.load("blobs", data_id)
    assert ticket is not None
    with ticket:
        assert ticket.get_data().data == raw + b"!"


def test_own_writes_show_at_once(vault: Vault) -> None:
    data_id = vault.upload("notes", Note("0"), name="a")
    for step in range(1, 30):
        assert text_of(vault, data_id) == text_of(vault, "a") == str(step - 1)
        vault.update("notes", "a" if step % 2 else data_id, Note(str(step)))
    info = vault.set_metadata("notes", data_id, name="b")
    assert text_of(vault, "a") is None
    assert text_of(vault, "b") == "29"
    other = vault.upload("notes", Note("other"), name="a")
    assert text_of(vault, "a") == "other"
    assert vault.delete("notes", "a")
    assert text_of(vault, "a") is None
    assert text_of(vault, other) is None
    assert text_of(vault, data_id) == "29"
    assert vault.delete("notes", data_id, if_generation=info.generation)
    assert text_of(vault, "b") is None


def test_writes_hold_to_the_generation_they_state(vault: Vault) -> None:
    data_id = vault.upload("notes", Note("one"))
    first = vault.stat("notes", data_id)
    assert first is not None
    second = vault.update("notes", data_id, Note("two"), if_generation=first.generation)
    assert second.generation > first.generation
    calls: list[Any] = [
        lambda: vault.update("notes", data_id, Note("three"), if_generation=first.generation),
        lambda: vault.delete("notes", data_id, if_generation=first.generation),
        lambda: vault.set_metadata("notes", data_id, name="a", if_generation=first.generation),
    ]
    for call in calls:
        with pytest.raises(ConflictError):
            call()
    assert vault.stat("notes", data_id) == second


def test_metadata_is_left_replaced_or_taken_away(vault: Vault) -> None:
    data_id = vault.upload("notes", Note("x"), name="a", tags={"k": "v"})
    generation = vault.stat("notes", data_id).generation  # type: ignore[union-attr]
    assert vault.set_metadata("notes", data_id, tags={"l": "w"}).name == "a"
    info = vault.set_metadata("notes", data_id, name="b")
    assert (info.name, info.tags, info.generation) == ("b", {"l": "w"}, generation)
    info = vault.set_metadata("notes", "b", name="", tags={})
    assert (info.name, info.tags) == (None, {})


def test_a_ticket_shows_metadata_as_it_is_when_it_is_given_out(vault: Vault) -> None:
    data_id = vault.upload("notes", Note("x"), name="a")
    assert text_of(vault, data_id) == "x"
    vault.set_metadata("notes", data_id, name="b", tags={"k": "v"})
    ticket = vault.load("notes", data_id)
    assert ticket is not None
    with ticket:
        assert (ticket.info.name, ticket.info.tags) == ("b", {"k": "v"})
    assert vault.cache_stats().misses == 1  # its bytes were not fetched again


def test_a_listing_holds_every_object_once_and_follows_its_filters(place: Place) -> None:
    vault = place.open()
    ids = vault.upload_many(
        "notes",
        [Note(str(n)) for n in range(2500)],
        names=[f"n{n:04}" if n % 2 else None for n in range(2500)],
        tags=[{"third": "yes"} if n % 3 == 0 else None for n in range(2500)],
    )
    assert [info.data_id for info in vault.list("notes")] == sorted(ids)
    assert [info.name for info in vault.list("notes", prefix="n00")] == [f"n{n:04}" for n in range(1, 100, 2)]
    assert {info.data_id for info in vault.list("notes", tags={"third": "yes"})} == set(ids[::3])
    assert list(vault.list("counts")) == []
    assert vault.units() == ["notes"]


def test_a_listing_refuses_at_the_call_not_at_the_first_object(vault: Vault) -> None:
    bad: Any = 7
    with pytest.raises(InvalidArgumentError):
        vault.list("notes", prefix=bad)
    with pytest.raises(InvalidArgumentError):
        vault.list("notes", tags=bad)


def test_create_gives_a_ticket_on_what_it_stored(vault: Vault) -> None:
    data_id, ticket = vault.create("notes", Note("one"), name="a")
    with ticket:
        assert ticket.data_id == data_id
        ticket.get_ref().text = "two"
    assert text_of(vault, "a") == "two"
    assert vault.cache_stats().misses == 0


def test_what_cannot_be_dumped_leaves_nothing(vault: Vault) -> None:
    with pytest.raises(EncodeError, match=r"Broken.*'notes'.*no"):
        vault.upload("notes", Broken("x"), name="a")
    assert not vault.exists("notes", "a")


def test_what_was_stored_as_something_else_is_not_decoded(place: Place) -> None:
    writer, reader = place.open({"notes": (TextWrapper, 0)}), place.open()
    data_id = writer.upload("notes", TextWrapper("x"))
    with pytest.raises(DecodeError, match=f"{data_id}.*'notes'.*'text'") as caught:
        reader.load("notes", data_id)
    assert caught.value.reason == "DATATYPE_MISMATCH"
    assert reader.cache_stats().open_tickets == 0


def test_bytes_that_do_not_load_say_which_object(place: Place) -> None:
    vault = place.open()
    with vault.open_writer("counts", name="a") as writer:
        writer.write(b"not a number")
    with pytest.raises(DecodeError, match=f"{writer.data_id}.*'counts'"):
        vault.load("counts", "a")


def test_files_and_writers_are_objects_like_others(place: Place, tmp_path: Any) -> None:
    vault = place.open()
    (tmp_path / "in").write_text("from a file")
    data_id = vault.upload_file("notes", tmp_path / "in", name="file")
    assert text_of(vault, data_id) == "from a file"
    vault.download_file("notes", "file", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "from a file"
    with vault.open_writer("notes", name="writer") as writer:
        writer.write(b"from a writer")
        assert not vault.exists("notes", "writer")
    assert text_of(vault, "writer") == "from a writer"
    with vault.open("notes", "writer") as reader:
        reader.seek(-6, 2)
        assert reader.read() == b"writer"


def test_threads_may_share_a_vault(vault: Vault) -> None:
    failures: list[str] = []

    def work(number: int) -> None:
        for step in range(15):
            data_id = vault.upload("counts", Count(step), name=f"{number}-{step}")
            ticket = vault.load("counts", data_id)
            if ticket is None:
                failures.append(f"{number}-{step}")
                return
            with ticket:
                ticket.get_ref().number += 1
            again = vault.load("counts", f"{number}-{step}")
            if again is None or again.get_data().number != step + 1:
                failures.append(f"{number}-{step}")
            if again is not None:
                again.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert vault.cache_stats().open_tickets == 0
