"""How long to wait before trying again."""

from typing import TYPE_CHECKING

from vault._runtime.lazy import LazyModule

if TYPE_CHECKING:
    import random
else:
    random = LazyModule("random")


class Backoff:
    """Waits that double from `first` to `last` seconds, each half more or less: many do not come back at once."""

    def __init__(self, first: float, last: float) -> None:
        self._first = self._wait = first
        self._last = last

    def next(self) -> float:
        """Seconds to wait now; those after it are longer."""
        wait, self._wait = self._wait, min(self._wait * 2, self._last)
        return wait * random.uniform(0.5, 1.5)  # not for secrets

    def reset(self) -> None:
        """It worked: the next wait is short again."""
        self._wait = self._first
