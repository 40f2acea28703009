"""What is staged in a store's directory but not committed."""

import asyncio
from pathlib import Path


async def nothing_staged(directory: Path) -> None:
    async with asyncio.timeout(10):
        while staged(directory):  # noqa: ASYNC110  # another thread removes it, without telling
            await asyncio.sleep(0.01)


def staged(directory: Path) -> list[Path]:
    return [path for path in (directory / "store" / ".staging").rglob("*") if path.is_file() and path.stat().st_size]
