"""Removing files that nothing needs any more: of generations that have expired, or named by a commit that failed.

A generation that was replaced or deleted goes in three steps, each in a transaction of its own: `retired`,
until it expires; `trash`; removed from the disk. So whatever a crash brings back, its file is there.

What a failed COMMIT leaves: its frames may be whole in the write-ahead log although nobody sees
them, and a crash right then could bring them back. So the files it named are kept until a later
COMMIT has overwritten those frames ("settled"), and are removed in a transaction after that.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vault_server.storage.clock import wall_clock
from vault_server.storage.commit.placement import Placement
from vault_server.storage.decision.plan import Plan
from vault_server.storage.decision.stored import Purged
from vault_server.storage.failpoints import reached
from vault_server.storage.files.staging import Staging
from vault_server.storage.index.objects import file_is_referenced
from vault_server.storage.index.retirement import collect, give_up, inlined_limit, retained, trim

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

    def __init__(self, staging: Staging, root: Path) -> None:
        self._staging = staging
        self._root = root
        self._unsettled: list[str] = []
        self._orphans: list[str] = []
        self._tried: list[str] = []
        self._look_at = 0.0
        self._inlined = 0
        """Bytes that this process has retained in the register since it last looked how many there are."""
        self._look_beyond = _TRIMMED_AT_ONCE
        """So many of them before it is looked what room the disk has."""
        self._crowded = False
        self._sparing = False
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

    def sweep(self, connection: sqlite3.Connection, placement: Placement, *, collecting: bool) -> None:
        """Removes in this transaction what earlier ones left.

        Args:
            collecting: Also look for generations that have expired.
        """
        self._settle(connection)
        self.skip()
        if self._sparing:
            return
        self._tried = self._orphans[:_FILES_AT_ONCE]
        for file in self._tried:
            _remove(connection, placement, file)
        now = time.monotonic()
        if self.wanted or now >= self._look_at:  # another process may have left some, too
            self._look_at = now + _COLLECT_APART
            trash = connection.execute("SELECT file FROM trash LIMIT ?", (_FILES_AT_ONCE,)).fetchall()
            removed = [(file,) for (file,) in trash if _remove(connection, placement, file)]
            if removed:
                reached("before trash is forgotten")
                connection.executemany("DELETE FROM trash WHERE file = ?", removed)
                reached("trash forgotten")
            self.wanted = len(removed) == _FILES_AT_ONCE
        if collecting and (self._crowded or self.is_due):
            self._collect(connection)

    def _settle(self, connection: sqlite3.Connection) -> None:
        if self._unsettled:  # any commit that writes settles them
            connection.execute("UPDATE meta SET revision = revision")

    def _collect(self, connection: sqlite3.Connection) -> None:
        if self._crowded:
            trim(connection, inlined_limit(self._root))
            self._inlined, self._look_beyond, self._crowded = 0, _TRIMMED_AT_ONCE, False
        reached("before collection")
        again, seconds = collect(connection, now=wall_clock(), limit=_FILES_AT_ONCE)
        reached("collected")
        self._due = None
        if seconds is not None:
            self._expect(max(seconds, _COLLECT_APART))
        self.wanted = self.wanted or again

    def _expect(self, seconds: float) -> None:
        moment = time.monotonic() + min(seconds, _LONGEST)
        self._due = moment if self._due is None else min(self._due, moment)

    @contextmanager
    def sparing(self) -> Iterator[None]:
        """Removes no file meanwhile: parts of a transaction that failed are committed, and those still to come have
        the files that it named."""
        self._sparing = True
        try:
            yield
        finally:
            self._sparing = False

    def skip(self) -> None:
        """Sweeps nothing in this transaction."""
        self._tried = []

    def make_room(self, connection: sqlite3.Connection, placement: Placement) -> bool:
        """Removes every retained generation now, and what is trash; whether there was any.

        Off the disk first, since a register that cannot be written is why: a kill, or a COMMIT that fails all the
        same, leaves rows of `retired` without files, which count as gone.
        """
        retired = connection.execute(
            "SELECT r.generation, r.content, c.file FROM retired r LEFT JOIN contents c ON c.number = r.content"
        ).fetchall()
        trash = [file for (file,) in connection.execute("SELECT file FROM trash").fetchall()]
        for file in [file for *_, file in retired if file is not None] + trash:
            placement.unlink(file)
        if retired or trash:
            give_up(connection, retired)
            connection.execute("DELETE FROM trash")
            _log.warning("the disk is full: %d retained generations were given up to make room", len(retired))
        self._settle(connection)
        return bool(retired or trash)

    def purge(self, connection: sqlite3.Connection, unit: str | None) -> Purged:
        """Gives some retained generations up, of one unit or of all, before their time: what there was of them."""
        rows, size = retained(connection, unit, _FILES_AT_ONCE)
        give_up(connection, rows)
        reached("purged")
        self.wanted = True
        return Purged(len(rows), size)

    def trash_left(self, connection: sqlite3.Connection) -> int:
        """How many files are to be removed still, the next of them soon."""
        (left,) = connection.execute("SELECT count(*) FROM trash").fetchone()
        self.wanted = self.wanted or left > 0
        self._look_at = 0.0
        return int(left)

    def committed(self, placement: Placement, plan: Plan | None, retention: float) -> None:
        """The transaction that `sweep` was in is durable.

        Args:
            plan: What it did, besides.
            retention: Seconds for which it retains.
        """
        self._orphans = self._orphans[len(self._tried) :] + self._unsettled + placement.surplus
        self._unsettled = []
        self._pause = _RETRY_SECONDS
        self.wanted = self.wanted or bool(self._orphans) or (plan is not None and bool(plan.trash))
        if plan is not None and plan.retired:
            self._inlined += plan.inlined
            if plan.inlined and self._inlined > self._look_beyond:
                self._crowded = self._inlined > inlined_limit(self._root) // 4
                self._look_beyond = self._inlined + _TRIMMED_AT_ONCE
            self._expect(_COLLECT_APART if self._crowded else max(retention, _COLLECT_APART))
        if not self._orphans:
            try:
                self._staging.forget_intents()
            except OSError as error:  # the next opener looks at files that are referenced, and leaves them
                _log.warning("could not empty the list of intended files: %s", error)

    def failed(self, placement: Placement | None) -> None:
        """The transaction that `sweep` was in has failed, at whatever point.

        Not tried again by itself, so that a full disk is not hammered: the next job brings it along.
        """
        self.wanted = False
        self._due = max(self._due or 0.0, time.monotonic() + self._pause)
        self._pause = min(2 * self._pause, _LONGEST)
        if placement is not None:
            self._unsettled += placement.named


def _remove(connection: sqlite3.Connection, placement: Placement, file: str) -> bool:
    return file_is_referenced(connection, file) or placement.try_unlink(file)
