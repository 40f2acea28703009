"""Writing test objects straight into a store."""

import os
import random
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from vault._sync.files.object_writer import ObjectWriter
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec, new_data_id
from vault.store.values import ObjectInfo
from vault_server import EmbeddedStore

SIZES = [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE + 5]


def some_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def new_writer(store: Store, name: str | None = None) -> ObjectWriter:
    spec = UploadSpec(new_data_id(), name=name)
    writer = ObjectWriter(spec.data_id, partial(store.upload, "files", spec))
    writer.start()
    return writer


def put(store: Store, data: bytes, name: str | None = None) -> ObjectInfo:
    with new_writer(store, name) as writer:
        writer.write(data)
    return writer.info


def staged_files(store: EmbeddedStore) -> list[Path]:
    """The files of writes that are not committed."""
    staging = store.directory / ".staging"
    plain = [path for path in staging.glob("*/*") if re.fullmatch("[0-9a-f]{16}", path.name)]
    return plain + list(staging.glob("writes/*/bytes"))


DATA = some_bytes(2 * BLOCK_SIZE + 5)


class Watcher:
    """A progress callback that looks when the first byte has not been written, and after every block."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look

    def set_size(self, size: int | None, /) -> None:
        self._look()

    def relative_update(self, inc: int = 1, /) -> None:
        self._look()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)
