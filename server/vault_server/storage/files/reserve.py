"""Room on the disk that is kept for making room: a delete has to be written down, also when nothing else fits.

On a full disk no commit fits, that of a delete neither, and no store opens, so nobody could ever free anything. So
a file beside the register holds a little, and goes when an opening, or a commit that frees something, finds no room.
It comes back when there is enough again.
"""

import contextlib
import logging
import os
from typing import Final

from vault.errors import StorageError

from vault_server.storage.files.directory import REGISTER, StoreDirectory

_log = logging.getLogger(__name__)

_NAME: Final = f"{REGISTER}-reserve"

RESERVE_BYTES: Final = 1 << 20
"""A transaction with 1000 deletes writes half of it to the write-ahead log."""

_ENOUGH: Final = 4
"""How many times its size must be free before it is taken again, so that it does not take the last of the room."""


class Reserve:
    """The file that keeps the room. For the one whose turn it is to write."""

    def __init__(self, directory: StoreDirectory) -> None:
        self._directory = directory
        self._held = False

    def hold(self) -> None:
        """Takes the room, when there is enough and it is not held. Never fails: without it work goes on too."""
        if self._held:
            return
        try:
            if self._directory.exists(_NAME):
                self._held = True
                return
            free = os.statvfs(self._directory.descriptor)
            if free.f_bavail * free.f_frsize < _ENOUGH * RESERVE_BYTES:
                return
            descriptor = self._directory.open(_NAME, os.O_WRONLY)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            except OSError:
                os.unlink(_NAME, dir_fd=self._directory.descriptor)
                raise
            finally:
                os.close(descriptor)
        except (OSError, StorageError) as error:
            _log.warning("could not keep room for deletes on a full disk: %s", error)
        self._held = True  # or not to be had: not tried again and again

    def release(self) -> bool:
        """Gives the room up; whether there was any."""
        self._held = False
        with contextlib.suppress(OSError):
            os.unlink(_NAME, dir_fd=self._directory.descriptor)
            return True
        return False
