"""NumPy arrays, in NumPy's own .npy format, without pickle."""

import ast
import copy
import math
import struct
from typing import Any, BinaryIO, Literal, Self

from vault.datatype import ObjectStream
from vault.errors import DecodeError, EncodeError
from vault.wrappers import Wrapper

from vault_datatypes.extras import extra

with extra("numpy"):
    import numpy as np

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 1 << 20  # bytes; 10,000 fields fit


class NumpyWrapper(Wrapper):
    """A NumPy array of any shape, order, byte order and dtype (structured ones too), as .npy.

    A loaded array is read-only: it lies in the bytes that came, or in the mapped file itself where
    the object is local, and is shared by everybody who loads it. A ticket's `get_ref()` and
    `get_clone()` give a writable copy. Arrays of Python objects are refused, because only pickle could
    store them, and masked arrays, because their mask would be lost; other subclasses of ndarray come
    back as plain arrays.

        >>> import numpy as np
        >>> from vault_datatypes import NumpyWrapper
        >>> NumpyWrapper._load(NumpyWrapper(np.arange(6).reshape(2, 3))._dump()).data.sum(axis=1)
        array([ 3, 12])
    """

    datatype_tag = "numpy.ndarray"
    data: np.ndarray[Any, Any]

    def _dump_to(self, stream: BinaryIO) -> None:
        array = self.data
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            raise EncodeError(f"{type(self).__name__} holds a plain NumPy array, not a {type(array).__name__}")
        if array.dtype.hasobject:
            raise EncodeError(f"an array of dtype {array.dtype} holds Python objects, which only pickle could store")
        np.lib.format.write_array(stream, array, allow_pickle=False)

    @classmethod
    def _load_from(cls, stream: ObjectStream) -> Self:
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
                _fill(array.reshape(-1, order="A").view(np.uint8).data, stream)
        array.flags.writeable = False
        return cls(array)

    def _clone(self) -> Self:
        clone = copy.copy(self)
        clone.data = self.data.copy(order="K")
        return clone

    def _holds(self, data: Any) -> bool:
        not_a_number = self.data.dtype.kind in "fcmM"
        return bool(self.data.dtype == data.dtype and np.array_equal(self.data, data, equal_nan=not_a_number))


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
    dtype = np.lib.format.descr_to_dtype(header["descr"])
    if dtype.hasobject:
        raise DecodeError(f"the array is of dtype {dtype}, whose Python objects only pickle could load")
    return tuple(header["shape"]), bool(header["fortran_order"]), dtype


def _fill(memory: memoryview, stream: ObjectStream) -> None:
    filled = 0
    while filled < len(memory):
        count = stream.readinto(memory[filled:])
        if not count:
            raise DecodeError(f"the object ended {len(memory) - filled} bytes early")
        filled += count
