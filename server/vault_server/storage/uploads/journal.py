"""One resumable write's folder: its spec, its bytes, and a journal of their blocks' checksums.

    .staging/writes/<request>/spec      JSON: what was begun, by whom, and the seconds for which to keep it
                              bytes     what was staged
                              blocks    the XXH3-64 of each block in `bytes`, 8 bytes each, little-endian

<request> is the request id in hex, and `.<principal>` behind it where one was named.

A block's checksum is appended after its bytes, and nothing is fsynced before the commit: the bytes are
read again when the write is resumed, and the first block that does not match its checksum ends what is
persisted. So a killed process loses nothing that was reported, and a power loss costs the tail. Who has
the write holds an flock on the folder.
"""

import contextlib
import fcntl
import io
import json
import os
import shutil
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import xxhash
from vault._runtime.sync_async import Affinity
from vault.store.limits import BLOCK_SIZE
from vault.store.values import checksum

from vault_server.storage.decision.refusals import other_write
from vault_server.storage.decision.rows import pack_checksums, unpack_checksums
from vault_server.storage.files.access import Access
from vault_server.storage.files.directory import StoreDirectory
from vault_server.storage.files.staged_file import StagedFile, remove_folder, remove_staged, staged_at
from vault_server.storage.os_errors import no_room

_SPEC: Final = "spec"
_BYTES: Final = "bytes"
_BLOCKS: Final = "blocks"
_SUM: Final = 8  # bytes of a checksum

_LOCK_TRIES: Final = 10
_LOCK_WAIT: Final = 0.02  # seconds between them; an expiry that looks has a lock for less


