"""Whole files into objects and back, in flat memory."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from vault._async.files.block_stream import AsyncBlockSource
from vault._runtime.blocking import AsyncDisk
from vault._runtime.local_file import PathOrFile, SourceFile, absolute, is_path, read_some, write_all
from vault._runtime.sync_async import AsyncReturned
from vault._runtime.target_file import find_target
from vault.errors import VaultError, object_not_found
from vault.store._async.reopening import not_asked_for, reopener
from vault.store.blocks import BlockCutter, check_empty, worth_repeating
from vault.store.contract import AsyncBlockWriter, AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.progress import Meter, Progress
from vault.store.values import Key, NotModified, ObjectInfo

__all__ = ["PathOrFile", "download_file", "upload_file"]

Begin = Callable[[], AsyncReturned[AsyncBlockWriter]]


async def upload_file(begin: Begin, source: PathOrFile, progress: Progress) -> ObjectInfo:
    """Stores a file's bytes, or what a binary file object still has, as one object. See `AsyncVault.upload_file`.

    The next block is read while one is on its way. When a block changed on its way, or the connection was
    lost, all of a path's bytes are sent once more, under the same request id; those of a file object are
    gone.

    Args:
        begin: Begins the write; the same one, however often it is called.
    """
    if not is_path(source):
        with Meter(progress, "upload") as meter:
            async with AsyncDisk() as disk:
                return await _send(begin, disk, partial(read_some, source, BLOCK_SIZE), None, meter)
    path = absolute(source)
    with Meter(progress, Path(path).name) as meter:
        try:
            return await _send_path(begin, path, meter)
        except VaultError as error:
            if not worth_repeating(error, meter.moved):
                raise
            meter.restart()
            return await _send_path(begin, path, meter)


async def download_file(
    store: AsyncStore,
    unit: str,
    key: Key,
    target: PathOrFile,
    progress: Progress,
    *,
    replace: bool = True,
) -> ObjectInfo:
    """Writes an object's bytes into a file, each block and the whole verified first. See `AsyncVault.download_file`.

    A block is written while the next is on its way. Until a path is replaced, in one step, the bytes are beside it
    under NAME.vault-part-…, which goes when the download fails, or with the next download to the path when it was
    killed. Other hard links to the old file keep the old bytes. A file object stays where it is, open, when the
    download fails.

    Args:
        replace: Whether a file that is at the path may be replaced, or a link followed.
    """
    with Meter(progress, str(key)) as meter:
        async with AsyncDisk() as disk:
            if not is_path(target):
                source = await _source(store, unit, key)
                try:
                    return await _receive(source, disk, partial(write_all, target), meter)
                finally:
                    await source.close()
            file = await disk.run(partial(find_target, absolute(target), replace=replace))
            source = await _source(store, unit, key)
            try:
                disk.begin(file.open)
                await disk.ended()
                info = await _receive(source, disk, file.write, meter)
                await disk.run(file.finish)
            finally:
                file.give_up()
                await disk.run(file.discard)
                await source.close()
    return info


async def _send_path(begin: Begin, path: str, meter: Meter) -> ObjectInfo:
    file = SourceFile(path, BLOCK_SIZE)
    async with AsyncDisk() as disk:
        try:
            meter.size(await disk.run(file.open))
            return await _send(begin, disk, file.read, file.check_unchanged, meter)
        finally:
            file.give_up()
            await disk.run(file.close)


async def _send(
    begin: Begin, disk: AsyncDisk, read: Callable[[], bytes], check: Callable[[], None] | None, meter: Meter
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
        if check is not None:
            await disk.run(check)
        return await writer.commit(cutter.size, cutter.checksum)


async def _receive(
    source: AsyncBlockSource, disk: AsyncDisk, write: Callable[[bytes | memoryview], None], meter: Meter
) -> ObjectInfo:
    info = source.info
    meter.size(info.size)
    check_empty(info)
    for index in range(info.block_count):
        data = await source.passing_block(index)
        await disk.ended()
        disk.begin(write, data)
        meter.add(len(data))
    await disk.ended()
    return info


async def _source(store: AsyncStore, unit: str, key: Key) -> AsyncBlockSource:
    reader = await store.load(unit, key)
    if reader is None:
        raise object_not_found(unit, key)
    if isinstance(reader, NotModified):
        raise not_asked_for(unit, key)
    return AsyncBlockSource(reader.info, reopener(store, reader.info), reader, kept=0)
