"""Wakes whoever waits for commits, of this process or another, sooner than polling does.

Every write transaction of every process ends with the closing of the lock's file (`Connections.write`), and
inotify(7) reports that a file which was open for writing was closed (IN_CLOSE_WRITE). Where that
cannot be had (another system, no descriptors left), there is no signal, and `POLL_SECONDS` holds.
"""

import ctypes
import os
import select
import threading
from collections.abc import Callable
from typing import Final

from vault._runtime.sync_async import Background
from vault.errors import VaultError

from vault_server.storage.files.directory import TURN, StoreDirectory

_CLOSED_AFTER_WRITING: Final = 0x8  # IN_CLOSE_WRITE
_EVENTS_AT_A_TIME: Final = 4096  # bytes; some 200, and the same event twice in a row comes once


class CommitSignal:
    """Calls `wake` from a thread of its own, which `start` begins and `close` ends."""

    def __init__(self, directory: StoreDirectory, wake: Callable[[], None]) -> None:
        self._directory = directory
        self._wake = wake
        self._mutex = threading.Lock()
        self._descriptors: tuple[int, ...] = ()
        self._stop = -1
        self._background = Background(self._run, "vault-signal")
        self.started = False

    def start(self) -> None:
        """Signals from now on, if it can. Harmless when repeated, or after `close`."""
        with self._mutex:
            if self.started:
                return
            self.started = True
            try:
                self._open()
                self._background.start()
            except (OSError, AttributeError, VaultError):  # nothing left of what it takes; no such call
                self._close_descriptors()

    def close(self) -> None:
        """Ends it. Harmless when repeated."""
        with self._mutex:
            self.started = True
            if not self._background.is_alive():
                self._close_descriptors()
            elif self._descriptors:
                os.write(self._stop, b"x")
        self._background.stop()

    def abandon(self) -> None:
        """Gives back what a forked child has of its parent's."""
        self._close_descriptors()

    def _open(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        listening = libc.inotify_init1(os.O_CLOEXEC)
        if listening < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._descriptors = (listening,)
        os.close(self._directory.open(TURN, os.O_RDWR))
        path = os.fsencode(self._directory.root / TURN)
        if libc.inotify_add_watch(listening, path, _CLOSED_AFTER_WRITING) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")
        stopped, self._stop = os.pipe()
        self._descriptors = (listening, stopped, self._stop)

    def _close_descriptors(self) -> None:
        descriptors, self._descriptors = self._descriptors, ()
        for descriptor in descriptors:
            os.close(descriptor)

    def _run(self) -> None:
        if not self._descriptors:  # its start was interrupted, and then it was closed
            return
        listening, stopped, _ = self._descriptors
        poll = select.poll()  # not select: descriptors may be above 1023
        poll.register(listening, select.POLLIN)
        poll.register(stopped, select.POLLIN)
        while stopped not in dict(poll.poll()):
            os.read(listening, _EVENTS_AT_A_TIME)
            self._wake()
        self._close_descriptors()
