"""Removing files that nothing needs any more: of generations that have expired, or named by a commit that failed.

A generation that was replaced or deleted goes in three steps, each in a transaction of its own: `retired`,
until it expires; `trash`; removed from the disk. So whatever a crash brings back, its file is there.

What a failed COMMIT leaves: its frames may be whole in the write-ahead log although nobody sees
them, and a crash right then could bring them back. So the files it named are kept until a later
COMMIT has overwritten those frames ("settled"), and are removed in a transaction after that.
"""

import logging
import time
from collections.abc import Sequence
from typing import Final

from vault_server.storage.commit.transaction import Transaction
from vault_server.storage.failpoints import reached
from vault_server.storage.files.staging import Staging
from vault_server.storage.index.objects import file_is_referenced, from_time
from vault_server.storage.index.retirement import collect, inlined_limit, trim

_log = logging.getLogger(__name__)

SETTLING_COMMITS: Final = 3
"""Transactions after which nothing is left of a failed one: one settles it, one removes, one to spare."""

_FILES_AT_ONCE: Final = 256

_COLLECT_APART: Final = 0.25
"""Seconds between two collections at least, so that a stream of small updates is not doubled by one of small
collections."""

_TRIMMED_AT_ONCE: Final = 256 << 10
"""Bytes at least, so that on a disk that is nearly full not every update trims."""

_RETRY_SECONDS: Final = 30.0
_SOON: Final = 0.05
_LONGEST: Final = 3600.0
"""Seconds after which a look is worth it in any case: the clock may have been set."""


