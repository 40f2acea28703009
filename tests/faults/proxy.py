"""A TCP proxy on loopback between client and server, that does to connections what networks do."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, TypeVar

from tests.faults.ports import bound

Direction = Literal["up", "down"]
"""up: from the client to the server; down: back."""

_CHUNK: Final = 64 << 10  # bytes at most that are read at a time
_QUEUED: Final = 64  # chunks on their way while a delay holds them
_STEPS: Final = 20  # pieces in which a second's throttled bytes go
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: to close is to send RST

ResultT = TypeVar("ResultT")


class Proxy:
    """Forwards connections to `target`, until told otherwise. Methods may be called from any thread.

    It runs in a thread with an event loop of its own, so an async test calls it as a sync one does: calls take
    microseconds. What a method changes holds when it returns.

        with Proxy(server.address) as proxy, RemoteVault(proxy.address, STRUCTURE) as vault:
            cut = proxy.cut_after(3_000_000, "up")
            vault.upload_file("files", path)
            assert cut.is_set()

    Attributes:
        target: host:port of the server. When that moves, set it again, for connections from then on.
        source: The address that connections to it come from; None: the system's choice.
        connections: How many were ever made.
    """

    def __init__(self, target: str, *, source: str | None = None) -> None:
        self.target = target
        self.source = source
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._place = bound()  # the port stays ours when we refuse
        self._port: int = self._place.getsockname()[1]
        self._listener: socket.socket | None = None
        self._open: set[_Connection] = set()
        self._weather = _Weather(self._cut)
        self._swallowing = False

    @property
    def address(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self._port}"

    @property
    def forwarded(self) -> Mapping[Direction, int]:
        """Bytes so far in each direction, of all connections."""
        return self._weather.forwarded

    @property
    def open_connections(self) -> int:
        """How many are open now, black holes too."""
        return len(self._open)

    def start(self) -> None:
        self._thread.start()
        self.accept()

    def close(self) -> None:
        """Resets what is open, and ends. Harmless when repeated."""
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            self.refuse()
            self.cut()
            self._call(self._finish)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()
        self._place.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def refuse(self) -> None:
        """New connections are refused, as where nobody listens. Those that are open go on."""

        async def stop_listening() -> None:
            if self._listener is not None:
                _close(self._listener)
                self._listener = None

        self._call(stop_listening)

    def accept(self) -> None:
        """New connections are taken, and forwarded."""
        self._call(self._listen)

    def cut(self, *, reset: bool = True) -> int:
        """Ends every open connection; returns how many there were. New ones are taken.

        Args:
            reset: By RST, which also drops what the other side had not read yet. Otherwise by FIN.
        """

        async def cut() -> int:
            return self._cut(reset=reset)

        return self._call(cut)

    def cut_after(self, size: int, direction: Direction, *, reset: bool = True) -> threading.Event:
        """Ends every open connection once `size` more bytes went in that direction.

        Args:
            reset: See `cut`.

        Returns:
            Set when it has happened. Another call for the same direction takes the place of this one.
        """
        due = _Cut(size, reset=reset)

        async def note() -> None:
            self._weather.cuts[direction] = due

        self._call(note)
        return due.happened

    def delay(self, seconds: float) -> None:
        """What is read from now on is passed on that much later, in order. 0: at once."""

        async def note() -> None:
            self._weather.delay = seconds

        self._call(note)

    def throttle(self, rate: float | None, direction: Direction | None = None) -> None:
        """At most `rate` bytes a second, all connections together. None: any number.

        Args:
            direction: Only there; None: in each.
        """

        async def note() -> None:
            for each in ("up", "down") if direction is None else (direction,):
                self._weather.rates[each] = rate

        self._call(note)

    def blackhole(self, *, new: bool = False) -> int:
        """Open connections forward nothing any more and stay open, as when a router forgot them; returns how many.

        Args:
            new: So do those that are made later, until `restore`. Otherwise later ones work.
        """

        async def swallow() -> int:
            self._swallowing = new
            for connection in self._open:
                connection.freeze()
            return len(self._open)

        return self._call(swallow)

    def restore(self) -> None:
        """New connections work: not refused, delayed, throttled, swallowed or to be cut. Old black holes stay."""

        async def clear() -> None:
            self._weather.clear()
            self._swallowing = False
            await self._listen()

        self._call(clear)

    def _call(self, function: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
        """The function's result, of the loop's thread."""
        return asyncio.run_coroutine_threadsafe(function(), self._loop).result()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = bound(self._port)
            self._listener.listen(512)
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._take, self._listener)

    def _take(self, listener: socket.socket) -> None:
        """Accepts what waits. No task does, which could be cancelled with a connection that nobody would close."""
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                client, _ = listener.accept()
                self.connections += 1
                connection = _Connection(client, self._weather, self._open)
                if not self._swallowing:
                    connection.begin(self.target, self.source)

    def _cut(self, *, reset: bool) -> int:
        cut = list(self._open)
        for connection in cut:
            connection.end(reset=reset)
        return len(cut)

    async def _finish(self) -> None:
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


@dataclass(slots=True)
class _Cut:
    """A cut to come."""

    left: int
    reset: bool
    happened: threading.Event = field(default_factory=threading.Event)


class _Weather:
    """What happens to bytes on their way, on all connections together."""

    def __init__(self, cut: Callable[..., int]) -> None:
        self._cut = cut
        self.forwarded: dict[Direction, int] = {"up": 0, "down": 0}
        self._free_at: dict[Direction, float] = {"up": 0.0, "down": 0.0}
        self.clear()

    def clear(self) -> None:
        self.delay = 0.0
        self.rates: dict[Direction, float | None] = {"up": None, "down": None}
        self.cuts: dict[Direction, _Cut | None] = {"up": None, "down": None}

    async def send(self, direction: Direction, data: bytes, sink: socket.socket) -> None:
        """Passes the data on when it may go."""
        while data:
            piece = data[: await self._clearance(direction)]
            data = data[len(piece) :]
            cut = self.cuts[direction]
            if cut is not None:
                piece = piece[: cut.left]
                cut.left -= len(piece)
            self._charge(direction, len(piece))
            await asyncio.get_running_loop().sock_sendall(sink, piece)
            if cut is not None and not cut.left and not cut.happened.is_set():
                self.cuts[direction] = None
                self._cut(reset=cut.reset)
                cut.happened.set()
                await asyncio.sleep(0)  # this task was cancelled with its connection

    async def _clearance(self, direction: Direction) -> int:
        """How many bytes may go now; waits until some may."""
        loop = asyncio.get_running_loop()
        while (rate := self.rates[direction]) is not None:
            if (wait := self._free_at[direction] - loop.time()) <= 0:
                break
            await asyncio.sleep(min(wait, 0.1))  # the rate may be another by then
        return _CHUNK if rate is None else max(1, int(rate / _STEPS))

    def _charge(self, direction: Direction, size: int) -> None:
        self.forwarded[direction] += size
        if (rate := self.rates[direction]) is not None:
            now = asyncio.get_running_loop().time()
            self._free_at[direction] = max(now, self._free_at[direction]) + size / rate


class _Connection:
    """A client's connection, and the one to the server that goes with it."""

    def __init__(self, client: socket.socket, weather: _Weather, others: set["_Connection"]) -> None:
        self._weather = weather
        self._others = others
        self._sockets: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._add(client)
        others.add(self)

    def begin(self, target: str, source: str | None) -> None:
        """Connects and forwards."""
        self._spawn(self._run(target, (source, 0) if source else None))

    def freeze(self) -> None:
        """Nothing is forwarded from now on."""
        for task in self._tasks:
            task.cancel()

    def end(self, *, reset: bool) -> None:
        """Both sides are told that it is over. Harmless when repeated."""
        self.freeze()
        self._others.discard(self)
        while self._sockets:
            side = self._sockets.pop()
            if reset:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                _close(side)
            else:
                task = asyncio.get_running_loop().create_task(_end_gently(side))
                _gentle[task] = side
                task.add_done_callback(_forget)

    def _add(self, side: socket.socket) -> None:
        side.setblocking(False)
        side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets.append(side)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self._tasks.append(asyncio.get_running_loop().create_task(coroutine))
        return self._tasks[-1]

    async def _run(self, target: str, source: tuple[str, int] | None) -> None:
        host, _, port = target.rpartition(":")
        (client,) = self._sockets
        server = socket.socket()
        self._add(server)
        try:
            if source is not None:
                server.bind(source)
            await asyncio.get_running_loop().sock_connect(server, (host, int(port)))
            await asyncio.gather(*self._forward("up", client, server), *self._forward("down", server, client))
        except OSError:
            self.end(reset=True)
        else:
            self.end(reset=False)

    def _forward(
        self, direction: Direction, source: socket.socket, sink: socket.socket
    ) -> tuple[asyncio.Task[None], asyncio.Task[None]]:
        """Begins to, until the source ends, which the sink is told."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED)

        async def read() -> None:
            data = b"begun"
            while data:
                data = await loop.sock_recv(source, _CHUNK)
                await queue.put((loop.time() + self._weather.delay, data))

        async def write() -> None:
            data = b"begun"
            while data:
                due, data = await queue.get()
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                await self._weather.send(direction, data, sink)
            sink.shutdown(socket.SHUT_WR)

        return self._spawn(read()), self._spawn(write())


_gentle: dict[asyncio.Task[None], socket.socket] = {}  # the loop itself keeps only weak references


async def _end_gently(side: socket.socket) -> None:
    """FIN; what still comes is read and dropped, since to close on unread bytes would be RST."""
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_WR)
        while await asyncio.get_running_loop().sock_recv(side, _CHUNK):
            continue


def _forget(task: asyncio.Task[None]) -> None:
    """Closes what a task ended gently, also one that was cancelled before it began."""
    _close(_gentle.pop(task))


def _close(side: socket.socket) -> None:
    """Closes it now, and the loop forgets it."""
    loop = asyncio.get_running_loop()
    loop.remove_reader(side)
    loop.remove_writer(side)
    side.close()
