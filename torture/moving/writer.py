"""A process that writes to a store whose directory is moved and replaced, and notes what it was told."""

import random
import sys
import time

from vault import RemoteStore
from vault.errors import StorageError
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec
from vault.store.values import Block, checksum
from vault_server import EmbeddedStore

UNIT = "moved"
SIZES = (10, 5_000, 70_000, 200_000, BLOCK_SIZE + 7)


def bytes_of(data_id: int) -> bytes:
    return random.Random(data_id).randbytes(SIZES[data_id % len(SIZES)])


def write(store: Store, data_id: int) -> None:
    data = bytes_of(data_id)
    with store.upload(UNIT, UploadSpec(data_id), resumable=data_id % 3 == 0) as writer:
        for offset in range(0, len(data), BLOCK_SIZE):
            piece = data[offset : offset + BLOCK_SIZE]
            writer.write(Block(offset, piece, checksum(piece)))
        writer.commit(len(data), checksum(data))


def main() -> None:
    """Arguments: a directory or an address, and the first id. A line each: id, begun and ended (ns), the outcome."""
    where, data_id = sys.argv[1], int(sys.argv[2])
    with RemoteStore(where) if where.startswith("127.") else EmbeddedStore(where) as store:
        print("ready", flush=True)
        while True:
            data_id += 1
            begun = time.monotonic_ns()
            try:
                write(store, data_id)
            except StorageError as error:
                print(data_id, begun, time.monotonic_ns(), error.reason, flush=True)
                time.sleep(0.002)
            else:
                print(data_id, begun, time.monotonic_ns(), "acknowledged", flush=True)


if __name__ == "__main__":
    main()
