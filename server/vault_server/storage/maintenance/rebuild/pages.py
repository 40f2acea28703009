"""The pages of a damaged SQLite file, and the rows on those that can be read, without SQLite.

SQLite finds a row by way of other pages, and gives up where one of them is damaged. Here every page is looked at by
itself: a leaf of a table holds whole rows (their overflow pages apart), whatever became of the pages above it. The
write-ahead log is laid over the file as SQLite does it, but a broken frame costs its page only, not all that follow.

https://sqlite.org/fileformat2.html
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

PAGE_SIZE: Final = 4096
"""SQLite's default, with which every register is made; for a file whose header does not say."""

_MAGIC: Final = b"SQLite format 3\0"
_LEAF: Final = 0x0D
_LOG_MAGICS: Final = {0x377F0682: "<", 0x377F0683: ">"}
_FRAME_HEADER: Final = 24

Row = tuple[Any, ...]


class Pages:
    """The newest readable version of every page.

    Attributes:
        broken: Frames of the log that do not match their checksums, though a commit follows them.
    """

    def __init__(self, database: bytes, log: bytes) -> None:
        self.broken = 0
        self._database = database
        self.page_size = _page_size(database)
        self._logged: dict[int, memoryview] = {}
        if len(log) > 32:
            self._lay_over(memoryview(log))
        self._count = max(len(database) // self.page_size, max(self._logged, default=0))

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Row id and columns of every row on a leaf page of a table, whichever table it is of."""
        free = self._free()
        for number in range(1, self._count + 1):
            if number not in free:
                yield from self._rows_of(number)

    def _page(self, number: int) -> bytes | memoryview:
        if number in self._logged:
            return self._logged[number]
        start = (number - 1) * self.page_size
        page = self._database[start : start + self.page_size] if number > 0 else b""
        if len(page) < self.page_size:
            raise ValueError(f"page {number} is not there")
        return page

    def _lay_over(self, log: memoryview) -> None:
        magic, _, size, _, salts, *seed = struct.unpack(">IIII8sII", log[:32])
        order = _LOG_MAGICS.get(magic)
        if order is None or size != self.page_size:
            # Its header is damaged: its frames say which of them belong together.
            order, salts = "<", bytes(log[32 + 8 : 32 + 16])
        step = _FRAME_HEADER + self.page_size
        pending: dict[int, memoryview] = {}
        broken = 0
        for start in range(32, len(log) - step + 1, step):
            number, commit, of_frame, *stored = struct.unpack(">II8sII", log[start : start + _FRAME_HEADER])
            if of_frame != salts:
                break  # left from before the log was begun anew
            page = log[start + _FRAME_HEADER : start + step]
            # Each frame's checksum goes on from the one before, as that states it: so each can be told by itself.
            if _checksum(bytes(log[start : start + 8]) + bytes(page), order, *seed) == stored:
                pending[number] = page
                if commit:
                    self._logged.update(pending)
                    pending.clear()
                    self.broken = broken
            else:
                broken += 1
            seed = stored

    def _free(self) -> set[int]:
        """Pages that hold nothing any more, though their bytes may look otherwise."""
        free: set[int] = set()
        try:
            trunk = struct.unpack(">I", self._page(1)[32:36])[0]
            while trunk and trunk not in free:
                page = self._page(trunk)
                following, count = struct.unpack(">II", page[:8])
                if count > self.page_size // 4 - 2:
                    break
                free.add(trunk)
                free.update(struct.unpack(f">{count}I", page[8 : 8 + 4 * count]))
                trunk = following
        except (ValueError, struct.error):
            pass  # what looks like a row there is weighed against the others
        return free

    def _rows_of(self, number: int) -> Iterator[tuple[int, Row]]:
        try:
            page = self._page(number)
        except ValueError:
            return
        start = 100 if number == 1 else 0
        if page[start] != _LEAF:
            return
        (count,) = struct.unpack(">H", page[start + 3 : start + 5])
        for index in range(min(count, self.page_size // 6)):
            try:
                (offset,) = struct.unpack(">H", page[start + 8 + 2 * index : start + 10 + 2 * index])
                yield self._cell(page, offset)
            except (ValueError, IndexError, struct.error):  # a damaged cell; UnicodeDecodeError is a ValueError
                continue

    def _cell(self, page: bytes | memoryview, offset: int) -> tuple[int, Row]:
        size, offset = _varint(page, offset)
        row_id, offset = _varint(page, offset)
        usable = self.page_size
        if not 0 < size <= usable * self._count:
            raise ValueError("no payload is as large")
        local = size
        if size > usable - 35:
            least = (usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (usable - 4)
            if local > usable - 35:
                local = least
        payload = bytearray(page[offset : offset + local])
        if local < size:
            (following,) = struct.unpack(">I", page[offset + local : offset + local + 4])
            while len(payload) < size:
                overflow = self._page(following)
                payload += overflow[4 : 4 + min(usable - 4, size - len(payload))]
                (following,) = struct.unpack(">I", overflow[:4])
        if len(payload) != size:
            raise ValueError("the payload is cut short")
        return row_id, _columns(bytes(payload))


def _page_size(database: bytes) -> int:
    if database[:16] != _MAGIC or len(database) < 100:
        return PAGE_SIZE
    (size,) = struct.unpack(">H", database[16:18])
    size = 65536 if size == 1 else size
    return size if size >= 512 and size & (size - 1) == 0 else PAGE_SIZE


def _checksum(data: bytes, order: str, first: int, second: int) -> list[int]:
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        first = (first + words[index] + second) & 0xFFFFFFFF
        second = (second + words[index + 1] + first) & 0xFFFFFFFF
    return [first, second]


def _varint(data: bytes | memoryview, offset: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[offset + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, offset + index + 1
    value = value << 8 | data[offset + 8]
    return value - (1 << 64) if value >> 63 else value, offset + 9


def _columns(record: bytes) -> Row:
    end, offset = _varint(record, 0)
    kinds = []
    while offset < end:
        kind, offset = _varint(record, offset)
        kinds.append(kind)
    if offset != end:
        raise ValueError("the header does not end where it says")
    columns: list[Any] = []
    for kind in kinds:
        size = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind] if 0 <= kind < 10 else (kind - 12) // 2
        value = record[offset : offset + size]
        if kind in (10, 11) or kind < 0 or len(value) < size:
            raise ValueError("no such column")
        offset += size
        if kind == 0:
            columns.append(None)
        elif kind < 7:
            columns.append(int.from_bytes(value, "big", signed=True))
        elif kind == 7:
            columns.append(struct.unpack(">d", value)[0])
        elif kind < 10:
            columns.append(kind - 8)
        else:
            columns.append(value.decode() if kind % 2 else value)
    if offset != len(record):
        raise ValueError("the record does not end where it says")
    return tuple(columns)
