"""Whole files into objects and back, in flat memory."""

from collections.abc import Callable
from functools import partial
from typing import Any

import xxhash

from vault._async.files import missing, reopener
from vault._async.stream import AsyncBlockSource
from vault.blocks import BlockCutter, check_whole, worth_repeating
from vault.concurrency import AsyncReturned
from vault.errors import VaultError
from vault.localfile import PartFile, PathOrFile, SourceFile, is_path, read_some, write_all
from vault.model import Key, NotModified, ObjectInfo
from vault.progress import Meter, ProgressCallback
from vault.store import AsyncBlockWriter, AsyncStore
from vault.threads import AsyncDisk

__all__ = ["PathOrFile", "download_file", "upload_file"]

Begin = Callable[[], AsyncReturned[AsyncBlockWriter]]


async def upload_file(begin: Begin, source: PathOrFile, progress: ProgressCallback | None) -> ObjectInfo:
    """Stores a file's bytes, or what a binary file object still has, as one object.

    The next block is read while one is on its way. When a block changed on its way, or the connection was
    lost, all of a path's bytes are sent once more, under the same request id; those of a file object are
    gone.

    Args:
        begin: Begins the write; the same one, however often it is called.

    Raises:
        OSError: The file cannot be read, as Python says it; nothing was stored.
        ConflictError: FILE_CHANGED, the file was written while it was read; nothing was stored.
        InvalidArgumentError: BAD_FILE, it is no file, or not a binary one.
    """
    meter = Meter(progress)
    if not is_path(source):
        async with AsyncDisk() as disk:
            return await _send(begin, disk, partial(read_some, source), _nothing, meter)
    try:
        return await _send_path(begin, source, meter)
    except VaultError as error:
        if not worth_repeating(error, meter.moved):
            raise
        meter.restart()
        return await _send_path(begin, source, meter)


async def download_file(
    store: AsyncStore, unit: str, key: Key, target: PathOrFile, progress: ProgressCallback | None
) -> ObjectInfo:
    """Writes an object's bytes into a file, each block verified first.

    A block is written while the next is on its way. A path is replaced at the end, in one step: whoever
    opens it finds the old file or the whole new one, also after a crash of the machine. Until then the bytes
    are beside it under NAME.vault-part-…, which goes when the download fails. A file object gets the blocks
    as they come, and stays where it is, open, when the download fails.

    Raises:
        NotFoundError: There is no such object.
        CorruptionError: Stored bytes do not match their checksum.
        ConflictError: The connection was lost, the object was replaced or deleted, and the store did not retain
            its old bytes until the connection was there again.
        OSError: The file cannot be written, as Python says it.
        InvalidArgumentError: BAD_FILE, it is no file.
    """
    meter = Meter(progress)
    async with AsyncDisk() as disk:
        if not is_path(target):
            source = await _source(store, unit, key)
            try:
                return await _receive(source, disk, partial(write_all, target), meter)
            finally:
                await source.close()
        await disk.run(PartFile.check, target)
        source = await _source(store, unit, key)
        part = PartFile(target)
        try:
            await disk.run(part.open)
            info = await _receive(source, disk, part.write, meter)
            await disk.run(part.finish)
        finally:
            await disk.run(part.discard)
            await source.close()
    return info


async def _send_path(begin: Begin, path: Any, meter: Meter) -> ObjectInfo:
    file = SourceFile(path)
    async with AsyncDisk() as disk:
        try:
            meter.size(await disk.run(file.open))
            return await _send(begin, disk, file.read, file.check_unchanged, meter)
        finally:
            await disk.run(file.close)


async def _send(
    begin: Begin, disk: AsyncDisk, read: Callable[[], bytes], before_commit: Callable[[], None], meter: Meter
) -> ObjectInfo:
    cutter = BlockCutter()
    async with await begin() as writer:
        disk.begin(read)
        while data := await disk.ended():
            disk.begin(read)
            for block in cutter.feed(data):
                await writer.write(block)
            meter.add(len(data))
        for block in cutter.rest():
            await writer.write(block)
        await disk.run(before_commit)
        return await writer.commit(cutter.size, cutter.checksum)


async def _receive(
    source: AsyncBlockSource, disk: AsyncDisk, write: Callable[[bytes | memoryview], None], meter: Meter
) -> ObjectInfo:
    info = source.info
    meter.size(info.size)
    whole = xxhash.xxh3_64()
    for index in range(info.block_count):
        data = await source.passing_block(index)
        whole.update(data)
        await disk.ended()
        disk.begin(write, data)
        meter.add(len(data))
    await disk.ended()
    check_whole(info, whole.intdigest())
    return info


async def _source(store: AsyncStore, unit: str, key: Key) -> AsyncBlockSource:
    reader = await store.load(unit, key)
    if reader is None:
        raise missing(unit, key)
    assert not isinstance(reader, NotModified)  # noqa: S101  # not asked for; for the type checker
    return AsyncBlockSource(reader.info, reopener(store, reader.info), reader, kept=0)


def _nothing() -> None:
    """A file object is taken as it comes."""
