"""What is logged of refused calls: the first of a kind at once, those that follow soon after it as a number."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from vault.errors import StorageError
from vault.wire.error_table import cut

from vault_server.rpc.public_errors import public_error

T = TypeVar("T")

logger: Final = logging.getLogger("vault_server.rpc")

_WINDOW: Final = 10.0
"""Seconds in which refusals of the same method, code and reason are one line, and then one with their number."""

MOST_DETAIL: Final = 300
"""Bytes of what is logged of one; a peer may have had a hand in it."""


@dataclass(slots=True)
class _Kind:
    level: int
    fields: dict[str, Any]
    more: int = 0


class RefusalLog:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._recent: dict[tuple[str, str, str], _Kind] = {}

    def note(
        self, level: int, message: str, fields: dict[str, Any], reason: str, cause: BaseException | None = None
    ) -> None:
        """Logs a refusal, or counts it.

        Args:
            fields: Of its line, `rpc` and `code` among them.
            reason: What tells it from others of the same method and code.
            cause: Its traceback is logged.
        """
        key = (str(fields["rpc"]), str(fields["code"]), reason)
        kind = self._recent.get(key)
        if kind is not None:
            kind.more += 1
            return
        self._recent[key] = _Kind(level, {"rpc": key[0], "code": key[1], "reason": reason})
        asyncio.get_running_loop().call_later(_WINDOW, self._sum_up, key)
        logger.log(level, message, extra=fields, exc_info=cause)

    def shown(self, rpc: str, outcomes: Iterable[T]) -> Iterator[T]:
        """The outcomes of a batch's items as its peer is shown them: what the storage failed with is logged here."""
        for outcome in outcomes:
            if isinstance(outcome, StorageError):
                fields = {
                    "rpc": rpc,
                    "code": "ITEM",
                    "reason": outcome.reason,
                    "detail": cut(outcome.message, MOST_DETAIL),
                }
                self.note(logging.WARNING, "an item of a batch failed", fields, outcome.reason)
                yield cast(T, public_error(outcome))
            else:
                yield outcome

    def close(self) -> None:
        """Logs the numbers that are not logged yet."""
        for key in list(self._recent):
            self._sum_up(key)

    def _sum_up(self, key: tuple[str, str, str]) -> None:
        kind = self._recent.pop(key, None)
        if kind is not None and kind.more:
            logger.log(kind.level, "more were refused so", extra={**kind.fields, "count": kind.more})
