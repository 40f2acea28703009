"""pyarrow Tables, as an Arrow IPC stream."""

import copy
from typing import Any, BinaryIO, Self

from vault.datatype import ObjectStream
from vault.errors import EncodeError
from vault.wrappers import Wrapper

from vault_datatypes.extras import extra

with extra("pyarrow"):
    import pyarrow as pa

    from vault_datatypes.arrow_io import reading, writing

BATCH_BYTES = 64 << 20
"""Bytes that a record batch holds about at most: what a reader that does not map reads at once."""


class ArrowWrapper(Wrapper):
    """A pyarrow Table, schema and its metadata included, as an Arrow IPC stream.

    It is written and read by record batch. Where the object is a local file, the Table lies in the
    mapped file and takes no memory of its own.

        >>> import pyarrow as pa
        >>> from vault_datatypes import ArrowWrapper
        >>> wrapper = ArrowWrapper(pa.table({"city": ["Oslo", "Rome"], "snow": [True, False]}))
        >>> ArrowWrapper._load(wrapper._dump()).data.column("city").to_pylist()
        ['Oslo', 'Rome']
    """

    datatype_tag = "pyarrow.Table"
    data: Any

    def _dump_to(self, stream: BinaryIO) -> None:
        table = self.data
        if not isinstance(table, pa.Table):
            raise EncodeError(f"{type(self).__name__} holds a pyarrow.Table, not a {type(table).__name__}")
        rows = max(1, table.num_rows * BATCH_BYTES // max(1, table.nbytes))
        with writing(stream) as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            for batch in table.to_batches(max_chunksize=rows):
                writer.write_batch(batch)

    @classmethod
    def _load_from(cls, stream: ObjectStream) -> Self:
        with pa.ipc.open_stream(reading(stream)) as reader:
            return cls(reader.read_all())

    def _clone(self) -> Self:
        return copy.copy(self)  # a Table cannot be changed

    def _holds(self, data: Any) -> bool:
        return bool(self.data.equals(data, check_metadata=True))
