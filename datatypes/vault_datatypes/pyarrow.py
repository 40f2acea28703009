"""pyarrow Tables, as an Arrow IPC stream."""

import copy
from typing import Any, BinaryIO, Self

from vault._runtime.extras import extra
from vault.datatype import ObjectStream, decoding, encoding
from vault.errors import EncodeError

from vault_datatypes.library import LibraryWrapper, whole

with extra("pyarrow", __name__):
    import pyarrow as pa

    from vault_datatypes.ipc import ipc_size, read_table, writing

BATCH_BYTES = 64 << 20
"""Bytes that a record batch holds about at most."""


class ArrowWrapper(LibraryWrapper):
    """A pyarrow Table, schema and its metadata included, as an Arrow IPC stream.

    It is written by record batch. A loaded Table lies in the bytes that came, or in the mapped file itself where the
    object is local, and takes no memory of its own. It is validated whole before anybody sees it, and so is a Table
    that is stored, unless verify=False, since what Arrow makes of changed offsets ends the process. Batches that
    somebody else compressed are decompressed up to `max_decoded`.

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
        with encoding(type(self)):
            if self._verify:
                table.validate(full=True)
            rows = max(1, table.num_rows * BATCH_BYTES // max(1, table.nbytes))
            with writing(stream) as sink, pa.ipc.new_stream(sink, table.schema) as writer:
                for batch in table.to_batches(max_chunksize=rows):
                    writer.write_batch(batch)

    @classmethod
    def _load_from(cls, stream: ObjectStream) -> Self:
        with decoding(cls):
            data = whole(stream)
            cls._check_decoded(ipc_size(data), len(data))
            return cls(read_table(data))

    def _clone(self) -> Self:
        return copy.copy(self)  # a Table cannot be changed

    def _holds(self, data: Any) -> bool:
        return bool(self.data.equals(data, check_metadata=True))
