"""One resumable upload, for tests in several processes."""

import os
import random
import time
from pathlib import Path

from vault.store.contract import BlockWriter, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec
from vault.store.values import ObjectInfo, checksum
from vault_server.storage import EmbeddedStore

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


WRITING = """
import sys
from tests.storage.objects import UNIT, blocks_of
from tests.storage.resuming import DATA, SPEC
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
writer = store.upload(UNIT, SPEC, resumable=True)
for block in list(blocks_of(DATA))[: int(sys.argv[2])]:
    writer.write(block)
print("written", flush=True)
for line in sys.stdin:
    writer.suspend()
    print("suspended", flush=True)
"""


def write(store: EmbeddedStore, blocks: int, spec: UploadSpec = SPEC) -> BlockWriter:
    writer = store.upload(UNIT, spec, resumable=True)
    for block in list(blocks_of(DATA))[:blocks]:
        writer.write(block)
    return writer


def suspend(store: EmbeddedStore, blocks: int, spec: UploadSpec = SPEC) -> None:
    write(store, blocks, spec).suspend()


def folder(directory: Path, request_id: bytes = REQUEST) -> Path:
    return directory / ".staging" / "writes" / request_id.hex()


def kept(directory: Path) -> list[str]:
    parent = directory / ".staging" / "writes"
    return sorted(path.name for path in parent.iterdir()) if parent.exists() else []


def age(directory: Path, seconds: float, request_id: bytes = REQUEST) -> None:
    """Makes the last byte that old."""
    moment = time.time() - seconds
    os.utime(folder(directory, request_id) / "bytes", (moment, moment))
