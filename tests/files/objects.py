"""Writing test objects straight into a store."""

import random
from functools import partial

from vault._sync.files import ObjectWriter
from vault.model import BLOCK_SIZE, ObjectInfo, UploadSpec, new_data_id
from vault.store import Store

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
