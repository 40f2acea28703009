"""Wrappers that are made for one class of models each."""

from threading import Lock
from typing import Any, BinaryIO, ClassVar, Generic, Self, TypeVar, cast, get_args, get_origin

from vault.datatype import decoding
from vault.errors import DecodeError, EncodeError

from vault_datatypes.equality import difference
from vault_datatypes.library import LibraryWrapper

Model = TypeVar("Model")

_making = Lock()


class ModelWrapper(LibraryWrapper, Generic[Model]):
    """The root of them: `class UserObject(SomeWrapper[User])`, or `SomeWrapper.of(User)`, holds a User."""

    _is_base = True
    model: ClassVar[Any] = None
    _fields: ClassVar[str]  # what a model's class has the names of its fields in
    data: Model

    def __init__(self, data: Model) -> None:
        super().__init__(data)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in cls.__dict__.get("__orig_bases__", ()):
            origin, arguments = get_origin(base), get_args(base)
            if isinstance(origin, type) and issubclass(origin, ModelWrapper) and isinstance(arguments[0], type):
                cls.model = arguments[0]

    @classmethod
    def of(cls, model: type[Model], *, tag: str | None = None, verify: bool | None = None) -> type[Self]:
        """The wrapper for one class of models; for the same arguments the same class.

        Args:
            model: The class.
            tag: Stored with its objects; the model's name when it is None.
            verify: Whether what is stored is decoded and compared; as this class when it is None.
        """
        verify = cls._verify if verify is None else verify
        tag = model.__name__ if tag is None else tag
        attributes = {"model": model, "datatype_tag": tag, "__module__": __name__, "_verify": verify}
        with _making:
            for known in cls.__subclasses__():
                made = (known.model, known.datatype_tag, vars(known).get("_verify"), known.__module__)
                if made == (model, tag, verify, __name__):
                    return known
            return cast("type[Self]", type(f"{cls.__name__}[{model.__name__}]", (cls,), attributes))

    def _encoded(self, field: str | None = None) -> bytes:
        """The model, or one field of it."""
        raise NotImplementedError

    @classmethod
    def _decoded(cls, raw: bytes) -> Any:
        raise NotImplementedError

    def _write(self, stream: BinaryIO) -> None:
        name = type(self).__name__
        if self.model is None:
            raise EncodeError(f"{name} is for no model yet: class Stored({name}[Model]), or {name}.of(Model)")
        if type(self.data) is not self.model:
            raise EncodeError(f"{name} holds a {self.model.__name__}, not a {type(self.data).__name__}")
        try:
            raw = self._encoded()
        except Exception as error:
            where = next(
                (f"{field}: " for field in getattr(self.model, self._fields) if not self._can_be_encoded(field)), ""
            )
            raise EncodeError(f"{name}: {where}{error}; {self._advice}") from error
        stream.write(raw)

    def _can_be_encoded(self, field: str) -> bool:
        try:
            self._encoded(field)
        except Exception:  # noqa: BLE001  # what it is was raised before
            return False
        return True

    def _difference(self, data: Model) -> str | None:
        return difference(self.data, data)

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        if cls.model is None:
            raise DecodeError(f"{cls.__name__} is for no model: use a subclass of {cls.__name__}[Model]")
        with decoding(cls):
            return cls(cls._decoded(raw))
