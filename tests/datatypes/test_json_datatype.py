"""JsonDatatype: objects whose attributes are what is stored."""

from dataclasses import dataclass, field

import pytest
from vault.errors import DecodeError
from vault.wrappers import JsonDatatype


class Document(JsonDatatype):
    def __init__(self, title: str) -> None:
        self.title = title
        self.pages: list[str] = []


class Report(Document):
    pass


@dataclass
class Folder(JsonDatatype):
    title: str
    entries: list[int] = field(default_factory=list)
    colour: str = "grey"


@dataclass(frozen=True, slots=True)
class Point(JsonDatatype):
    x: int
    y: int = 7


class Slotted(JsonDatatype):
    __slots__ = ("__hidden", "shown")

    def __init__(self, shown: int, hidden: int) -> None:
        self.shown = shown
        self.__hidden = hidden

    def hidden(self) -> int:
        return self.__hidden


@pytest.mark.parametrize("kind", [Document, Report])
def test_a_json_datatype_keeps_its_attributes_and_its_class(kind: type[Document]) -> None:
    document = kind("ü")
    document.pages.append("one")
    loaded = Document.decoder_for(kind.datatype_tag)._load(document._dump())
    assert type(loaded) is kind
    assert vars(loaded) == {"title": "ü", "pages": ["one"]}


@pytest.mark.parametrize("value", [Folder("a", [1, 2]), Point(1, 2)])
def test_dataclasses_round_trip_frozen_and_slotted_too(value: JsonDatatype) -> None:
    assert type(value)._load(value._dump()) == value
    assert type(value).decoder_for(type(value).datatype_tag) is type(value)
    clone = value._clone()
    assert clone == value
    assert clone is not value


def test_slots_are_stored_as_attributes_are() -> None:
    value = Slotted(1, 2)
    value.extra = 3  # type: ignore[attr-defined]  # Datatype gives every object a __dict__
    loaded = Slotted._load(value._dump())
    assert (loaded.shown, loaded.hidden(), vars(loaded)) == (1, 2, {"extra": 3})


def test_a_dataclass_that_has_grown_takes_its_defaults() -> None:
    first, second = (Folder._load(b'{"title": "old"}') for _ in range(2))
    assert first == Folder("old")
    first.entries.append(1)
    assert second.entries == []
    assert Point._load(b'{"x": 1}') == Point(1)


def test_a_dataclass_without_a_field_that_it_needs_is_not_loaded() -> None:
    with pytest.raises(DecodeError, match="Folder needs 'title', which was not stored"):
        Folder._load(b'{"colour": "red"}')


def test_a_json_datatype_without_attributes_is_an_empty_object() -> None:
    class Empty(JsonDatatype):
        pass

    assert Empty()._dump() == b"{}"
    assert vars(Empty._load(b"{}")) == {}


def test_a_json_datatype_is_an_object_and_nothing_else() -> None:
    with pytest.raises(DecodeError, match="Document is stored as a JSON object, not as list"):
        Document._load(b"[]")
