"""How far a transfer is: the part of fsspec's Callback that transfers call."""

from typing import Protocol, runtime_checkable

from vault.errors import InvalidArgumentError


@runtime_checkable
class ProgressCallback(Protocol):
    """What `progress` arguments take: `fsspec.callbacks.Callback` and everything derived from it.

    https://filesystem-spec.readthedocs.io/en/latest/features.html#callbacks
    """

    def set_size(self, size: int | None, /) -> object:
        """Bytes in all; None when that is not known, as for a pipe."""

    def relative_update(self, inc: int = 1, /) -> object:
        """So many bytes more."""


class Meter:
    """Tells a callback, where there is one, how far a transfer is.

    Attributes:
        moved: Bytes reported.

    Raises:
        InvalidArgumentError: BAD_PROGRESS, it lacks a method.
    """

    def __init__(self, progress: ProgressCallback | None) -> None:
        if progress is not None and not isinstance(progress, ProgressCallback):
            raise InvalidArgumentError(
                f"progress is an object with set_size and relative_update, such as fsspec's Callback, not {progress!r}",
                reason="BAD_PROGRESS",
            )
        self._progress = progress
        self.moved = 0

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
