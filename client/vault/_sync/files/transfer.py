# Generated from _async/files/transfer.py by scripts/unasync: DO NOT CHANGE.
"""Whole files into objects and back, in flat memory."""

from collections.abc import Callable
from functools import partial

import xxhash

from vault._sync.files.block_stream import BlockSource
from vault._sync.files.object_reader import not_asked_for, reopener
from vault._runtime.blocking import Disk
from vault._runtime.local_file import PathOrFile, SourceFile, absolute, is_path, read_some, write_all
from vault._runtime.sync_async import Returned
from vault._runtime.target_file import find_target
from vault.errors import VaultError, object_not_found
from vault.store.blocks import BlockCutter, check_whole, worth_repeating
from vault.store.contract import BlockWriter, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.progress import Meter, ProgressCallback
from vault.store.values import Key, NotModified, ObjectInfo

__all__ = ["PathOrFile", "download_file", "upload_file"]

Begin = Callable[[], Returned[BlockWriter]]


def upload_file(begin: Begin, source: PathOrFile, progress: ProgressCallback | None) -> ObjectInfo:
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
        with Disk() as disk:
            return _send(begin, disk, partial(read_some, source, BLOCK_SIZE), _nothing, meter)
    path = absolute(source)
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
    progress: ProgressCallback | None,
    *,
    replace: bool = True,
) -> ObjectInfo:
    """Writes an object's bytes into a file, each block verified first.

    A block is written while the next is on its way. A path is replaced at the end, in one step: whoever
    opens it finds the old file or the whole new one, also after a crash of the machine. Until then the bytes
    are beside it under NAME.vault-part-…, which goes when the download fails, or with the next download to the
    path when it was killed. Symbolic links are followed. The file keeps its mode, its access control list and,
    where that is permitted, its owner and group; not its set-user-ID and set-group-ID bits, and other hard links
    to the old one keep the old bytes. A pipe, a device or an open descriptor (`/dev/stdout`) gets the blocks as
    they come; so does a file object, which stays where it is, open, when the download fails.

    Args:
        replace: Whether a file that is at the path may be replaced, or a link followed.

    Raises:
        NotFoundError: There is no such object.
        CorruptionError: Stored bytes do not match their checksum.
        ConflictError: The connection was lost, the object was replaced or deleted, and the store did not retain
            its old bytes until the connection was there again.
        OSError: The file cannot be written, as Python says it: it is a directory, read-only, in a folder that takes
            no new file, a circle of links.
        InvalidArgumentError: BAD_FILE, it is no file.
    """
    meter = Meter(progress)
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
    begin: Begin, disk: Disk, read: Callable[[], bytes], before_commit: Callable[[], None], meter: Meter
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
        disk.run(before_commit)
        return writer.commit(cutter.size, cutter.checksum)


def _receive(
    source: BlockSource, disk: Disk, write: Callable[[bytes | memoryview], None], meter: Meter
) -> ObjectInfo:
    info = source.info
    meter.size(info.size)
    whole = xxhash.xxh3_64()
    for index in range(info.block_count):
        data = source.passing_block(index)
        whole.update(data)
        disk.ended()
        disk.begin(write, data)
        meter.add(len(data))
    disk.ended()
    check_whole(info, whole.intdigest())
    return info


def _source(store: Store, unit: str, key: Key) -> BlockSource:
    reader = store.load(unit, key)
    if reader is None:
        raise object_not_found(unit, key)
    if isinstance(reader, NotModified):
        raise not_asked_for(unit, key)
    return BlockSource(reader.info, reopener(store, reader.info), reader, kept=0)


def _nothing() -> None:
    """A file object is taken as it comes."""
