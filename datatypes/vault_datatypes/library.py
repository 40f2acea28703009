"""What the wrappers share: a look at what would come back, and a bound on what an object comes to."""

import io
from typing import Any, BinaryIO, ClassVar, Final, cast

from vault.datatype import MemoryStream, ObjectStream, encoding
from vault.errors import DecodeError, EncodeError
from vault.wrappers import Wrapper

RATIO: Final = 16
"""Times its stored size that an object may take when it is decoded, where that is more than its class's bytes."""


class LibraryWrapper(Wrapper):
    """Decodes what it has encoded, unless its class says verify=False, and refuses what would come back as another.

    A class of it writes an object with `_write`, and says with `_difference` what of it is another.
    """

    _is_base = True
    _advice: ClassVar[str] = ""  # what to do about an object that does not come back

    def _write(self, stream: BinaryIO) -> None:
        raise NotImplementedError

    def _difference(self, data: Any) -> str | None:
        """What is another in the decoded `data`, and what to do about it; None where nothing is."""
        raise NotImplementedError

    def _dump_to(self, stream: BinaryIO) -> None:
        copy = _Copying(stream, keep=self._verify)
        try:
            with encoding(type(self)):
                self._write(cast(BinaryIO, copy))
                if copy.kept is not None:
                    self._compare(MemoryStream(copy.kept.getvalue()))
        except EncodeError:
            if copy.failure is not None:
                raise copy.failure from None
            raise

    def _compare(self, written: ObjectStream) -> None:
        advice = f"; {self._advice}" if self._advice else ""
        try:
            loaded = self._load_from(written)
        except DecodeError as error:
            raise EncodeError(f"what is written could not be loaded again: {error}{advice}") from error
        if found := self._difference(loaded.data):
            raise EncodeError(f"{type(self).__name__}: {found}{advice}")

    @classmethod
    def _allowed(cls, stored: int) -> int:
        """Bytes of memory that an object of `stored` bytes may take."""
        return max(cls._max_decoded, RATIO * stored)

    @classmethod
    def _check_decoded(cls, decoded: int, stored: int) -> None:
        """Raises DecodeError where an object of `stored` bytes comes to `decoded` ones, and may not.

        A few hundred kilobytes can be the Parquet or PNG of gigabytes: it is called before memory is taken for them.
        """
        allowed = cls._allowed(stored)
        if decoded > allowed:
            raise DecodeError(
                f"{cls.__name__}: {stored} stored bytes come to {decoded} decoded ones, and {allowed} are allowed: "
                f"class Large({cls.__name__}, max_decoded={(decoded >> 20) + 1} << 20) takes them"
            )


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


class _Copying(io.RawIOBase):
    """Passes on what is written to it, keeps a copy (`kept`) if it is to, and what the stream raised (`failure`)."""

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
