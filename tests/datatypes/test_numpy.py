"""NumPy arrays come back as they were, without pickle, and without a copy where they can."""

import io
from typing import Any

import numpy as np
import pytest
from vault.datatype import MemoryStream
from vault.errors import DecodeError, EncodeError
from vault_datatypes import NumpyWrapper

from tests.datatypes.streams import InStream, every_way

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "line": np.arange(10),
    "cube": np.arange(24, dtype="f4").reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "strided": np.arange(20).reshape(4, 5)[::2, ::-1],
    "a number": np.array(7.5),
    "empty": np.array([], dtype="u2"),
    "empty in one direction": np.zeros((3, 0, 2)),
    "empty fortran": np.zeros((3, 0), order="F"),
    "big-endian": np.arange(5, dtype=">i4"),
    "complex": np.array([1j, np.nan]),
    "not a number": np.array([np.nan, np.inf]),
    "booleans": np.array([True, False]),
    "text": np.array(["grüße", ""]),
    "bytes": np.array([b"a", b"bc"]),
    "times": np.array(["2020-01-01", "NaT"], dtype="M8[s]"),
    "structured": np.array([(1, 2.5, "x")], dtype=[("a", "<i4"), ("b", ">f8"), ("c", "U3")]),
    "aligned": np.zeros(3, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "nested": np.zeros(2, dtype=[("p", [("x", "f4"), ("y", "f4")]), ("m", "i2", (2, 2))]),
    "void": np.zeros(2, dtype="V3"),
    "larger than a read": np.random.default_rng(0).random((300, 400)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_were(name: str) -> None:
    array = ARRAYS[name]
    for loaded in every_way(NumpyWrapper(array)):
        assert NumpyWrapper(loaded) == NumpyWrapper(array)
        assert (loaded.dtype, loaded.shape) == (array.dtype, array.shape)
        assert loaded.tobytes() == array.tobytes()
        assert loaded.flags.f_contiguous == array.flags.f_contiguous or name == "strided"
        assert not loaded.flags.writeable
        assert type(loaded) is np.ndarray


def test_field_names_of_other_alphabets_come_back() -> None:
    array = np.zeros(2, dtype=[("größe", "f4"), ("世界", "i8")])
    with pytest.warns(UserWarning, match=r"NumPy >= 1\.17"):
        raw = NumpyWrapper(array)._dump()
    assert raw[6] == 3  # the format's version for them
    assert NumpyWrapper._load(raw).data.dtype == array.dtype


def test_the_bytes_are_those_of_a_npy_file() -> None:
    stream = io.BytesIO()
    np.save(stream, ARRAYS["cube"])
    assert NumpyWrapper(ARRAYS["cube"])._dump() == stream.getvalue()


def test_a_mapped_array_lies_in_the_mapping() -> None:
    raw = NumpyWrapper(ARRAYS["fortran"])._dump()
    loaded = NumpyWrapper._load_from(MemoryStream(raw)).data
    assert np.shares_memory(loaded, np.frombuffer(raw, dtype=np.uint8))


@pytest.mark.parametrize("name", ["fortran", "cube", "a number", "structured"])
def test_a_clone_can_be_written_and_leaves_the_original_alone(name: str) -> None:
    loaded = NumpyWrapper._load(NumpyWrapper(ARRAYS[name])._dump())
    clone = loaded._clone()
    assert clone == loaded
    assert clone.data.flags.f_contiguous == loaded.data.flags.f_contiguous
    clone.data[...] = np.ones((), dtype=clone.data.dtype)
    assert clone != loaded
    assert loaded == NumpyWrapper(ARRAYS[name])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (np.array([1, None]), "only pickle could store"),
        (np.zeros(1, dtype=[("a", "i4"), ("o", "O")]), "only pickle could store"),
        (np.ma.masked_array([1, 2], mask=[True, False]), "not a MaskedArray"),
        ([1, 2], "not a list"),
    ],
)
def test_what_would_need_pickle_or_lose_something_is_refused(data: Any, text: str) -> None:
    with pytest.raises(EncodeError, match=text):
        NumpyWrapper(data)._dump()


def test_a_pickled_array_is_not_unpickled() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([1, None]), allow_pickle=True)
    with pytest.raises(DecodeError, match="only pickle could load"):
        NumpyWrapper._load(stream.getvalue())


def test_damaged_npy_bytes_are_refused_before_memory_is_taken() -> None:
    raw = NumpyWrapper(np.arange(1000))._dump()
    huge = raw.replace(b"(1000,)", b"(10**99,)"[:9].replace(b"10**99", b"999999"))
    for damaged, text in (
        (b"", "not an array"),
        (b"\x93NUMPY\x09\x00" + raw[8:], "not an array"),
        (raw[:-1], "and the object 7999"),
        (raw + b"x", "and the object 8001"),
        (huge, "has 7999992 bytes"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "claims 4294967295 bytes"),
    ):
        for load in (NumpyWrapper._load, lambda raw: NumpyWrapper._load_from(InStream(raw))):
            with pytest.raises(DecodeError, match=text):
                load(damaged)
    with pytest.raises(DecodeError, match="malformed"):
        NumpyWrapper._load(raw.replace(b"'<i8'", b"print"))


def test_a_stream_that_ends_early_is_refused() -> None:
    raw = NumpyWrapper(np.arange(1000))._dump()
    stream = InStream(raw[:-8])
    stream.size = len(raw)
    with pytest.raises(DecodeError, match="ended 8 bytes early"):
        NumpyWrapper._load_from(stream)
