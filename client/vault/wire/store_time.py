"""The store's time as its client knows it: what a server said, and how long ago the question for it was sent.

This machine's wall clock is not asked: it may be any time. What has passed since the server said it is at most what has
passed since the question was sent, so the time here is never behind the server's, unless that was set meanwhile.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from vault._runtime.elapsed import elapsed
from vault.v1 import vault_pb2 as pb

TIMED: Final = frozenset(
    method.name
    for method in pb.DESCRIPTOR.services_by_name["VaultService"].methods
    if "store_time" in method.output_type.fields_by_name
)
"""The methods whose replies may say it."""

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class StoreTime:
    """What one client knows of it. Safe to share between threads, and to go on with in a forked child."""

    def __init__(self) -> None:
        self._said: tuple[Any, float] | None = None

    def see(self, reply: Any, sent: float) -> None:
        """Notes what a reply says, which is one that may say it.

        Args:
            sent: When its question was, by `elapsed`.
        """
        if reply.HasField("store_time") and (self._said is None or sent >= self._said[1]):
            self._said = reply.store_time, sent

    @property
    def now(self) -> datetime:
        """The end of all time where the server said nothing: then nothing that expires is shown unasked."""
        if self._said is None:
            return _NEVER
        said, sent = self._said
        try:
            now: datetime = said.ToDatetime(tzinfo=UTC) + timedelta(seconds=elapsed() - sent)
        except (OverflowError, ValueError):
            return _NEVER
        return now