class FolderLock:
    """The flock on a write's folder, while somebody has it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._affinity = Affinity("the lock")

    @classmethod
    def take(cls, folder: Path, *, make: Access | None = None, tries: int = _LOCK_TRIES) -> Self | None:
        """Locks the folder; None when it is not there, and is not to be made.

        Args:
            make: How, and those above it within the store's directory.

        Raises:
            BlockingIOError: Somebody else has it.
        """
        while True:
            if make:
                _make(folder, make)
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                if make:
                    continue  # removed right now
                return None
            try:
                _lock(descriptor, tries)
                if _is_at(descriptor, folder):
                    return cls(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # removed, and perhaps made anew, before it was locked

    def release(self) -> None:
        """Harmless when repeated. In a forked child the lock stays the parent's, when that lives."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            if not self._affinity.is_inherited:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that has a copy of it must not hold it
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder says of its write, unverified.

    Attributes:
        unit: Empty where that cannot be read any more.
        window: Seconds that whoever staged it keeps it; None where that cannot be read any more.
        size: Bytes with a checksum.
        touched: When the last of them came, by the clock of the file system.
        held: Bytes on the disk.
    """

    unit: str
    window: float | None
    size: int
    touched: float
    held: int


def find(folder: Path) -> Found | None:
    """What lies in the folder; None when it is not there."""
    try:
        touched = folder.stat().st_mtime
        held = blocks = 0
        with contextlib.suppress(FileNotFoundError):
            status = (folder / _BYTES).stat()
            touched, held = status.st_mtime, status.st_size
            blocks = (folder / _BLOCKS).stat().st_size // _SUM
    except (FileNotFoundError, NotADirectoryError):
        return None
    spec, window = _read_spec(folder) or ({}, None)
    return Found(str(spec.get("unit", "")), window, min(held, blocks * BLOCK_SIZE), touched, held)


def touch(folder: Path) -> None:
    """Sets the time of its last byte to now."""
    with contextlib.suppress(OSError):
        os.utime(folder / _BYTES if (folder / _BYTES).exists() else folder)


def remove(folder: Path) -> None:
    """Removes it with everything in it. By who has locked it."""
    remove_folder(folder)


class JournaledFile(StagedFile):
    """The bytes of a resumable write, on their way. Used by one thread at a time.

    Attributes:
        checksums: Of the blocks in it.
        whole: The hash of them all.
        size: Bytes in it.
    """

    def __init__(
        self,
        folder: Path,
        lock: FolderLock,
        file: io.FileIO,
        blocks: io.FileIO,
        access: Access,
        make_room: Callable[[], bool],
    ) -> None:
        name = folder / _BYTES
        path = name.readlink() if name.is_symlink() else name
        super().__init__(name, path, file, self._make_name, access, make_room)
        self.checksums = array("Q")
        self.whole = xxhash.xxh3_64()
        self.size = 0
        self._folder = folder
        self._lock = lock
        self._blocks = blocks
        self._noted = 0

    @classmethod
    def begin(
        cls,
        folder: Path,
        lock: FolderLock,
        spec: dict[str, Any],
        window: float,
        home: Path | None,
        access: Access,
        make_room: Callable[[], bool],
    ) -> Self:
        """A new empty one, in the place of what is there; the lock is its own from here on.

        Args:
            home: See `staged_at`.
        """
        for name in (_BYTES, _BLOCKS, _SPEC):
            with contextlib.suppress(FileNotFoundError):
                remove_staged(folder / name)  # not truncated: a commit may have given the file a second name
        with os.fdopen(access.create(folder / _SPEC, os.O_WRONLY), "w") as text:
            text.write(json.dumps({"write": spec, "window": window}))
        with contextlib.ExitStack() as opened:
            path = staged_at(folder / _BYTES, home, access)
            file = opened.enter_context(io.FileIO(access.create(path, os.O_RDWR), "rb+"))
            blocks = io.FileIO(access.create(folder / _BLOCKS, os.O_RDWR), "rb+")
            opened.pop_all()
        return cls(folder, lock, file, blocks, access, make_room)

    @classmethod
    def resume(
        cls,
        folder: Path,
        lock: FolderLock,
        spec: dict[str, Any],
        access: Access,
        make_room: Callable[[], bool],
        between_blocks: Callable[[], None],
    ) -> Self | None:
        """What is there, as far as it is sound, open at its end; None when nothing is.

        Args:
            between_blocks: Called between blocks; what it raises ends the reading.

        Raises:
            InvalidArgumentError: BAD_REQUEST_ID, it was begun with another spec.
        """
        begun = _read_spec(folder)
        if begun is None:
            return None
        if begun[0] != spec:
            raise other_write(str(spec["unit"]))
        with contextlib.ExitStack() as opened:
            try:
                _own(folder / _BYTES, access)
                file = opened.enter_context(io.FileIO(folder / _BYTES, "rb+"))
                blocks = io.FileIO(folder / _BLOCKS, "rb+")
            except FileNotFoundError:  # killed right after it was begun, or while it was removed
                return None
            opened.pop_all()
        found = cls(folder, lock, file, blocks, access, make_room)
        try:
            found._verify(between_blocks)
        except BaseException:
            found._close()
            raise
        return found

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self.size += memoryview(data).nbytes

    def note(self, checksums: "array[int]") -> None:
        """Journals the checksums of the blocks that were written; `checksums` are those of all blocks."""
        raw = pack_checksums(checksums[self._noted :])
        while raw:
            try:
                raw = raw[self._blocks.write(raw) :]
            except OSError as error:
                if not (no_room(error) and self._make_room()):
                    raise
        self._noted = len(checksums)

    def finish(self, *, durable: bool) -> None:
        self._blocks.close()
        super().finish(durable=durable)

    def rename(self, directory: StoreDirectory, file: str) -> None:
        """Gives the file its final name as a second one: until the commit is over, the write can be resumed."""
        try:
            os.link(self.path, file, dst_dir_fd=directory.descriptor)
        except FileNotFoundError:
            raise
        except OSError:  # the file system has no links
            super().rename(directory, file)

    def release(self) -> None:
        """Lets go of it, and leaves it to be resumed."""
        self._close()
        if not self._affinity.is_inherited:
            if self.size:
                touch(self._folder)
            else:
                remove(self._folder)
        self._lock.release()

    def abandon(self) -> None:
        """In a forked child: closes its copies, so that they keep nothing open and locked."""
        self._close()
        self._lock.release()

    def discard(self) -> None:
        self._close()
        if not self._affinity.is_inherited:
            remove(self._folder)
            if self._exists and self._home is not None:  # somebody may have removed the link that leads to it
                self.path.unlink(missing_ok=True)
        self._lock.release()

    def _make_name(self) -> Path:
        """The name of its bytes, in its folder, which is made anew where somebody removed it."""
        _make(self._folder, self._access)
        self._name.unlink(missing_ok=True)
        return self._name

    def _close(self) -> None:
        self._blocks.close()
        self._file.close()

    def _verify(self, between_blocks: Callable[[], None]) -> None:
        """Reads what is there, and cuts off what is not sound."""
        buffer = memoryview(bytearray(BLOCK_SIZE))
        journal = self._blocks.readall()
        for wanted in unpack_checksums(journal[: len(journal) // _SUM * _SUM]):  # the last one may be torn
            between_blocks()
            block = buffer[: _fill(self._file, buffer)]
            if not block or checksum(block) != wanted:
                break
            self.checksums.append(wanted)
            self.whole.update(block)
            self.size += len(block)
            if len(block) < BLOCK_SIZE:
                break
        self._noted = len(self.checksums)
        for file, size in ((self._file, self.size), (self._blocks, self._noted * _SUM)):
            file.truncate(size)
            file.seek(size)


def _lock(descriptor: int, tries: int) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tries -= 1
            if tries <= 0:
                raise
        else:
            return
        time.sleep(_LOCK_WAIT)


def _is_at(descriptor: int, folder: Path) -> bool:
    """Whether the folder is still the one that was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False


def _read_spec(folder: Path) -> tuple[dict[str, Any], float] | None:
    try:
        told = json.loads((folder / _SPEC).read_bytes())
        return dict(told["write"]), float(told["window"])
    except (OSError, ValueError, TypeError, KeyError):  # not there, or torn by a power loss
        return None


def _make(folder: Path, access: Access) -> None:
    """Makes a write's folder, where it is not there, in those that it lies in."""
    for each in (folder.parent.parent, folder.parent, folder):
        access.make_folder(each, exist_ok=True)


def _own(path: Path, access: Access) -> None:
    """Makes the file nobody else's: a commit that was cut off may have given it its final name already, and the
    bytes of an object must never change."""
    if path.stat().st_nlink > 1:
        path = path.readlink() if path.is_symlink() else path
        copy = path.with_name(f"{_BYTES}.copy")
        copy.unlink(missing_ok=True)
        with path.open("rb") as original, os.fdopen(access.create(copy, os.O_WRONLY), "wb") as copied:
            shutil.copyfileobj(original, copied, 1 << 20)
        copy.replace(path)


def _fill(file: io.FileIO, buffer: memoryview) -> int:
    """Reads until the buffer is full or the file ends; how much that was."""
    filled = 0
    while filled < len(buffer) and (count := file.readinto(buffer[filled:])):
        filled += count
    return filled
