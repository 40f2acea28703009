"""The embedded Store: a directory on a local disk."""

import os
import weakref
from pathlib import Path
from typing import ClassVar

from vault.errors import InvalidArgumentError
from vault.store.location import parse_location
from vault.store.progress import ProgressCallback

from vault_server.storage.clock import StoreClock
from vault_server.storage.decision.writes import ContentWrite
from vault_server.storage.engine.engine import Engine, follow_forks
from vault_server.storage.engine.file_writer import FileWriter
from vault_server.storage.files.directory import StoreDirectory
from vault_server.storage.generic._sync.writer import StagingStore
from vault_server.storage.maintenance import CheckReport, ScrubStatus
from vault_server.storage.maintenance.audit import audit
from vault_server.storage.maintenance.repair import repair as mend
from vault_server.storage.maintenance.scrub import PASS_INTERVAL, SCRUB_RATE, Scrubber, scrub_status
from vault_server.storage.options import DEFAULT_OPTIONS, StoreOptions
from vault_server.storage.os_errors import storing


class EmbeddedStore(StagingStore):
    """Objects in a directory: a SQLite register, files for the large ones, and the feed of their changes.

    Thread-safe. Several processes may open one directory at the same time, and a store made before a
    fork works in the child; writes, readers and watches begun before it stay the parent's. The
    directory must be on a local file system: SQLite's WAL does not work over a network, whose file systems are
    refused (on Linux; one in user space is warned of).

    A directory that pyvault wrote is adopted when it is first opened, which reads every file once.

    Args:
        directory: Made, with its parents, if it is not there.
        options: What it promises, accepts and keeps.

    Raises:
        InvalidArgumentError: BAD_LOCATION, the directory is a file; BAD_SETTING, the options are none.
        StorageError: NETWORK_FILESYSTEM; or the directory cannot be made, read or written, or its register is
            damaged, a later version's, or somebody else's database.

    Attributes:
        engine: The store's parts, for the modules of this package.
    """

    local_feed: ClassVar[bool] = True

    engine: Engine

    def __init__(
        self,
        directory: str | os.PathLike[str],
        options: StoreOptions = DEFAULT_OPTIONS,
    ) -> None:
        if not isinstance(options, StoreOptions):
            raise InvalidArgumentError(
                f"a directory takes StoreOptions, not {type(options).__name__}", reason="BAD_SETTING"
            )
        root = Path(_location(directory)).absolute()  # the process may change its directory later
        engine = Engine(StoreDirectory(root), options)
        try:
            with storing(f"open the store {str(root)!r}"):
                engine.prepare()
        except BaseException:
            engine.close()
            raise
        super().__init__(options)
        self._take(engine)
        follow_forks(self)

    @property
    def directory(self) -> Path:
        """Where the objects are."""
        return self.engine.directory.root

    @property
    def clock(self) -> StoreClock:
        return self.engine.clock

    @property
    def revision(self) -> int:
        self.engine.require_open()
        return self.engine.feed.refresh()

    def require_open(self) -> None:
        if self.engine.closed:
            self.engine.require_open()

    def writer(self, write: ContentWrite, *, resumable: bool) -> FileWriter:
        return FileWriter(self, write, self.engine.writer, resumable=resumable)

    def check(
        self,
        *,
        deep: bool = False,
        repair: bool = False,
        progress: ProgressCallback | None = None,
    ) -> CheckReport:
        """Audits the register against the files, both ways, and mends what can be mended, if told to.

        Other calls, also of other processes, go on meanwhile. Without `repair` nothing is changed. A
        register that is damaged in itself is not rebuilt here, which needs a store that nobody has
        open: see `check_directory`.

        Args:
            deep: Read every byte and verify every block's checksum.
            repair: Before that, mend: damaged indexes, tags, the feed's holes, rows that contradict each
                other. Files that no object has are moved to `.lost`. Objects whose bytes are missing or
                damaged stay, are reported, and raise CorruptionError when they are read.
            progress: Told of the bytes to read, and of those read.
        """
        self.engine.require_open()
        repairs = mend(self.engine) if repair else []
        report = audit(self.engine, deep=deep, repaired=repair, progress=progress)
        report.repairs = repairs
        report.scrub = scrub_status(self.engine).last
        return report

    def start_scrub(self, rate: float = SCRUB_RATE, *, interval: float = PASS_INTERVAL) -> None:
        """Reads the whole store in the background from now on, again and again, and verifies every block.

        What is found goes into the log and into `scrub_status`; nothing is mended. Of several stores on a
        directory, also in other processes, one scrubs; another goes on when it is closed. Ends with `close`.
        A fork of this process does not scrub.

        Args:
            rate: MiB a second.
            interval: Seconds from the beginning of a pass to that of the next, at least.

        Raises:
            InvalidArgumentError: A value that is not positive; or it scrubs already.
            UnavailableError: OVERLOADED, the system has no thread left.
        """
        self.engine.require_open()
        if self.engine.background:
            raise InvalidArgumentError("the store is being scrubbed already", reason="BAD_SETTING")
        scrubber = Scrubber(self.engine, rate=rate, interval=interval)
        scrubber.start()
        self.engine.background.append(scrubber)

    def scrub_status(self) -> ScrubStatus:
        """How far the scrub is, of whichever process, and what the last whole pass found."""
        self.engine.require_open()
        return scrub_status(self.engine)

    def end(self) -> None:
        self.engine.close()

    def take_engine(self, engine: Engine) -> None:
        """Goes on with other parts, in a forked child."""
        self._finalizer.detach()
        self._take(engine)

    def _take(self, engine: Engine) -> None:
        self.engine = engine
        self.index = engine.index
        self.blobs = engine.contents
        self.signal = engine.feed
        self.commits = engine.writer
        self.suspended = engine.resumption
        self.leases = engine.leases
        # A store that nobody closed is closed with the last reference to it, or when Python exits.
        self._finalizer = weakref.finalize(self, engine.close)


def _location(directory: str | os.PathLike[str]) -> str:
    scheme, path = parse_location(directory)
    if scheme != "file":
        raise InvalidArgumentError(f"bad location {directory!r}: a directory's path", reason="BAD_LOCATION")
    return path
