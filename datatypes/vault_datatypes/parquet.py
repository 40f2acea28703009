"""How much memory a Parquet file takes when it is decoded, by its footer and the header of every page.

The footer alone says little: what is decompressed is what the pages' headers say, a dictionary's value of a
megabyte can be repeated a million times, and runs of equal values take no room at all. Nothing is decompressed
here. The formats are https://parquet.apache.org/docs/file-format/ and Thrift's compact protocol.
"""

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from vault.errors import DecodeError

MAGIC: Final = b"PAR1"

_BYTE_ARRAY, _FIXED = 6, 7
_WIDTHS: Final = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, _BYTE_ARRAY: 16}  # bytes in memory of a value, by type
_PLAIN_DICTIONARY, _DELTA_BYTE_ARRAY, _RLE_DICTIONARY = 2, 7, 8
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_MAX_DEPTH: Final = 16  # of structures in structures; the deepest that the format has is 7

Struct = dict[int, Any]  # a Thrift structure, by its fields' numbers


@dataclass(slots=True)
class ParquetSize:
    """What a file comes to.

    Attributes:
        decoded: Bytes, where nothing is repeated in memory.
        repeated: By the number of a column with dictionaries of text: bytes that repeating their values adds at most.
        prefixed: By the number of a column whose values repeat beginnings of the ones before (DELTA_BYTE_ARRAY): bytes
            that this adds at most.
        longest: Bytes of the largest page in which they do, which no value of it is longer than.
    """

    decoded: int = 0
    repeated: Counter[int] = field(default_factory=Counter)
    prefixed: Counter[int] = field(default_factory=Counter)
    longest: int = 0

    @property
    def at_most(self) -> int:
        """Bytes, where everything that may be repeated is."""
        return self.decoded + self.repeated.total() + self.prefixed.total()


def parquet_size(data: memoryview) -> ParquetSize:
    """What the file comes to; DecodeError where it is damaged."""
    try:
        return _size(data)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise DecodeError(f"damaged Parquet: {type(error).__name__}: {error}") from error


def _size(data: memoryview) -> ParquetSize:
    if len(data) < 12 or bytes(data[:4]) != MAGIC or bytes(data[-4:]) != MAGIC:
        raise DecodeError("no Parquet file, or not all of it: it begins and ends with PAR1")
    (length,) = struct.unpack_from("<I", data, len(data) - 8)
    if length > len(data) - 12:
        raise DecodeError(f"damaged Parquet: a footer of {length} bytes in {len(data)}")
    footer = _Thrift(data, len(data) - 8 - length).structure()
    leaves = [each for each in footer[2][1:] if not each.get(5)]
    widths = [each.get(2, 0) if each.get(1) == _FIXED else _WIDTHS[each[1]] for each in leaves]
    size = ParquetSize()
    for group in footer.get(4, []):
        if len(group[1]) != len(leaves):
            raise DecodeError(f"damaged Parquet: {len(group[1])} columns in a row group, {len(leaves)} in the schema")
        for number, chunk in enumerate(group[1]):
            # Readers go by the rows of the group, by the values of the chunk, and by those of the pages.
            _add_chunk(data, chunk[3], number, max(widths[number], 1), size, rows=group[3])
    return size


def _add_chunk(data: memoryview, chunk: Struct, number: int, width: int, size: ParquetSize, *, rows: int) -> None:
    at = chunk[9]
    if 0 < chunk.get(11, 0) < at:
        at = chunk[11]
    if min(at, chunk[5], chunk[7], rows) < 0:
        raise DecodeError("damaged Parquet: a negative size")
    end = min(at + chunk[7], len(data))
    values = pages = dictionary = 0
    while at < end and values < chunk[5]:
        reader = _Thrift(data, at)
        page = reader.structure()
        kind, unpacked, packed = page[1], page[2], page[3]
        if unpacked < 0 or packed < 0 or packed > len(data):
            raise DecodeError("damaged Parquet: the size of a page")
        at = reader.at + packed
        pages += unpacked
        if kind == _DICTIONARY_PAGE:
            dictionary = unpacked
            pages += width * max(page[7][1], 0)
            continue
        if kind not in (_DATA_PAGE, _DATA_PAGE_V2):
            continue
        header, encoding = (page[5], page[5][2]) if kind == _DATA_PAGE else (page[8], page[8][4])
        if header[1] < 0:
            raise DecodeError("damaged Parquet: the values of a page")
        values += header[1]
        if encoding in (_PLAIN_DICTIONARY, _RLE_DICTIONARY) and chunk[1] == _BYTE_ARRAY and dictionary:
            size.repeated[number] += header[1] * dictionary
        elif encoding == _DELTA_BYTE_ARRAY:
            size.prefixed[number] += header[1] * unpacked
            size.longest = max(size.longest, unpacked)
    size.decoded += max(pages, width * max(values, chunk[5], rows))


class _Thrift:
    """Reads Thrift's compact protocol, next at `at`."""

    def __init__(self, data: memoryview, at: int) -> None:
        self.at = at
        self._data = data

    def structure(self, depth: int = 0) -> Struct:
        if depth > _MAX_DEPTH:
            raise DecodeError("damaged Parquet: structures too deep")
        fields: Struct = {}
        number = 0
        while byte := self._byte():
            number = number + (byte >> 4) if byte >> 4 else self._integer()
            fields[number] = self._value(byte & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        match kind:
            case 1 | 2:  # in a structure, the type of a boolean is its value
                return kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._integer()
            case 7:
                self.at += 8
                return None
            case 8:
                length = self._varint()
                self.at += length
                return self._data[self.at - length : self.at]
            case 9 | 10:
                byte = self._byte()
                length = byte >> 4 if byte >> 4 < 15 else self._varint()
                if length > len(self._data) - self.at:  # each takes a byte at the least
                    raise DecodeError(f"damaged Parquet: a list of {length}")
                if byte & 15 in (1, 2):
                    self.at += length
                    return []
                return [self._value(byte & 15, depth + 1) for _ in range(length)]
            case 12:
                return self.structure(depth + 1)
        raise DecodeError(f"damaged Parquet: type {kind}")

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _varint(self) -> int:
        result = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            result |= (byte & 127) << shift
            if byte < 128:
                return result
        raise DecodeError("damaged Parquet: a number of more than 64 bits")

    def _integer(self) -> int:
        zigzag = self._varint()
        return (zigzag >> 1) ^ -(zigzag & 1)
