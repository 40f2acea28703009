"""Removing files that no object has any more: replaced, deleted, or named by a commit that failed.

What a failed COMMIT leaves: its frames may be whole in the write-ahead log although nobody sees
them, and a crash right then could bring them back. So the files it named are kept until a later
COMMIT has overwritten those frames ("settled"), and are removed in a transaction after that.
"""

import logging
from collections.abc import Sequence
from typing import Final

from vault_server.storage.register import file_is_referenced
from vault_server.storage.staging import Staging
from vault_server.storage.transaction import Transaction

_log = logging.getLogger(__name__)

SETTLING_COMMITS: Final = 3
"""Transactions after which nothing is left of a failed one: one settles it, one removes, one to spare."""

_FILES_AT_ONCE: Final = 256


class Sweeper:
    """What the writer has to remove. Of the writer's thread alone, but for `take_over`."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._unsettled: list[str] = []
        self._orphans: list[str] = []
        self._tried: list[str] = []
        self.wanted = True
        """Whether a transaction for sweeping alone is worth it. At the start there may be trash of
        an earlier process."""

    def take_over(self, files: Sequence[str]) -> None:
        """Files that a dead process may have named without committing. Before the writer's first transaction."""
        self._staging.intend(files)
        self._unsettled.extend(files)

    def sweep(self, transaction: Transaction) -> None:
        """Removes in this transaction what earlier ones left."""
        connection = transaction.connection
        if self._unsettled:
            connection.execute("UPDATE meta SET revision = revision")  # any commit that writes settles them
        self._tried = self._orphans[:_FILES_AT_ONCE]
        for file in self._tried:
            _remove(transaction, file)
        trash = connection.execute("SELECT file FROM trash LIMIT ?", (_FILES_AT_ONCE,)).fetchall()
        removed = [(file,) for (file,) in trash if _remove(transaction, file)]
        connection.executemany("DELETE FROM trash WHERE file = ?", removed)
        self.wanted = len(removed) == _FILES_AT_ONCE

    def committed(self, transaction: Transaction) -> None:
        """The transaction that `sweep` was in is durable."""
        self._orphans = self._orphans[len(self._tried) :] + self._unsettled + transaction.abandoned
        self._unsettled = []
        self.wanted = self.wanted or transaction.has_trash or bool(self._orphans)
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
