"""What to install when a library is missing that only a part of Vault needs: an extra of pyproject.toml."""

import re
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str, part: str) -> Iterator[None]:
    """Around the imports of an optional extra's libraries.

    Args:
        name: The extra.
        part: What needs them.

    Raises:
        ModuleNotFoundError: One of them is missing; the text says what to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("vault"):
            raise
        library = error.name.partition(".")[0]
        raise ModuleNotFoundError(f"{library} is not installed; for {part}: {install(name)}", name=library) from error


def install(name: str) -> str:
    """The command that installs an extra's libraries, however this project was installed."""
    from importlib.metadata import requires  # noqa: PLC0415  # seldom

    marker = re.compile(rf"extra\s*==\s*['\"]{name}['\"]")
    libraries = [line.partition(";")[0].strip() for line in requires("vault-grpc") or () if marker.search(line)]
    return "pip install " + " ".join(f"'{library}'" for library in libraries)
