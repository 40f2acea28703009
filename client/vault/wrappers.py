"""Ready-made Datatypes: for bytes, text, JSON and pickles, and bases for classes of one's own."""

import dataclasses
import inspect
import json
from typing import TYPE_CHECKING, Any, Final, Self

from vault._runtime.lazy import LazyModule
from vault.datatype import Datatype, decoding, encoding
from vault.errors import DecodeError, EncodeError
from vault.store.limits import shown
from vault.store.values import UploadedId

if TYPE_CHECKING:
    import pickle
else:
    pickle = LazyModule("pickle")

_MAX_NESTED: Final = 500  # levels; Python's own JSON reader ends at its recursion limit, less what calls it


class Wrapper(Datatype):
    """Holds somebody else's object in `.data`.

    Arguments:
        data: The object that is stored.
    """

    _is_base = True

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
    """Any bytes, as they are; other buffers come back as bytes."""

    datatype_tag = "bytes"
    data: bytes

    def _dump(self) -> bytes:
        if type(self.data) is bytes:
            return self.data
        if not isinstance(self.data, bytes | bytearray | memoryview):  # bytes(5) are five zeros
            raise EncodeError(f"{type(self).__name__} holds bytes, not {shown(self.data)}")
        return bytes(self.data)

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        return cls(raw if type(raw) is bytes else bytes(raw))


class TextWrapper(Wrapper):
    """Text, as UTF-8. Surrogates, which are no text, are refused."""

    datatype_tag = "text"
    data: str

    def _dump(self) -> bytes:
        if type(self.data) is not str:
            raise EncodeError(f"{type(self).__name__} holds a str, not {shown(self.data)} ({type(self.data).__name__})")
        with encoding(type(self)):
            return self.data.encode()

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        with decoding(cls):
            return cls(raw.decode())


class JsonWrapper(Wrapper):
    """What JSON can say: dicts with text keys, lists, text, numbers, booleans and None, as UTF-8.

    Everything else is refused, since it would come back as something else: tuples, other keys, and what is derived
    from these types, such as an IntEnum, a defaultdict or a numpy.float64. Not-a-number and the infinities are
    written as Python's json does (NaN, Infinity), which other languages may not read.
    """

    datatype_tag = "json"

    def _dump(self) -> bytes:
        with encoding(type(self)):
            return _to_json(self.data, "")

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        with decoding(cls):
            return cls(json.loads(raw))


def _to_json(data: Any, path: str) -> bytes:
    _check_json(data, path)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), check_circular=False).encode()


def _check_json(data: Any, path: str, depth: int = 0) -> None:
    """Raises TypeError unless `data` is exactly what JSON gives back."""
    kind = type(data)
    if kind in _JSON_ATOMS:
        return
    if kind is not dict and kind is not list:
        raise TypeError(f"{path or 'the value'}: JSON holds no {kind.__name__}: {shown(data)}; {_instead(data)}")
    if depth == _MAX_NESTED:
        raise TypeError(f"nested deeper than {_MAX_NESTED} levels, or holds itself: flatten it")
    if kind is list:
        for index, item in enumerate(data):
            if type(item) not in _JSON_ATOMS:
                _check_json(item, f"{path}[{index}]", depth + 1)
        return
    for key, value in data.items():
        if type(key) is not str:
            instead = _instead(key) if isinstance(key, str) else "make it text"
            raise TypeError(f"{path or 'the value'}: the key {shown(key)} is no text; {instead}")
        if type(value) not in _JSON_ATOMS:
            _check_json(value, f"{path}[{shown(key)}]", depth + 1)


_JSON_ATOMS = frozenset({str, int, float, bool, type(None), UploadedId})  # an object's id comes back as the int it is


def _instead(data: Any) -> str:
    for kind in (dict, list, str, int, float):
        if isinstance(data, kind):
            return f"make it a plain {kind.__name__}"
    return "make it a list" if isinstance(data, tuple | set | frozenset) else "make it text, or use another Datatype"


class PickleWrapper(Wrapper, runs_code=True):
    """Anything that pickle takes.

    **Loading a pickle runs code that its writer chose.** Use it only where everybody who can write to
    the store may also run code in every process that reads from it. Objects stored so are loaded only by units that
    name this class, or one derived from it.

    What is pickled is unpickled once, to see that it can be, which takes one and a half times as long as pickling;
    `class Mine(PickleWrapper, verify=False)` leaves that out.
    """

    datatype_tag = "pickle"

    def _dump(self) -> bytes:
        return _to_pickle(self, self.data)

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        with decoding(cls):
            return cls(pickle.loads(raw))  # stated in the class's text


def _to_pickle(holder: Datatype, data: Any) -> bytes:
    with encoding(type(holder)):
        raw = pickle.dumps(data, protocol=pickle.HIGHEST_PROTOCOL)
        if holder._verify:  # noqa: SLF001  # an option of the class
            try:
                loaded = pickle.loads(raw)  # what was just pickled here
            except Exception as error:
                raise EncodeError(
                    f"{shown(data)} is pickled, and cannot be unpickled ({type(error).__name__}: {error}): "
                    "mend its __reduce__ or __setstate__"
                ) from error
            if type(loaded) is not type(data):
                raise EncodeError(f"a {type(data).__name__} would come back as a {type(loaded).__name__}")
    return raw


class JsonDatatype(Datatype):
    """Derive from it: an object's attributes, slots included, are stored as a JSON object.

        @dataclass
        class Page(JsonDatatype):
            title: str
            links: list[str] = field(default_factory=list)

    Attributes that JSON cannot hold are refused; what JsonWrapper says of tuples and keys holds
    here too. `__init__` is not called on loading. A dataclass's field that was not stored, because the
    class has grown since, takes its default; without one, loading is a DecodeError.
    """

    _is_base = True

    def _dump(self) -> bytes:
        with encoding(type(self)):
            return _to_json(_attributes(self), type(self).__name__)

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        with decoding(cls):
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


class PickleDatatype(Datatype, runs_code=True):
    """Derive from it: the whole object is pickled. What PickleWrapper says holds here too."""

    def _dump(self) -> bytes:
        return _to_pickle(self, self)

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        with decoding(cls):
            loaded = pickle.loads(raw)  # stated in the class's text
            if not isinstance(loaded, cls):
                raise DecodeError(f"the pickle holds a {type(loaded).__name__}, not a {cls.__name__}")
            return loaded
