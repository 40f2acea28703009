"""The command's standard streams: there, whatever the caller closed, and flushed before an exit code is claimed."""

import os
import sys

_OUTPUT, _ERRORS = 1, 2


def complete() -> None:
    """Puts something in the place of each standard stream that is closed.

    Otherwise the next file or socket would get its number, and what is printed would go there. Reading from closed
    input and writing to closed output fails, as it does for programs in C; what is said to closed errors goes nowhere.
    """
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, mode)  # gets the lowest number that is free, this one
            os.set_inheritable(null, True)  # noqa: FBT003  # it takes no keyword
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(_OUTPUT, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(_ERRORS, "w", buffering=1, errors="backslashreplace", closefd=False)
    # A name that the terminal's encoding lacks is no reason to fail, and no byte that is no text reaches it.
    if sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # it is a TextIOWrapper


def flush_output() -> OSError | None:
    """Flushes standard output. An error is returned, and what is left of the output given up: the interpreter would
    flush it once more as it ends, complain, and end with 120."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _give_up(_OUTPUT)
        return error
    return None


def say(line: str) -> None:
    """Writes a line to standard error, or nowhere when that does not take it."""
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except OSError:
        _give_up(_ERRORS)


def flush_errors() -> None:
    """Flushes standard error, or gives it up."""
    try:
        sys.stderr.flush()
    except OSError:
        _give_up(_ERRORS)


def _give_up(number: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)
