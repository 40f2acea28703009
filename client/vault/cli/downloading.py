"""What `get` of several objects does: each becomes the file of its name below a folder, equal ones are left alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Any

from vault._sync.files.transfer import download_file
from vault.cli.batches import batches
from vault.cli.folder import Target
from vault.cli.progress import progress_of
from vault.cli.tally import Tally
from vault.cli.wording import label
from vault.errors import InvalidArgumentError, VaultError, object_not_found
from vault.store.blocks import check_whole
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import LoadItem
from vault.store.values import LoadedObject, ObjectInfo, checksum


@dataclass(frozen=True)
class Downloads:
    """A unit's objects on their way into a folder.

    Attributes:
        level: What their names begin with that their files' do not.
        resend: Also what is equal is fetched.
    """

    store: Store
    unit: str
    tally: Tally
    target: Target
    level: str
    resend: bool

    def run(self, objects: Iterable[ObjectInfo]) -> None:
        for batch in batches(objects, size_of=lambda info: info.size if info.size <= BLOCK_SIZE else 0):
            wanted = [info for info in batch if self._is_wanted(info)]
            if self.tally.dry_run:
                self.tally.done(wanted)
                continue
            self._small([info for info in wanted if info.size <= BLOCK_SIZE])
            for info in wanted:
                if info.size > BLOCK_SIZE:
                    self._stream(info)

    def _is_wanted(self, info: ObjectInfo) -> bool:
        try:
            if info.name is None:
                raise InvalidArgumentError(f"object {info.data_id} has no name: get it by its id", reason="BAD_NAME")
            name = self._file_of(info)
            self.target.place(name)
            equal = not self.resend and self.target.equals(name, info.size, info.checksum)
        except (VaultError, OSError) as error:
            self._failed(error, info)
            return False
        if equal:
            self.tally.equal()
        return not equal

    def _small(self, objects: Sequence[ObjectInfo]) -> None:
        loaded = self.store.load_many(self.unit, [LoadItem(info.data_id) for info in objects]) if objects else []
        written: list[ObjectInfo] = []
        for info, result in zip(objects, loaded, strict=True):
            try:
                if not isinstance(result, LoadedObject):
                    raise result if isinstance(result, VaultError) else object_not_found(self.unit, info.data_id)
                if result.data is None:  # it is larger by now
                    self._stream(info)
                    continue
                check_whole(result.info, checksum(result.data))
                self.target.write(self._file_of(info), methodcaller("write", result.data))
                written.append(result.info)
            except (VaultError, OSError) as error:
                self._failed(error, info)
        self.tally.done(written)

    def _stream(self, info: ObjectInfo) -> None:
        fetched: list[ObjectInfo] = []

        def fill(file: Any) -> None:
            with progress_of(str(info.name)) as progress:
                fetched.append(download_file(self.store, self.unit, info.data_id, file, progress))

        try:
            self.target.write(self._file_of(info), fill)
        except (VaultError, OSError) as error:
            self._failed(error, info)
        else:
            self.tally.done(fetched)

    def _failed(self, error: VaultError | OSError, info: ObjectInfo) -> None:
        """Says so, and of which object; the system's errors name the file."""
        self.tally.failed(error, "" if isinstance(error, OSError) else label(info))

    def _file_of(self, info: ObjectInfo) -> str:
        return str(info.name).removeprefix(self.level)
