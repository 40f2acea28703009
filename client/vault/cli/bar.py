"""The progress bar: what transfers report to on one side, rich on the other."""

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from vault.cli.table import shown


class Bar:
    """Bytes moved, of how many, how fast, and how long it will take; a moving bar while the total is unknown.

    It is a `vault.store.progress.ProgressCallback`, the part of fsspec's Callback that transfers call.
    """

    def __init__(self, label: str) -> None:
        self._progress = Progress(
            # A name may look like markup.
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(shown(label).plain, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def set_size(self, size: int | None, /) -> None:
        """Bytes in all; None when that is not known."""
        self._progress.update(self._task, total=size)

    def relative_update(self, inc: int = 1, /) -> None:
        """So many bytes more."""
        self._progress.update(self._task, advance=inc)
