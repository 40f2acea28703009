"""What is logged of refused calls: the first of a kind at once, those that follow soon after it as a number."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar, cast

from vault.errors import StorageError, VaultError
from vault.wire.error_table import cut

from vault_server.rpc.call_context import CallContext
from vault_server.rpc.public_errors import public_error

T = TypeVar("T")

logger: Final = logging.getLogger("vault_server.rpc")

_WINDOW: Final = 10.0
"""Seconds in which refusals of the same method, code and reason are one line, and then one with their number."""

_MOST_DETAIL: Final = 300
"""Bytes of what is logged of one; a peer may have had a hand in it."""


class RefusalLog:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._more: dict[tuple[int, str, str, str], int] = {}  # by level, RPC, code and reason

    def note(
        self, level: int, message: str, fields: dict[str, Any], reason: str, cause: BaseException | None = None
    ) -> None:
        """Logs a refusal, or counts it.

        Args:
            fields: Of its line, `rpc` and `code` among them.
            reason: What tells it from others of the same method and code.
            cause: Its traceback is logged.
        """
        key = (level, str(fields["rpc"]), str(fields["code"]), reason)
        if key in self._more:
            self._more[key] += 1
            return
        self._more[key] = 0
        asyncio.get_running_loop().call_later(_WINDOW, self._sum_up, *key)
        logger.log(level, message, extra=fields, exc_info=cause)

    def refused(self, level: int, message: str, fields: dict[str, Any], error: VaultError) -> None:
        """As `note`, of an error of the contract."""
        detail = cut(error.message, _MOST_DETAIL)
        self.note(level, message, {**fields, "reason": error.reason, "detail": detail}, error.reason)

    def shown(self, rpc: str, call: CallContext, outcomes: Iterable[T]) -> Iterator[T]:
        """The outcomes of a batch's items as its peer is shown them: what the storage failed with is logged here."""
        for outcome in outcomes:
            if isinstance(outcome, StorageError):
                fields = {"rpc": rpc, "code": "ITEM", **call.ids()}
                self.refused(logging.WARNING, "an item of a batch failed", fields, outcome)
                yield cast(T, public_error(outcome))
            else:
                yield outcome

    def close(self) -> None:
        """Logs the numbers that are not logged yet."""
        for key in list(self._more):
            self._sum_up(*key)

    def _sum_up(self, level: int, rpc: str, code: str, reason: str) -> None:
        if count := self._more.pop((level, rpc, code, reason), 0):
            fields = {"rpc": rpc, "code": code, "reason": reason, "count": count}
            logger.log(level, "more were refused so", extra=fields)
