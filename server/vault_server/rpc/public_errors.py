"""Errors of the storage as peers are shown them: the cause, without the paths of the machine."""

import os
import re
from typing import Final

from vault.errors import StorageError, VaultError

_SHOWN: Final = re.compile(r""" ?\(/[^)]*\)| ?'/[^']*'| ?"/[^"]*\"""")
"""An absolute path as the storage's errors show it: quoted, or in parentheses."""


def public_error(error: VaultError) -> VaultError:
    """The error; of the storage's the same without paths, neither in its text nor in its context."""
    if not isinstance(error, StorageError):
        return error
    paths = _paths(error)
    shown = type(error)(_without(error.message, paths), reason=error.reason)
    shown.context = {
        key: _without(value, paths) if isinstance(value, str) else value for key, value in error.context.items()
    }
    return shown


def _paths(error: BaseException | None) -> set[str]:
    found: set[str] = set()
    while error is not None:
        if isinstance(error, OSError):
            found |= {
                os.fsdecode(name)
                for name in (error.filename, error.filename2)
                if isinstance(name, str | bytes) and name
            }
        error = error.__cause__
    return found


def _without(text: str, paths: set[str]) -> str:
    for path in sorted(paths, key=len, reverse=True):
        text = re.sub(rf""" ?[('"]?{re.escape(path)}[)'"]?""", "", text)
    return _SHOWN.sub("", text)
