"""Where a download goes on the local disk: a file that appears whole, or a pipe or device that is there. These block.

Errors are OSError, as Python says them: they are about the caller's own files, not about the store.
"""

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import re
import secrets
import select
import stat
import threading
from pathlib import Path
from typing import Final

from vault.disk import sync
from vault.localfile import LOOK_SECONDS, write_all
from vault.writeback import Writeback

_LINKS: Final = 40
"""Symbolic links that are followed for one path, as Linux does."""

_SLOTS: Final = 16
"""Downloads to one path at once whose parts a later one looks for."""

_TRIES: Final = 100

_DESCRIPTORS: Final = re.compile(r"/proc/(\d+)/(?:task/\d+/)?fd|/dev/fd")
_ACL: Final = "system.posix_acl_access"


def find_target(path: str, *, replace: bool = True) -> "PartFile | Sink":
    """What a download to this absolute path writes: a file that takes its place, or what cannot be replaced.

    Symbolic links are followed, also to where there is nothing yet.

    Args:
        replace: Whether a file that is there may be replaced.

    Raises:
        OSError: There is a directory; the links lead in a circle; nothing can be there, or it is not to be replaced.
    """
    if not path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    place = Path(path)
    for _ in range(_LINKS):
        folder = Path(os.path.realpath(place.parent))
        place = folder / place.name
        if _DESCRIPTORS.fullmatch(str(folder)):
            return Sink(path, place)
        try:
            link = place.readlink()
        except FileNotFoundError:
            if path.endswith("/"):
                raise _error(errno.ENOTDIR, path) from None
            return PartFile(path, place, replace=replace)
        except OSError as error:
            if error.errno != errno.EINVAL:  # which says that it is no link
                raise _error(error.errno, path) from error
            break
        if not replace:
            raise _error(errno.EEXIST, path)
        place = folder / link
    else:
        raise _error(errno.ELOOP, path)
    mode = place.lstat().st_mode
    if stat.S_ISDIR(mode):
        raise _error(errno.EISDIR, path)
    if path.endswith("/"):
        raise _error(errno.ENOTDIR, path)
    if not replace:
        raise _error(errno.EEXIST, path)
    return PartFile(path, place) if stat.S_ISREG(mode) else Sink(path, place)


