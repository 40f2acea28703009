"""Nothing that was stored decides what code runs: a tag leads to no decoder that the unit does not name."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from vault import DecodeError, InvalidArgumentError, UnitSettings, Vault
from vault.datatype import Datatype
from vault.errors import VaultError
from vault.wrappers import BytesWrapper, JsonDatatype, JsonWrapper, PickleDatatype, PickleWrapper, TextWrapper, Wrapper
from vault_datatypes import MsgspecWrapper, PydanticWrapper
from vault_datatypes.models import ModelWrapper


class Bomb:
    """Unpickled, it makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


class Raw(Datatype):
    """What anybody may store under any tag."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def _dump(self) -> bytes:
        return pickle.dumps(Bomb(self.made))


class Note(JsonDatatype):
    pass


class PickledNote(Note, PickleDatatype):
    """Reached by its tag from Note, if tags were believed."""

    _dump = PickleDatatype._dump

    @classmethod
    def _load(cls, raw: bytes) -> Any:
        return pickle.loads(raw)


class Shape(Datatype):
    def _dump(self) -> bytes:
        return b""

    @classmethod
    def _load(cls, raw: bytes) -> Any:
        return cls()


class Drawing(Shape, runs_code=True):
    @classmethod
    def _load(cls, raw: bytes) -> Any:
        return pickle.loads(raw)


class Sketch(Drawing):
    pass


UNITS = [BytesWrapper, TextWrapper, JsonWrapper, Note, Shape]


@pytest.mark.parametrize("tag", ["pickle", "PickleDatatype", "PickledNote", "Drawing", "Sketch"])
@pytest.mark.parametrize("unit", UNITS)
def test_a_stored_tag_never_leads_to_a_decoder_that_runs_code(unit: type[Datatype], tag: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    writer: Any = type("Writer", (Raw,), {"datatype_tag": tag})
    with Vault(tmp_path / "data", {"u": (writer, 0)}) as vault:
        data_id = vault.upload("u", writer(made))
    with Vault(tmp_path / "data", {"u": (unit, 0)}) as vault, pytest.raises(DecodeError) as caught:
        vault.load("u", data_id)
    assert caught.value.reason == "DATATYPE_MISMATCH"
    assert not made.exists()


@pytest.mark.parametrize("base", [Datatype, Wrapper, JsonDatatype, ModelWrapper, PydanticWrapper, MsgspecWrapper])
def test_a_base_of_everything_is_no_units_datatype(base: type[Datatype], tmp_path: Path) -> None:
    for unit in ((base, 0), UnitSettings(base)):
        with pytest.raises(InvalidArgumentError, match=f"{base.__name__} is the base of whatever") as caught:
            Vault(tmp_path / "data", {"u": unit})
        assert caught.value.reason == "BAD_STRUCTURE"


@pytest.mark.parametrize("unit", [Datatype, Wrapper])
def test_a_base_that_is_asked_directly_does_not_lead_to_pickles_either(unit: type[Datatype]) -> None:
    with pytest.raises(DecodeError, match="loading that runs code"):
        unit.decoder_for("pickle")


def test_classes_of_ones_own_below_a_base_are_loaded_by_their_tags(tmp_path: Path) -> None:
    class Circle(Shape):
        pass

    with Vault(tmp_path / "data", {"shapes": (Shape, 0)}, cache=False) as vault:
        data_id = vault.upload("shapes", Circle())
        with vault.load("shapes", data_id) as ticket:  # type: ignore[union-attr]  # it is there
            assert type(ticket.get_data()) is Circle


def test_a_unit_that_names_a_pickle_loads_it_and_what_is_derived_from_it() -> None:
    assert PickleWrapper.decoder_for("pickle") is PickleWrapper
    assert PickleDatatype.decoder_for("PickledNote") is PickledNote
    assert Drawing.decoder_for("Sketch") is Sketch
    assert issubclass(type("Mine", (PickleWrapper,), {}), PickleWrapper)


def test_what_a_pickle_cannot_give_back_is_not_stored() -> None:
    class Local:
        def __reduce__(self) -> Any:
            return int, ("no number",)

    class Other:
        def __reduce__(self) -> Any:
            return int, ("1",)

    for data, text in ((Local(), "cannot be unpickled"), (Other(), "would come back as a int"), (lambda: 0, "pickle")):
        with pytest.raises(VaultError, match=text):
            PickleWrapper(data)._dump()

    class Unverified(PickleWrapper, verify=False):
        pass

    assert Unverified(Other())._dump()
