"""The version of what is installed. Read once: it is in a file, and there may be no descriptor left for that later."""

from importlib.metadata import version
from typing import Final

__version__: Final = version("vault-grpc")
