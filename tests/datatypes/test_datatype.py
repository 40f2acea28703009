"""The contract of Datatypes, and the ones that `vault` ships."""

import io
import json
import pickle
import sys
from typing import Any, BinaryIO, Self

import pytest
from vault.datatype import Datatype, MemoryStream, ObjectStream, check_datatype_class
from vault.errors import DecodeError, EncodeError, InvalidArgumentError
from vault.wrappers import BytesWrapper, JsonDatatype, JsonWrapper, PickleDatatype, PickleWrapper, TextWrapper, Wrapper


class Text(Datatype):
    def __init__(self, text: str) -> None:
        self.text = text

    def _dump(self) -> bytes:
        return self.text.encode()


class PlainText(Text):
    def _load(raw: bytes) -> "PlainText":  # type: ignore[misc, override]  # noqa: N805  # as pyvault's users do
        return PlainText(raw.decode())


class StaticText(Text):
    @staticmethod
    def _load(raw: bytes) -> "StaticText":
        return StaticText(raw.decode())


class ClassText(Text):
    @classmethod
    def _load(cls, raw: bytes) -> Self:
        return cls(raw.decode())


class PlainClassText(Text):
    def _load(cls, raw: bytes) -> Any:  # type: ignore[override]  # noqa: N805  # a class method, undecorated
        return cls(raw.decode())  # type: ignore[operator]


class OptionText(Text):
    def _load(raw: bytes, encoding: str = "utf-8") -> "OptionText":  # type: ignore[misc, override]  # noqa: N805
        return OptionText(raw.decode(encoding))


class InheritedText(ClassText):
    pass


@pytest.mark.parametrize("kind", [PlainText, StaticText, ClassText, PlainClassText, OptionText, InheritedText])
def test_load_is_found_however_it_is_written(kind: type[Text]) -> None:
    loaded = kind._load(kind("grüße")._dump())
    assert type(loaded) is kind
    assert loaded.text == "grüße"
    assert kind("")._load(b"x").text == "x"  # through an object as through the class


def test_a_function_of_a_module_may_be_the_load() -> None:
    class Numbers(Datatype):
        _load = json.loads  # type: ignore[assignment]  # it takes more, all optional

    assert Numbers._load(b"[1, 2]") == [1, 2]


def test_a_datatype_without_hooks_says_which_is_missing() -> None:
    class Nothing(Datatype):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing does not define _dump\(self\)"):
        Nothing()._dump()
    with pytest.raises(NotImplementedError, match=r"Nothing does not define _load\(raw\)"):
        Nothing._load(b"")


# Tags


def test_a_tag_is_the_class_name_or_what_the_class_sets_and_is_not_inherited() -> None:
    class Named(Text):
        datatype_tag = "example.Named/1"

    class Derived(Named):
        pass

    assert (PlainText.datatype_tag, Named.datatype_tag, Derived.datatype_tag) == (
        "PlainText",
        "example.Named/1",
        "Derived",
    )


@pytest.mark.parametrize("tag", ["x" * 129, "new\nline", "nul\0", None])
def test_a_tag_that_a_store_would_refuse_is_refused_with_the_class(tag: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="bad datatype tag"):
        type("Bad", (Datatype,), {"datatype_tag": tag})


def test_a_family_decodes_each_tag_with_its_own_class() -> None:
    assert Text.decoder_for("Text") is Text
    assert Text.decoder_for("InheritedText") is InheritedText
    assert ClassText.decoder_for("InheritedText") is InheritedText
    assert Datatype.decoder_for("json") is JsonWrapper


def test_an_object_without_a_tag_is_decoded_by_the_class_itself() -> None:
    assert ClassText.decoder_for("") is ClassText


