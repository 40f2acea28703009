"""Signals that end the command, from its first moment on, and as process 1 of a container too.

Process 1 has no default actions: the kernel drops a signal that it does not handle. So handlers stand before anything
else is imported; what comes before it is known which command runs is noted, and obeyed then.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_noted: list[int] = []


def hold() -> None:
    """Notes signals that would end the process, until `release` or `end_well`. What is ignored stays ignored."""
    for each in ENDING:
        if signal.getsignal(each) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(each, _note)


def release() -> None:
    """Gives signals that are held their default actions; those that were noted are obeyed now."""
    for each in _held():
        if each == signal.SIGINT:
            signal.signal(each, signal.default_int_handler)
        else:
            end_at_once(each)
    while _noted:
        signal.raise_signal(_noted.pop(0))


def end_well() -> None:
    """From now on a signal that is held ends the process with 0, at once; so does one that was noted.

    For a command that runs until it is told to end, until it handles signals itself.
    """
    for each in _held():
        signal.signal(each, _end_well)
    if _noted:
        os._exit(0)


def interrupt() -> None:
    """From now on a signal that is held, or ends the process well, raises KeyboardInterrupt, as Ctrl-C does; the next
    one ends the process."""
    for each in ENDING:
        if signal.getsignal(each) in (_note, _end_well):
            signal.signal(each, _interrupt)


@contextmanager
def interrupts_deferred() -> Iterator[Callable[[], None]]:
    """Has Ctrl-C wait: it raises KeyboardInterrupt where what this yields is called, and at the end of the block.

    The second raises it at once. Where interrupts are ignored they stay so.
    """
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        noted.append(number)

    def check() -> None:
        if noted:
            raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    check()


def end_at_once(number: int) -> None:
    """Gives a signal its default action, which process 1 has to take by itself."""
    signal.signal(number, _end if os.getpid() == 1 else signal.SIG_DFL)


def _held() -> list[int]:
    return [each for each in ENDING if signal.getsignal(each) is _note]


def _note(number: int, _frame: FrameType | None) -> None:
    _noted.append(number)


def _end_well(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for each in ENDING:
        if signal.getsignal(each) is _interrupt:
            signal.signal(each, _end_well)
    raise KeyboardInterrupt


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
