"""A progress bar on standard error, when that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vault._escaping import escape_hidden
from vault.store.progress import ProgressCallback


@contextmanager
def progress_of(label: str) -> Iterator[ProgressCallback | None]:
    """What a transfer reports its progress to: a bar with `label` beside it, or None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress  # noqa: PLC0415  # rich costs 80 ms, and only a terminal needs it
    from rich.console import Console  # noqa: PLC0415

    columns = (
        progress.TextColumn("{task.description}", markup=False),  # a name may look like markup
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        yield _Bar(shown, shown.add_task(escape_hidden(label), total=None))


class _Bar:
    """Bytes moved, of how many, how fast, and how long it will take; a moving bar while the total is unknown."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress = progress
        self._task = task

    def set_size(self, size: int | None, /) -> None:
        self._progress.update(self._task, total=size)

    def relative_update(self, inc: int = 1, /) -> None:
        self._progress.update(self._task, advance=inc)
