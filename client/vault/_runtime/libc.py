"""Functions of the C library that not every system has."""

import ctypes
from typing import Any


def c_function(name: str) -> Any:
    """The function of this name; None where there is none."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
