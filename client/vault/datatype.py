"""Datatypes: how a Python object becomes bytes and comes back.

    class Document(Datatype):
        def __init__(self, text: str) -> None:
            self.text = text

        def _dump(self) -> bytes:
            return self.text.encode()

        @classmethod
        def _load(cls, raw: bytes) -> Self:
            return cls(raw.decode())

`_load` also works without a decorator, as `def _load(cls, raw)` or `def _load(raw)`, and with `@staticmethod`; type
checkers want it as above.
"""

import copy
import inspect
import io
import itertools
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, BinaryIO, ClassVar, Protocol, Self, TypeVar

from vault.errors import DecodeError, EncodeError, InvalidArgumentError, VaultError
from vault.store.limits import check_datatype


class ObjectStream(Protocol):
    """What `_load_from` reads: a binary stream over one object, every byte verified before it is seen."""

    @property
    def size(self) -> int:
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


class MemoryStream(io.BytesIO):
    """An ObjectStream over bytes that are in memory already; `map()` shows them without a copy."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.size = len(raw)
        self._raw = raw

    def map(self) -> memoryview:
        return memoryview(self._raw).toreadonly()


_definitions = itertools.count()

_Hook = TypeVar("_Hook")


def _default(hook: _Hook) -> _Hook:
    """Marks a streaming hook that goes through whole bytes, and so is none of the class's own."""
    vars(hook)["default"] = True
    return hook


class Datatype:
    """The contract between an object and a Vault: bytes out, bytes in.

    Every class has a tag, stored with its objects and checked before they are decoded: the class's
    name, or `datatype_tag` where the class sets it. A unit's Datatype decodes objects of its own tag
    and of its subclasses' tags, each to its own class; an object without a tag is decoded by the
    unit's Datatype itself.

    For objects too large to exist twice in memory, define `_dump_to` and `_load_from` too, or instead;
    they are then used for every object of the class that does not fit a block. A subclass that
    overrides `_dump` or `_load` alone does not inherit the streaming hook beside it, which would
    write or read the other class's bytes.
    """

    datatype_tag: ClassVar[str] = "Datatype"
    _defined: ClassVar[int] = next(_definitions)
    _is_base = True  # looked for in a class's own attributes: no unit holds objects of just this
    _streams: ClassVar[bool] = False
    _runs_code: ClassVar[bool] = False
    _verify: ClassVar[bool] = True
    _max_decoded: ClassVar[int] = 512 << 20

    def __init_subclass__(
        cls,
        *,
        runs_code: bool | None = None,
        verify: bool | None = None,
        max_decoded: int | None = None,
        **options: Any,
    ) -> None:
        """
        Args:
            runs_code: Whether loading may run code that the stored bytes choose, as a pickle does. Set it in a
                class whose `_load` unpickles: its objects are then loaded only where a unit names it, or another
                class that runs code, and not by units of its other bases. Subclasses inherit it.
            verify: For the ready-made Datatypes whose format does not hold everything that Python does: False
                stores what they are given without a look at what would come back. Subclasses inherit it.
            max_decoded: For the ready-made Datatypes: bytes that an object may take in memory when it is decoded,
                at the least; 16 times its stored size, if that is more. Subclasses inherit it.
        """
        super().__init_subclass__(**options)
        cls._runs_code = any(vars(base).get("_runs_code") for base in cls.__mro__[1:])
        for option, value in (("_runs_code", runs_code), ("_verify", verify), ("_max_decoded", max_decoded)):
            if value is not None:
                setattr(cls, option, value)
        if "datatype_tag" not in cls.__dict__:
            cls.datatype_tag = cls.__name__
        check_datatype(cls.datatype_tag)
        cls._defined = next(_definitions)
        for hook in ("_load", "_load_from"):
            if inspect.isfunction(written := cls.__dict__.get(hook)):
                setattr(cls, hook, (classmethod if _takes_class(written) else staticmethod)(written))
        _complete(cls)
        cls._streams = not all(hasattr(_definition(cls, hook)[1], "default") for hook in ("_dump_to", "_load_from"))

    def _dump(self) -> bytes:
        """This object as bytes; empty bytes are valid."""
        raise NotImplementedError(f"{type(self).__name__} does not define _dump(self) -> bytes")

    @classmethod
    def _load(cls, raw: bytes, /) -> Any:
        """The object that `raw` was dumped from."""
        raise NotImplementedError(f"{cls.__name__} does not define _load(raw)")

    @_default
    def _dump_to(self, stream: BinaryIO, /) -> None:
        """Writes the same bytes as `_dump`, in pieces. `stream` can be written, not sought."""
        stream.write(self._dump())

    @_default
    @classmethod
    def _load_from(cls, stream: ObjectStream, /) -> Any:
        """The object that the stream's bytes were dumped from."""
        return cls._load(stream.read())

    def _clone(self) -> Self:
        """A copy that shares nothing that can be changed with this object."""
        return copy.deepcopy(self)

    @classmethod
    def streams(cls) -> bool:
        """Whether the class has streaming hooks of its own."""
        return cls._streams

    @classmethod
    def decoder_for(cls, tag: str) -> "type[Datatype]":
        """The class that decodes objects stored with this tag: this one, or a subclass.

        A class that was defined again (a notebook's cell run twice, a module reloaded) replaces the
        earlier one. Different subclasses with one tag are ambiguous. A subclass that runs code which the bytes
        choose is none of the family, unless this one does so, too: a stored tag must not lead to it.

        Raises:
            DecodeError: No class of the family has the tag, or several do.
        """
        if tag == cls.datatype_tag or not tag:
            return cls
        found = [candidate for candidate in _family(cls) if candidate.datatype_tag == tag]
        if found and not cls._runs_code and any(map(attrgetter("_runs_code"), found)):
            raise DecodeError(
                f"the object was stored as {tag!r}, and loading that runs code which the stored bytes choose: only "
                f"a unit of {found[0].__name__} itself does so, not one of {cls.__name__}",
                reason="DATATYPE_MISMATCH",
            )
        places = sorted({f"{candidate.__module__}.{candidate.__qualname__}" for candidate in found})
        if len(places) > 1:
            raise DecodeError(
                f"the object was stored as {tag!r}, and {' and '.join(places)} both load that: "
                "give one of them a datatype_tag of its own",
                reason="DATATYPE_MISMATCH",
            )
        if found:
            return max(found, key=attrgetter("_defined"))
        known = ", ".join(sorted({repr(candidate.datatype_tag) for candidate in _family(cls)}))
        raise DecodeError(
            f"the object was stored as {tag!r}, which {cls.__name__} does not load; it loads {known}",
            reason="DATATYPE_MISMATCH",
        )