class PartFile:
    """A file that takes its place in one step, when it is whole; until then it is beside it, under another name.

    The part is locked while its download lives, so that the next one to the same path finds and removes what a
    killed one left, and several at once have a part each. It is never open to more people than the file will be:
    a file that is replaced hands its mode, its access control list and, where that is permitted, its owner and group
    to the part before the first byte. Its set-user-ID and set-group-ID bits it does not: they were for other bytes.
    """

    def __init__(self, path: str, place: Path, *, replace: bool = True) -> None:
        """`path` is what errors name, `place` where the file will be: absolute, no link."""
        self._path = path
        self._place = place
        self._replace = replace
        self._file: io.FileIO | None = None
        self._writeback = Writeback()

    def open(self) -> None:
        """Makes the part.

        Raises:
            PermissionError: The file that is there may not be written, or its folder takes no new one.
        """
        try:
            there = self._place.exists()
            if there and not os.access(self._place, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            self._file = self._claim(0o600 if there else 0o666)
            _keep_rights(self._file.fileno(), self._place)
        except OSError as error:  # about the file that was asked for: of the other name nobody has heard
            raise _error(error.errno, self._path) from error

    def write(self, data: bytes | memoryview) -> None:
        assert self._file is not None  # noqa: S101  # `open` comes first
        write_all(self._file, data)
        self._writeback.reached(self._file.fileno(), self._file.tell())

    def finish(self) -> None:
        """Replaces the file of that name. Its bytes are on the disk before its name is, so that a crash of the
        machine leaves the old file or the new one, too.

        Raises:
            FileExistsError: There is one by now, and it is not to be replaced.
        """
        assert self._file is not None  # noqa: S101  # `open` comes first
        try:
            _keep_rights(self._file.fileno(), self._place)  # which may have changed meanwhile
            sync(self._file.fileno())
            if self._replace:
                self._part.replace(self._place)
            else:
                self._take_free_place()
        except OSError as error:
            raise _error(error.errno, self._path) from error
        self._file.close()  # and unlocked; not before it has its name
        self._file = None

    def give_up(self) -> None:
        """Nothing here waits for anybody."""

    def discard(self) -> None:
        """Leaves nothing behind. Harmless after `finish`, and when it was not opened."""
        if self._file is not None:
            with contextlib.suppress(FileNotFoundError):  # somebody tidied up
                self._part.unlink()
            self._file.close()
            self._file = None

    def _take_free_place(self) -> None:
        try:
            self._place.hardlink_to(self._part)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            self._place.touch(exist_ok=False)
            self._part.replace(self._place)
        else:
            self._part.unlink()

    def _claim(self, mode: int) -> io.FileIO:
        """A part that nobody else has, locked."""
        for number in range(_TRIES):
            self._part = self._named(number if number < _SLOTS else secrets.token_hex(8))
            _remove_dead(self._part)
            with contextlib.suppress(FileExistsError):
                file = io.FileIO(self._part, "x", opener=lambda path, flags: _create(path, flags, mode))
                if _lock(file.fileno(), self._part, unlockable=True):
                    return file
                file.close()  # taken for a dead one in the moment before it was locked
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def _named(self, suffix: int | str) -> Path:
        # Found again by its name, without a look at all of a large folder; and no name that anybody chooses.
        # Names have at most 255 bytes, of which one character may take four.
        text = hashlib.blake2b(f"{suffix}/".encode() + os.fsencode(self._place.name), digest_size=8).hexdigest()
        return self._place.with_name(f"{self._place.name[:50]}.vault-part-{text}")


class Sink:
    """What takes bytes as they come, and stays what it is: a pipe, a device, an open descriptor (`/dev/stdout`).

    Waits for a pipe's reader in steps, so that whoever gives up is not held.
    """

    def __init__(self, path: str, place: Path) -> None:
        self._path = path
        self._place = place
        self._file: io.FileIO | None = None
        self._over = threading.Event()

    def open(self) -> None:
        """Opens it; of a named pipe, when it has a reader."""
        try:
            if _is_own_descriptor(self._place) and not _is_pipe(self._place):
                # The same open file, with its position: what a shell opened with >> is appended to.
                self._file = io.FileIO(os.dup(int(self._place.name)), "w")
            else:
                self._file = io.FileIO(self._place, "w", opener=self._opened)
        except OSError as error:
            raise _error(error.errno, self._path) from error

    def write(self, data: bytes | memoryview) -> None:
        assert self._file is not None  # noqa: S101  # `open` comes first
        left = memoryview(data)
        while left:
            taken = self._file.write(left)
            if taken is None:
                self._wait_for_room()
            else:
                left = left[taken:]

    def finish(self) -> None:
        """Closes it; what is stored on a disk is there by then."""
        assert self._file is not None  # noqa: S101  # `open` comes first
        kind = os.fstat(self._file.fileno()).st_mode
        if stat.S_ISREG(kind) or stat.S_ISBLK(kind):
            sync(self._file.fileno())
        self.discard()

    def give_up(self) -> None:
        """Ends what waits in another thread."""
        self._over.set()

    def discard(self) -> None:
        """Closes it. Harmless when repeated."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self, path: str, _flags: int) -> int:
        while True:
            try:
                return os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            except OSError as error:
                # A named pipe without a reader.
                if error.errno != errno.ENXIO or not _is_pipe(path) or self._over.wait(LOOK_SECONDS):
                    raise

    def _wait_for_room(self) -> None:
        assert self._file is not None  # noqa: S101  # `open` comes first
        poll = select.poll()
        poll.register(self._file, select.POLLOUT)
        while not poll.poll(LOOK_SECONDS * 1000):
            if self._over.is_set():
                raise _error(errno.ECANCELED, self._path)


def _error(number: int | None, path: str) -> OSError:
    return OSError(number, os.strerror(number or 0), path)


def _create(path: str, flags: int, mode: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, mode)


def _is_pipe(path: str | Path) -> bool:
    return Path(path).is_fifo()


def _is_own_descriptor(place: Path) -> bool:
    found = _DESCRIPTORS.fullmatch(str(place.parent))
    return found is not None and place.name.isdigit() and found[1] in (None, str(Path("/proc/self").readlink()))


def _lock(descriptor: int, part: Path, *, unlockable: bool) -> bool:
    """Locks a part; whether nobody else has it and it still has its name.

    Args:
        unlockable: The answer where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), part.lstat())
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        return unlockable


def _remove_dead(part: Path) -> None:
    """Removes the part of a download that was killed: one that is there and not locked."""
    with contextlib.suppress(OSError):
        descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode) and _lock(descriptor, part, unlockable=False):
                part.unlink()
        finally:
            os.close(descriptor)


def _keep_rights(descriptor: int, place: Path) -> None:
    """Gives a part the owner, group, access control list and mode of the file that it will replace, if there is one.

    Where the group cannot be kept, the group that it has instead may do what everybody may.
    """
    try:
        there = place.lstat()
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(there.st_mode) & 0o777
    now = os.fstat(descriptor)
    kept = (now.st_uid, now.st_gid) == (there.st_uid, there.st_gid)
    for owner in (there.st_uid, -1):
        if not kept:
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, owner, there.st_gid)
                kept = True
    if not kept:
        mode &= ~0o070 | (mode & 0o007) << 3
    # A file system without lists, or modes, keeps what it has; which is the owner's alone until then.
    with contextlib.suppress(OSError):
        if kept and _ACL in _attributes(place):
            os.setxattr(descriptor, _ACL, os.getxattr(place, _ACL))
        elif _ACL in _attributes(descriptor):  # the folder's default
            os.removexattr(descriptor, _ACL)
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, mode)


def _attributes(file: Path | int) -> list[str]:
    return os.listxattr(file) if hasattr(os, "listxattr") else []
