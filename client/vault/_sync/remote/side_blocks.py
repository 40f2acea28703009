# Generated from _async/remote/side_blocks.py by scripts/unasync: DO NOT CHANGE.
"""SideBlocks: blocks of a write that go to its server by further connections."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from vault._sync.remote.channel import Channel, Receiver
from vault.errors import VaultError
from vault.v1 import vault_pb2 as pb

KEPT: Final = 3
"""Blocks of each connection that are kept until they are persisted."""

_PATIENCE: Final = 2.0  # seconds to wait for what is not needed
_MOMENT: Final = 0.01


class SideBlocks:
    """The blocks take turns among the write's own stream and those connections that reach the process which it is in.

    What fails here is not sent here again: the server misses a block, and ends the write's stream.
    """

    def __init__(
        self, channel: Channel, unit: str, request_id: bytes, seen: Callable[[int], None], count: int
    ) -> None:
        """Asks by each of so many further connections whether the write is there, and waits for nothing."""
        self._about = pb.WriteBlockRequest(unit=unit, request_id=request_id)
        self._channel = channel
        self._seen = seen
        self._asked: list[tuple[int, Receiver]] = []
        self._places: list[tuple[int, bytes]] = []  # and what is said there of a block beside it
        self._turn = 0
        self._patience = _PATIENCE
        self._sent: deque[tuple[int, Receiver]] = deque()  # and where their blocks end
        channel.spread.add(self)
        for place in range(1, 1 + count):
            self._asked.append((place, self._begin(self._about, place)))

    def open(self) -> bool:
        """Waits for the answers. Returns whether there is a connection to send by; if not, none is tried for a
        while."""
        until = time.monotonic() + _PATIENCE
        for place, call in self._asked:
            if (stream := self._finish(call, max(until - time.monotonic(), _MOMENT))) is not None:
                self._about.stream = stream
                self._places.append((place, self._about.SerializeToString()))
        self._asked = []
        if not self._places:
            self._channel.distance.refused()
        return self.is_open

    @property
    def is_open(self) -> bool:
        return bool(self._places)

    @property
    def connections(self) -> int:
        """Over how many the blocks go, the stream's own included."""
        return 1 + len(self._places)

    def next_turn(self) -> bytes:
        """What is to follow the next block, encoded, when it goes by a further connection; empty: it goes by the
        stream."""
        self._turn = (self._turn + 1) % self.connections
        return self._places[self._turn - 1][1] if self._turn else b""

    def send(self, message: bytes, end: int) -> None:
        """Sends the block whose turn it is, and which ends there."""
        self._sent.append((end, self._begin(message, self._places[self._turn - 1][0])))

    def forget(self, persisted: int) -> None:
        """Ends the calls whose blocks are persisted."""
        while self._sent and self._sent[0][0] <= persisted:
            _, call = self._sent.popleft()
            if self._finish(call, self._patience) is None:
                self._patience = _MOMENT  # the server misses what it does not answer, and will say so

    def cancel(self) -> None:
        """Ends all calls. Harmless when repeated, and in a forked child."""
        self._channel.spread.discard(self)
        ending = [call for _, call in (*self._asked, *self._sent)]
        self._asked = []
        self._sent.clear()
        for call in ending:
            call.cancel()

    def _finish(self, call: Receiver, seconds: float) -> int | None:
        """Waits for the end of a call. Returns the number that it was answered; None: it was not."""
        reply = None
        try:
            reply = call.receive(seconds)
            if reply is not None:
                self._seen(reply.revision)
                call.receive(seconds)
        except VaultError:
            call.cancel()
        return None if reply is None else int(reply.stream)

    def _begin(self, request: pb.WriteBlockRequest | bytes, place: int) -> Receiver:
        call = self._channel.begin("WriteBlock", request, place)
        return Receiver(self._channel, call, None, _PATIENCE)
