"""Streams as a Vault hands them to Datatypes, and nothing more than what their contract names."""

import io
from typing import Any

from vault.datatype import MemoryStream
from vault.wrappers import Wrapper


class OutStream(io.BytesIO):
    """Can be written, and not sought, read or asked for its position."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def write(self, data: Any, /) -> int:
        self.pieces.append(bytes(data))
        return len(self.pieces[-1])

    def seekable(self) -> bool:
        return False

    def readable(self) -> bool:
        return False

    def read(self, size: int | None = -1, /) -> bytes:
        raise io.UnsupportedOperation("read")

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


class InStream:
    """An object that is not mapped; a `readinto` may give less than was asked for."""

    closed = False

    def __init__(self, raw: bytes) -> None:
        self._file = io.BytesIO(raw)
        self.size = len(raw)

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer: Any, /) -> int:
        return self._file.readinto(memoryview(buffer)[: 1 << 16])

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    def map(self) -> None:
        return None


def every_way(wrapper: Wrapper) -> list[Any]:
    """What the wrapper comes back as: from whole bytes, from a stream, mapped; dumped whole and in pieces."""
    out = OutStream()
    wrapper._dump_to(out)
    raw = b"".join(out.pieces)
    assert wrapper._dump() == raw
    decoder = type(wrapper).decoder_for(wrapper.datatype_tag)
    stream = InStream(raw)
    loaded = [decoder._load(raw), decoder._load_from(stream), decoder._load_from(MemoryStream(raw))]
    assert all(type(each) is type(wrapper) for each in loaded)
    assert not stream.closed
    return [each.data for each in loaded]
