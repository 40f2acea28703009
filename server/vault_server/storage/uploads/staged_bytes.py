"""The file that the bytes of one write go to, made with the first of them; in the way that `generic` stages them."""

import contextlib
import sys
from array import array
from collections.abc import Callable

from vault._runtime.sync_async import Affinity
from vault.errors import StorageError

from vault_server.storage.files.staged_file import StagedFile
from vault_server.storage.os_errors import storing


class StagedBytes:
    """Used by one thread at a time. One that is dropped removes its file, or leaves it to be resumed.

    Attributes:
        file: None: it is not made yet, or not this one's any more.
    """

    def __init__(self, create: Callable[[], StagedFile], *, durable: bool) -> None:
        self.file: StagedFile | None = None
        self._made: StagedFile | None = None
        self._create = create
        self._durable = durable
        self._affinity = Affinity("the staged file")

    def append(self, data: bytes | memoryview, checksums: "array[int]") -> None:
        """Takes bytes, and notes the checksums of all blocks until now, where there is a journal."""
        if self.file is None:
            self.file = self._made = self._create()
        with storing("stage an upload"):
            self.file.write(data)
            if self._durable:
                self.file.hasten()
            self.file.note(checksums)

    def finish(self) -> StagedFile | None:
        """Ends writing. The file is whoever's from here on that commits it."""
        if self.file is not None:
            with storing("make an upload durable"):
                self.file.finish(durable=self._durable)
        file, self.file = self.file, None
        return file

    def discard(self) -> None:
        """Removes the file. Harmless when repeated."""
        file, self.file = self.file, None
        if file is not None:
            with storing("remove a staged upload"):
                file.discard()

    def release(self) -> None:
        """Lets go of the file, and leaves it to whoever goes on with the write, where that can be."""
        file, self.file = self.file, None
        if file is not None:
            file.release()

    def abandon(self) -> None:
        """In a forked child: the file is the parent's, also while that commits it."""
        file = self.file or self._made
        if file is not None:
            file.abandon()

    def __del__(self) -> None:
        # Nobody else has it. At the end of the interpreter the store's folder goes.
        if self.file is not None and not self._affinity.is_inherited and not sys.is_finalizing():
            with contextlib.suppress(StorageError), storing("remove a staged upload"):
                self.release()