def _takes_class(load: Any) -> bool:
    """Whether a `_load` written as a plain function wants (cls, raw), not (raw)."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(load).parameters.values()
    required = [p for p in parameters if p.kind in positional and p.default is p.empty]
    return len(required) > 1


def _complete(cls: type["Datatype"]) -> None:
    """Makes of each pair of hooks (whole, streamed) the one that the class leaves out.

    A hook is made of the very one beside it and not of whatever a subclass puts there, so that
    `super()._dump()` means what it says.
    """
    for whole, streamed, made_whole, made_streamed in (
        ("_dump", "_dump_to", _dump_of, _dump_to_of),
        ("_load", "_load_from", _load_of, _load_from_of),
    ):
        (whole_depth, whole_hook), (streamed_depth, streamed_hook) = _definition(cls, whole), _definition(cls, streamed)
        if streamed_depth < whole_depth:
            setattr(cls, whole, made_whole(streamed_hook))
        elif whole_depth < streamed_depth:
            setattr(cls, streamed, made_streamed(whole_hook))


def _definition(cls: type, hook: str) -> tuple[int, Any]:
    """How far up in the order of resolution the hook is defined (0: by the class itself), and as what."""
    return next((depth, vars(base)[hook]) for depth, base in enumerate(cls.__mro__) if hook in vars(base))


def _dump_of(dump_to: Any) -> Any:
    def _dump(self: Datatype) -> bytes:
        stream = io.BytesIO()
        dump_to.__get__(self, type(self))(stream)
        return stream.getvalue()

    return _dump


def _load_of(load_from: Any) -> Any:
    def _load(cls: type[Datatype], raw: bytes) -> Any:
        return load_from.__get__(None, cls)(MemoryStream(raw))

    return classmethod(_load)


def _dump_to_of(dump: Any) -> Any:
    def _dump_to(self: Datatype, stream: BinaryIO) -> None:
        stream.write(dump.__get__(self, type(self))())

    return _default(_dump_to)


def _load_from_of(load: Any) -> Any:
    def _load_from(cls: type[Datatype], stream: ObjectStream) -> Any:
        return load.__get__(None, cls)(stream.read())

    return _default(classmethod(_load_from))


def _family(cls: type[Datatype]) -> Iterator[type[Datatype]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _family(subclass)


def check_datatype_class(candidate: object, unit: str) -> type[Datatype]:
    """`candidate`, when it is a Datatype that a unit may hold; InvalidArgumentError, naming the unit, when not."""
    if not (inspect.isclass(candidate) and issubclass(candidate, Datatype)):
        raise InvalidArgumentError(
            f"unit {unit!r} needs a class derived from Datatype, not {candidate!r}", reason="BAD_STRUCTURE", unit=unit
        )
    if "_is_base" in vars(candidate):
        raise InvalidArgumentError(
            f"unit {unit!r}: {candidate.__name__} is the base of whatever is derived from it, and what was stored must "
            f"not choose among that. Name the class of the unit's objects, or derive a base of your own from "
            f"{candidate.__name__} for those that the unit holds",
            reason="BAD_STRUCTURE",
            unit=unit,
        )
    return candidate


class _Contract:
    """Makes an error of the contract of whatever is raised in its block. (In half the time of a generator's.)"""

    __slots__ = ("_error", "_kind")

    def __init__(self, kind: type, error: type[DecodeError | EncodeError]) -> None:
        self._kind = kind
        self._error = error

    def __enter__(self) -> None:
        """Nothing is held."""

    def __exit__(self, _: object, raised: BaseException | None, __: object) -> None:
        if isinstance(raised, Exception) and not isinstance(raised, VaultError):
            raise self._error(f"{self._kind.__name__}: {type(raised).__name__}: {raised}") from raised


def encoding(kind: type) -> _Contract:
    """Makes an EncodeError of whatever is raised in the block."""
    return _Contract(kind, EncodeError)


def decoding(kind: type) -> _Contract:
    """Makes a DecodeError of whatever is raised in the block."""
    return _Contract(kind, DecodeError)
