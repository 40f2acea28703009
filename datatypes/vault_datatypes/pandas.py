"""pandas DataFrames, as Parquet or Feather."""

import copy
import io
from typing import Any, BinaryIO, ClassVar, Self

from vault._runtime.extras import extra
from vault.datatype import Datatype, ObjectStream, decoding
from vault.errors import DecodeError, EncodeError

from vault_datatypes.library import LibraryWrapper, whole

with extra("pandas", __name__):
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from vault_datatypes import ipc, parquet, tables
    from vault_datatypes.frames import frame_difference


class PandasWrapper(LibraryWrapper):
    """A pandas DataFrame, as Parquet with zstd. Its siblings write the other formats.

    Values, dtypes, index and columns with their names, freq and `attrs` come back. Every class of the family reads
    every format, whichever the object was stored in; a unit of PandasWrapper takes all of them.

        >>> import pandas as pd
        >>> from vault_datatypes import PandasFeatherWrapper, PandasWrapper
        >>> frame = pd.DataFrame({"price": [1.5, 2.0]}, index=pd.Index(["AAA", "BBB"], name="share"))
        >>> float(PandasWrapper._load(PandasFeatherWrapper(frame)._dump()).data.loc["BBB", "price"])
        2.0
    """

    datatype_tag = "pandas.DataFrame+parquet"
    compression: ClassVar[str] = "zstd"  # of those measured the smallest, and read as fast as snappy
    data: pd.DataFrame

    def _dump_to(self, stream: BinaryIO) -> None:
        if type(self.data) is not pd.DataFrame:
            kind = type(self.data).__name__
            raise EncodeError(f"a PandasWrapper holds a DataFrame, not a {kind}: make it a plain DataFrame")
        columns = self.data.columns
        if not columns.is_unique or (columns.nlevels == 1 and columns.inferred_type.startswith("mixed")):
            raise EncodeError(f"the names of columns must be all of one kind, and each there once: {list(columns)}")
        try:
            super()._dump_to(stream)
        except EncodeError as error:
            if error.__cause__ is None or (name := self._culprit()) is None:
                raise
            raise EncodeError(
                f"column {name!r}: {error}; convert it with .astype, or make its values text, as "
                ".cat.rename_categories(str) makes categories"
            ) from error

    def _culprit(self) -> Any:
        """The first column that cannot be stored alone; None where each can be."""
        for position, name in enumerate(self.data.columns):
            alone, stream = copy.copy(self), io.BytesIO()
            alone.data = self.data.iloc[:, [position]]
            try:
                alone._write(stream)  # noqa: SLF001  # of this class
                self._load(stream.getvalue())
            except Exception:  # noqa: BLE001  # what it was is known already
                return name
        return None

    def _write(self, stream: BinaryIO) -> None:
        table = tables.from_frame(self.data)
        with ipc.writing(stream) as sink:
            pq.write_table(table, sink, compression=self.compression)

    def _difference(self, data: pd.DataFrame) -> str | None:
        return frame_difference(self.data, data)

    @classmethod
    def _load_from(cls, stream: ObjectStream) -> Self:
        with decoding(cls):
            data = whole(stream)
            if bytes(data[:4]) == parquet.MAGIC:
                table = cls._read_parquet(data)
            elif bytes(data[:6]) == ipc.MAGIC:
                cls._check_decoded(ipc.ipc_size(data), len(data))
                table = ipc.read_table(data)
            else:
                raise DecodeError(f"neither Parquet nor Feather: the object begins with {bytes(data[:6])!r}")
            cls._check_decoded(tables.frame_size(table), len(data))
            return cls(tables.to_frame(table))

    @classmethod
    def _read_parquet(cls, data: memoryview) -> Any:
        """The Table, when it may be as large as it is."""
        size = parquet.parquet_size(data)
        cls._check_decoded(size.decoded, len(data))
        source, allowed = pa.py_buffer(data), cls._allowed(len(data))
        if size.at_most > allowed:
            cls._check_decoded(size.decoded + tables.repeated_size(source, size, allowed), len(data))
        table = pq.ParquetFile(pa.BufferReader(source)).read(use_threads=False, use_pandas_metadata=True)
        table.validate(full=True)
        return table

    @classmethod
    def decoder_for(cls, tag: str) -> type[Datatype]:
        """As Datatype's; and the family's formats, each of which any of its classes reads."""
        try:
            return super().decoder_for(tag)
        except DecodeError:
            if tag in {kind.datatype_tag for kind in (PandasWrapper, PandasSnappyWrapper, PandasFeatherWrapper)}:
                return cls
            raise

    def _clone(self) -> Self:
        clone = copy.copy(self)
        clone.data = self.data.copy(deep=True)
        for position, dtype in enumerate(clone.data.dtypes):
            if pd.api.types.is_object_dtype(dtype):  # pandas copies the references only
                values: Any = clone.data.iloc[:, position]
                copies: Any = pd.Series(list(map(copy.deepcopy, values)), values.index, dtype)
                clone.data.isetitem(position, copies)
        return clone

    def _holds(self, data: Any) -> bool:
        return self.data.equals(data)


class PandasSnappyWrapper(PandasWrapper):
    """A pandas DataFrame, as Parquet with snappy: a little larger, quicker to write, read everywhere."""

    datatype_tag = "pandas.DataFrame+parquet.snappy"
    compression = "snappy"


class PandasFeatherWrapper(PandasWrapper):
    """A pandas DataFrame, as Feather (version 2, lz4): the quickest to write and to read, and larger."""

    datatype_tag = "pandas.DataFrame+feather"
    compression = "lz4"

    def _write(self, stream: BinaryIO) -> None:
        table = tables.from_frame(self.data)
        options = pa.ipc.IpcWriteOptions(compression=self.compression)
        with ipc.writing(stream) as sink, pa.ipc.new_file(sink, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=1 << 16)  # rows in a batch, as pyarrow.feather has it
