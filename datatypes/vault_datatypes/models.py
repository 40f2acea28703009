"""Wrappers that are made for one class of models each."""

from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, ClassVar, Generic, Self, TypeVar, cast, get_args, get_origin

from vault.errors import DecodeError, EncodeError
from vault.wrappers import Wrapper

from vault_datatypes.equality import difference

Model = TypeVar("Model")

_making = Lock()


class ModelWrapper(Wrapper, Generic[Model]):
    """The root of them: `class UserObject(SomeWrapper[User])`, or `SomeWrapper.of(User)`, holds a User."""

    _is_base = True
    model: ClassVar[Any] = None
    _advice: ClassVar[str] = ""  # what a model's author can do about a field that does not come back
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

    def _checked(self) -> Model:
        """The model, when it is one that would come back as it is."""
        name = type(self).__name__
        if self.model is None:
            raise EncodeError(f"{name} is for no model yet: class Stored({name}[Model]), or {name}.of(Model)")
        if type(self.data) is not self.model:
            raise EncodeError(f"{name} holds a {self.model.__name__}, not a {type(self.data).__name__}")
        return self.data

    def _written(self, write: Callable[[], bytes], names: Iterable[str], one: Callable[[str], object]) -> bytes:
        """What `write` makes; where it fails, an EncodeError that names the first field which `one` fails with, too."""
        try:
            return write()
        except Exception as error:
            for name in names:
                try:
                    one(name)
                except Exception:  # noqa: BLE001  # what it is was raised before
                    raise EncodeError(f"{type(self).__name__}: {name}: {error}; {self._advice}") from error
            raise EncodeError(f"{type(self).__name__}: {error}; {self._advice}") from error

    def _compared(self, raw: bytes) -> bytes:
        """`raw`, when the model comes back from it as it is.

        Raises:
            EncodeError: A field would not; the text names it.
        """
        if self._verify:
            try:
                loaded = self._load(raw).data
            except DecodeError as error:
                raise EncodeError(f"what is written could not be loaded again: {error}; {self._advice}") from error
            if found := difference(self.data, loaded):
                raise EncodeError(f"{type(self).__name__}: {found}; {self._advice}")
        return raw