@pytest.mark.parametrize("tag", ["Text", "StaticText", "classtext", "ClassText "])
def test_a_tag_outside_the_family_is_refused_naming_those_inside(tag: str) -> None:
    with pytest.raises(DecodeError, match=r"'ClassText', 'InheritedText'") as caught:
        ClassText.decoder_for(tag)
    assert caught.value.reason == "DATATYPE_MISMATCH"
    assert repr(tag) in str(caught.value)


def test_a_class_defined_again_replaces_the_earlier_one() -> None:
    class Base(Text):
        pass

    def cell() -> type[Base]:
        class Again(Base):
            pass

        return Again

    first, second = cell(), cell()
    assert Base.decoder_for("Again") is second
    assert first.decoder_for("Again") is first  # the unit's own class is never replaced


def test_different_subclasses_with_one_tag_are_ambiguous() -> None:
    class Base(Text):
        pass

    class One(Base):
        datatype_tag = "same"

    class Two(Base):
        datatype_tag = "same"

    with pytest.raises(DecodeError, match=r"One and .*Two both load that: give one of them a datatype_tag"):
        Base.decoder_for("same")
    assert (One.decoder_for("same"), Two.decoder_for("same")) == (One, Two)


def test_a_structure_takes_only_datatype_classes() -> None:
    assert check_datatype_class(JsonWrapper, "unit") is JsonWrapper
    for wrong in (dict, None, JsonWrapper({}), "JsonWrapper"):
        with pytest.raises(InvalidArgumentError, match="unit 'prices' needs a class derived from Datatype"):
            check_datatype_class(wrong, "prices")


# Streaming hooks


class Streamed(Wrapper):
    def _dump_to(self, stream: BinaryIO) -> None:
        stream.writelines(self.data)

    @classmethod
    def _load_from(cls, stream: ObjectStream) -> Self:
        return cls([stream.read(2), stream.read()])


def test_only_classes_with_a_hook_of_their_own_or_inherited_stream() -> None:
    class Below(Streamed):
        pass

    class LoadOnly(Text):
        def _load_from(stream: ObjectStream) -> "LoadOnly":  # type: ignore[override]  # noqa: N805
            return LoadOnly(stream.read().decode())

    assert Streamed.streams()
    assert Below.streams()
    assert LoadOnly.streams()
    assert not any(kind.streams() for kind in (Datatype, Text, ClassText, JsonWrapper, BytesWrapper))


def test_streaming_hooks_alone_are_enough() -> None:
    assert Streamed([b"ab", b"cde"])._dump() == b"abcde"
    assert Streamed._load(b"abcde").data == [b"ab", b"cde"]


def test_hooks_for_whole_objects_alone_are_enough() -> None:
    stream = io.BytesIO()
    ClassText("abc")._dump_to(stream)
    assert stream.getvalue() == b"abc"
    assert ClassText._load_from(MemoryStream(b"abc")).text == "abc"


def test_overriding_dump_or_load_drops_the_streaming_hook_for_the_old_bytes() -> None:
    class Loud(Streamed):
        def _dump(self) -> bytes:
            return super()._dump().upper()

        @classmethod
        def _load(cls, raw: bytes) -> Self:
            return cls([raw.lower()])

    class Louder(Loud):
        pass

    class Streaming(Loud):
        def _dump_to(self, stream: BinaryIO) -> None:
            stream.write(b"<")
            super()._dump_to(stream)

    assert Streaming([b"ab", b"c"])._dump() == b"<ABC"
    assert Streaming.streams()
    for kind in (Loud, Louder):
        stream = io.BytesIO()
        kind([b"ab", b"c"])._dump_to(stream)
        assert stream.getvalue() == kind([b"ab", b"c"])._dump() == b"ABC"
        assert kind._load_from(MemoryStream(b"ABC")).data == kind._load(b"ABC").data == [b"abc"]
        assert not kind.streams()


def test_a_stream_over_memory_is_mapped_without_a_copy_and_read_only() -> None:
    raw = bytes(range(100))
    stream = MemoryStream(raw)
    view = stream.map()
    assert stream.size == len(view) == 100
    assert view.obj is raw
    assert view.readonly


