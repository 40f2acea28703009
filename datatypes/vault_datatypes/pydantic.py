"""pydantic models, as JSON that is validated when it is loaded."""

from typing import Self, TypeVar

from vault.errors import DecodeError

from vault_datatypes.extras import extra
from vault_datatypes.models import ModelWrapper

with extra("pydantic"):
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")


class PydanticWrapper(ModelWrapper[Model]):
    """A pydantic model; each class of models has a wrapper of its own.

    Stored is what the model's fields hold, by their names and not their aliases, as JSON. Loading
    validates it. Private attributes and fields with `exclude=True` are not stored.

        >>> from pydantic import BaseModel
        >>> from vault_datatypes import PydanticWrapper
        >>> class User(BaseModel):
        ...     name: str
        >>> class UserObject(PydanticWrapper[User]):
        ...     '''Or, without a class statement: PydanticWrapper.of(User).'''
        >>> UserObject._load(UserObject(User(name="Ada"))._dump()).data
        User(name='Ada')
    """

    def _dump(self) -> bytes:
        return self._checked().model_dump_json(round_trip=True, by_alias=False).encode()

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        if cls.model is None:
            raise DecodeError(f"{cls.__name__} is for no model: use a subclass of {cls.__name__}[Model]")
        return cls(cls.model.model_validate_json(raw, by_alias=False, by_name=True))
