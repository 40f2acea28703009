"""Objects' bytes as files: where they lie, how they get there, what they come to, how they are removed."""

import contextlib
import os
import re
import secrets
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import xxhash
from vault._runtime.fsync import sync
from vault.errors import InvalidArgumentError
from vault.store.limits import BLOCK_SIZE, MAX_DATA_ID, check_unit
from vault.store.progress import Meter
from vault.store.values import checksum

from vault_server.storage.failpoints import reached
from vault_server.storage.files.directory import REGISTER, StoreDirectory
from vault_server.storage.files.reader import read_at
from vault_server.storage.files.staged_file import StagedFile

_OWN_FOLDERS: Final = (".staging", ".lost", ".rebuild")
_NAME: Final = re.compile(r"([1-9][0-9]{0,18})(?:\.([1-9][0-9]{0,18})(?:\.[0-9a-f]{16})?)?\.vault", re.ASCII)


def unit_folder(unit: str) -> str:
    """The folder of a unit's files: its name, but for the names that the register's own files have.

    No unit's name starts with a dot, so what is put aside collides with nothing.
    """
    return f".{unit}" if unit.lower().startswith(REGISTER) else unit


def folder_unit(folder: str) -> str:
    """The unit of a folder; the inverse of `unit_folder`."""
    return folder[1:] if folder.lower().startswith(f".{REGISTER}") else folder


def blob_id(name: str) -> int | None:
    """The object's id in a blob's file name; None for a file that Vault did not name."""
    match = _NAME.fullmatch(name)
    if match is None or any(int(part) > MAX_DATA_ID for part in match.groups() if part):
        return None
    return int(match[1])


def new_blob(unit: str, data_id: int, generation: int) -> str:
    """A name for a generation's bytes that no other ever had, or will have.

    So a commit that failed, and whose row may come back with the next crash (see `collection`), finds its own bytes
    then. The id and the generation are in it for the day when the register is lost; the generation may be a later one
    than the object's, where a write before it in its group was taken out after it was named.
    """
    return f"{unit_folder(unit)}/{data_id}.{generation}.{secrets.token_hex(8)}.vault"


def _unit_of(folder: str) -> str | None:
    """The unit whose files are in a folder; None for one that Vault did not name."""
    unit = folder_unit(folder)
    try:
        check_unit(unit)
    except InvalidArgumentError:
        return None
    return unit if unit_folder(unit) == folder else None


def is_blob(file: str) -> bool:
    """Whether a path relative to the store's directory is one that Vault may have given to an object's bytes."""
    folder, _, name = file.partition("/")
    return _unit_of(folder) is not None and blob_id(name) is not None


def blob_generation(file: str) -> int | None:
    """The generation in a blob's file name; None for one without, which may be any."""
    match = _NAME.fullmatch(file.rpartition("/")[2])
    return int(match[2]) if match and match[2] else None


def blob_files(root: Path) -> Iterator[list[str]]:
    """The files that Vault may have named, by folder, relative to `root`. Others are not ours to judge."""
    for folder in sorted(entry.name for entry in os.scandir(root) if entry.is_dir()):
        if _unit_of(folder) is not None:
            names = sorted(entry.name for entry in os.scandir(root / folder) if entry.is_file())
            yield [f"{folder}/{name}" for name in names if blob_id(name) is not None]


def own_paths(root: Path) -> Iterator[Path]:
    """What Vault, or pyvault, may have made in a store's directory. What else is there is not ours to change."""
    for path in sorted(root.iterdir()):
        if path.is_dir():
            ours = path.name in _OWN_FOLDERS or any(blob_id(each.name) is not None for each in path.iterdir())
        else:
            ours = path.name.startswith(REGISTER) and path.is_file()
        if ours:
            yield path


class Blobs:
    """The files under one store's directory. `file` is always a path relative to it.

    Names are given and taken away only inside a write transaction of the register, so that no two
    processes do it at the same time.
    """

    def __init__(self, directory: StoreDirectory, *, durable: bool) -> None:
        self.directory = directory
        self.root = directory.root
        self.durable = durable
        self._durable_folders: set[Path] = set()

    def place(self, staged: StagedFile, file: str) -> Path:
        """Gives a staged file its final name.

        Returns:
            The folder, to be synced before the transaction commits.
        """
        folder = self.folder(file)
        if folder not in self._durable_folders:
            self._make_folder(folder)
        try:
            staged.rename(self.directory, file)
        except FileNotFoundError:  # somebody removed the empty folder by hand
            self._make_folder(folder)
            staged.rename(self.directory, file)
        reached("renamed")
        return folder

    def folder(self, file: str) -> Path:
        """Where it lies."""
        return (self.root / file).parent

    def _make_folder(self, folder: Path) -> None:
        self.directory.access.make_folder(folder.name, exist_ok=True, dir_fd=self.directory.descriptor)
        reached("unit folder made")
        # Also where it was there: whoever made it may have been killed, or have failed, before this.
        self.sync_folder(self.root)
        self._durable_folders.add(folder)
        reached("unit folder durable")

    def open(self, file: str) -> int:
        """Its descriptor. Raises FileNotFoundError."""
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.directory.descriptor)

    def remove(self, file: str) -> Path | None:
        """Removes a file, if it is there.

        Returns:
            The folder, to be synced before the transaction commits; None when it is not there.
        """
        with contextlib.suppress(FileNotFoundError):  # removed by a transaction that then failed to commit
            os.unlink(file, dir_fd=self.directory.descriptor)
        folder = self.folder(file)
        return folder if folder.exists() else None

    def sync_folder(self, folder: Path) -> None:
        """Makes the names in a folder durable."""
        if self.durable:
            sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync_path(folder: Path) -> None:
    """Makes a folder's names durable, and those that lead to it, as far as its file system reaches.

    A folder that is there is not durable by being there: whoever made it may have been killed first.
    """
    device = folder.stat().st_dev
    for each in (folder, *folder.parents):
        if each.stat().st_dev != device:
            return
        with contextlib.suppress(PermissionError):  # not ours, so we did not make anything in it
            sync_folder(each)


class Measured(NamedTuple):
    """What a file's bytes come to. `modified` in microseconds since 1970."""

    size: int
    checksum: int
    blocks: "array[int]"
    modified: int


def measure(path: Path, meter: Meter | None = None) -> Measured:
    """Reads a file once."""
    whole = xxhash.xxh3_64()
    blocks = array("Q")
    size = 0
    with path.open("rb", buffering=0) as file:
        while data := read_at(file.fileno(), BLOCK_SIZE, size):
            whole.update(data)
            blocks.append(checksum(data))
            size += len(data)
            if meter is not None:
                meter.add(len(data))
        modified = os.fstat(file.fileno()).st_mtime_ns // 1000
    return Measured(size, whole.intdigest(), blocks, modified)
