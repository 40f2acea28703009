"""Raising KeyboardInterrupt where the interpreter could: at each of the points of a call, one after the other.

CPython delivers an asynchronous exception (a signal's handler that raises, PyThreadState_SetAsyncExc) when a Python
function has just been entered, and when a call has just returned, before its value is used; never between a `with`
and the C lock that it takes. Those points are what a profile function is told of, and what it raises comes out of that
very call. So a call is counted through once, then done again for each of its points.
"""

import dis
import gc
import inspect
import os
import sys
import sysconfig
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

import vault
import vault_datatypes
import vault_server

_STDLIB: Final = sysconfig.get_path("stdlib")
_OWN: Final = tuple(f"{package.__path__[0]}{os.sep}" for package in (vault, vault_datatypes, vault_server))
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

    def __init__(self, target: int, within: str = "own") -> None:
        """
        Args:
            target: The point to raise at, from 1; 0: at none.
            within: Whose code, with the standard library's on its behalf: "own" or "grpc".
        """
        self._within = within
        self.count = 0
        self.where = ""
        self._target = target

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "return":
            caller = frame.f_back
            # What is not called by a CALL (a property, a `with`) returns without the interpreter looking up.
            if argument is None and _is_left_by_exception(frame):
                return
            by_c = frame.f_code.co_name in ("__enter__", "__exit__") or frame.f_code.co_flags & inspect.CO_GENERATOR
            if self._within == "grpc" and by_c:
                return  # to gRPC's Cython, or to next(), which do not look up either
            if caller is None or not self._is_within(caller) or not _is_at_call(caller):
                return
            frame = caller
        elif event not in ("call", "c_return") or not self._is_within(frame):
            return
        self.count += 1
        if self.count == self._target:
            sys.setprofile(None)
            code = frame.f_code
            self.where = f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}, {event} {_name(argument)}"
            raise KeyboardInterrupt(self.where)

    def _is_within(self, frame: FrameType | None) -> bool:
        while frame is not None:
            kind = _kind_of(frame.f_code.co_filename)
            if kind != "library":
                return kind == self._within
            frame = frame.f_back
        return False


def run(function: Callable[[], Any], target: int, within: str = "own") -> tuple[Points, Any, BaseException | None]:
    """Calls the function with a KeyboardInterrupt at its `target`th point within Vault's code, or gRPC's.

    The garbage collector does not run meanwhile: a finalizer of something else would get the interrupt.

    Returns:
        What was passed, what it returned, and what it raised.
    """
    points = Points(target, within)
    gc.disable()
    try:
        sys.setprofile(points)
        try:
            result = function()
        finally:
            sys.setprofile(None)
    except BaseException as error:  # noqa: BLE001  # the caller judges
        return points, None, error
    finally:
        gc.enable()
    return points, result, None


def _kind_of(name: str) -> str:
    kind = _kinds.get(name)
    if kind is None:
        inside = name.startswith(_STDLIB) and "site-packages" not in name
        left_out = name.removeprefix(_STDLIB).lstrip(os.sep).startswith(_LEFT_OUT)
        own = name.startswith(_OWN) and "/v1/" not in name
        grpc = f"{os.sep}grpc{os.sep}_c" in name  # _channel.py, _common.py
        ours = "own" if own and not inside else "grpc" if grpc else "other"
        kind = _kinds[name] = "library" if inside and not left_out else ours
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
