"""Where a download goes on the local disk: a file that appears whole, or a pipe or device that is there. These block.

Errors are OSError, as Python says them: they are about the caller's own files, not about the store.
"""

import contextlib
import errno
import fcntl
import io
import os
import re
import select
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vault._runtime.fsync import sync
from vault._runtime.lazy import LazyModule
from vault._runtime.local_file import LOOK_SECONDS, write_all
from vault._runtime.sync_async import Event
from vault._runtime.sync_file_range import Writeback

if TYPE_CHECKING:
    import hashlib
else:
    hashlib = LazyModule("hashlib")

_LINKS: Final = 40
"""Symbolic links that are followed for one path, as Linux does."""

_SLOTS: Final = 8
"""Downloads to one path at once whose parts a later one looks for."""

_EFFECTIVE: Final = os.access in os.supports_effective_ids

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
    place = path.rstrip("/") or path
    for _ in range(_LINKS):
        folder, name = os.path.split(place)
        folder = os.path.realpath(folder)
        place = os.path.join(folder, name)
        if _DESCRIPTORS.fullmatch(folder):
            return Sink(path, place)
        try:
            mode = os.lstat(place).st_mode
            if not stat.S_ISLNK(mode):
                break
            link = os.readlink(place)
        except FileNotFoundError:
            if path.endswith("/"):
                raise _error(errno.ENOTDIR, path) from None
            return PartFile(path, place, replace=replace)
        except OSError as error:
            raise _error(error.errno, path) from error
        if not replace:
            raise _error(errno.EEXIST, path)
        place = os.path.join(folder, link.rstrip("/") or link)
    else:
        raise _error(errno.ELOOP, path)
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

    def __init__(self, path: str, place: str, *, replace: bool = True) -> None:
        """`path` is what errors name, `place` where the file will be: absolute, no link."""
        self._path = path
        self._place = place
        self._replace = replace
        self._file: io.FileIO | None = None
        self._rights: tuple[int, ...] | None = None
        self._writeback = Writeback()

    def open(self) -> None:
        """Makes the part.

        Raises:
            PermissionError: The file that is there may not be written, or its folder takes no new one.
        """
        with _about(self._path):
            there = self._look()
            if there is not None and not os.access(self._place, os.W_OK, effective_ids=_EFFECTIVE):
                raise _refused(self._place)
            self._file = self._claim(0o666 if there is None else 0o600)
            self._keep_rights(there)

    def write(self, data: bytes | memoryview) -> None:
        assert self._file is not None  # noqa: S101  # `open` comes first
        with _about(self._path):
            write_all(self._file, data)
        self._writeback.reached(self._file.fileno(), self._file.tell())

    def finish(self) -> None:
        """Replaces the file of that name. Its bytes are on the disk before its name is, so that a crash of the
        machine leaves the old file or the new one, too.

        Raises:
            FileExistsError: There is one by now, and it is not to be replaced.
        """
        assert self._file is not None  # noqa: S101  # `open` comes first
        with _about(self._path):
            self._keep_rights(self._look())  # which may have changed meanwhile
            sync(self._file.fileno())
            if self._replace:
                os.replace(self._part, self._place)
            else:
                self._take_free_place()
        self._file.close()  # and unlocked; not before it has its name
        self._file = None

    def give_up(self) -> None:
        """Nothing here waits for anybody."""

    def discard(self) -> None:
        """Leaves nothing behind. Harmless after `finish`, and when it was not opened."""
        if self._file is not None:
            with contextlib.suppress(FileNotFoundError):  # somebody tidied up
                os.unlink(self._part)
            self._file.close()
            self._file = None

    def _look(self) -> os.stat_result | None:
        try:
            return os.lstat(self._place)
        except FileNotFoundError:
            return None

    def _keep_rights(self, there: os.stat_result | None) -> None:
        assert self._file is not None  # noqa: S101  # `open` comes first
        rights = None if there is None else (there.st_mode, there.st_uid, there.st_gid, there.st_ctime_ns)
        if there is not None and rights != self._rights:
            _hand_rights(self._file.fileno(), self._place, there)
        self._rights = rights

    def _take_free_place(self) -> None:
        try:
            os.link(self._part, self._place)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            Path(self._place).touch(exist_ok=False)
            os.replace(self._part, self._place)
        else:
            os.unlink(self._part)

    def _claim(self, mode: int) -> io.FileIO:
        """A part that nobody else has, locked; those of killed downloads are removed."""
        # Found again by its name, without a look at all of a large folder; and no name that anybody chooses.
        # Names have at most 255 bytes, of which one character may take four.
        folder, name = os.path.split(self._place)
        stem = os.path.join(folder, f"{name[:50]}.vault-part-")
        digest = hashlib.blake2b(os.fsencode(name), digest_size=8).hexdigest()[1:]
        parts = [f"{stem}{digest}{slot}" for slot in range(_SLOTS)]
        for part in parts:
            _remove_dead(part)
        for self._part in (*parts, *(stem + os.urandom(8).hex() for _ in range(_SLOTS))):
            with contextlib.suppress(FileExistsError):
                file = io.FileIO(self._part, "x", opener=lambda path, flags: _create(path, flags, mode))
                if _lock(file.fileno(), self._part, unlockable=True):
                    return file
                file.close()  # taken for a dead one in the moment before it was locked
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


