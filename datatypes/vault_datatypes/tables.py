"""Between pandas DataFrames and Arrow Tables: what Arrow's own conversion leaves out is kept beside it.

pyarrow stores names as text and forgets how often an index goes on; both are kept as JSON in the schema's
metadata, and put back.
"""

import json
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from vault.errors import EncodeError

from vault_datatypes.parquet import ParquetSize

_ATTRS: Final = b"PANDAS_ATTRS"  # where pandas itself keeps them in a Parquet file
_OURS: Final = b"VAULT_PANDAS"
_SECONDS: Final = "datetime64[s"
_OBJECT: Final = 64  # bytes that a small Python object takes about


def from_frame(frame: pd.DataFrame) -> Any:
    """The frame as a Table."""
    extra = {}
    if kept := _kept(frame):
        extra[_OURS] = json.dumps(kept)
    if frame.attrs:
        try:
            extra[_ATTRS] = json.dumps(frame.attrs)
        except (TypeError, ValueError) as error:
            raise EncodeError(f"attrs are stored as JSON: {error}; take out what it cannot say") from error
    if "names" in kept or frame.attrs:  # pyarrow has its own way with both, and warns
        frame = frame.copy(deep=False)
        frame.attrs = {}
        frame.index = frame.index.set_names([None] * frame.index.nlevels if "names" in kept else frame.index.names)
    # Parquet counts rows by columns: without any, the index must be one.
    table = pa.Table.from_pandas(frame, preserve_index=None if len(frame.columns) else True)
    return table.replace_schema_metadata({**table.schema.metadata, **extra})


def to_frame(table: Any) -> pd.DataFrame:
    """The frame that a Table was made from. It takes the Table's memory, which is not used again."""
    metadata = table.schema.metadata or {}
    attrs = json.loads(metadata.get(_ATTRS, b"{}"))
    kept = json.loads(metadata.get(_OURS, b"{}"))
    texts = {name: table.column(name).to_pylist() for name in kept.get("objects", ())}
    # Arrow's memory goes column by column as pandas takes its place.
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    for name, values in texts.items():
        frame[name] = pd.Series(values, index=frame.index, dtype=object)
    for name, dtype in kept.get("times", {}).items():
        frame[name] = frame[name].astype(dtype)
    if "range" in kept:
        frame.index = pd.RangeIndex(range(*kept["range"]), name=frame.index.name)
    if "names" in kept:
        frame.index.names = kept["names"]
    if "freq" in kept:
        index: Any = frame.index
        index.freq = kept["freq"]
    if "columns" in kept:
        frame.columns = pd.RangeIndex(range(*kept["columns"]), name=frame.columns.name)
    frame.attrs = attrs
    return frame


def _kept(frame: pd.DataFrame) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    if any(name is not None and type(name) is not str for name in frame.index.names):
        kept["names"] = list(frame.index.names)
        if not all(name is None or type(name) in (str, int, float, bool) for name in kept["names"]):
            raise EncodeError(f"the index' names {kept['names']} are no text and no numbers: rename_axis(index=...)")
    if (freq := getattr(frame.index, "freq", None)) is not None and not isinstance(frame.index, pd.PeriodIndex):
        kept["freq"] = freq.freqstr
    if not len(frame.columns) and isinstance(frame.index, pd.RangeIndex):
        kept["range"] = [frame.index.start, frame.index.stop, frame.index.step]
    if isinstance(frame.columns, pd.RangeIndex):
        kept["columns"] = [frame.columns.start, frame.columns.stop, frame.columns.step]
    columns = {name: frame[name] for name in frame.columns if type(name) is str}
    kept["objects"] = [
        name for name, each in columns.items() if each.dtype == object and pd.api.types.infer_dtype(each) == "string"
    ]
    kept["times"] = {name: str(each.dtype) for name, each in columns.items() if str(each.dtype).startswith(_SECONDS)}
    return {name: value for name, value in kept.items() if value or name not in ("objects", "times")}


def frame_size(table: Any) -> int:
    """Bytes that the Table's frame takes about, Python objects included."""
    return sum(max(8 * len(chunk), _size(chunk)) for column in table.columns for chunk in column.chunks)


def _size(array: Any) -> int:
    kind = array.type
    if isinstance(kind, pa.ExtensionType):
        return _size(array.storage)
    if pa.types.is_struct(kind):
        return int(_OBJECT * len(array)) + sum(map(_size, array.flatten()))
    if pa.types.is_map(kind):
        return int(_OBJECT * (len(array) + len(array.keys))) + _size(array.keys) + _size(array.items)
    if pa.types.is_nested(kind) and hasattr(array, "flatten"):
        return int(_OBJECT * len(array)) + _size(array.flatten())
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):  # each begins with its length
        views = np.frombuffer(array.buffers()[1] or b"", dtype="<i4")[::4][array.offset : array.offset + len(array)]
        return int(views.sum(dtype="i8")) + 16 * len(array)
    if pa.types.is_decimal(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return int(_OBJECT * len(array))
    return int(array.nbytes)


def repeated_size(source: Any, size: ParquetSize, allowed: int) -> int:
    """Bytes that the values which a Parquet file says once come to, as often as they are there.

    Args:
        source: The file.
        size: What its pages say of it.
        allowed: Bytes from which on it is not counted any further.
    """
    schema = pq.read_metadata(pa.BufferReader(source)).schema
    both = {schema.column(number).path for number in size.prefixed}
    once = [path for number in size.repeated if (path := schema.column(number).path) not in both]
    table = pq.ParquetFile(pa.BufferReader(source), read_dictionary=once).read(columns=once, use_threads=False)
    total = sum(_repeated(chunk) for column in table.columns for chunk in column.chunks)
    # What shares beginnings has no dictionary: so few rows at a time that the longest values fit.
    rows = max(1, min(1 << 16, allowed // max(1, size.longest)))
    batches = pq.ParquetFile(pa.BufferReader(source)).iter_batches(rows, columns=sorted(both), use_threads=False)
    for batch in batches if both else ():
        total += batch.nbytes
        if total > allowed:
            break
    return total


def _repeated(array: Any) -> int:
    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.cast(pc.binary_length(array.dictionary), pa.int64())
        return int(pc.sum(lengths.take(array.indices)).as_py() or 0)
    if pa.types.is_struct(kind):
        return sum(map(_repeated, array.flatten()))
    if pa.types.is_map(kind):
        return _repeated(array.keys) + _repeated(array.items)
    if pa.types.is_nested(kind):
        return _repeated(array.flatten())
    return int(array.nbytes)
