"""Ready-made Datatypes: for bytes, text, JSON and pickles, and bases for classes of one's own."""

import dataclasses
import inspect
import json
import pickle
from typing import Any, Self

from vault.datatype import Datatype
from vault.errors import DecodeError


class Wrapper(Datatype):
    """Holds somebody else's object in `.data`.

    Arguments:
        data: The object that is stored.
    """

    def __init__(self, data: Any) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.data!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._holds(other.data)

    __hash__ = None  # type: ignore[assignment]  # what it holds may change

    def _holds(self, data: Any) -> bool:
        """Whether `data` equals what is held. Override it where `==` does not say so."""
        return bool(self.data == data)


class BytesWrapper(Wrapper):
    """Any bytes, as they are."""

    datatype_tag = "bytes"
    data: bytes

    def _dump(self) -> bytes:
        return bytes(self.data)

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        return cls(bytes(raw))


class TextWrapper(Wrapper):
    """Text, as UTF-8."""

    datatype_tag = "text"
    data: str

    def _dump(self) -> bytes:
        return self.data.encode()

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        return cls(raw.decode())


class JsonWrapper(Wrapper):
    """What JSON can say: dicts with text keys, lists, text, numbers, booleans and None, as UTF-8.

    JSON has no tuples and no other keys: those come back as lists and as text.
    """

    datatype_tag = "json"

    def _dump(self) -> bytes:
        return json.dumps(self.data, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        return cls(json.loads(raw))


class PickleWrapper(Wrapper):
    """Anything that pickle takes.

    **Loading a pickle runs code that its writer chose.** Use it only where everybody who can write to
    the store may also run code in every process that reads from it.
    """

    datatype_tag = "pickle"

    def _dump(self) -> bytes:
        return pickle.dumps(self.data, protocol=pickle.HIGHEST_PROTOCOL)

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        return cls(pickle.loads(raw))  # noqa: S301  # stated in the class's text


class JsonDatatype(Datatype):
    """Derive from it: an object's attributes, slots included, are stored as a JSON object.

        @dataclass
        class Page(JsonDatatype):
            title: str
            links: list[str] = field(default_factory=list)

    Attributes that JSON cannot hold make `_dump` raise; what JsonWrapper says of tuples and keys holds
    here too. `__init__` is not called on loading. A dataclass's field that was not stored, because the
    class has grown since, takes its default; without one, loading is a DecodeError.
    """

    def _dump(self) -> bytes:
        return json.dumps(_attributes(self), ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        attributes = json.loads(raw)
        if not isinstance(attributes, dict):
            raise DecodeError(f"{cls.__name__} is stored as a JSON object, not as {type(attributes).__name__}")
        if dataclasses.is_dataclass(cls):
            attributes = {**_defaults(cls, attributes), **attributes}
        loaded = cls.__new__(cls)
        for name, value in attributes.items():
            member = inspect.getattr_static(cls, name, None)
            if inspect.ismemberdescriptor(member):  # a slot; set past the guard of a frozen dataclass
                member.__set__(loaded, value)
            else:
                vars(loaded)[name] = value
        return loaded


def _attributes(instance: object) -> dict[str, Any]:
    state = object.__getstate__(instance)  # a dict; with slots, a pair of dicts; None when there is nothing
    in_dict, in_slots = state if isinstance(state, tuple) else (state, None)
    return {**(in_dict or {}), **(in_slots or {})}


def _defaults(cls: Any, stored: dict[str, Any]) -> dict[str, Any]:
    defaults = {}
    for missing in (field for field in dataclasses.fields(cls) if field.name not in stored):
        if missing.default is not dataclasses.MISSING:
            defaults[missing.name] = missing.default
        elif missing.default_factory is not dataclasses.MISSING:
            defaults[missing.name] = missing.default_factory()
        elif missing.init:
            raise DecodeError(f"{cls.__name__} needs {missing.name!r}, which was not stored and has no default")
    return defaults


class PickleDatatype(Datatype):
    """Derive from it: the whole object is pickled. The warning of PickleWrapper holds here too."""

    def _dump(self) -> bytes:
        return pickle.dumps(self, protocol=pickle.HIGHEST_PROTOCOL)

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        loaded = pickle.loads(raw)  # noqa: S301  # stated in the class's text
        if not isinstance(loaded, cls):
            raise DecodeError(f"the pickle holds a {type(loaded).__name__}, not a {cls.__name__}")
        return loaded
