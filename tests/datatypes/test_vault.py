"""Every wrapper through a real vault, in a directory and on a server, small and larger than a block."""

import mmap
from collections.abc import Callable, Iterator
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
from vault import AsyncVault, DecodeError, EncodeError, Ticket, Vault, Wrapper
from vault_datatypes import (
    ArrowWrapper,
    ImageWrapper,
    MsgspecWrapper,
    NumpyWrapper,
    PandasFeatherWrapper,
    PandasSnappyWrapper,
    PandasWrapper,
    PolarsWrapper,
    PydanticWrapper,
)
from vault_server import EmbeddedStore, Server


class Note(pydantic.BaseModel):
    text: str


class Point(msgspec.Struct):
    labels: list[str]


NoteObject = PydanticWrapper.of(Note)
PointObject = MsgspecWrapper.of(Point)


def noise(rows: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).random(rows)  # nothing that could be compressed


# Each makes an object of about as many bytes as eight times the number it is given.
MAKERS: dict[str, Callable[[int], Wrapper]] = {
    "arrow": lambda size: ArrowWrapper(pa.table({"a": noise(size)})),
    "pandas": lambda size: PandasWrapper(pd.DataFrame({"a": noise(size)}, index=pd.RangeIndex(size, name="n"))),
    "snappy": lambda size: PandasSnappyWrapper(pd.DataFrame({"a": noise(size)})),
    "feather": lambda size: PandasFeatherWrapper(pd.DataFrame({"a": noise(size)})),
    "polars": lambda size: PolarsWrapper(pl.DataFrame({"a": noise(size)})),
    "numpy": lambda size: NumpyWrapper(noise(size)),
    "image": lambda size: ImageWrapper(Image.frombytes("RGBA", (size // 16 * 2, 16), noise(size // 16 * 16).tobytes())),
    "pydantic": lambda size: NoteObject(Note(text="ü" * 4 * size)),
    "msgspec": lambda size: PointObject(Point(labels=["x" * 8 * size])),
}

STRUCTURE: dict[str, tuple[type[Wrapper], int]] = {
    "arrow": (ArrowWrapper, 0),
    "pandas": (PandasWrapper, 0),
    "snappy": (PandasSnappyWrapper, 0),
    "feather": (PandasFeatherWrapper, 0),
    "polars": (PolarsWrapper, 0),
    "numpy": (NumpyWrapper, 0),
    "image": (ImageWrapper, 0),
    "pydantic": (NoteObject, 0),
    "msgspec": (PointObject, 0),
}


@pytest.fixture(params=["embedded", "remote"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "embedded":
        yield str(tmp_path / "data")
    else:
        with EmbeddedStore(tmp_path / "storage") as store, Server(store) as server:
            yield f"grpc://{server.address}"


@pytest.fixture
def vault(location: str) -> Iterator[Vault]:
    """Without a cache, so that every load decodes."""
    with Vault(location, STRUCTURE, cache=False) as opened:
        yield opened


def load(vault: Vault, unit: str, data_id: int) -> Ticket:
    ticket = vault.load(unit, data_id)
    assert ticket is not None
    return ticket


@pytest.mark.parametrize("size", [16, 180_000])
@pytest.mark.parametrize("unit", MAKERS)
def test_every_wrapper_comes_back_from_a_vault(vault: Vault, unit: str, size: int) -> None:
    wrapper = MAKERS[unit](size)
    data_id = vault.upload(unit, wrapper)
    info = vault.stat(unit, data_id)
    assert info is not None
    assert info.datatype == wrapper.datatype_tag
    assert size == 16 or info.size > 1 << 20
    with load(vault, unit, data_id) as ticket:
        assert ticket.get_data() == wrapper
        assert ticket.get_clone() == wrapper


def test_an_array_of_16_mib_comes_back_and_is_mapped_where_the_vault_is_local(location: str, vault: Vault) -> None:
    array = np.asfortranarray(noise(2 << 20).reshape(1024, 2048))
    data_id = vault.upload("numpy", NumpyWrapper(array))
    with load(vault, "numpy", data_id) as ticket:
        loaded = ticket.get_data().data
        assert np.array_equal(loaded, array)
        assert loaded.flags.f_contiguous
        assert not loaded.flags.writeable
        assert isinstance(_owner(loaded), mmap.mmap) == (not location.startswith("grpc:"))
        vault.delete("numpy", data_id)
        assert np.array_equal(loaded, array)  # a generation's bytes never change, not even when they go


def _owner(array: np.ndarray[Any, Any]) -> object:
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base


@pytest.mark.parametrize("size", [16, 180_000])
def test_an_array_is_edited_through_a_ticket(vault: Vault, size: int) -> None:
    data_id = vault.upload("numpy", NumpyWrapper(np.zeros(size)))
    with load(vault, "numpy", data_id) as ticket:
        ticket.get_ref().data[-1] = 7
    with load(vault, "numpy", data_id) as ticket:
        loaded = ticket.get_data().data
        assert loaded.sum() == loaded[-1] == 7


@pytest.mark.parametrize("written", ["pandas", "snappy", "feather"])
def test_a_frame_of_any_format_is_read_and_edited_under_every_class(location: str, written: str) -> None:
    with Vault(location, {"frames": (STRUCTURE[written][0], 0)}) as vault:
        data_id = vault.upload("frames", STRUCTURE[written][0](pd.DataFrame({"a": [1]})))
    for number, reader in enumerate(["pandas", "snappy", "feather"]):
        with Vault(location, {"frames": (STRUCTURE[reader][0], 0)}) as vault:
            with load(vault, "frames", data_id) as ticket:
                ticket.get_ref().data[f"column {number}"] = [number]
            with load(vault, "frames", data_id) as ticket:
                assert ticket.get_data().data.iloc[0].tolist() == [1, *range(number + 1)]


def test_a_tag_of_another_library_is_refused_before_decoding(location: str) -> None:
    with Vault(location, {"things": (NumpyWrapper, 0)}) as vault:
        data_id = vault.upload("things", NumpyWrapper(np.zeros(3)))
    with (
        Vault(location, {"things": (PandasWrapper, 0)}) as vault,
        pytest.raises(DecodeError, match=r"stored as 'numpy.ndarray', which PandasWrapper does not load"),
    ):
        vault.load("things", data_id)


def test_what_a_model_does_not_accept_is_a_decode_error(location: str) -> None:
    with Vault(location, {"notes": (NoteObject, 0)}) as vault:
        data_id = vault.upload("notes", NoteObject(Note(text="a")))

    class Stricter(pydantic.BaseModel):
        text: int

    with (
        Vault(location, {"notes": (PydanticWrapper.of(Stricter, tag="Note"), 0)}) as vault,
        pytest.raises(DecodeError, match="valid integer") as caught,
    ):
        vault.load("notes", data_id)
    assert isinstance(caught.value.__cause__, pydantic.ValidationError)


@pytest.mark.parametrize(
    ("unit", "wrapper", "text"),
    [
        ("numpy", NumpyWrapper(np.array([None])), "only pickle"),
        ("pandas", PandasWrapper(pd.DataFrame([[1, 2]], columns=["a", "a"])), "each there once"),
        ("pandas", PandasWrapper(pd.DataFrame({"a": noise(180_000), "b": 1j})), "complex"),
        (
            "pandas",
            PandasWrapper(pd.DataFrame({"a": noise(180_000), "b": pd.Categorical([1] * 180_000)})),
            "'b': category",
        ),
        ("image", ImageWrapper(Image.new("F", (1, 1))), "TIFF"),
        ("pydantic", NoteObject(None), "holds a Note, not a NoneType"),  # type: ignore[arg-type]  # what is tested
    ],
)
def test_what_cannot_be_stored_is_an_encode_error_and_leaves_nothing(
    vault: Vault, unit: str, wrapper: Wrapper, text: str
) -> None:
    with pytest.raises(EncodeError, match=text):
        vault.upload(unit, wrapper)
    assert vault.units() == []


@pytest.mark.parametrize("unit", ["arrow", "pandas", "polars", "numpy"])
async def test_large_objects_stream_through_an_async_vault_too(location: str, unit: str) -> None:
    wrapper = MAKERS[unit](180_000)
    async with AsyncVault(location, STRUCTURE, cache=False) as vault:
        data_id = await vault.upload(unit, wrapper)
        ticket = await vault.load(unit, data_id)
        assert ticket is not None
        async with ticket:
            assert ticket.get_data() == wrapper
