"""Models of pydantic and msgspec come back as they were, validated."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import msgspec
import pydantic
import pytest
from vault.datatype import Datatype
from vault.errors import DecodeError, EncodeError
from vault_datatypes import MsgspecWrapper, PydanticWrapper


class Address(pydantic.BaseModel):
    city: str = pydantic.Field(alias="City")


class User(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    name: str = pydantic.Field(validation_alias="userName", serialization_alias="user-name")
    born: dt.date
    homes: list[Address] = []
    settings: pydantic.Json[dict[str, int]] = pydantic.Field(default_factory=dict)

    @pydantic.computed_field  # type: ignore[prop-decorator]  # pydantic's own way to write it
    @property
    def initial(self) -> str:
        return self.name[0]


class Admin(User):
    level: int = 1


Item = TypeVar("Item")


class Box(pydantic.BaseModel, Generic[Item]):
    item: Item


class UserObject(PydanticWrapper[User]):
    pass


class SpecialUserObject(UserObject):
    datatype_tag = "example.User/2"


class Point(msgspec.Struct, rename="camel", omit_defaults=True):
    left_edge: int
    labels: dict[str, bytes] = {}


class PointObject(MsgspecWrapper[Point]):
    pass


USER = User.model_validate(
    {"userName": "Ada", "born": "1815-12-10", "homes": [{"City": "London"}], "settings": '{"a": 1}'}
)


@pytest.mark.parametrize("kind", [UserObject, SpecialUserObject, PydanticWrapper.of(User)])
def test_pydantic_models_come_back_whatever_their_aliases(kind: type[PydanticWrapper[User]]) -> None:
    loaded = kind._load(kind(USER)._dump())
    assert type(loaded) is kind
    assert type(loaded.data) is User
    assert loaded.data == USER
    assert loaded == kind(USER)


def test_generic_and_root_models_come_back() -> None:
    boxes = PydanticWrapper.of(Box[dt.date])
    box = Box[dt.date](item=dt.date(2020, 1, 1))
    assert boxes.datatype_tag == "Box[date]"
    assert boxes._load(boxes(box)._dump()).data == box
    roots = PydanticWrapper.of(pydantic.RootModel[list[int]])
    assert roots._load(roots(pydantic.RootModel[list[int]]([1, 2]))._dump()).data.root == [1, 2]


def test_msgspec_structs_come_back() -> None:
    point = Point(3, {"a": b"\0"})
    loaded = PointObject._load(PointObject(point)._dump())
    assert loaded == PointObject(point)
    assert type(loaded.data) is Point
    assert b"leftEdge" in PointObject(point)._dump()


def test_a_wrapper_made_for_a_model_is_made_once() -> None:
    with ThreadPoolExecutor(4) as threads:
        kinds = list(threads.map(lambda _: PydanticWrapper.of(Admin), range(50)))
    assert set(kinds) == {PydanticWrapper.of(Admin)}
    assert PydanticWrapper.of(Admin).datatype_tag == "Admin"
    assert PydanticWrapper.of(Admin, tag="admin/1") is not PydanticWrapper.of(Admin)
    assert PydanticWrapper.of(Admin, tag="admin/1").datatype_tag == "admin/1"
    assert PydanticWrapper.of(Admin).__name__ == "PydanticWrapper[Admin]"


def test_a_unit_of_the_root_decodes_each_model_by_its_tag() -> None:
    assert PydanticWrapper.decoder_for("UserObject") is UserObject
    assert UserObject.decoder_for("example.User/2") is SpecialUserObject
    assert Datatype.decoder_for("PointObject") is PointObject


@pytest.mark.parametrize(
    ("wrapper", "text"),
    [
        (UserObject(Admin.model_validate({"userName": "A", "born": "2000-01-01"})), "holds a User, not a Admin"),
        (UserObject({"name": "Ada"}), "holds a User, not a dict"),  # type: ignore[arg-type]  # what is tested
        (PydanticWrapper(USER), "PydanticWrapper is for no model yet"),
        (MsgspecWrapper(Point(1)), "MsgspecWrapper is for no model yet"),
        (PointObject(USER), "holds a Point, not a User"),  # type: ignore[arg-type]  # what is tested
    ],
)
def test_what_would_come_back_as_something_else_is_refused(wrapper: Any, text: str) -> None:
    with pytest.raises(EncodeError, match=text):
        wrapper._dump()


@pytest.mark.parametrize("kind", [PydanticWrapper, MsgspecWrapper])
def test_a_root_without_a_model_loads_nothing(kind: Any) -> None:
    with pytest.raises(DecodeError, match="is for no model"):
        kind._load(b"{}")


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b'{"name": 1, "born": "2000-01-01"}', b'{"userName": "a", "born": "2000-01-01"}']
)
def test_json_that_is_not_the_model_is_refused(raw: bytes) -> None:
    with pytest.raises(DecodeError, match="ValidationError"):
        UserObject._load(raw)


@pytest.mark.parametrize("raw", [b"", b"\x80", msgspec.msgpack.encode({"leftEdge": "1"}), b"\xc1"])
def test_messagepack_that_is_not_the_struct_is_refused(raw: bytes) -> None:
    with pytest.raises(DecodeError, match="PointObject"):
        PointObject._load(raw)


def test_clones_are_changed_alone() -> None:
    user, point = UserObject(USER), PointObject(Point(1, {"a": b""}))
    user_clone, point_clone = user._clone(), point._clone()
    user_clone.data.homes[0].city = "Paris"
    point_clone.data.labels["b"] = b""
    assert user.data.homes[0].city == "London"
    assert point.data.labels == {"a": b""}
