"""A progress bar on standard error, when that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from vault.store.progress import ProgressCallback


@contextmanager
def progress_of(label: str) -> Iterator[ProgressCallback | None]:
    """What a transfer reports its progress to: a bar with `label` beside it, or None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from vault.cli.bar import Bar  # noqa: PLC0415  # rich costs 80 ms, and only a terminal needs it

    with Bar(label) as bar:
        yield bar
