"""The bytes of a caller's unfinished uploads, counted against its budget as they come."""

import time
from collections.abc import Collection
from typing import Final

from vault.errors import UnavailableError
from vault.store.contract import AsyncBlockWriter
from vault.store.values import Block, ObjectInfo

from vault_server.access.budgets import Account

_KEPT: Final = 900.0
"""Seconds for which a suspended write is taken to be there: the resume window, unless it was set to something else."""


class CountedWriter(AsyncBlockWriter):
    """A writer whose bytes are counted from now until it ends, or until it is gone when it is suspended.

    Args:
        accounts: Its caller's.
        request_id: By which it is gone on with.
    """

    def __init__(self, writer: AsyncBlockWriter, accounts: Collection[Account], request_id: bytes) -> None:
        self._writer = writer
        self._accounts = accounts
        self._request_id = request_id
        self._size = 0
        for account in accounts:
            account.staged -= account.suspended.pop(request_id, (0, 0.0))[0]
            account.writes[self] = None
        self._count(writer.persisted_size)

    @property
    def persisted_size(self) -> int:
        return self._writer.persisted_size

    async def write(self, block: Block) -> None:
        """As of any writer.

        Raises:
            UnavailableError: RATE_LIMITED, it would be more than the caller may have, and this is not the first of its
                writes that run: that one goes on, so that some write ends.
        """
        size = len(block.data)
        for account in self._accounts:
            limit = account.budget.staged_bytes
            if limit and account.staged + size > limit and next(iter(account.writes)) is not self:
                account.forget_suspended(time.monotonic())
                if account.staged + size > limit:
                    raise UnavailableError(
                        f"the caller's unfinished uploads have {account.staged} bytes, and may have {limit}: wait",
                        reason="RATE_LIMITED",
                        limit=limit,
                        retry_after=2.0,
                    )
        self._count(size)
        await self._writer.write(block)

    async def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        try:
            return await self._writer.commit(size, checksum)
        finally:
            self._end()

    async def abort(self) -> None:
        try:
            await self._writer.abort()
        finally:
            self._end()

    async def suspend(self) -> None:
        try:
            await self._writer.suspend()
        finally:
            self._end(suspended=True)

    def _count(self, size: int) -> None:
        self._size += size
        for account in self._accounts:
            account.staged += size

    def _end(self, *, suspended: bool = False) -> None:
        size, self._size = self._size, 0
        now = time.monotonic()
        for account in self._accounts:
            account.writes.pop(self, None)
            if suspended and size:
                account.suspended[self._request_id] = (size, now + _KEPT)
                account.forget_suspended(now)
            else:
                account.staged -= size
