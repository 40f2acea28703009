"""polars DataFrames, as Parquet.

Parquet, not polars' IPC: of a million rows of mixed columns, with zstd it is as small, is read in two
thirds of the time (in a third, against IPC with lz4), and every type but an empty struct comes back.
"""

import copy
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Self

from vault._runtime.extras import extra
from vault.datatype import ObjectStream, decoding
from vault.errors import DecodeError, EncodeError

from vault_datatypes.library import LibraryWrapper, whole
from vault_datatypes.parquet import parquet_size

with extra("polars", __name__):
    import polars as pl


class PolarsWrapper(LibraryWrapper):
    """A polars DataFrame, as Parquet with zstd.

    What Parquet does not give back as it was is refused, such as columns of Python objects.

    >>> import polars as pl
    >>> from vault_datatypes import PolarsWrapper
    >>> wrapper = PolarsWrapper(pl.DataFrame({"city": ["Oslo", "Rome"], "snow": [True, False]}))
    >>> PolarsWrapper._load(wrapper._dump()).data.filter(pl.col("snow")).item(0, "city")
    'Oslo'
    """

    datatype_tag = "polars.DataFrame"
    data: pl.DataFrame

    def _dump_to(self, stream: BinaryIO) -> None:
        if type(self.data) is not pl.DataFrame:
            raise EncodeError(f"{type(self).__name__} holds a polars DataFrame, not a {type(self.data).__name__}")
        with _panicking(EncodeError):
            super()._dump_to(stream)

    def _write(self, stream: BinaryIO) -> None:
        self.data.write_parquet(stream, compression="zstd")

    @classmethod
    def _load_from(cls, stream: ObjectStream) -> Self:
        with decoding(cls), _panicking(DecodeError):
            data = whole(stream)  # polars reads the whole before it decodes
            # polars keeps a dictionary's value once, however often it is there.
            size = parquet_size(data)
            cls._check_decoded(size.decoded + size.prefixed.total(), len(data))
            return cls(pl.read_parquet(io.BytesIO(data)))

    def _difference(self, data: pl.DataFrame) -> str | None:
        if self.data.shape != data.shape:
            return f"{self.data.shape} rows and columns would come back as {data.shape}"
        for one, other in zip(self.data, data, strict=True):
            if one.name != other.name or one.dtype != other.dtype:
                return f"column {one.name!r}: {one.dtype} would come back as {other.dtype}; cast it to another type"
            if not one.equals(other, null_equal=True):
                return f"column {one.name!r} would come back with other values; cast it to another type"
        return None

    def _clone(self) -> Self:
        clone = copy.copy(self)
        clone.data = self.data.clone()  # cheap: polars copies a column when it is written
        return clone

    def _holds(self, data: Any) -> bool:
        return self.data.schema == data.schema and self.data.equals(data)


@contextmanager
def _panicking(kind: type[DecodeError | EncodeError]) -> Iterator[None]:
    """Makes an error of the contract of a panic in polars, which is no Exception."""
    try:
        yield
    except pl.exceptions.PanicException as error:
        raise kind(f"polars: {error}") from error
