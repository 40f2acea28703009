"""The change feed: what was committed, by this process or another, in order.

A mark that differs after every commit (`index/wal_index`) tells in less than a microsecond whether anything was
committed since it was last read, by whomever; where there is none, `PRAGMA data_version` on a connection of its own
does, in some three. The newest changes are kept in memory, so that many watchers and a cache share one read of them.
"""

import math
import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from vault._runtime.eventcount import EventCount
from vault.errors import RevisionCompactedError, StorageError
from vault.store.values import Change, ChangeKind

from vault_server.storage.feed.commit_signal import CommitSignal
from vault_server.storage.files.directory import StoreDirectory
from vault_server.storage.index.connections import Connections
from vault_server.storage.index.expiring import next_expiry
from vault_server.storage.os_errors import storage_error

POLL_SECONDS: Final = 0.05
"""How late another process's commits reach a watcher, at most. This process's come at once, and so do another's
where there is a CommitSignal."""

PAGE: Final = 500
"""Changes read at a time, so that a watcher far behind costs little memory."""

_WINDOW: Final = 4096
_REVISION = attrgetter("revision")


@dataclass(frozen=True, slots=True)
class _Window:
    """Every change after revision `after`, up to `until`."""

    after: int
    until: int
    changes: tuple[Change, ...]


class Feed:
    """Reads the feed and wakes who waits for it. Safe to share between threads."""

    def __init__(
        self, directory: StoreDirectory, connections: Connections, expects: Callable[[int | None], None]
    ) -> None:
        """
        Args:
            expects: Called with when the next object expires, after commits that are seen.
        """
        self._expects = expects
        self._connections = connections
        self._mutex = threading.Lock()
        self._seen: tuple[sqlite3.Connection, int] | None = None
        self._window = _Window(0, 0, ())
        self._known: tuple[bytes | None, int] = (None, 0)  # a mark, and the revision that was seen after it
        self._moves = EventCount()
        self._signal = CommitSignal(directory, self.notify)
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def refresh(self) -> int:
        """The store's revision now."""
        mark, until = self._known
        if mark is not None and self._connections.commit_mark() == mark:
            return until
        with self._mutex:
            mark = self._connections.commit_mark()  # before the look, so that no commit is between
            try:
                self._connections.follow(self._look)
            except sqlite3.Error as error:
                raise storage_error(error, f"read the change feed in {str(self._connections.path)!r}") from error
            until = self._window.until
            self._known = (mark, until)
            return until

    def changes(self, since: int) -> tuple[int, list[Change]]:
        """The store's revision now, and every change after `since`.

        Raises:
            RevisionCompactedError: `since` is older than the feed's history, or of another store.
        """
        revision = self.refresh()
        refuse_future(since, revision)
        changes: list[Change] = []
        while since < revision:  # a page may go beyond: others look as well
            since, more = self.page(since)
            changes += more
        return since, changes

    def holds(self, since: int) -> bool:
        """Whether the changes after `since` are in memory, so that `page` does no I/O."""
        return since >= self._window.after

    def page(self, since: int, units: Sequence[str] = ()) -> tuple[int, list[Change]]:
        """The next changes after `since`, PAGE at most, and the revision up to which they are complete.

        Raises:
            RevisionCompactedError: `since` is older than the feed's history, or of another store.
        """
        window = self._window
        if since < window.after:
            return self._connections.read(lambda connection: _read_page(connection, since, units))
        if since > window.until:
            refuse_future(since, self.refresh())
            return since, []
        start = bisect_right(window.changes, since, key=_REVISION)
        # A watcher of one unit may pass over many changes of others here; that costs no memory.
        found: list[Change] = []
        for change in window.changes[start:]:
            if not units or change.unit in units:
                found.append(change)
                if len(found) == PAGE:
                    return change.revision, found
        return window.until, found

    @property
    def notifications(self) -> int:
        """How often `notify` was called."""
        return self._moves.count

    def wait(self, notifications: int, timeout: float = math.inf) -> int:
        """Waits until `notify` was called more than `notifications` times, or for `timeout` seconds,
        POLL_SECONDS at most.

        Returns:
            How often it was called, for the next wait.
        """
        if not self._signal.started and not self._closed:
            self._signal.start()
        return self._moves.wait(notifications, min(timeout, POLL_SECONDS))

    def notify(self) -> None:
        """Something may have changed: wakes everybody who waits."""
        self._moves.advance()

    def close(self) -> None:
        self._closed = True
        self._signal.close()
        self.notify()

    def abandon(self) -> None:
        """Closes it in a forked child, where its locks may be held by threads that are not there."""
        self._closed = True
        self._signal.abandon()

    def _look(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if self._seen is None or self._seen[0] is not connection or self._seen[1] != version:
            self._advance(connection)
            self._seen = connection, version

    def _advance(self, connection: sqlite3.Connection) -> None:
        old = self._window
        connection.execute("BEGIN")
        try:
            until, floor = connection.execute("SELECT revision, feed_floor FROM meta").fetchone()
            if until == old.until and floor <= old.after:  # a collection, which changes no object
                return
            after = max(old.until, floor, until - _WINDOW)
            new = _read_changes(connection, after, until, (), _WINDOW)
            self._expects(next_expiry(connection))
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
        if until < old.until or after > old.until:  # another register took its place, or far behind
            self._window = _Window(after, until, tuple(new))
            return
        changes = old.changes + tuple(new)
        if len(changes) > 2 * _WINDOW:
            after = changes[-_WINDOW - 1].revision
            self._window = _Window(after, until, changes[-_WINDOW:])
        else:
            self._window = _Window(old.after, until, changes)


def refuse_future(since: int, revision: int) -> None:
    """Raises RevisionCompactedError when `since` is after the store's revision."""
    if since > revision:
        raise RevisionCompactedError(
            f"revision {since} is not in this store's feed, which is at {revision}: "
            "it is another store, or an older copy",
            revision=since,
        )


def _read_page(connection: sqlite3.Connection, since: int, units: Sequence[str]) -> tuple[int, list[Change]]:
    until, floor = connection.execute("SELECT revision, feed_floor FROM meta").fetchone()
    if since < floor:
        raise RevisionCompactedError(
            f"the feed's history begins after revision {floor}; changes since {since} are not all in it",
            revision=since,
            floor=floor,
        )
    changes = _read_changes(connection, since, until, units, PAGE)
    return (changes[-1].revision if len(changes) == PAGE else until), changes


def _read_changes(
    connection: sqlite3.Connection, after: int, until: int, units: Sequence[str], limit: int
) -> list[Change]:
    condition = f" AND unit IN ({', '.join('?' * len(units))})" if units else ""
    rows = connection.execute(
        "SELECT revision, unit, data_id, kind, generation, name FROM changes "  # noqa: S608  # only question marks
        f"WHERE revision > ? AND revision <= ?{condition} ORDER BY revision LIMIT ?",
        (after, until, *units, limit),
    )
    try:
        return [
            Change(revision, unit, data_id, ChangeKind(kind), generation, name)
            for revision, unit, data_id, kind, generation, name in rows
        ]
    except ValueError as error:
        what = "an entry of the feed is damaged, which `vault-grpc check DIRECTORY --repair` takes out"
        raise StorageError(f"{what}: {error}", reason="REGISTER_DAMAGED") from error
