"""A directory that pyvault wrote: `<unit>/<id>.vault`, each file an object, and no register.

Adopting is reading: every file is read once for its checksums, and nothing is moved or rewritten.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vault.errors import InvalidArgumentError
from vault.store.limits import check_unit
from vault.store.values import ObjectInfo

from vault_server.storage.commit.commands import insert_object
from vault_server.storage.files.blobs import blob_id, unit_folder
from vault_server.storage.files.measure import measure
from vault_server.storage.index.objects import pack_checksums, to_time
from vault_server.storage.os_errors import storing

_log = logging.getLogger(__name__)

_PLAIN: Final = ".vault"


def adopt(connection: sqlite3.Connection, root: Path) -> None:
    """Makes an object of each of pyvault's files under `root`, in the transaction that makes the register.

    The feed begins after them: nobody can have watched them come.
    """
    revision = 0
    now = time.time_ns() // 1000
    with storing(f"look for files to adopt in {str(root)!r}"):
        files = list(_files(root))
    for unit, data_id, path in files:
        revision += 1
        with storing(f"adopt {str(path)!r}"):
            size, whole, blocks, modified = measure(path)
        info = ObjectInfo(
            unit=unit,
            data_id=data_id,
            generation=revision,
            revision=revision,
            size=size,
            checksum=whole,
            datatype="",
            name=None,
            tags={},
            created_at=to_time(min(modified, now)),
            updated_at=to_time(min(modified, now)),
        )
        insert_object(connection, info, file=f"{unit}/{path.name}", data=None, blocks=pack_checksums(blocks))
    if revision:
        connection.execute("UPDATE meta SET revision = ?, feed_floor = ?", (revision, revision))
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
