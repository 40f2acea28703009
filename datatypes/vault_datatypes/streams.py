"""Objects' streams: read whole without a copy where they are mapped, and copied while they are written."""

import io
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from vault.datatype import Datatype, MemoryStream, ObjectStream, encoding
from vault.errors import DecodeError, EncodeError


def whole(stream: ObjectStream) -> memoryview:
    """All bytes of the object, once in memory, and nowhere but in the mapped file where it is a local one."""
    view = stream.map()
    if view is None:
        view = memoryview(bytearray(stream.size - stream.tell()))
        fill(view, stream)
    return view.toreadonly()


def fill(memory: memoryview, stream: ObjectStream) -> None:
    """Reads as many bytes as fit; DecodeError where the stream has fewer."""
    filled = 0
    while filled < len(memory):
        count = stream.readinto(memory[filled:])
        if not count:
            raise DecodeError(f"the object ended {len(memory) - filled} bytes early")
        filled += count


def write_verified(
    holder: Datatype, stream: BinaryIO, write: Callable[[BinaryIO], None], compare: Callable[[Any], str | None]
) -> None:
    """Writes an object, then decodes what was written and compares it with what was given.

    Nothing is stored before this returns. Where the holder's class says verify=False, it only writes.

    Args:
        write: Writes the object.
        compare: What is different in the decoded object, and what to do about it; None where nothing is.

    Raises:
        EncodeError: The object cannot be written, could not be loaded, or would come back as another.
    """
    kind = type(holder)
    copy = Copying(stream, keep=kind._verify)  # noqa: SLF001  # an option of the class
    try:
        with encoding(kind):
            write(cast(BinaryIO, copy))
            if copy.kept is None:
                return
            try:
                loaded = kind._load_from(MemoryStream(copy.kept.getvalue()))  # noqa: SLF001  # the Datatype's contract
            except DecodeError as error:
                raise EncodeError(f"what is written could not be loaded again: {error}") from error
    except EncodeError:
        if copy.failure is not None:
            raise copy.failure from None
        raise
    with encoding(kind):
        found = compare(loaded)
    if found:
        raise EncodeError(f"{kind.__name__}: {found}")


class Copying(io.RawIOBase):
    """Passes on what is written to it.

    Attributes:
        kept: A copy of it, if it is to be kept.
        failure: What the stream raised.
    """

    def __init__(self, stream: BinaryIO, *, keep: bool) -> None:
        super().__init__()
        self.kept = io.BytesIO() if keep else None
        self.failure: Exception | None = None
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        try:
            self._stream.write(data)
        except Exception as error:
            self.failure = error
            raise
        if self.kept is not None:
            self.kept.write(data)
        return memoryview(data).nbytes
