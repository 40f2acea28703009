"""Files that are read again when they change: certificates, tokens, identities, allowed networks."""

import contextlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from vault._runtime.blocking import start_thread
from vault._runtime.lazy import LazyModule
from vault._runtime.sync_async import Event
from vault.errors import InvalidArgumentError, VaultError

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = LazyModule("asyncio")  # for those who have an event loop

T = TypeVar("T")

_Path: TypeAlias = str | os.PathLike[str]
_Version: TypeAlias = tuple[tuple[int, ...] | None, ...]

logger: Final = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.1
"""A change is read when it has lasted from one poll to the next."""

MAX_SIZE: Final = 64 << 20


class NotYetUsableError(Exception):
    """What a file's `parse` raises for a content that may become good without a change: it is tried again."""


class WatchedFile(Generic[T]):
    """What one file holds, or several that belong together; the last good content while they are broken or gone.

    Replace such a file by a rename, or the link to it. It is read when it has not changed from one poll to the next,
    for the sake of who writes in place: half a list is a list, too.

    Made, it has been read. From then on it is read by `check`, and by a FilePoller that has it. May be used from any
    thread.

    Args:
        paths: Of the files.
        parse: Makes the content of their bytes, one argument for each. What it raises says what is wrong, without
            secrets.
        check: Looks at each file's status first, for one that is not to be believed; what it raises is taken as that
            of `parse`.

    Raises:
        InvalidArgumentError: BAD_SETTING, a file cannot be read; or what `parse` raised.
    """

    def __init__(
        self,
        paths: _Path | Sequence[_Path],
        parse: Callable[..., T],
        *,
        check: Callable[[os.stat_result], None] | None = None,
    ) -> None:
        given = [os.fspath(each) for each in ((paths,) if isinstance(paths, str | os.PathLike) else paths)]
        self._paths = tuple(map(os.path.abspath, given))  # wherever the program goes later
        self._name = ", ".join(given)
        self._parse = parse
        self._check = check
        self._listeners: list[Callable[[T], object]] = []
        self._lock = threading.Lock()
        self._pending: list[T] = []  # read, and not told of yet
        self._trouble: tuple[_Version, str] | None = None  # what was logged
        self._seen = self._read = self._version()
        try:
            self._bytes = self._load()
            self._content = parse(*self._bytes)
        except Exception as error:  # noqa: BLE001  # raised anew
            reason = error.reason if isinstance(error, VaultError) else None
            why = f"{self._name}: {self._said(error)}"
            # Without its frames, whose variables hold what the files do.
            raise InvalidArgumentError(why, reason=reason or "BAD_SETTING") from error.with_traceback(None)

    @property
    def content(self) -> T:
        """The last good one."""
        return self._content

    @property
    def is_behind(self) -> bool:
        """Whether the files have changed since the content was read. Asks the system, which takes some microseconds."""
        with self._lock:
            return bool(self._pending) or self._version() != self._read

    def on_change(self, listener: Callable[[T], object]) -> None:
        """Has a function called with each new content: in the poller's event loop, or by who calls `check`."""
        self._listeners.append(listener)

    def check(self) -> bool:
        """Reads the files now if they have changed, and calls the listeners. Blocks. Returns whether there is something
        new."""
        self.look(settle=False)
        return self.deliver()

    def look(self, *, settle: bool = True) -> bool:
        """Reads the files if they have changed, and keeps it for `deliver`. Returns whether there is something new.

        Args:
            settle: Leave what may still be written for the next time.
        """
        with self._lock:
            before, self._seen = self._seen, self._version()
            if self._seen == self._read:
                return bool(self._pending)
            if settle and self._seen != before:
                return False
            try:
                found = self._load()
            except (OSError, VaultError) as error:
                self._read = ()  # tried again: it may pass without a change of the file
                self._report(error)
                return False
            if self._version() != self._seen:  # changed meanwhile
                return False
            self._read = self._seen
            try:
                content = None if found == self._bytes else self._parse(*found)
            except Exception as error:  # noqa: BLE001  # whatever is wrong with it, the last one stays
                if isinstance(error, NotYetUsableError):
                    self._read = ()
                self._report(error)
                return False
            if self._trouble is not None:
                self._trouble = None
                logger.info("file is good again: %s", self._name, extra={"file": self._name})
            if content is None:
                return False
            self._bytes = found
            self._pending.append(content)
            return True

    def deliver(self) -> bool:
        """Makes what was read the content, and calls the listeners. Returns whether there was something new."""
        with self._lock:
            new, self._pending = self._pending, []
            if new:
                self._content = new[-1]
        for content in new[-1:]:
            for listener in self._listeners:
                try:
                    listener(content)
                except Exception:
                    logger.exception("a file's listener failed", extra={"file": self._name})
        return bool(new)

    def renew(self) -> None:
        """In a forked child: a thread that is not here may have been reading."""
        self._lock = threading.Lock()

    def _version(self) -> _Version:
        found: list[tuple[int, ...] | None] = []
        for path in self._paths:
            try:
                status = os.stat(path)  # noqa: PTH116  # ten times a second
            except (OSError, ValueError):
                found.append(None)
            else:
                # With the time of the last chmod: the permission may have come back.
                times = status.st_mtime_ns, status.st_ctime_ns
                found.append((status.st_dev, status.st_ino, status.st_size, *times))
        return tuple(found)

    def _load(self) -> list[bytes]:
        return [_load(path, self._check) for path in self._paths]

    def _said(self, error: Exception) -> str:
        """What is wrong; of several files, with which."""
        of = getattr(error, "filename", None) if len(self._paths) > 1 else None
        return _told(error) if of is None else f"{_told(error)} ({of})"

    def _report(self, error: Exception) -> None:
        trouble = self._seen, self._said(error)
        if trouble != self._trouble:
            self._trouble = trouble
            found = {"file": self._name, "detail": trouble[1]}
            logger.error("file is not usable, the last good one stays: %(file)s: %(detail)s", found, extra=found)


