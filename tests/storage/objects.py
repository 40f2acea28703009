"""Objects in and out of a store, in one call each."""

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from vault.errors import VaultError
from vault.store.contract import BlockReader, BlockWriter, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, SmallUpload, UpdateSpec, UploadSpec, new_data_id
from vault.store.values import Block, Key, ObjectInfo, checksum
from vault_server.storage import EmbeddedStore
from vault_server.storage.decision.writes import Delete, Upload
from vault_server.storage.files.blobs import blob_generation

UNIT = "documents"
SMALL = b"small enough for the register"
LARGE = random.Random(7).randbytes(2 * BLOCK_SIZE + 12345)
INLINE = 64 << 10
FLIPPED = BLOCK_SIZE + 17


def blocks_of(data: bytes) -> Iterator[Block]:
    for offset in range(0, len(data), BLOCK_SIZE):
        piece = data[offset : offset + BLOCK_SIZE]
        yield Block(offset, piece, checksum(piece))


def write_all(writer: BlockWriter, data: bytes) -> ObjectInfo:
    with writer:
        for block in blocks_of(data):
            writer.write(block)
        return writer.commit(len(data), checksum(data))


def upload(
    store: Store,
    data: bytes,
    *,
    unit: str = UNIT,
    data_id: int | None = None,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> ObjectInfo:
    return write_all(store.upload(unit, UploadSpec(data_id or new_data_id(), name, tags or {})), data)


def update(store: Store, key: Key, data: bytes, *, unit: str = UNIT, if_generation: int | None = None) -> ObjectInfo:
    return write_all(store.update(unit, UpdateSpec(key, if_generation)), data)


def delete(store: Store, key: Key, *, unit: str = UNIT) -> int:
    (revision,) = store.delete_many(unit, [DeleteSpec(key)])
    assert isinstance(revision, int), revision
    return revision


def small(data: bytes = SMALL, *, data_id: int | None = None, name: str | None = None) -> SmallUpload:
    return SmallUpload(UploadSpec(new_data_id() if data_id is None else data_id, name), data, checksum(data))


def reader_of(
    store: Store,
    key: Key,
    *,
    unit: str = UNIT,
    offset: int = 0,
    length: int | None = None,
    generation: int | None = None,
) -> BlockReader:
    reader = store.load(unit, key, offset=offset, length=length, generation=generation)
    assert isinstance(reader, BlockReader), reader
    return reader


def read(store: Store, key: Key, *, unit: str = UNIT, generation: int | None = None) -> bytes:
    with reader_of(store, key, unit=unit, generation=generation) as reader:
        pieces = []
        for block in reader:
            block.verify(reader.info)
            pieces.append(bytes(block.data))
    return b"".join(pieces)


def stat(store: Store, key: Key, *, unit: str = UNIT) -> ObjectInfo:
    (info,) = store.stat_many(unit, [key])
    assert info is not None
    return info


def succeeded(outcome: ObjectInfo | VaultError) -> ObjectInfo:
    assert isinstance(outcome, ObjectInfo), outcome
    return outcome


def blob_files(directory: Path, unit: str = UNIT) -> list[str]:
    """The names of a unit's files without what is random in them: `<id>.<generation>.vault`, adopted `<id>.vault`."""
    folder = directory / unit
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    return sorted(re.sub(r"\.[0-9a-f]{16}(?=\.vault$)", "", name) for name in names)


def blob_of(directory: Path, data_id: int, unit: str = UNIT) -> Path:
    """The file of an object; of several the one whose name has the highest generation."""
    return max((directory / unit).glob(f"{data_id}.*vault"), key=lambda path: blob_generation(path.name) or 0)


def staged_files(directory: Path) -> list[Path]:
    return [path for path in (directory / ".staging").rglob("*") if path.is_file() and path.stat().st_size > 0]


def start(program: str, *arguments: object) -> "subprocess.Popen[str]":
    """Another Python process, which may import this module; speak to it by its standard streams."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": "error"}
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def run(program: str, *arguments: object) -> str:
    """What another Python process prints; it must end well."""
    with start(program, *arguments) as process:
        output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    return output


def flip(directory: Path) -> None:
    with blob_of(directory, 1).open("r+b") as file:
        file.seek(FLIPPED)
        file.write(bytes([LARGE[FLIPPED] ^ 1]))


def queue_uploads(store: EmbeddedStore, items: Sequence[SmallUpload]) -> "Future[Sequence[Any]]":
    """What `upload_many` waits for, to be waited for later."""
    contents = store.blobs.contents(UNIT, items)
    writes = [
        content if isinstance(content, VaultError) else Upload(UNIT, item.spec, content)
        for item, content in zip(items, contents, strict=True)
    ]
    return store.engine.writer.write_many(writes)


def queue_deletes(store: EmbeddedStore, items: Sequence[DeleteSpec]) -> "Future[Sequence[Any]]":
    """What `delete_many` waits for, to be waited for later."""
    return store.engine.writer.write_many([Delete(UNIT, spec) for spec in items])
