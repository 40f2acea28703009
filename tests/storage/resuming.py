"""One resumable upload, for tests in several processes."""

import random

from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.values import ObjectInfo, UploadSpec, checksum

from tests.storage.objects import UNIT, blocks_of

DATA = random.Random(11).randbytes(5 * BLOCK_SIZE + 321)
REQUEST = bytes(range(16))
SPEC = UploadSpec(7, "resumed", {"a": "1"}, "bytes", REQUEST)


def go_on(store: Store) -> tuple[ObjectInfo, int]:
    """Begins the upload or goes on with it, to its end; returns also where it went on."""
    with store.upload(UNIT, SPEC, resumable=True) as writer:
        begun = writer.persisted_size
        for block in blocks_of(DATA):
            if block.offset >= begun:
                writer.write(block)
        return writer.commit(len(DATA), checksum(DATA)), begun
