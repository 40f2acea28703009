"""Datatypes: how a Python object becomes bytes and comes back.

    class Document(Datatype):
        def __init__(self, text: str) -> None:
            self.text = text

        def _dump(self) -> bytes:
            return self.text.encode()

        def _load(raw: bytes) -> "Document":
            return Document(raw.decode())

`_load` is written with or without `@staticmethod` or `@classmethod`.
"""

import copy
import inspect
import json
import pickle
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar, Protocol, Self

from vault.errors import DecodeError, InvalidArgumentError
from vault.model import check_datatype


class ObjectStream(Protocol):
    """What `_load_from` reads: a binary stream over one object, every byte verified before it is seen."""

    size: int
    """Bytes in the object."""

    def read(self, size: int = -1, /) -> bytes: ...
    def readinto(self, buffer: Any, /) -> int | None: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def seekable(self) -> bool: ...
    def readable(self) -> bool: ...
    def close(self) -> None: ...

    def map(self) -> memoryview | None:
        """The whole object, mapped read-only and verified, where it is a local file; None elsewhere."""


class Datatype:
    """The contract between an object and a Vault: bytes out, bytes in.

    Every class has a tag, stored with its objects and checked before they are decoded: the class's
    name, or `datatype_tag` where the class sets it. A unit's Datatype decodes objects of its own tag
    and of its subclasses' tags, each to its own class; an object without a tag is decoded by the
    unit's Datatype itself.

    For objects too large to exist twice in memory, override `_dump_to` and `_load_from` too; they are
    then used for every object of the class that does not fit a block.
    """

    datatype_tag: ClassVar[str] = "Datatype"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "datatype_tag" not in cls.__dict__:
            cls.datatype_tag = cls.__name__
        check_datatype(cls.datatype_tag)
        load = cls.__dict__.get("_load")
        if inspect.isfunction(load):
            takes_class = len(inspect.signature(load).parameters) > 1
            cls._load = classmethod(load) if takes_class else staticmethod(load)  # type: ignore[assignment, method-assign]

    def _dump(self) -> bytes:
        """This object as bytes; empty bytes are valid."""
        raise NotImplementedError(f"{type(self).__name__} does not define _dump(self) -> bytes")

    @classmethod
    def _load(cls, raw: bytes) -> Any:
        """The object that `raw` was dumped from."""
        raise NotImplementedError(f"{cls.__name__} does not define _load(raw)")

    def _dump_to(self, stream: BinaryIO) -> None:
        """Writes the same bytes as `_dump`, in pieces. `stream` can be written, not sought."""
        stream.write(self._dump())

    @classmethod
    def _load_from(cls, stream: ObjectStream) -> Any:
        """The object that the stream's bytes were dumped from."""
        return cls._load(stream.read())

    def _clone(self) -> Self:
        """A copy that shares nothing that can be changed with this object."""
        return copy.deepcopy(self)

    @classmethod
    def streams(cls) -> bool:
        """Whether the class has streaming hooks of its own."""
        return cls._load_from.__func__ is not Datatype._load_from.__func__ or cls._dump_to is not Datatype._dump_to  # type: ignore[attr-defined]

    @classmethod
    def decoder_for(cls, tag: str) -> "type[Datatype]":
        """The class that decodes objects stored with this tag.

        Raises:
            DecodeError: The tag is neither this class's nor a known subclass's.
        """
        if not tag:
            return cls
        for candidate in _family(cls):
            if candidate.datatype_tag == tag:
                return candidate
        known = ", ".join(sorted({repr(candidate.datatype_tag) for candidate in _family(cls)}))
        raise DecodeError(
            f"the object was stored as {tag!r}, which {cls.__name__} does not load; it loads {known}",
            reason="DATATYPE_MISMATCH",
        )


def _family(cls: type[Datatype]) -> Iterator[type[Datatype]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _family(subclass)


def check_datatype_class(candidate: object, unit: str) -> type[Datatype]:
    """`candidate`, when it is a Datatype class; InvalidArgumentError, naming the unit, when not."""
    if not (inspect.isclass(candidate) and issubclass(candidate, Datatype)):
        raise InvalidArgumentError(
            f"unit {unit!r} needs a class derived from Datatype, not {candidate!r}", reason="BAD_STRUCTURE", unit=unit
        )
    return candidate


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
        return type(other) is type(self) and bool(self.data == other.data)

    __hash__ = None  # type: ignore[assignment]  # what it holds may change


class BytesWrapper(Wrapper):
    """Any bytes, as they are."""

    datatype_tag = "bytes"
    data: bytes

    def _dump(self) -> bytes:
        return bytes(self.data)

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        return cls(raw)


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
    """What JSON can say: dicts with text keys, lists, text, numbers, booleans and None, as UTF-8."""

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
    """Derive from it: an object's attributes are stored as a JSON object.

    Attributes that JSON cannot hold make `_dump` raise. `__init__` is not called on loading.
    """

    def _dump(self) -> bytes:
        return json.dumps(vars(self), ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        attributes = json.loads(raw)
        if not isinstance(attributes, dict):
            raise DecodeError(f"{cls.__name__} is stored as a JSON object, not as {type(attributes).__name__}")
        loaded = cls.__new__(cls)
        vars(loaded).update(attributes)
        return loaded


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
