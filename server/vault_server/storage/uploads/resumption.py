"""What a store keeps of writes that lost their stream: who has which, for how long, and how much of the disk."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from vault._runtime.sync_async import Background, Event
from vault.errors import ClosedError, UnavailableError, VaultError, write_not_found
from vault.store.specs import PutSpec, UploadSpec
from vault.store.values import WriteStatus

from vault_server.storage.decision.refusals import other_write
from vault_server.storage.decision.writes import ContentWrite, RequestKey, request_hash
from vault_server.storage.files.access import Access
from vault_server.storage.files.blobs import unit_folder
from vault_server.storage.files.directory import StoreDirectory
from vault_server.storage.files.staged_file import STAGING, home_of
from vault_server.storage.files.staging import WRITES
from vault_server.storage.os_errors import storing
from vault_server.storage.uploads import journal
from vault_server.storage.uploads.incoming import Incoming
from vault_server.storage.uploads.journal import FolderLock, Found, JournaledFile
from vault_server.storage.uploads.staged_bytes import StagedBytes
from vault_server.storage.uploads.suspended_limits import too_many

MOST_SUSPENDED: Final = 1000
MOST_BYTES: Final = 64 << 30
"""What suspended writes may hold, in number and bytes. Above either the ones that wait longest go first, of the
principal who has most: a client that begins and disappears again and again fills no disk, and locks nobody else out."""

_SOONEST: Final = 0.05
_IDLE_SECONDS: Final = 60.0  # between two looks while nothing is due, at least


class Held(Protocol):
    """A writer that has a write in this process."""

    request: ContentWrite
    request_key: RequestKey

    @property
    def request_hash(self) -> int: ...

    @property
    def persisted_size(self) -> int: ...

    def raise_if_ended(self) -> None: ...

    def hand_over(self) -> None: ...

    def suspend(self) -> None: ...

    def end(self, error: VaultError) -> None: ...

    def abandon(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Entry:
    folder: Path
    found: Found


class Resumption:
    """The resumable writes of one open store. Safe to share between threads.

    A thread removes what has expired, of whichever process it is. It starts with the first resumable write
    or with the opening that finds any, and sleeps until something is due.
    """

    def __init__(
        self,
        directory: StoreDirectory,
        window: float,
        make_more_room: Callable[[], bool] = lambda: False,
        *,
        durable: bool = True,
    ) -> None:
        self._directory = directory
        self._durable = durable
        self.window = window
        self._make_more_room = make_more_room
        self._parent = directory.root / STAGING / WRITES
        self._lock = threading.Lock()
        self._held: dict[RequestKey, Held] = {}
        self._wake = Event()
        self._closed = False
        self._background = Background(self._run, "vault-resumption")

    def acquire(self, writer: Held) -> None:
        """The writer has the write from now on, as far as this process goes; whoever had it lets go.

        Raises:
            InvalidArgumentError: BAD_REQUEST_ID, that one writes something else.
            UnavailableError: OVERLOADED, the system has no thread left; the writer does not have it.
        """
        if not self._closed:
            self._background.start()
        with self._lock:
            if self._closed:
                raise ClosedError("the store is closed")
            previous = self._held.get(writer.request_key)
            if previous is not None and previous.request_hash != writer.request_hash:
                raise other_write(writer.request.unit)
            self._held[writer.request_key] = writer
        if previous is not None:
            previous.hand_over()

    def release(self, writer: Held) -> None:
        """The writer is done with it. Harmless when another one has it."""
        with self._lock:
            if self._held.get(writer.request_key) is writer:
                del self._held[writer.request_key]

    def suspend(self, writer: Held, incoming: Incoming) -> None:  # noqa: ARG002  # the disk has what there is of it
        """Nobody has it for now."""
        self.release(writer)
        self._wake.set()

    def resume(self, writer: Held) -> Incoming | None:
        """What the disk has of the write, locked and verified; None when it has nothing.

        Raises:
            UnavailableError: WRITE_BUSY. InvalidArgumentError: BAD_REQUEST_ID.
        """
        folder = self._folder(writer.request_key)
        with storing("resume a write"):
            lock = _locked(folder)
            if lock is None:
                return None
            found = None
            try:
                begun = fingerprint(writer.request)
                found = JournaledFile.resume(
                    folder, lock, begun, self._directory.access, self.make_room, writer.raise_if_ended
                )
            finally:
                if found is None:
                    lock.release()
        if found is None:
            return None
        incoming = Incoming(self.stage(writer))
        incoming.staged.file = found
        incoming.size, incoming.checksums, incoming.whole = found.size, found.checksums, found.whole
        return incoming

    def stage(self, writer: Held) -> StagedBytes:
        """For the bytes of a write of which there is nothing; making the file raises as `resume` does."""
        return StagedBytes(partial(self._begin, writer), durable=self._durable)

    def _begin(self, writer: Held) -> JournaledFile:
        folder = self._folder(writer.request_key)
        access = self._directory.access
        with storing("stage an upload"):
            self._directory.require_same()  # or it would be made in the directory that took its place
            lock = _locked(folder, make=access)
            assert lock is not None  # noqa: S101  # it was made
            try:
                home = home_of(self._directory.root / unit_folder(writer.request.unit), folder)
                begun = fingerprint(writer.request)
                return JournaledFile.begin(folder, lock, begun, self.window, home, access, self.make_room)
            except BaseException:
                lock.release()
                raise

    def status(self, unit: str, key: RequestKey) -> WriteStatus:
        """See `Store.write_status`, of a write that is not committed."""
        with self._lock:
            held = self._held.get(key)
        if held is not None and held.request.unit == unit:
            return WriteStatus(held.persisted_size)
        with storing("look at a write"):
            found = journal.find(self._folder(key))
        if found is None or found.unit != unit:
            raise write_not_found(unit)
        return WriteStatus(found.size)

    def abort(self, unit: str, key: RequestKey) -> None:
        """See `Store.abort_write`."""
        with self._lock:
            held = self._held.get(key)
        if held is not None:
            if held.request.unit != unit:
                return
            held.end(write_not_found(unit))
        # Also then: it may just have been suspended.
        folder = self._folder(key)
        with storing("remove a write"):
            lock = _locked(folder)
            if lock is not None:
                try:
                    found = journal.find(folder)
                    if found is not None and found.unit in (unit, ""):
                        journal.remove(folder)
                finally:
                    lock.release()

    def drop(self, key: RequestKey) -> None:
        """Removes what is left of a write that is decided, unless somebody has it."""
        with storing("remove a write"):
            _remove(self._folder(key))

    def make_room(self) -> bool:
        """Removes what has expired, or else what others keep for a while; whether that was anything."""
        expired = [entry.folder for entry in self._entries() if self._is_expired(entry.found)]
        return sum(_remove(folder, self._is_expired) for folder in expired) > 0 or self._make_more_room()

    def watch(self) -> None:
        """Begins to see to what earlier processes left, if they left anything."""
        if any(True for _ in self._entries()):
            self._background.start()

    def close(self) -> None:
        """Suspends what is held."""
        with self._lock:
            self._closed = True
            held = list(self._held.values())
        self._wake.set()
        for writer in held:
            writer.suspend()
        self._background.stop()

    def abandon(self) -> None:
        """In a forked child: what is held is the parent's, and locks may be held by threads that are not here."""
        self._closed = True
        for writer in list(self._held.values()):
            writer.abandon()

    def _run(self) -> None:
        while not self._closed:
            self._wake.clear()
            due = self._sweep()
            self._wake.wait(0 if self._closed else due)

    def _sweep(self) -> float:
        """Removes what has expired, and what is too much. Returns the seconds until the next look."""
        left: list[_Entry] = []
        due = max(self.window, _IDLE_SECONDS)
        try:
            self._directory.require_same()
        except VaultError:  # what lies there is another store's
            return due
        for entry in self._entries():
            if entry.found.touched > time.time():  # the clock was set back
                journal.touch(entry.folder)
            if self._is_expired(entry.found):
                _remove(entry.folder, self._is_expired)
                due = min(due, _IDLE_SECONDS)  # if it was not removed, somebody has it
            else:
                left.append(entry)
                due = min(due, self._left(entry.found))
        if len(left) > MOST_SUSPENDED or sum(entry.found.held for entry in left) > MOST_BYTES:
            _hold_to_limits(left)
        return max(due, _SOONEST)

    def _left(self, found: Found) -> float:
        """Seconds that the write is still kept."""
        window = self.window if found.window is None else found.window
        return found.touched + window - time.time()

    def _is_expired(self, found: Found) -> bool:
        return self._left(found) <= 0

    def _entries(self) -> Iterator[_Entry]:
        try:
            folders = list(self._parent.iterdir())
        except OSError:  # nothing was ever staged here
            return
        for folder in folders:
            try:
                found = journal.find(folder)
            except OSError:
                continue  # the next look will tell
            if found is not None:
                yield _Entry(folder, found)

    def _folder(self, key: RequestKey) -> Path:
        principal, request_id = key
        return self._parent / (f"{request_id.hex()}.{principal}" if principal else request_id.hex())


