"""What put does with files, those below a folder or those that are named: in batches, large ones by themselves."""

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vault._sync.files.transfer import upload_file
from vault.cli.batches import BATCH_BYTES, BATCH_ITEMS, batches
from vault.cli.folder import holds, read_small, walk
from vault.cli.progress import progress_of
from vault.cli.tally import Tally
from vault.errors import AlreadyExistsError, VaultError
from vault.store.contract import BlockWriter, Store
from vault.store.limits import check_name, check_new
from vault.store.specs import PutSpec, SmallPut, SmallUpdate, SmallUpload, UpdateSpec, UploadSpec, new_data_id
from vault.store.values import ObjectInfo, checksum

STREAM = "-"
"""As a FILE: standard input or output."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file, and the name of its object; `data` None: it is streamed, and `size` what is known of it; or why not."""

    name: str | None
    path: str
    size: int
    data: bytes | None = None
    checksum: int | None = None
    error: VaultError | OSError | None = None


@dataclass(frozen=True)
class Uploads:
    """Files on their way into a unit.

    Attributes:
        tags: What every object is tagged with; none: new ones have none, those that are there keep theirs.
        datatype: Of every object; empty: as for `put`.
        expires_in: Of new objects: seconds, None for never.
        replace: Whether an object that has the name gets the bytes.
        resend: Also those of an object that is equal.
    """

    store: Store
    unit: str
    tally: Tally
    tags: Mapping[str, str]
    datatype: str
    expires_in: float | None
    replace: bool
    resend: bool

    def named(self, files: Sequence[tuple[str, str | None]]) -> None:
        """Sends files, each under its name, in their order; where they replace what is there, one after another."""
        for batch in batches(self._named(files), 1 if self.replace else BATCH_ITEMS, _weight):
            self._send(batch, look=self.replace)

    def below(self, folder: str, prefix: str, *, without: Path | None) -> None:
        """Sends all files of a folder but those of `without`, named by the prefix and their paths below the folder."""
        for batch in batches(self._below(folder, prefix, without), BATCH_ITEMS, _weight):
            self._send(batch, look=True)

    def _named(self, files: Iterable[tuple[str, str | None]]) -> Iterator[_File]:
        for path, name in files:
            try:
                data = None if path == STREAM else read_small(path)
            except (VaultError, OSError) as error:
                yield _File(name, path, 0, b"", error=error)
            else:
                yield _File(name, path, 0) if data is None else _File(name, path, len(data), data, checksum(data))

    def _below(self, folder: str, prefix: str, without: Path | None) -> Iterator[_File]:
        for below, path in walk(folder, without, self.tally):
            try:
                name = prefix + below
                check_name(name)
                check_new(name=name)
                data = read_small(path)
                if data is not None:
                    yield _File(name, path, len(data), data, checksum(data))
                    continue
                found = os.stat(path)  # noqa: PTH116  # many of them
            except (VaultError, OSError) as error:
                self.tally.failed(error, path)
                continue
            if stat.S_ISREG(found.st_mode):
                yield _File(name, path, found.st_size)

    def _send(self, files: Sequence[_File], *, look: bool) -> None:
        """Sends files; with `look`, as what is there asks for. One that is streamed is the last."""
        present: Sequence[ObjectInfo | None] = [None] * len(files)
        if look:
            present = self.store.stat_many(self.unit, [file.name or "" for file in files])
        outcomes: dict[int, ObjectInfo | VaultError | OSError] = {}
        uploads: dict[int, SmallUpload] = {}
        updates: dict[int, SmallUpdate] = {}
        streams: list[Callable[[], BlockWriter]] = []
        for index, (file, info) in enumerate(zip(files, present, strict=True)):
            if file.error is not None:
                outcomes[index] = file.error
            elif info is not None and not self.resend and self._is_equal(file, info):
                self.tally.equal()
            elif info is not None and not self.replace:
                self.tally.failed(_taken(file, info))
            elif self.tally.dry_run:
                self.tally.planned("new" if info is None else "changed", str(file.name), file.size)
            elif file.data is None or file.checksum is None:
                streams.append(self._stream_of(file, info))
            elif info is None:
                uploads[index] = SmallUpload(self._new(file), file.data, file.checksum)
            else:
                updates[index] = SmallUpdate(self._changed(info), file.data, file.checksum)
        outcomes.update(zip(uploads, self._upload(list(uploads.values())), strict=True))
        outcomes.update(zip(updates, self._update(list(updates.values())), strict=True))
        self.tally.settle((files[index].path, outcomes[index]) for index in sorted(outcomes))
        for begin in streams:
            self._stream(files[-1], begin)

    def _upload(self, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        if self.expires_in is None:
            return self.store.upload_many(self.unit, items) if items else []
        puts = [SmallPut(self._expiring(each.spec), each.data, each.checksum) for each in items]
        return self.store.put_many(self.unit, puts) if puts else []

    def _update(self, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        if not items or not self.tags:
            return self.store.update_many(self.unit, items) if items else []
        return self.store.put_many(self.unit, [SmallPut(each.spec, each.data, each.checksum) for each in items])

    def _is_equal(self, file: _File, info: ObjectInfo) -> bool:
        if info.size != file.size or (self.tags and info.tags != self.tags):
            return False
        if self.datatype and info.datatype != self.datatype:
            return False
        return holds(file.path, info.size, info.checksum) if file.checksum is None else file.checksum == info.checksum

    def _new(self, file: _File) -> UploadSpec:
        return UploadSpec(new_data_id(), file.name, self.tags, self.datatype)

    def _expiring(self, spec: UploadSpec) -> PutSpec:
        return PutSpec(spec.name, spec.data_id, spec.tags, spec.datatype, 0, self.expires_in)

    def _changed(self, info: ObjectInfo) -> UpdateSpec:
        return UpdateSpec(info.data_id, datatype=self.datatype or None, tags=self.tags or None)

    def _stream_of(self, file: _File, info: ObjectInfo | None) -> Callable[[], BlockWriter]:
        if info is None:
            spec = self._new(file)
            if self.expires_in is None:
                return partial(self.store.upload, self.unit, spec)
            return partial(self.store.put, self.unit, self._expiring(spec))
        return partial(self.store.put if self.tags else self.store.update, self.unit, self._changed(info))

    def _stream(self, file: _File, begin: Callable[[], BlockWriter]) -> None:
        is_input = file.path == STREAM
        label = file.name or ("standard input" if is_input else Path(file.path).name)
        try:
            with progress_of(label) as progress:
                stored = upload_file(begin, sys.stdin.buffer if is_input else file.path, progress)
        except IsADirectoryError as error:
            text = f"{error.strerror}; --recursive stores what is in it"
            self.tally.failed(IsADirectoryError(error.errno, text, file.path))
        except (VaultError, OSError) as error:
            self.tally.failed(error, label if is_input else file.path)
        else:
            self.tally.done([stored])


def _weight(file: _File) -> int:
    return BATCH_BYTES if file.data is None else len(file.data)


def _taken(file: _File, info: ObjectInfo) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{file.path}: the name {info.name!r} is taken in unit {info.unit!r}, by other bytes", reason="NAME_TAKEN"
    )
