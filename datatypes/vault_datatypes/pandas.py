"""pandas DataFrames, as Parquet or Feather."""

import copy
import json
from typing import Any, BinaryIO, ClassVar, Self

from vault.datatype import Datatype, ObjectStream
from vault.errors import DecodeError, EncodeError
from vault.wrappers import Wrapper

from vault_datatypes.extras import extra

with extra("pandas"):
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from vault_datatypes.arrow_io import reading, writing

_PARQUET = b"PAR1"
_FEATHER = b"ARROW1"  # version 2, which is an Arrow IPC file
_ATTRS = b"PANDAS_ATTRS"  # where pandas itself keeps them in a Parquet file


class PandasWrapper(Wrapper):
    """A pandas DataFrame, as Parquet with zstd. Its siblings write the other formats.

    The index, the dtypes (categorical, time zones, nullable, strings), names of columns that are all of
    one kind, and `attrs` (as JSON) come back. What would come back as something else is an EncodeError: columns
    of mixed names, or with the same name twice, complex numbers. Object columns come back with the
    type of what they hold, and Parquet, which has no seconds, gives datetime64[s] back as [ms].

    Every class of the family reads every format, whichever the object was stored in; a unit of
    PandasWrapper takes all of them.

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
        table = _to_table(self.data)
        with writing(stream) as sink:
            pq.write_table(table, sink, compression=self.compression)

    @classmethod
    def _load_from(cls, stream: ObjectStream) -> Self:
        magic = stream.read(len(_FEATHER))
        stream.seek(0)
        source = reading(stream)
        if magic.startswith(_PARQUET):
            # On this thread alone: the stream need not be one that Arrow's threads may read.
            table = pq.ParquetFile(source, pre_buffer=False).read(use_threads=False, use_pandas_metadata=True)
        elif magic.startswith(_FEATHER):
            table = pa.ipc.open_file(source).read_all()
        else:
            raise DecodeError(f"neither Parquet nor Feather: the object begins with {magic!r}")
        del source
        attrs = json.loads((table.schema.metadata or {}).get(_ATTRS, b"{}"))
        # Arrow's memory goes column by column as pandas takes its place.
        frame = table.to_pandas(split_blocks=True, self_destruct=True)
        frame.attrs = attrs
        return cls(frame)

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
                clone.data.isetitem(position, clone.data.iloc[:, position].map(copy.deepcopy).to_numpy())
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

    def _dump_to(self, stream: BinaryIO) -> None:
        table = _to_table(self.data)
        options = pa.ipc.IpcWriteOptions(compression=self.compression)
        with writing(stream) as sink, pa.ipc.new_file(sink, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=1 << 16)  # rows in a batch, as pyarrow.feather has it


def _mixed(names: Any) -> bool:
    return bool(names.nlevels == 1 and names.inferred_type.startswith("mixed"))


def _to_table(frame: Any) -> Any:
    """The frame as a Table, when it would come back as it is."""
    if not isinstance(frame, pd.DataFrame):
        raise EncodeError(f"a PandasWrapper holds a DataFrame, not a {type(frame).__name__}")
    if not frame.columns.is_unique or _mixed(frame.columns):
        raise EncodeError(f"the names of columns must be all of one kind, and each there once: {list(frame.columns)}")
    # Parquet counts rows by columns: without any, the index must be one.
    table = pa.Table.from_pandas(frame, preserve_index=None if len(frame.columns) else True)
    back = table.schema.empty_table().to_pandas()
    if not back.columns.equals(frame.columns) or back.columns.names != frame.columns.names:
        raise EncodeError(f"columns {frame.columns!r} would come back as {back.columns!r}")
    for name, before, after in zip(frame.columns, frame.dtypes, back.dtypes, strict=True):
        without_values = before.kind == "O"  # objects, categories: without rows their dtype says little
        if before != after and not without_values:
            raise EncodeError(f"column {name!r} is {before} and would come back as {after}")
    attrs = {_ATTRS: json.dumps(frame.attrs)} if frame.attrs else {}
    return table.replace_schema_metadata({**table.schema.metadata, **attrs})
