"""The proxy does what it says: an echoing server behind it, plain sockets in front."""

import asyncio
import contextlib
import gc
import socket
import struct
import threading
import time
import warnings
from collections.abc import Iterator
from random import Random

import pytest

from tests.faults.proxy import Proxy
from tests.waiting import assert_soon


class Echo:
    """A server that sends back what it is sent, after its own greeting."""

    def __init__(self, greeting: bytes = b"") -> None:
        self._greeting = greeting
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.ends: list[str] = []  # how connections ended
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._echo, args=(connection,)))
            self._threads[-1].start()

    def _echo(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(self._greeting)
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
            except ConnectionError:
                self.ends.append("reset")
            else:
                self.ends.append("end")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in [self._accepting, *self._threads]:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def echo(no_thread_left: None) -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.address) as started:
        yield started


def connect(proxy: Proxy) -> socket.socket:
    host, _, port = proxy.address.partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or those that came before the end."""
    received = bytearray()
    while len(received) < size and (data := connection.recv(size - len(received))):
        received += data
    return bytes(received)


def ask(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return receive(connection, len(data))


def test_bytes_go_both_ways_and_are_counted(proxy: Proxy) -> None:
    data = bytes(range(256)) * 8000
    with connect(proxy) as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        assert receive(connection, len(data)) == data
        sender.join()
        assert proxy.forwarded == {"up": len(data), "down": len(data)}
        assert (proxy.connections, proxy.open_connections) == (1, 1)
    assert_soon(lambda: proxy.open_connections == 0)


def test_an_end_is_passed_on_after_what_came_before_it(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 100) == b"last words"
    assert_soon(lambda: echo.ends == ["end"])


def test_cut_by_reset_reaches_both_sides(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as one, connect(proxy) as two:
        assert ask(one, b"a") + ask(two, b"b") == b"ab"
        assert proxy.cut() == 2
        for connection in (one, two):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
    assert_soon(lambda: echo.ends == ["reset", "reset"])
    assert proxy.open_connections == 0


def test_cut_by_fin_is_an_end_for_both_sides(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"a") == b"a"
        assert proxy.cut(reset=False) == 1
        assert connection.recv(1) == b""
        assert_soon(lambda: echo.ends == ["end"])
        connection.sendall(b"what is sent into it is dropped, and no reset")
        assert proxy.forwarded["up"] == 1


def test_after_a_cut_new_connections_work(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"a") == b"a"
        proxy.cut()
    with connect(proxy) as connection:
        assert ask(connection, b"b") == b"b"


@pytest.mark.parametrize("reset", [True, False])
def test_cut_after_lets_exactly_so_many_bytes_up(*, proxy: Proxy, echo: Echo, reset: bool) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"before") == b"before"
        cut = proxy.cut_after(100_000, "up", reset=reset)
        assert ask(connection, b"within") == b"within"
        assert not cut.is_set()
        try:
            connection.sendall(bytes(1_000_000))
            while connection.recv(1 << 16):
                continue
        except ConnectionError:
            assert reset
        assert cut.wait(10)
    assert proxy.forwarded["up"] == len("before") + 100_000
    assert_soon(lambda: len(echo.ends) == 1)
    with connect(proxy) as connection:
        assert ask(connection, b"after") == b"after"


def test_cut_after_by_fin_delivers_exactly_so_many_bytes_down(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        cut = proxy.cut_after(7, "down", reset=False)
        connection.sendall(b"0123456789")
        assert receive(connection, 10) == b"0123456"
        assert cut.is_set()


def test_refused_connections_are_refused_and_old_ones_go_on(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"a") == b"a"
        address = proxy.address
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        assert ask(connection, b"b") == b"b"
        proxy.accept()
        assert proxy.address == address
        with connect(proxy) as another:
            assert ask(another, b"c") == b"c"


def test_nobody_behind_it_is_a_reset(proxy: Proxy, echo: Echo) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy.target = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ConnectionResetError), connect(proxy) as connection:
            connection.recv(1)
    assert_soon(lambda: proxy.open_connections == 0)


def test_a_delay_holds_bytes_back_and_keeps_their_order(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"a") == b"a"
        proxy.delay(0.1)
        begun = time.monotonic()
        for number in range(50):
            connection.sendall(b"%2d" % number)
        assert receive(connection, 100) == b"".join(b"%2d" % number for number in range(50))
        assert time.monotonic() - begun >= 0.2
        proxy.delay(0)
        assert ask(connection, b"b") == b"b"


def test_a_throttle_holds_to_its_rate(proxy: Proxy) -> None:
    data = bytes(20_000)
    with connect(proxy) as connection:
        proxy.throttle(100_000, "up")
        begun = time.monotonic()
        assert ask(connection, data) == data
        assert time.monotonic() - begun >= 0.15
        proxy.throttle(None)
        assert ask(connection, bytes(1_000_000)[: 1 << 16]) == bytes(1 << 16)


def test_a_black_hole_swallows_old_connections_while_new_ones_work(proxy: Proxy) -> None:
    with connect(proxy) as old:
        assert ask(old, b"a") == b"a"
        assert proxy.blackhole() == 1
        old.sendall(b"into the hole")
        with connect(proxy) as new:
            assert ask(new, b"b") == b"b"
        old.settimeout(0.2)
        with pytest.raises(TimeoutError):
            old.recv(1)
        assert proxy.forwarded["up"] == 2
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            old.recv(1)


def test_a_black_hole_may_swallow_new_connections_too(proxy: Proxy) -> None:
    proxy.blackhole(new=True)
    with connect(proxy) as swallowed:
        swallowed.sendall(b"a")
        swallowed.settimeout(0.2)
        with pytest.raises(TimeoutError):
            swallowed.recv(1)
    proxy.restore()
    with connect(proxy) as connection:
        assert ask(connection, b"b") == b"b"


def test_it_follows_a_server_that_moves(proxy: Proxy) -> None:
    with connect(proxy) as old:
        assert ask(old, b"a") == b"a"
        moved = Echo(b"moved")
        try:
            proxy.target = moved.address
            with connect(proxy) as new:
                assert receive(new, 5) == b"moved"
                assert ask(old, b"b") == b"b"
        finally:
            proxy.cut()
            moved.close()


async def test_async_tests_may_use_it_too(proxy: Proxy) -> None:
    host, _, port = proxy.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"a")
    assert await reader.readexactly(1) == b"a"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


def test_closing_is_harmless_when_repeated_or_never_started(echo: Echo) -> None:
    Proxy(echo.address).close()
    with Proxy(echo.address) as proxy, connect(proxy) as connection:
        assert ask(connection, b"a") == b"a"
        proxy.close()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_closed_at_any_moment_it_leaves_no_socket_open(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda raised: left.append(raised.exc_value))
    random = Random(2026)

    def come_and_go(proxy: Proxy) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                with connect(proxy) as client:
                    client.sendall(b"a")
                    if random.random() < 0.5:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    for _ in range(50):
        proxy = Proxy(echo.address)
        proxy.start()
        client = threading.Thread(target=come_and_go, args=(proxy,))
        client.start()
        time.sleep(random.uniform(0, 0.004))
        if random.random() < 0.5:
            proxy.cut(reset=random.random() < 0.5)
        proxy.close()
        client.join()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        gc.collect()
    assert left == []