class Sweeper:
    """What the writer has to remove. Of the writer's thread alone, but for `take_over`."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._unsettled: list[str] = []
        self._orphans: list[str] = []
        self._tried: list[str] = []
        self._inlined = 0
        """Bytes that this process has retained in the register since it last looked how many there are."""
        self._crowded = False
        self._pause = _RETRY_SECONDS
        self._due: float | None = 0.0  # at the start there may be what an earlier process retired
        self.wanted = True
        """Whether a transaction for sweeping alone is worth it, soon. At the start there may be trash of
        an earlier process."""

    @property
    def wait(self) -> float | None:
        """Seconds until a transaction for sweeping alone is worth it; None: there is nothing to sweep."""
        if self.wanted:
            return _SOON
        return None if self._due is None else max(self._due - time.monotonic(), 0.0)

    @property
    def is_due(self) -> bool:
        """Whether a retained generation may have expired."""
        return self._due is not None and time.monotonic() >= self._due

    def expect(self, seconds: float | None, *, trash: bool) -> None:
        """What an opener found in the register: when the next generation expires. Before the first transaction."""
        self._due = None
        if seconds is not None:
            self._expect(seconds)
        self.wanted = trash

    def take_over(self, files: Sequence[str]) -> None:
        """Files that a dead process may have named without committing. Before the writer's first transaction."""
        self._staging.intend(files)
        self.wanted = True
        self._unsettled.extend(files)

    def sweep(self, transaction: Transaction, *, collecting: bool) -> None:
        """Removes in this transaction what earlier ones left.

        Args:
            collecting: Also look for generations that have expired.
        """
        connection = transaction.connection
        if self._unsettled:
            connection.execute("UPDATE meta SET revision = revision")  # any commit that writes settles them
        # A failed commit may have given its file the name of one that is to be removed, and was gone already.
        unsettled = set(self._unsettled)
        self._tried = self._orphans[:_FILES_AT_ONCE]
        for file in self._tried:
            if file not in unsettled:
                _remove(transaction, file)
        trash = connection.execute("SELECT file FROM trash LIMIT ?", (_FILES_AT_ONCE,)).fetchall()
        removed = [(file,) for (file,) in trash if file not in unsettled and _remove(transaction, file)]
        if removed:
            reached("before trash is forgotten")
            connection.executemany("DELETE FROM trash WHERE file = ?", removed)
            reached("trash forgotten")
        self.wanted = len(removed) == _FILES_AT_ONCE
        if collecting and (self._crowded or self.is_due):
            self._collect(transaction)

    def _collect(self, transaction: Transaction) -> None:
        if self._crowded:
            trim(transaction.connection, inlined_limit(transaction.root))
            self._inlined, self._crowded = 0, False
        now = from_time(transaction.now)
        reached("before collection")
        done = collect(transaction.connection, now=now, limit=_FILES_AT_ONCE)
        reached("collected")
        self._due = None
        if done.next_look is not None:
            self._expect(max(done.next_look, _COLLECT_APART))
        self.wanted = self.wanted or bool(done.files) or done.rows == _FILES_AT_ONCE

    def _expect(self, seconds: float) -> None:
        moment = time.monotonic() + min(seconds, _LONGEST)
        self._due = moment if self._due is None else min(self._due, moment)

    def rest(self) -> None:
        """Sweeps nothing in this transaction."""
        self._tried = []

    def make_room(self, transaction: Transaction) -> bool:
        """Removes every generation now that was retained before this transaction, and what was trash; whether there
        was any.

        Off the disk first, since a register that cannot be written is why: a kill, or a COMMIT that fails all the
        same, leaves rows of `retired` without files, which count as gone. But not what this very transaction
        replaces and deletes for jobs that came before: without its COMMIT that is what the objects have.
        """
        connection = transaction.connection
        spared = transaction.dropped.union(self._unsettled)
        retired = [
            (number, file)
            for number, file in connection.execute("SELECT number, file FROM retired").fetchall()
            if file not in spared
        ]
        trash = [file for (file,) in connection.execute("SELECT file FROM trash").fetchall() if file not in spared]
        for file in [file for _, file in retired if file is not None] + trash:
            transaction.unlink(file)
        if retired or trash:
            connection.executemany("DELETE FROM retired WHERE number = ?", [(number,) for number, _ in retired])
            connection.executemany("DELETE FROM trash WHERE file = ?", [(file,) for file in trash])
            _log.warning("the disk is full: %d retained generations were given up to make room", len(retired))
        if self._unsettled:
            connection.execute("UPDATE meta SET revision = revision")  # as in `sweep`
        return bool(retired or trash)

    def committed(self, transaction: Transaction) -> None:
        """The transaction that `sweep` was in is durable."""
        self._orphans = self._orphans[len(self._tried) :] + self._unsettled + transaction.abandoned
        self._unsettled = []
        self._pause = _RETRY_SECONDS
        self.wanted = self.wanted or transaction.has_trash or bool(self._orphans)
        if transaction.has_retired:
            self._inlined += transaction.inlined
            if transaction.inlined:
                self._crowded = self._inlined > max(inlined_limit(transaction.root) // 4, _TRIMMED_AT_ONCE)
            self._expect(_COLLECT_APART if self._crowded else max(transaction.retention, _COLLECT_APART))
        if not self._orphans:
            try:
                self._staging.forget_intents()
            except OSError as error:  # the next opener looks at files that are referenced, and leaves them
                _log.warning("could not empty the list of intended files: %s", error)

    def failed(self, transaction: Transaction | None) -> None:
        """The transaction that `sweep` was in has failed, at whatever point.

        Not tried again by itself, so that a full disk is not hammered: the next job brings it along.
        """
        self.wanted = False
        self._due = max(self._due or 0.0, time.monotonic() + self._pause)
        self._pause = min(2 * self._pause, _LONGEST)
        if transaction is not None:
            self._unsettled += transaction.placed + transaction.abandoned


def _remove(transaction: Transaction, file: str) -> bool:
    if file_is_referenced(transaction.connection, file):
        return True
    try:
        transaction.unlink(file)
    except OSError as error:
        _log.warning("could not remove %s, which no object has any more: %s", file, error)
        return False
    return True
