# Generated from _async/files/transfer.py by scripts/unasync: DO NOT CHANGE.
"""Whole files into objects and back, in flat memory."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from vault._sync.files.block_stream import BlockSource
from vault._runtime.blocking import Disk
from vault._runtime.local_file import PathOrFile, SourceFile, absolute, is_path, read_some, write_all
from vault._runtime.sync_async import Returned
from vault._runtime.target_file import find_target
from vault.errors import VaultError, object_not_found
from vault.store._sync.reopening import not_asked_for, reopener
from vault.store.blocks import BlockCutter, check_empty, worth_repeating
from vault.store.contract import BlockWriter, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.progress import Meter, Progress
from vault.store.values import Key, NotModified, ObjectInfo

__all__ = ["PathOrFile", "download_file", "upload_file"]

Begin = Callable[[], Returned[BlockWriter]]


def upload_file(begin: Begin, source: PathOrFile, progress: Progress) -> ObjectInfo:
    """Stores a file's bytes, or what a binary file object still has, as one object. See `Vault.upload_file`.

    The next block is read while one is on its way. When a block changed on its way, or the connection was
    lost, all of a path's bytes are sent once more, under the same request id; those of a file object are
    gone.

    Args:
        begin: Begins the write; the same one, however often it is called.
    """
    if not is_path(source):
        with Meter(progress, "upload") as meter:
            with Disk() as disk:
                return _send(begin, disk, partial(read_some, source, BLOCK_SIZE), None, meter)
    path = absolute(source)
    with Meter(progress, Path(path).name) as meter:
        try:
            return _send_path(begin, path, meter)
        except VaultError as error:
            if not worth_repeating(error, meter.moved):
                raise
            meter.restart()
            return _send_path(begin, path, meter)


def download_file(
    store: Store,
    unit: str,
    key: Key,
    target: PathOrFile,
    progress: Progress,
    *,
    replace: bool = True,
) -> ObjectInfo:
    """Writes an object's bytes into a file, each block and the whole verified first. See `Vault.download_file`.

    A block is written while the next is on its way. Until a path is replaced, in one step, the bytes are beside it
    under NAME.vault-part-…, which goes when the download fails, or with the next download to the path when it was
    killed. Other hard links to the old file keep the old bytes. A file object stays where it is, open, when the
    download fails.

    Args:
        replace: Whether a file that is at the path may be replaced, or a link followed.
    """
    with Meter(progress, str(key)) as meter:
        with Disk() as disk:
            if not is_path(target):
                source = _source(store, unit, key)
                try:
                    return _receive(source, disk, partial(write_all, target), meter)
                finally:
                    source.close()
            file = disk.run(partial(find_target, absolute(target), replace=replace))
            source = _source(store, unit, key)
            try:
                disk.begin(file.open)
                disk.ended()
                info = _receive(source, disk, file.write, meter)
                disk.run(file.finish)
            finally:
                file.give_up()
                disk.run(file.discard)
                source.close()
    return info


def _send_path(begin: Begin, path: str, meter: Meter) -> ObjectInfo:
    file = SourceFile(path, BLOCK_SIZE)
    with Disk() as disk:
        try:
            meter.size(disk.run(file.open))
            return _send(begin, disk, file.read, file.check_unchanged, meter)
        finally:
            file.give_up()
            disk.run(file.close)


def _send(
    begin: Begin, disk: Disk, read: Callable[[], bytes], check: Callable[[], None] | None, meter: Meter
) -> ObjectInfo:
    cutter = BlockCutter()
    with begin() as writer:
        disk.begin(read)
        while data := disk.ended():
            disk.begin(read)
            for block in cutter.feed(data):
                writer.write(block)
            meter.add(len(data))
        for block in cutter.rest():
            writer.write(block)
        if check is not None:
            disk.run(check)
        return writer.commit(cutter.size, cutter.checksum)


def _receive(
    source: BlockSource, disk: Disk, write: Callable[[bytes | memoryview], None], meter: Meter
) -> ObjectInfo:
    info = source.info
    meter.size(info.size)
    check_empty(info)
    for index in range(info.block_count):
        data = source.passing_block(index)
        disk.ended()
        disk.begin(write, data)
        meter.add(len(data))
    disk.ended()
    return info


def _source(store: Store, unit: str, key: Key) -> BlockSource:
    reader = store.load(unit, key)
    if reader is None:
        raise object_not_found(unit, key)
    if isinstance(reader, NotModified):
        raise not_asked_for(unit, key)
    return BlockSource(reader.info, reopener(store, reader.info), reader, kept=0)
