"""msgspec Structs, as MessagePack that is validated when it is loaded."""

from typing import Self, TypeVar

from vault.errors import DecodeError

from vault_datatypes.extras import extra
from vault_datatypes.models import ModelWrapper

with extra("msgspec"):
    import msgspec

Model = TypeVar("Model", bound="msgspec.Struct")


class MsgspecWrapper(ModelWrapper[Model]):
    """A msgspec Struct; each class of Structs has a wrapper of its own.

    Stored is MessagePack, as the Struct's own options say (`rename`, `array_like`, `tag`). Loading
    validates it.

        >>> import msgspec
        >>> from vault_datatypes import MsgspecWrapper
        >>> class Point(msgspec.Struct):
        ...     x: int
        ...     y: int
        >>> class PointObject(MsgspecWrapper[Point]):
        ...     '''Or, without a class statement: MsgspecWrapper.of(Point).'''
        >>> PointObject._load(PointObject(Point(1, 2))._dump()).data
        Point(x=1, y=2)
    """

    def _dump(self) -> bytes:
        return msgspec.msgpack.encode(self._checked())

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        if cls.model is None:
            raise DecodeError(f"{cls.__name__} is for no model: use a subclass of {cls.__name__}[Model]")
        return cls(msgspec.msgpack.decode(raw, type=cls.model))
