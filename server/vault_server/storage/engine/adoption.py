"""A directory that pyvault wrote: `<unit>/<id>.vault`, each file an object, and no register.

Adopting is reading: every file is read once for its checksums, and nothing is moved or rewritten.
"""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vault.errors import InvalidArgumentError
from vault.store.limits import check_unit

from vault_server.storage.clock import wall_clock
from vault_server.storage.decision.rows import Row, pack_checksums, signed
from vault_server.storage.decision.writes import Content
from vault_server.storage.files.blobs import blob_id, measure, unit_folder
from vault_server.storage.index.restoring import COUNT_UNITS, insert_object
from vault_server.storage.os_errors import storing

_log = logging.getLogger(__name__)

_PLAIN: Final = ".vault"


def adopt(connection: sqlite3.Connection, root: Path) -> None:
    """Makes an object of each of pyvault's files under `root`, in the transaction that makes the register.

    The feed begins after them: nobody can have watched them come.
    """
    revision = 0
    now = wall_clock()
    with storing(f"look for files to adopt in {str(root)!r}"):
        files = list(_files(root))
    for unit, data_id, path in files:
        revision += 1
        with storing(f"adopt {str(path)!r}"):
            size, whole, blocks, modified = measure(path)
        moment = min(modified, now)
        times = (moment, moment, moment)
        row = Row(unit, data_id, revision, revision, size, signed(whole), "", None, None, *times, content=revision)
        content = Content(size, whole, pack_checksums(blocks), None, f"{unit}/{path.name}")
        insert_object(connection, row, content)
    if revision:
        connection.execute("UPDATE meta SET revision = ?, feed_floor = ?", (revision, revision))
        connection.execute(COUNT_UNITS)
        _log.info("adopted %d objects that were in %s without a register", revision, root)


def _files(root: Path) -> Iterator[tuple[str, int, Path]]:
    for folder in sorted(entry for entry in root.iterdir() if entry.is_dir()):
        try:
            check_unit(folder.name)
        except InvalidArgumentError:
            if not folder.name.startswith("."):
                _log.warning("%r is left alone: its name cannot be a unit's", str(folder))
            continue
        if unit_folder(folder.name) != folder.name:
            _log.warning("%r is left alone: its name is kept for the register", str(folder))
            continue
        for path in sorted(folder.iterdir()):
            data_id = blob_id(path.name)
            if data_id is None or path.name != f"{data_id}{_PLAIN}" or not path.is_file():
                _log.warning("%r is left alone: it is no file of the form <id>.vault", str(path))
                continue
            yield folder.name, data_id, path
