"""Server processes, as the server's tests have them."""

from tests.server.conftest import serve

__all__ = ["serve"]
