"""A directory checked from outside: opened, audited and mended; its register rebuilt when it must be."""

import os
from functools import partial
from pathlib import Path

from vault.errors import StorageError
from vault.store.progress import ProgressCallback

from vault_server.storage.embedded.store import EmbeddedStore
from vault_server.storage.maintenance.rebuild.rebuild import rebuild
from vault_server.storage.maintenance.report import CheckReport, Problem, ProblemKind
from vault_server.storage.options import DEFAULT_OPTIONS, StoreOptions


def check_directory(
    directory: str | os.PathLike[str],
    options: StoreOptions = DEFAULT_OPTIONS,
    *,
    deep: bool = False,
    repair: bool = False,
    progress: ProgressCallback | None = None,
) -> CheckReport:
    """`EmbeddedStore.check` of a directory, for one that may not open, too.

    A register that is missing, torn or damaged is reported as a problem; with `repair` it is rebuilt of what
    can still be read of it and of the files, when nobody has the store open.

    Raises:
        StorageError: NETWORK_FILESYSTEM; REGISTER_BUSY, a rebuild is needed, and somebody has the store open; or the
            directory cannot be read or written.
    """
    root = Path(directory).absolute()
    check = partial(_check, root, options, deep=deep, progress=progress)
    report = check(repair=repair)
    if not repair or all(problem.kind != ProblemKind.DAMAGED_REGISTER for problem in report.problems):
        return report
    rebuilt = rebuild(root, progress=progress)
    done = [*report.repairs, *rebuilt.repairs]
    report = check(repair=True)
    report.repairs = [*done, *report.repairs]
    report.problems = [*rebuilt.lost, *report.problems]
    return report


def _check(
    root: Path, options: StoreOptions, *, deep: bool, repair: bool, progress: ProgressCallback | None
) -> CheckReport:
    try:
        with EmbeddedStore(root, options) as store:
            return store.check(deep=deep, repair=repair, progress=progress)
    except StorageError as error:
        if error.reason != "REGISTER_DAMAGED":
            raise
        return CheckReport(deep, problems=[Problem(ProblemKind.DAMAGED_REGISTER, error.message)])