class FilePoller:
    """Looks at files POLL_SECONDS after each other time, in a thread, and delivers what is new in an event loop. One
    for each event loop."""

    def __init__(self) -> None:
        self._files: list[WatchedFile[Any]] = []
        self._stopped = Event()
        self._started = False

    def add(self, file: WatchedFile[T]) -> WatchedFile[T]:
        """Looks at this one too, from `start` on. Returns it."""
        self._files.append(file)
        return file

    def start(self) -> None:
        """Begins, for the running event loop. Without files there is nothing to do.

        Raises:
            UnavailableError: OVERLOADED, the system has no thread left.
        """
        if self._files and not self._started:
            loop = asyncio.get_running_loop()
            start_thread(lambda: self._poll(loop), "vault-files")
            self._started = True

    def stop(self) -> None:
        """Ends, for ever. What is being read meanwhile is not delivered once the event loop is closed."""
        self._stopped.set()

    def _poll(self, loop: "asyncio.AbstractEventLoop") -> None:
        while not self._stopped.wait(POLL_SECONDS):
            for file in self._files:
                if file.look():
                    with contextlib.suppress(RuntimeError):  # closed
                        loop.call_soon_threadsafe(file.deliver)


def _load(path: str, check: Callable[[os.stat_result], None] | None) -> bytes:
    # Not blocking: it may be a FIFO by now.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("no regular file")
        if check is not None:
            check(status)
        content = file.read(MAX_SIZE + 1)
    if len(content) > MAX_SIZE:
        raise OSError(f"more than {MAX_SIZE >> 20} MiB")
    return content


def _told(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, NotYetUsableError):
        return str(error)
    return error.message if isinstance(error, VaultError) else f"{type(error).__name__}: {error}"
