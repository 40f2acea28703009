"""How far a transfer is: the part of fsspec's Callback that transfers call, and a bar for people."""

import contextlib
import sys
import time
from typing import Final, Protocol, Self, TextIO, runtime_checkable

from vault._display import size_text
from vault._escaping import escape_hidden
from vault.errors import InvalidArgumentError

_WIDTH: Final = 30  # of the bar, in characters
_PAUSE: Final = 0.1  # seconds between two of its states, at least


@runtime_checkable
class ProgressCallback(Protocol):
    """What `progress` arguments take: `fsspec.callbacks.Callback` and everything derived from it.

    https://filesystem-spec.readthedocs.io/en/latest/features.html#callbacks
    """

    def set_size(self, size: int | None, /) -> object:
        """Bytes in all; None when that is not known, as for a pipe."""

    def relative_update(self, inc: int = 1, /) -> object:
        """So many bytes more."""


Progress = ProgressCallback | bool | None
"""What `progress` arguments take. True: a bar on standard error, on a terminal or in a notebook; elsewhere nothing."""


class Bar:
    """A bar on a stream, drawn over itself: how many bytes of how many, and how fast."""

    def __init__(self, label: str, stream: TextIO) -> None:
        self._label = escape_hidden(label)
        self._stream = stream
        self._size: int | None = None
        self._moved = 0
        self._began = time.monotonic()
        self._drawn_at = -_PAUSE
        self._drawn = 0  # characters

    def set_size(self, size: int | None, /) -> None:
        self._size = size
        self._draw()

    def relative_update(self, inc: int = 1, /) -> None:
        self._moved += inc
        if time.monotonic() - self._drawn_at >= _PAUSE:
            self._draw()

    def close(self) -> None:
        """Leaves it as it is, and goes on below."""
        self._draw()
        self._write("\n")

    def _draw(self) -> None:
        now = self._drawn_at = time.monotonic()
        speed = size_text(round(self._moved / max(now - self._began, 0.001)))
        text = f"{self._label}: {size_text(self._moved)}"
        if self._size:
            done = min(max(self._moved / self._size, 0), 1)
            bar = ("#" * round(done * _WIDTH)).ljust(_WIDTH, ".")
            text = f"{self._label}: {done:4.0%} [{bar}] {size_text(self._moved)} of {size_text(self._size)}"
        text += f", {speed}/s"
        self._write("\r" + text.ljust(self._drawn))
        self._drawn = len(text)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody looks any more; a character that it cannot show
            self._stream.write(text)
            self._stream.flush()


class Meter:
    """Tells a callback, or a bar, where there is one, how far a transfer is; the bar ends with the `with` block.

    Attributes:
        moved: Bytes reported.

    Raises:
        InvalidArgumentError: BAD_PROGRESS, it lacks a method.
    """

    def __init__(self, progress: Progress, label: str = "") -> None:
        if progress is not None and not isinstance(progress, ProgressCallback | bool):
            raise InvalidArgumentError(
                "progress is True, or an object with set_size and relative_update, such as fsspec's Callback, not "
                f"{progress!r}",
                reason="BAD_PROGRESS",
            )
        self._bar = Bar(label, sys.stderr) if progress is True and _is_looked_at(sys.stderr) else None
        self._progress = self._bar if isinstance(progress, bool) else progress
        self.moved = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def size(self, size: int | None) -> None:
        """So many bytes in all."""
        if self._progress is not None:
            self._progress.set_size(size)

    def add(self, count: int) -> None:
        """So many bytes more."""
        self.moved += count
        if self._progress is not None:
            self._progress.relative_update(count)

    def restart(self) -> None:
        """Back to the beginning."""
        self.add(-self.moved)


def _is_looked_at(stream: TextIO | None) -> bool:
    """Whether it is a terminal, or a notebook's."""
    with contextlib.suppress(OSError, ValueError):  # it is closed
        return stream is not None and (stream.isatty() or type(stream).__module__.startswith("ipykernel"))
    return False