def _hold_to_limits(entries: list[_Entry]) -> None:
    suspended = [entry for entry in entries if _is_free(entry.folder)]
    suspended.sort(key=lambda entry: entry.found.touched)
    told = ((entry.folder, entry.folder.suffix, entry.found.held) for entry in suspended)
    for folder in too_many(told, MOST_SUSPENDED, MOST_BYTES):
        _remove(folder)


def _if_free(folder: Path) -> FolderLock | None:
    """The lock on a write that nobody has; None when somebody has it, or it is gone."""
    try:
        return FolderLock.take(folder, tries=1)
    except OSError:
        return None


def _is_free(folder: Path) -> bool:
    lock = _if_free(folder)
    if lock is not None:
        lock.release()
    return lock is not None


def _remove(folder: Path, wanted: Callable[[Found], bool] = lambda _: True) -> bool:
    """Removes a write's folder, unless somebody has it, or it is not wanted any more; whether it did."""
    lock = _if_free(folder)
    if lock is None:
        return False
    try:
        found = journal.find(folder)  # again: it may have been resumed and suspended meanwhile
        if found is None or not wanted(found):
            return False
        journal.remove(folder)
        return True
    finally:
        lock.release()


def _locked(folder: Path, *, make: Access | None = None) -> FolderLock | None:
    try:
        return FolderLock.take(folder, make=make)
    except BlockingIOError as error:
        raise UnavailableError(
            "the write is still held by another process: its stream has not ended there", reason="WRITE_BUSY"
        ) from error


def fingerprint(write: ContentWrite) -> dict[str, Any]:
    """What it begins, as JSON has it: the same for the same, and after a restart."""
    spec = write.spec
    if isinstance(spec, UploadSpec):
        begun = {"kind": "upload", "data_id": spec.data_id, "name": spec.name, "tags": dict(spec.tags)}
    elif isinstance(spec, PutSpec):
        begun = {"kind": "put", "data_id": spec.data_id, "name": spec.name, "hash": request_hash(write)}
    else:
        begun = {"kind": "update", "key": spec.key, "if_generation": spec.if_generation}
        if spec.tags is not None or spec.if_revision is not None:
            begun["hash"] = request_hash(write)  # of these, too; what is older has none
    if write.principal:
        begun["principal"] = write.principal
    return {**begun, "unit": write.unit, "datatype": spec.datatype}
