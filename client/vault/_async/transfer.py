"""Whole files into objects and back, in flat memory."""

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from vault._async.files import missing
from vault.blocks import BlockCutter
from vault.concurrency import AsyncBlocking, AsyncReturned
from vault.errors import ChecksumError, ConflictError, CorruptionError
from vault.model import BLOCK_SIZE, Block, Key, NotModified, ObjectInfo
from vault.progress import ProgressCallback
from vault.store import AsyncBlockReader, AsyncBlockWriter, AsyncStore

Begin = Callable[[], AsyncReturned[AsyncBlockWriter]]
PathOrFile = str | os.PathLike[str] | BinaryIO


async def upload_file(begin: Begin, source: PathOrFile, progress: ProgressCallback | None) -> ObjectInfo:
    """Stores a file's bytes, or what a binary file object still has, as one object.

    A block that changed on the way to the store is sent once more, with all the others, where `source` is a
    path.

    Raises:
        OSError: The file cannot be read, as Python says it; nothing was stored.
        ConflictError: FILE_CHANGED, the file was written while it was read; nothing was stored.
    """
    if not isinstance(source, str | os.PathLike):
        return await _send(begin, source, progress)
    for attempt in (1, 2):
        with contextlib.closing(await AsyncBlocking.run(_open, source)) as file:
            before = os.fstat(file.fileno())
            if progress is not None:
                progress.set_size(before.st_size if stat.S_ISREG(before.st_mode) else None)

            async def unchanged(file: BinaryIO = file, before: os.stat_result = before) -> None:
                after = os.fstat(file.fileno())
                if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                    raise ConflictError(
                        f"{os.fspath(source)} was written while it was read: nothing was stored", reason="FILE_CHANGED"
                    )

            try:
                return await _send(begin, file, progress, unchanged)
            except ChecksumError:
                if attempt == 2:
                    raise
    raise AssertionError  # the loop returns or raises


async def _send(
    begin: Begin,
    file: BinaryIO,
    progress: ProgressCallback | None,
    before_commit: Callable[[], AsyncReturned[None]] | None = None,
) -> ObjectInfo:
    cutter = BlockCutter()
    async with await begin() as writer:
        while data := await AsyncBlocking.run(file.read, BLOCK_SIZE):
            for block in cutter.feed(data):
                await writer.write(block)
            if progress is not None:
                progress.relative_update(len(data))
        for block in cutter.rest():
            await writer.write(block)
        if before_commit is not None:
            await before_commit()
        return await writer.commit(cutter.size, cutter.checksum)


async def download_file(
    store: AsyncStore, unit: str, key: Key, target: PathOrFile, progress: ProgressCallback | None
) -> ObjectInfo:
    """Writes an object's bytes into a file, each block verified first.

    A path is replaced at the end, in one step: whoever opens it finds the old file or the whole new one.
    Nothing else stays behind when the download fails. A file object gets the blocks as they come.

    Raises:
        NotFoundError: There is no such object.
        CorruptionError: Stored bytes do not match their checksum.
        OSError: The file cannot be written, as Python says it.
    """
    if not isinstance(target, str | os.PathLike):
        return await _receive(store, unit, key, target, progress)
    path = Path(target)
    if await AsyncBlocking.run(path.is_dir):
        raise IsADirectoryError(f"{path} is a directory: name the file to write")
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.part")
    reader = await _reader(store, unit, key)
    try:
        async with reader:
            with contextlib.closing(await AsyncBlocking.run(_create, part)) as file:
                info = await _copy(reader, file, progress)
        await AsyncBlocking.run(os.replace, part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return info


async def _receive(
    store: AsyncStore, unit: str, key: Key, file: BinaryIO, progress: ProgressCallback | None
) -> ObjectInfo:
    async with await _reader(store, unit, key) as reader:
        return await _copy(reader, file, progress)


async def _reader(store: AsyncStore, unit: str, key: Key) -> AsyncBlockReader:
    reader = await store.load(unit, key)
    if reader is None:
        raise missing(unit, key)
    assert not isinstance(reader, NotModified)  # noqa: S101  # not asked for; for the type checker
    return reader


async def _copy(reader: AsyncBlockReader, file: BinaryIO, progress: ProgressCallback | None) -> ObjectInfo:
    info = reader.info
    if progress is not None:
        progress.set_size(info.size)
    received = 0
    async for block in reader:
        await AsyncBlocking.run(_write, block, info, file)
        received += len(block.data)
        if progress is not None:
            progress.relative_update(len(block.data))
    if received != info.size:
        raise CorruptionError(
            f"object {info.data_id} in unit {info.unit!r} ends after {received} of {info.size} bytes",
            unit=info.unit,
            data_id=info.data_id,
            generation=info.generation,
        )
    return info


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    return cast(BinaryIO, Path(path).open("rb", buffering=0))


def _create(path: Path) -> BinaryIO:
    return cast(BinaryIO, path.open("xb", buffering=0))


def _write(block: Block, info: ObjectInfo, file: BinaryIO) -> None:
    block.verify(info)
    left: Any = memoryview(block.data)
    while left:  # an unbuffered file may take less than it is given
        left = left[file.write(left) :]
