"""What to install when a wrapper's library is missing."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around the imports of an optional extra's libraries.

    Raises:
        ModuleNotFoundError: One of them is missing; the text says what to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed; for vault_datatypes.{name}: pip install 'vault-grpc[{name}]'",
            name=error.name,
        ) from error
