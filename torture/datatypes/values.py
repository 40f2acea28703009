"""What JSON can say, arrays and images at random, as Hypothesis draws them from the libraries' own strategies."""

import enum
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

# What JSON can say, and what looks as if it could

TEXT = st.text(st.characters(exclude_categories=[]), max_size=6)  # surrogates, too


class Colour(enum.IntEnum):
    RED = 1


class Word(str):
    __slots__ = ()


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXT,
    st.just(Colour.RED),
    st.builds(Word, TEXT),
    st.just(np.float64(1.5)),
    st.binary(max_size=3),
    st.decimals(),
)
JSON = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.dictionaries(st.one_of(TEXT, st.integers(0, 3), st.booleans(), st.none()), inner, max_size=3),
    ),
    max_leaves=8,
)

# NumPy

DTYPES: Any = st.one_of(
    npst.scalar_dtypes(),
    npst.array_dtypes(),
    npst.nested_dtypes(),
    st.sampled_from(["O", "S0", "V0", "V3", np.dtypes.StringDType(), np.dtype("i4", metadata={"unit": "m"}), "U0"]).map(
        np.dtype  # type: ignore[arg-type]  # whatever it may be
    ),
)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Of any dtype, shape and layout."""
    dtype = draw(DTYPES)
    shape = draw(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    array = np.zeros(shape, dtype)
    if dtype.itemsize and not dtype.hasobject and dtype.kind not in "VT" and array.size:
        raw = draw(st.binary(min_size=array.nbytes, max_size=array.nbytes))
        if dtype.kind not in "Ub":
            array = np.frombuffer(raw, dtype)[: array.size].reshape(shape)
    if array.ndim:
        array = array[draw(npst.basic_indices(array.shape, allow_newaxis=True, allow_ellipsis=True))]
    layout = draw(st.sampled_from(["as it is", "fortran", "transposed", "matrix", "record"]))
    array = np.asarray(array)
    match layout:
        case "fortran":
            return np.asfortranarray(array)
        case "transposed":
            return array.T
        case "matrix" if array.ndim == 2:
            return array.view(np.matrix)
        case "record" if array.dtype.names:
            return array.view(np.recarray)
    return array


# Images

MODES = ("L", "P", "1", "LA", "La", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F")
WIDE_MODES = ("I;16", "I;16L", "I;16B")


@st.composite
def images(draw: st.DrawFn) -> Image.Image:
    """Of any mode, with or without what a file may say of it."""
    mode = draw(st.sampled_from(MODES + WIDE_MODES))
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 5)))
    empty = Image.new(mode, size)
    length = len(empty.tobytes())
    image = Image.frombytes(mode, size, draw(st.binary(min_size=length, max_size=length)))
    if mode in ("P", "PA"):
        image.putpalette(draw(st.binary(min_size=768, max_size=768)))
        if draw(st.booleans()):
            image.info["transparency"] = draw(st.one_of(st.integers(0, 255), st.binary(min_size=256, max_size=256)))
    elif mode in ("1", "L", "RGB") and draw(st.booleans()):
        image.info["transparency"] = (1, 2, 3) if mode == "RGB" else 1
    said = {"dpi": (300, 150), "icc_profile": b"profile", "xmp": b"some text", "comment": b"some text"}
    for name in draw(st.sets(st.sampled_from(list(said)), max_size=2)) if draw(st.booleans()) else ():
        image.info[name] = said[name]
    if draw(st.integers(0, 3)) == 0:
        exif = image.getexif()
        exif[draw(st.sampled_from([0x0112, 0x010E]))] = draw(st.sampled_from([3, 6]))
    return image
