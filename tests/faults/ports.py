"""Ports that stay one's own, also while nobody listens on them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


def bound(port: int = 0) -> socket.socket:
    """A socket on a port of loopback (0: a free one) that does not listen.

    Others that set SO_REUSEADDR, as servers do, can listen on the port beside it. While it is there, the
    kernel gives the port to nobody who asks for any, and connections to it are refused when nobody listens;
    without it, a client that tries again and again may get the port as its own and be connected to itself.
    """
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # for servers whose workers share it
    place.bind(("127.0.0.1", port))
    return place


@contextmanager
def held_port() -> Iterator[int]:
    """A port of loopback for a server that goes and comes back."""
    with bound() as place:
        yield place.getsockname()[1]
