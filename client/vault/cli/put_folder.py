"""What `put --recursive` does: the files of a folder become a unit's objects, equal ones are left alone."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vault._sync.files.transfer import upload_file
from vault.cli.batches import batches
from vault.cli.folder import check_object_name, holds, read_small, walk
from vault.cli.progress import progress_of
from vault.cli.tally import Tally
from vault.errors import AlreadyExistsError, VaultError
from vault.store.contract import Store
from vault.store.values import (
    ObjectInfo,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    checksum,
    new_data_id,
)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the folder; `data` and `checksum` None: it is larger than a block, and streamed."""

    name: str
    path: str
    size: int
    data: bytes | None
    checksum: int | None


@dataclass(frozen=True)
class FolderUpload:
    """The files below a folder on their way into a unit.

    Attributes:
        prefix: Before each file's path below the folder, which together are an object's name.
        tags: What every object is tagged with; none: new ones have none, those that are there keep theirs.
        datatype: Of every object; empty: as for `put`.
        replace: Whether an object that is there gets the bytes of a file that differs.
        resend: Also what is equal is sent.
    """

    store: Store
    unit: str
    tally: Tally
    prefix: str
    tags: Mapping[str, str]
    datatype: str
    replace: bool
    resend: bool

    def run(self, folder: str, *, without: Path | None) -> None:
        """Sends all files of the folder, but those of the folder `without`."""
        for batch in batches(self._files(folder, without), size_of=lambda file: len(file.data or b"")):
            self._send(batch)

    def _files(self, folder: str, without: Path | None) -> Iterator[_File]:
        for below, path in walk(folder, without, self.tally):
            try:
                name = self.prefix + below
                check_object_name(name, path)
                data = read_small(path)
                size = os.stat(path).st_size if data is None else len(data)  # noqa: PTH116  # many of them
                yield _File(name, path, size, data, None if data is None else checksum(data))
            except (VaultError, OSError) as error:
                self.tally.failed(error)

    def _send(self, files: list[_File]) -> None:
        present = self.store.stat_many(self.unit, [file.name for file in files])
        uploads, updates, streams = [], [], []
        for file, info in zip(files, present, strict=True):
            if info is not None and not self.resend and self._is_equal(file, info):
                self.tally.equal()
            elif info is not None and not self.replace:
                self.tally.failed(
                    AlreadyExistsError(
                        f"{file.path}: the name {file.name!r} is taken in unit {self.unit!r}, by other bytes",
                        reason="NAME_TAKEN",
                    )
                )
            elif self.tally.dry_run:
                self.tally.planned("new" if info is None else "changed", file.name, file.size)
            elif file.data is None or file.checksum is None:
                streams.append((file, info))
            elif info is None:
                uploads.append(SmallUpload(self._new(file), file.data, file.checksum))
            else:
                updates.append(SmallUpdate(self._changed(file), file.data, file.checksum))
        if uploads:
            self.tally.settle(self.store.upload_many(self.unit, uploads))
        if updates and not self.tags:
            self.tally.settle(self.store.update_many(self.unit, updates))
        elif updates:
            puts = [SmallPut(each.spec, each.data, each.checksum) for each in updates]
            self.tally.settle(self.store.put_many(self.unit, puts))
        for file, info in streams:
            self._stream(file, info)

    def _is_equal(self, file: _File, info: ObjectInfo) -> bool:
        if info.size != file.size or (self.tags and info.tags != self.tags):
            return False
        if self.datatype and info.datatype != self.datatype:
            return False
        return holds(file.path, info.size, info.checksum) if file.checksum is None else file.checksum == info.checksum

    def _new(self, file: _File) -> UploadSpec:
        return UploadSpec(new_data_id(), file.name, self.tags, self.datatype)

    def _changed(self, file: _File) -> UpdateSpec:
        return UpdateSpec(file.name, datatype=self.datatype or None, tags=self.tags or None)

    def _stream(self, file: _File, info: ObjectInfo | None) -> None:
        begin = (
            partial(self.store.upload, self.unit, self._new(file))
            if info is None
            else partial(self.store.put if self.tags else self.store.update, self.unit, self._changed(file))
        )
        try:
            with progress_of(file.name) as progress:
                stored = upload_file(begin, file.path, progress)
        except (VaultError, OSError) as error:
            self.tally.failed(error)
        else:
            self.tally.done([stored])
