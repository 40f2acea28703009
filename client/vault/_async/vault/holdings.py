"""How much a vault's units hold, and how much they may."""

from collections.abc import AsyncIterator
from typing import Literal

from vault._async.vault.base import AsyncVaultBase
from vault._runtime.fork import fork_count, refuse_inherited
from vault.store.limits import check_prefix
from vault.store.usage import UnitInfo, UnitLimits
from vault.wire.reply_checks import check_units


class AsyncHoldings(AsyncVaultBase):
    """The calls that are about units rather than objects."""

    async def units(self) -> list[str]:
        """The units of the store that hold an object, in alphabetical order, in the structure or not.

        Example:
            >>> await vault.units()
            ['files', 'notes']
        """
        self._require_open()
        return await self._store.list_units()

    async def unit_info(self, unit: str) -> UnitInfo:
        """How many objects the unit holds, how many bytes, and its limits. Always asks the store.

        Example:
            >>> info = await vault.unit_info("notes")
            >>> info.objects, info.bytes
            (1, 5)
        """
        self._require_unit(unit)
        return await self._store.unit_info(unit)

    def unit_infos(self, *, prefix: str = "") -> AsyncIterator[UnitInfo]:
        """The same of every unit of the store that holds an object or has limits, in alphabetical order, in the
        structure or not; fetched page by page as they are asked for.

        Args:
            prefix: Only those of which this is the beginning.

        Example:
            >>> [info.unit async for info in vault.unit_infos(prefix="no")]
            ['notes']
        """
        self._require_open()
        check_prefix(prefix)
        return self._unit_pages(prefix, fork_count())

    async def set_unit_limits(
        self,
        unit: str,
        *,
        max_objects: int | None = None,
        max_bytes: int | None = None,
        when_full: Literal["refuse", "evict"] = "refuse",
    ) -> UnitInfo:
        """Sets how much the unit may hold, for everybody who uses the store. What it holds already stays until
        something is written to it.

        Args:
            max_objects: None: no limit.
            max_bytes: Of the objects as they are now, without replaced ones that are still retained; None: no limit.
            when_full: "refuse": what would go over a limit raises StorageFullError, QUOTA. "evict": what was stored
                longest ago is deleted for it; so this may delete acknowledged objects.

        Returns:
            What it holds.

        Raises:
            InvalidArgumentError: BAD_LIMIT.
            UnsupportedError: The server is older, and has none.

        Example:
            >>> info = await vault.set_unit_limits("notes", max_objects=1000, when_full="evict")
            >>> info.limits.max_objects
            1000
        """
        self._require_unit(unit)
        return await self._store.set_unit_limits(unit, UnitLimits(max_objects, max_bytes, when_full))

    async def _unit_pages(self, prefix: str, forks: int) -> AsyncIterator[UnitInfo]:
        token = last = ""
        while True:
            refuse_inherited(forks, "the listing")
            self._require_open()
            page = await self._store.unit_page(prefix=prefix, page_token=token)
            check_units([last, *(info.unit for info in page.units)][not last :])
            for info in page.units:
                last = info.unit
                yield info
                refuse_inherited(forks, "the listing")
            token = page.next_page_token
            if not token:
                return