class Sink:
    """What takes bytes as they come, and stays what it is: a pipe, a device, an open descriptor (`/dev/stdout`).

    Waits for a pipe's reader in steps, so that whoever gives up is not held.
    """

    def __init__(self, path: str, place: str) -> None:
        self._path = path
        self._place = place
        self._file: io.FileIO | None = None
        self._over = Event()

    def open(self) -> None:
        """Opens it; of a named pipe, when it has a reader."""
        with _about(self._path):
            own = _is_own_descriptor(self._place)
            if not own or _is_pipe(self._place):
                try:
                    self._file = io.FileIO(self._place, "w", opener=self._opened)
                except PermissionError:  # a pipe that another user made, as under sudo
                    if not own:
                        raise
            if self._file is None:
                # The same open file, with its position: what a shell opened with >> is appended to.
                self._file = io.FileIO(os.dup(int(os.path.basename(self._place))), "w")

    def write(self, data: bytes | memoryview) -> None:
        assert self._file is not None  # noqa: S101  # `open` comes first
        left = memoryview(data)
        with _about(self._path):
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


@contextlib.contextmanager
def _about(path: str) -> Iterator[None]:
    """Has errors name the file that was asked for: nobody knows the other one's name."""
    try:
        yield
    except OSError as error:
        raise _error(error.errno, path) from error


def _error(number: int | None, path: str) -> OSError:
    return OSError(number, os.strerror(number or 0), path)


def _refused(place: str) -> OSError:
    readonly = os.statvfs(place).f_flag & os.ST_RDONLY
    return _error(errno.EROFS if readonly else errno.EACCES, place)


def _create(path: str, flags: int, mode: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, mode)


def _is_pipe(path: str) -> bool:
    return stat.S_ISFIFO(os.stat(path).st_mode)


def _is_own_descriptor(place: str) -> bool:
    folder, name = os.path.split(place)
    found = _DESCRIPTORS.fullmatch(folder)
    return found is not None and name.isdigit() and found[1] in (None, os.readlink("/proc/self"))


def _lock(descriptor: int, part: str, *, unlockable: bool) -> bool:
    """Locks a part; whether nobody else has it and it still has its name.

    Args:
        unlockable: The answer where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), os.lstat(part))
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        return unlockable


def _remove_dead(part: str) -> None:
    """Removes the part of a download that was killed: one that is there and not locked."""
    with contextlib.suppress(OSError):
        descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode) and _lock(descriptor, part, unlockable=False):
                os.unlink(part)
        finally:
            os.close(descriptor)


def _hand_rights(descriptor: int, place: str, there: os.stat_result) -> None:
    """Gives a part the owner, group, access control list and mode of the file that it will replace.

    Where the group cannot be kept, the group that it has instead may do what everybody may.
    """
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


def _attributes(file: str | int) -> list[str]:
    return os.listxattr(file) if hasattr(os, "listxattr") else []
