"""Raising KeyboardInterrupt where the interpreter could: at each of the points of a call, one after the other.

CPython delivers an asynchronous exception (a signal's handler that raises, PyThreadState_SetAsyncExc) when a Python
function has just been entered, and when a call has just returned, before its value is used; never between a `with`
and the C lock that it takes. Those points are what a profile function is told of, and what it raises comes out of that
very call. So a call is counted through once, then done again for each of its points.
"""

import dis
import os
import sys
import sysconfig
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

_STDLIB: Final = sysconfig.get_path("stdlib")
_OWN: Final = tuple(f"{os.sep}{name}{os.sep}" for name in ("vault", "vault_server", "vault_datatypes"))
_LEFT_OUT: Final = ("asyncio", "importlib", "logging", "unittest", "traceback.py", "linecache.py", "warnings.py")
"""Of the standard library: what is not ours to mend, and what the test itself uses."""

_calls: dict[CodeType, frozenset[int]] = {}
_kinds: dict[str, str] = {}


class Points:
    """A profile function that counts the points at which it could raise, and raises at one of them.

    Attributes:
        count: The points passed so far.
        where: At which it raised: file, line and what had happened.
    """

    def __init__(self, target: int) -> None:
        """
        Args:
            target: The point to raise at, from 1; 0: at none.
        """
        self.count = 0
        self.where = ""
        self._target = target

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "return":
            caller = frame.f_back
            # What is not called by a CALL (a property, a `with`) returns without the interpreter looking up.
            if argument is None and _is_left_by_exception(frame):
                return
            if caller is None or not _is_ours(caller) or not _is_at_call(caller):
                return
            frame = caller
        elif event not in ("call", "c_return") or not _is_ours(frame):
            return
        self.count += 1
        if self.count == self._target:
            sys.setprofile(None)
            code = frame.f_code
            self.where = f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}, {event} {_name(argument)}"
            raise KeyboardInterrupt(self.where)


def run(function: Callable[[], Any], target: int) -> tuple[Points, Any, BaseException | None]:
    """Calls the function with a KeyboardInterrupt at its `target`th point.

    Returns:
        What was passed, what it returned, and what it raised.
    """
    points = Points(target)
    try:
        sys.setprofile(points)
        try:
            result = function()
        finally:
            sys.setprofile(None)
    except BaseException as error:  # noqa: BLE001  # the caller judges
        return points, None, error
    return points, result, None


def _is_ours(frame: FrameType | None) -> bool:
    """Whether it is of Vault, or of the standard library on behalf of Vault."""
    while frame is not None:
        kind = _kind_of(frame.f_code.co_filename)
        if kind != "library":
            return kind == "own"
        frame = frame.f_back
    return False


def _kind_of(name: str) -> str:
    kind = _kinds.get(name)
    if kind is None:
        inside = name.startswith(_STDLIB) and "site-packages" not in name
        left_out = name.removeprefix(_STDLIB).lstrip(os.sep).startswith(_LEFT_OUT)
        own = any(part in name for part in _OWN) and "/tests/" not in name and "/v1/" not in name
        kind = _kinds[name] = "library" if inside and not left_out else "own" if own and not inside else "other"
    return kind


def _is_at_call(frame: FrameType) -> bool:
    code = frame.f_code
    calls = _calls.get(code)
    if calls is None:
        calls = _calls[code] = frozenset(
            instruction.offset for instruction in dis.get_instructions(code) if instruction.opname.startswith("CALL")
        )
    return frame.f_lasti in calls


def _is_left_by_exception(frame: FrameType) -> bool:
    """Whether the frame does not return: a profile function is told None then, as for a return of None."""
    code, at = frame.f_code, frame.f_lasti
    return not dis.opname[code.co_code[at]].startswith(("RETURN", "YIELD", "SUSPEND", "RESUME", "INSTRUMENTED"))


def _name(argument: Any) -> str:
    return getattr(argument, "__qualname__", "") if callable(argument) else ""
