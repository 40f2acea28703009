"""How far a transfer is: the part of fsspec's Callback that transfers call."""

from typing import Protocol


class ProgressCallback(Protocol):
    """What `progress` arguments take: `fsspec.callbacks.Callback` and everything derived from it.

    https://filesystem-spec.readthedocs.io/en/latest/features.html#callbacks
    """

    def set_size(self, size: int | None, /) -> object:
        """Bytes in all; None when that is not known, as for a pipe."""

    def relative_update(self, inc: int = 1, /) -> object:
        """So many bytes more."""
