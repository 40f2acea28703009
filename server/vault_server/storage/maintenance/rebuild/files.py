"""The files that are left of a store's objects, and what is in them."""

from collections import defaultdict
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from vault.errors import VaultError
from vault.store.limits import MAX_DATA_ID, check_unit
from vault.store.progress import Meter

from vault_server.storage.decision.rows import Row, pack_checksums, unsigned
from vault_server.storage.files.blobs import blob_files, blob_generation, blob_id, folder_unit
from vault_server.storage.files.measure import Measured, measure
from vault_server.storage.os_errors import storing

IMPLAUSIBLE: Final = 1 << 53
"""No store comes to such a revision; a damaged row, or a name that somebody gave, does."""


class Key(NamedTuple):
    unit: str
    data_id: int

    @property
    def is_valid(self) -> bool:
        try:
            check_unit(self.unit)
        except VaultError:
            return False
        return 0 < self.data_id <= MAX_DATA_ID


class Left(NamedTuple):
    """A file: the generation in its name, 0 where there is none; and when it came to be, of two of one generation."""

    generation: int
    changed: int
    file: str


class Files:
    """The files of a directory that Vault may have named, by the object that they are of.

    Attributes:
        newest: The highest generation in a name that can be one.
        size: Bytes in all.
    """

    def __init__(self, root: Path, meter: Meter) -> None:
        self._root = root
        self._meter = meter
        self._measured: dict[str, Measured] = {}
        self._sizes: dict[str, int] = {}
        self.by_key: dict[Key, list[Left]] = defaultdict(list)
        with storing("look through the store's directory"):
            for file in chain.from_iterable(blob_files(root)):
                folder, name = file.split("/")
                status = (root / file).stat()
                self._sizes[file] = status.st_size
                left = Left(blob_generation(file) or 0, status.st_ctime_ns, file)
                self.by_key[Key(folder_unit(folder), blob_id(name) or 0)].append(left)
        self.size = sum(self._sizes.values())
        generations = [left.generation for lefts in self.by_key.values() for left in lefts]
        self.newest = max((each for each in generations if each < IMPLAUSIBLE), default=0)

    def has(self, file: str, size: int) -> bool:
        """Whether there is a file of this name and size."""
        return self._sizes.get(file) == size

    def measure(self, file: str) -> Measured:
        if file not in self._measured:
            with storing(f"read {file}"):
                self._measured[file] = measure(self._root / file, self._meter)
        return self._measured[file]

    def holds(self, file: str, row: Row, blocks: bytes | None = None) -> bool:
        """Whether the bytes of this generation are in this file; with `blocks`, whether their checksums are these."""
        if not self.has(file, row.size):
            return False
        measured = self.measure(file)
        return measured.checksum == unsigned(row.checksum) and blocks in (None, pack_checksums(measured.blocks))