# The wrappers


@pytest.mark.parametrize(
    "wrapper",
    [
        BytesWrapper(b""),
        BytesWrapper(bytes(range(256))),
        TextWrapper(""),
        TextWrapper("grüße, 世界 \0\n"),
        JsonWrapper(None),
        JsonWrapper({"a": [1, 2.5, "ü", None, True], "b": {"c": []}}),
        PickleWrapper({1: (2, {3})}),
    ],
)
def test_wrappers_round_trip(wrapper: Wrapper) -> None:
    loaded = type(wrapper)._load(wrapper._dump())
    assert loaded == wrapper
    assert type(loaded) is type(wrapper)
    assert type(loaded.data) is type(wrapper.data)


@pytest.mark.parametrize("base", [BytesWrapper, TextWrapper, JsonWrapper, PickleWrapper])
def test_subclasses_of_wrappers_round_trip_to_their_own_class(base: type[Wrapper]) -> None:
    kind = type("Special", (base,), {})
    value = b"x" if base is BytesWrapper else "x"
    loaded = base.decoder_for("Special")._load(kind(value)._dump())
    assert type(loaded) is kind
    assert loaded == kind(value)


def test_wrappers_are_equal_when_their_class_and_what_they_hold_are() -> None:
    class Note(TextWrapper):
        pass

    assert TextWrapper("a") == TextWrapper("a")
    assert TextWrapper("a") != TextWrapper("b")
    assert TextWrapper("a") != Note("a")
    assert TextWrapper("a") != "a"
    assert repr(Note("a")) == "Note('a')"
    with pytest.raises(TypeError, match="unhashable"):
        hash(TextWrapper("a"))


def test_a_clone_shares_nothing_that_can_be_changed() -> None:
    original = JsonWrapper({"a": [1]})
    clone = original._clone()
    clone.data["a"].append(2)
    assert original.data == {"a": [1]}
    assert type(clone) is JsonWrapper


def test_a_bytes_wrapper_dumps_any_buffer_and_loads_bytes() -> None:
    assert BytesWrapper(bytearray(b"ab"))._dump() == b"ab"
    assert type(BytesWrapper._load(bytearray(b"ab")).data) is bytes  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [{1, 2}, b"bytes", object(), {(1, 2): 3}])
def test_json_refuses_what_it_cannot_say(data: Any) -> None:
    with pytest.raises(EncodeError, match=r"JSON holds no|is no text"):
        JsonWrapper(data)._dump()


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(DecodeError, match="UnicodeDecodeError"):
        TextWrapper._load(b"\xff")


# pyvault's bytes


class Pickled(PickleDatatype):
    def __init__(self, value: int) -> None:
        self.value = value


class PickledBelow(Pickled):
    pass


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_as_pyvault_writes_them_load(protocol: int) -> None:
    assert PickleWrapper._load(pickle.dumps({"a": (1, 2)}, protocol)).data == {"a": (1, 2)}
    assert Pickled._load(pickle.dumps(Pickled(5), protocol)).value == 5


def test_a_pickled_subclass_comes_back_as_itself() -> None:
    loaded = Pickled.decoder_for("PickledBelow")._load(PickledBelow(3)._dump())
    assert type(loaded) is PickledBelow
    assert loaded.value == 3


def test_a_pickle_of_another_class_is_refused() -> None:
    with pytest.raises(DecodeError, match="the pickle holds a int, not a Pickled"):
        Pickled._load(pickle.dumps(1))


def test_pickle_is_chosen_by_name_only() -> None:
    picklers = [
        kind
        for kind in (Datatype, Wrapper, BytesWrapper, TextWrapper, JsonWrapper, JsonDatatype)
        if issubclass(kind, PickleWrapper | PickleDatatype)
    ]
    assert picklers == []
    assert sys.flags.optimize > 1 or "runs code" in (PickleWrapper.__doc__ or "")
