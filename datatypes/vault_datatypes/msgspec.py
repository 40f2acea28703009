"""msgspec Structs, as MessagePack that is validated when it is loaded."""

from typing import Any, TypeVar

from vault._runtime.extras import extra
from vault.store.values import UploadedId

from vault_datatypes.models import ModelWrapper

with extra("msgspec", __name__):
    import msgspec

Model = TypeVar("Model", bound="msgspec.Struct")


class MsgspecWrapper(ModelWrapper[Model]):
    """A msgspec Struct; each class of Structs has a wrapper of its own.

    Stored is MessagePack, as the Struct's own options say (`rename`, `array_like`, `tag`). Loading
    validates it. A Struct that would come back as another is an EncodeError that names the field: a subclass's object
    where its base is declared, a tuple in a field of type Any, a time in a zone other than UTC.

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

    _is_base = True
    _fields = "__struct_fields__"
    _advice = "declare the type that it has, convert it, or store with verify=False what may change"

    def _encoded(self, field: str | None = None) -> bytes:
        return msgspec.msgpack.encode(self.data if field is None else getattr(self.data, field), enc_hook=_plain)

    @classmethod
    def _decoded(cls, raw: bytes) -> Any:
        return msgspec.msgpack.decode(raw, type=cls.model)


def _plain(value: Any) -> Any:
    """An uploaded object's id as the int it is; msgspec takes no class that derives from int."""
    if type(value) is UploadedId:
        return int(value)
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
