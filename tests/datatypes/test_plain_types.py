"""Units of other libraries' types: objects go in and come out as they are, and nothing is imported that is not used."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
from PIL import Image
from vault import InvalidArgumentError, JsonWrapper, Vault
from vault_datatypes import (
    ArrowWrapper,
    ImageWrapper,
    MsgspecWrapper,
    NumpyWrapper,
    PandasFeatherWrapper,
    PandasWrapper,
    PolarsWrapper,
    PydanticWrapper,
)
from vault_server import EmbeddedStore, Server


class Note(pydantic.BaseModel):
    text: str


class Point(msgspec.Struct):
    x: int


class Frame(pd.DataFrame):
    """A class that is derived from a plain type, and would not come back."""


def image(color: str) -> Image.Image:
    return Image.new("RGB", (3, 2), color)


# By name: the type, its Wrapper, and two objects.
TYPES: dict[str, tuple[type, type, Any, Any]] = {
    "pandas": (pd.DataFrame, PandasWrapper, pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": ["x"]})),
    "polars": (pl.DataFrame, PolarsWrapper, pl.DataFrame({"a": [1, 2]}), pl.DataFrame({"b": ["x"]})),
    "pyarrow": (pa.Table, ArrowWrapper, pa.table({"a": [1, 2]}), pa.table({"b": ["x"]})),
    "numpy": (np.ndarray, NumpyWrapper, np.arange(6).reshape(2, 3), np.zeros(1)),
    "pillow": (Image.Image, ImageWrapper, image("red"), image("blue")),
    "pydantic": (Note, PydanticWrapper.of(Note), Note(text="a"), Note(text="b")),
    "msgspec": (Point, MsgspecWrapper.of(Point), Point(1), Point(2)),
}

each_type = pytest.mark.parametrize(("kind", "wrapper", "one", "two"), TYPES.values(), ids=TYPES.keys())


def same(found: Any, expected: Any) -> bool:
    """Whether they are equal, of one type, by what says so of their type."""
    if type(found) is not type(expected) and not isinstance(expected, Image.Image):
        return False
    if isinstance(expected, np.ndarray):
        return np.array_equal(found, expected)
    if isinstance(expected, Image.Image):
        return bool(found.tobytes() == expected.tobytes())
    return bool(found.equals(expected) if hasattr(expected, "equals") else found == expected)


@pytest.fixture(scope="module", params=["embedded", "remote"])
def vault(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    with (
        EmbeddedStore(tmp_path_factory.mktemp("store")) as store,
        Server(store) as server,
        Vault(f"grpc://{server.address}" if request.param == "remote" else store) as opened,
    ):
        yield opened


@each_type
def test_objects_come_and_go_as_they_are(vault: Vault, kind: Any, wrapper: type, one: Any, two: Any) -> None:
    unit = vault.unit(wrapper.__name__.partition("[")[0], kind)
    assert unit.get_datatype() is wrapper
    assert unit == vault.unit(unit.name, kind)
    data_id = unit.upload(one)
    assert same(unit.get(data_id), one)
    with unit.open_ticket(data_id) as ticket:
        assert same(ticket.get_data(), one)
        assert same(ticket.get_ref(), one)
        ticket.set(two)
    assert same(unit.get(data_id), two)
    unit.edit(data_id, lambda held: one if same(held, two) else None)
    with vault.open_ticket(unit.name, data_id) as wrapped:
        assert type(wrapped.get_data()) is wrapper
        assert same(wrapped.get_data().data, one)
    with pytest.raises(InvalidArgumentError, match=rf"holds objects of {kind.__name__}, not str"):
        unit.upload("text")


def test_what_get_gives_may_be_changed_and_what_is_edited_in_place_is_written(vault: Vault) -> None:
    frames, arrays = vault.unit("frames", pd.DataFrame), vault.unit("arrays", np.ndarray)
    frame_id, array_id = frames.upload(pd.DataFrame({"a": [1, 2]})), arrays.upload(np.arange(3))
    mine = frames.get(frame_id)
    mine["a"] = 0
    arrays.get(array_id)[:] = 0
    assert frames.get(frame_id)["a"].tolist() == [1, 2]
    assert arrays.get(array_id).tolist() == [0, 1, 2]
    with frames.open_ticket(frame_id) as ticket:
        ticket.get_ref()["b"] = [3, 4]
    with arrays.open_ticket(array_id) as opened:
        opened.get_ref()[1] = 7
    assert list(frames.get(frame_id).columns) == ["a", "b"]
    assert arrays.get(array_id).tolist() == [0, 7, 2]


def test_an_object_keeps_its_format_when_its_value_is_replaced(vault: Vault) -> None:
    frames, images = vault.unit("formats", pd.DataFrame), vault.unit("images", Image.Image)
    frame_id = vault.upload("formats", PandasFeatherWrapper(pd.DataFrame({"a": [1]})))
    image_id = vault.upload("images", ImageWrapper(image("red"), format="BMP"))
    with frames.open_ticket(frame_id) as ticket:
        ticket.set(pd.DataFrame({"a": [2]}))
    frames.edit(frame_id, lambda frame: frame + 1)
    images.edit(image_id, lambda held: image("blue"))
    info = frames.stat(frame_id)
    assert info is not None
    assert info.datatype == PandasFeatherWrapper.datatype_tag
    assert frames.get(frame_id)["a"].tolist() == [3]
    with vault.open_ticket("images", image_id) as wrapped:
        assert wrapped.get_data().format == "BMP"
        assert same(wrapped.get_data().data, image("blue"))


@pytest.mark.parametrize("kind", [Frame, pydantic.BaseModel, msgspec.Struct, pd.Series])
def test_a_type_whose_objects_would_not_come_back_is_refused(vault: Vault, kind: type) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"stores {kind.__name__} as it is"):
        vault.unit("refused", kind)


def test_an_object_for_a_unit_of_another_type_is_answered_with_what_to_do(vault: Vault) -> None:
    vault.unit("wrapped", PandasWrapper)
    vault.unit("json", JsonWrapper)
    frame: Any = pd.DataFrame({"a": [1]})
    with pytest.raises(InvalidArgumentError, match=r"PandasWrapper, not DataFrame: wrap it: PandasWrapper\(x\)"):
        vault.upload("wrapped", frame)
    with pytest.raises(InvalidArgumentError, match=r"JsonWrapper, not DataFrame: declare .* vault\.unit\(name, DataF"):
        vault.upload("json", frame)
    with pytest.raises(InvalidArgumentError, match=r"JsonWrapper, not Note: declare a unit for it with Note"):
        vault.upload("json", Note(text="a"))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=r"name PandasWrapper, or declare it by vault\.unit\('a', DataFrame"):
        Vault("memory://", {"a": (pd.DataFrame, 0)})  # type: ignore[dict-item]


IMPORTS = """
import sys
from vault import Vault
heavy = {"numpy", "pandas", "polars", "pyarrow", "PIL", "pydantic", "msgspec", "vault_datatypes"}
with Vault("memory://") as vault:
    vault.unit("texts", str).upload("text")
    vault.unit("settings", dict).upload({})
    print(sorted(heavy & set(sys.modules)))
    import msgspec
    class Point(msgspec.Struct):
        x: int
    vault.unit("points", Point).upload(Point(1))
    print(sorted(heavy & set(sys.modules)))
"""


def test_no_library_is_imported_but_the_one_that_a_unit_is_declared_with() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["[]", "['msgspec', 'vault_datatypes']"]


def test_a_wrapper_whose_library_is_missing_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ModuleNotFoundError('No module named pyarrow', name='pyarrow')")
    program = "import sys, pandas; from vault import Vault; Vault('memory://').unit('a', pandas.DataFrame)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install" in done.stderr.splitlines()[-1]
    assert "pyarrow" in done.stderr.splitlines()[-1]
