"""What to install when a wrapper's library is missing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import requires
from importlib.util import find_spec

_LIBRARIES = {"pandas": ("pandas", "pyarrow"), "pillow": ("PIL",)}
"""What a module of this package imports, where that is not the library of its name alone."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around the imports of an optional extra's libraries.

    Raises:
        ModuleNotFoundError: One of them is missing; the text says what to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("vault"):
            raise
        raise ModuleNotFoundError(
            f"{error.name} is not installed; for vault_datatypes.{name}: {install(name)}", name=error.name
        ) from error


def install(name: str) -> str:
    """The command that installs an extra's libraries, however this project was installed."""
    marker = re.compile(rf"extra\s*==\s*['\"]{name}['\"]")
    libraries = [line.partition(";")[0].strip() for line in requires("vault-grpc") or () if marker.search(line)]
    return "pip install " + " ".join(f"'{library}'" for library in libraries)


def is_installed(name: str) -> bool:
    """Whether an extra's libraries are there; nothing is imported."""
    return all(find_spec(library) is not None for library in _LIBRARIES.get(name, (name,)))
