"""Objects' bytes as files: where they lie, how they get there, how they are removed."""

import contextlib
import io
import os
import re
from pathlib import Path
from typing import Final

from vault.rules import MAX_DATA_ID

from vault_server.storage.staging import StagedFile

REGISTER: Final = "register.db"
_NAME: Final = re.compile(r"([1-9][0-9]{0,18})(?:\.([1-9][0-9]{0,18}))?\.vault", re.ASCII)


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


class Blobs:
    """The files under one store's directory. `file` is always a path relative to it.

    Names are given and taken away only inside a write transaction of the register, so that no two
    processes do it at the same time.
    """

    def __init__(self, root: Path, *, durable: bool) -> None:
        self.root = root
        self.durable = durable

    def choose(self, unit: str, data_id: int, generation: int, *, first: bool) -> str:
        """A free name: `<unit>/<id>.vault` for the first generation, with the generation otherwise."""
        folder = unit_folder(unit)
        plain = f"{folder}/{data_id}.vault"
        if first and not os.path.lexists(self.root / plain):
            return plain
        return f"{folder}/{data_id}.{generation}.vault"

    def place(self, staged: StagedFile, file: str) -> Path:
        """Gives a staged file its final name.

        Returns:
            The folder, to be synced before the transaction commits.
        """
        target = self.root / file
        try:
            staged.rename(target)
        except FileNotFoundError:
            target.parent.mkdir(exist_ok=True)
            self.sync_folder(self.root)
            staged.rename(target)
        return target.parent

    def open(self, file: str) -> io.FileIO:
        return io.FileIO(self.root / file, "rb")

    def remove(self, file: str) -> Path:
        """Removes a file, if it is there, and returns its folder."""
        target = self.root / file
        with contextlib.suppress(FileNotFoundError):  # removed by a transaction that then failed to commit
            target.unlink()
        return target.parent

    def sync_folder(self, folder: Path) -> None:
        """Makes the names in a folder durable."""
        if self.durable:
            sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
