"""Time that has passed, by a clock that is never set, and that goes on while the machine sleeps, where there is one."""

import time
from functools import partial
from typing import Final

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

elapsed: Final = partial(time.clock_gettime, _CLOCK)
"""Seconds from a moment on that is the same for all processes of this machine."""

elapsed_ns: Final = partial(time.clock_gettime_ns, _CLOCK)
"""The same in nanoseconds."""
