"""Waiting for what another thread or process does."""

import socket
import time
from collections.abc import Callable


def assert_soon(condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits until it holds; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def assert_ended(connection: socket.socket, seconds: float = 20) -> None:
    """Reads what comes until the other side ends the connection; fails when it does not in time."""
    connection.settimeout(seconds)
    try:
        while connection.recv(4096):
            continue
    except ConnectionResetError:
        pass
    except TimeoutError:
        raise AssertionError(f"nobody ended it in {seconds:g} s") from None
