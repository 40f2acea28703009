"""pydantic models, as JSON that is validated when it is loaded."""

from typing import Any, TypeVar

from vault._runtime.extras import extra

from vault_datatypes.models import ModelWrapper

with extra("pydantic", __name__):
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")


class PydanticWrapper(ModelWrapper[Model]):
    """A pydantic model; each class of models has a wrapper of its own.

    Stored is what the model's fields hold, by their names and not their aliases, as JSON. Loading
    validates it. A model that would come back as another is an EncodeError that names the field: a SecretStr, which is
    written as stars; a subclass's object where its base is declared; not-a-number, unless the model's config says
    ser_json_inf_nan="constants"; a private attribute, or a field with `exclude=True`, that is not at its default.
    (Which fields were set, `model_fields_set`, is not stored.)

        >>> from pydantic import BaseModel
        >>> from vault_datatypes import PydanticWrapper
        >>> class User(BaseModel):
        ...     name: str
        >>> class UserObject(PydanticWrapper[User]):
        ...     '''Or, without a class statement: PydanticWrapper.of(User).'''
        >>> UserObject._load(UserObject(User(name="Ada"))._dump()).data
        User(name='Ada')
    """

    _is_base = True
    _fields = "model_fields"
    _advice = (
        "give it a serializer and a validator that say it whole (@field_serializer, SerializeAsAny, ser_json_inf_nan), "
        "declare the type that it has, or store with verify=False what may change"
    )

    def _encoded(self, field: str | None = None) -> bytes:
        # What a warning would be about is found when the models are compared.
        json: str = self.data.model_dump_json(
            include=None if field is None else {field}, round_trip=True, by_alias=False, warnings=not self._verify
        )
        return json.encode()

    @classmethod
    def _decoded(cls, raw: bytes) -> Any:
        return cls.model.model_validate_json(raw, by_alias=False, by_name=True)
