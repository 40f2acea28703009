"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable


def assert_soon(condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits until it holds; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
