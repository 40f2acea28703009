"""NumPy arrays, in NumPy's own .npy format, without pickle."""

import ast
import copy
import math
import struct
from typing import Any, BinaryIO, Literal, Self

from vault._runtime.extras import extra
from vault.datatype import ObjectStream, decoding, encoding
from vault.errors import DecodeError, EncodeError
from vault.wrappers import Wrapper

from vault_datatypes.library import fill

with extra("numpy", __name__):
    import numpy as np

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 1 << 20  # bytes; 10,000 fields fit


class NumpyWrapper(Wrapper):
    """A NumPy array of any shape, order, byte order and dtype (structured ones too), as .npy.

    A loaded array is read-only: it lies in the bytes that came, or in the mapped file itself where
    the object is local, and is shared by everybody who loads it. A ticket's `get_ref()` and
    `get_clone()` give a writable copy. Refused are arrays of Python objects, because only pickle could
    store them; subclasses of ndarray, whose masks, units and the like would be lost (a memmap comes back as a
    plain array); and dtypes that .npy does not know, such as StringDType and those of ml_dtypes. The format gives back
    what it is given otherwise, so nothing is decoded to see. A loaded array takes what it takes stored.

        >>> import numpy as np
        >>> from vault_datatypes import NumpyWrapper
        >>> NumpyWrapper._load(NumpyWrapper(np.arange(6).reshape(2, 3))._dump()).data.sum(axis=1)
        array([ 3, 12])
    """

    datatype_tag = "numpy.ndarray"
    data: np.ndarray[Any, Any]

    def _dump_to(self, stream: BinaryIO) -> None:
        array = self.data
        if type(array) not in (np.ndarray, np.memmap):
            raise EncodeError(
                f"{type(self).__name__} holds a plain NumPy array, not a {type(array).__name__}: "
                "np.asarray makes it one, without what its class adds"
            )
        with encoding(type(self)):
            _check_dtype(array.dtype)
            np.lib.format.write_array(stream, array, allow_pickle=False)

    @classmethod
    def _load_from(cls, stream: ObjectStream) -> Self:
        with decoding(cls):
            shape, fortran_order, dtype = _read_header(stream)
            start, size = stream.tell(), math.prod(shape) * dtype.itemsize
            if stream.size - start != size:
                raise DecodeError(f"an array {shape} of {dtype} has {size} bytes, and the object {stream.size - start}")
            order: Literal["C", "F"] = "F" if fortran_order else "C"
            view = stream.map()
            if view is not None:
                array = np.ndarray(shape, dtype, buffer=view, offset=start, order=order)
            else:
                array = np.empty(shape, dtype, order=order)
                if size:
                    fill(array.reshape(-1, order="A").view(np.uint8).data, stream)
            array.flags.writeable = False
            return cls(array)

    def _clone(self) -> Self:
        clone = copy.copy(self)
        clone.data = self.data.copy(order="K")
        return clone

    def _holds(self, data: Any) -> bool:
        not_a_number = self.data.dtype.kind in "fcmM"
        return bool(self.data.dtype == data.dtype and np.array_equal(self.data, data, equal_nan=not_a_number))


def _check_dtype(dtype: np.dtype[Any]) -> None:
    """Raises EncodeError unless an array of this dtype comes back as it is."""
    if dtype.hasobject:
        raise EncodeError(f"an array of dtype {dtype} holds Python objects, which only pickle could store")
    if not dtype.itemsize:
        raise EncodeError(f"an array of dtype {dtype} has values of no bytes: store its shape")
    if dtype.kind == "T" or _has_metadata(dtype):  # NumPy warns of these, and goes on
        raise EncodeError(f"an array of dtype {dtype!r} would come back as another; store .astype of it")
    back = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype))
    if not _same_dtype(dtype, back):
        raise EncodeError(f"an array of dtype {dtype!r} would come back as {back!r}; store .view or .astype of it")


def _has_metadata(dtype: np.dtype[Any]) -> bool:
    parts = [dtype[name] for name in dtype.names or ()] + ([dtype.subdtype[0]] if dtype.subdtype else [])
    return bool(dtype.metadata) or any(map(_has_metadata, parts))


def _same_dtype(before: np.dtype[Any], after: np.dtype[Any]) -> bool:
    """`==` finds records and plain structures equal."""
    if before != after or before.type is not after.type:
        return False
    if before.subdtype is not None and after.subdtype is not None:
        return _same_dtype(before.subdtype[0], after.subdtype[0])
    return all(_same_dtype(before[name], after[name]) for name in before.names or ())


def _read_header(stream: ObjectStream) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and dtype. NumPy's own reader has no public name for version 3."""
    start = stream.read(8)
    if len(start) < 8 or not start.startswith(_MAGIC) or start[6] not in (1, 2, 3):
        raise DecodeError(f"not an array in .npy format: the object begins with {start!r}")
    length_format = "<H" if start[6] == 1 else "<I"
    (length,) = struct.unpack(length_format, stream.read(struct.calcsize(length_format)))
    if length > _MAX_HEADER:
        raise DecodeError(f"the .npy header claims {length} bytes: at most {_MAX_HEADER} are read")
    header = ast.literal_eval(stream.read(length).decode("utf-8" if start[6] == 3 else "latin-1"))
    dtype, shape = np.lib.format.descr_to_dtype(header["descr"]), tuple(header["shape"])
    if dtype.hasobject:
        raise DecodeError(f"the array is of dtype {dtype}, whose Python objects only pickle could load")
    if not dtype.itemsize or dtype.subdtype is not None:  # NumPy would make another dtype of these, and other sizes
        raise DecodeError(f"no array has the dtype {dtype}")
    if not all(type(length) is int and length >= 0 for length in shape):
        raise DecodeError(f"no array has the shape {shape}")
    return shape, bool(header["fortran_order"]), dtype
