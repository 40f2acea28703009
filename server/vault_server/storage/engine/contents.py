"""A directory's files, as `generic` reads blobs; and items of a batch, staged where they are to be files."""

from array import array
from collections.abc import Sequence
from contextlib import closing
from functools import partial

from vault.errors import VaultError
from vault.store.values import SmallWrite

from vault_server.storage.decision.stored import Stored
from vault_server.storage.decision.writes import Content
from vault_server.storage.files.blobs import Blobs, unit_folder
from vault_server.storage.files.reader import BlobFile
from vault_server.storage.files.staging import Staging
from vault_server.storage.options import StoreOptions
from vault_server.storage.os_errors import storing
from vault_server.storage.uploads.incoming import small_contents
from vault_server.storage.uploads.staged_bytes import StagedBytes


class Contents:
    """See `generic`'s Blobs. Safe to share between threads."""

    def __init__(self, blobs: Blobs, staging: Staging, options: StoreOptions) -> None:
        self._blobs = blobs
        self._staging = staging
        self._options = options
        self.inline_limit = options.inline_limit

    def stage(self, unit: str) -> StagedBytes:
        return StagedBytes(partial(self._staging.create, unit_folder(unit)), durable=self._options.durable)

    def contents(self, unit: str, items: Sequence[SmallWrite]) -> list[Content | VaultError]:
        return small_contents(items, partial(self._stage, unit))

    def read(self, found: Sequence[Stored]) -> list[bytes | VaultError | None]:
        return [self._read(each) for each in found]

    def open(self, found: Stored) -> BlobFile | None:
        about = f"object {found.info.data_id} of unit {found.info.unit!r}"
        with storing(f"open {about}"):
            try:
                return BlobFile(self._blobs.open(found.content.file or ""), about)
            except FileNotFoundError:
                return None

    def _read(self, found: Stored) -> bytes | VaultError | None:
        try:
            blob = self.open(found)
            if blob is None:
                return None
            with closing(blob):
                return blob.block(0, found.info.size)
        except VaultError as error:
            return error

    def _stage(self, unit: str, content: Content) -> None:
        if content.size > self.inline_limit:
            staged = self.stage(unit)
            staged.append(content.data or b"", array("Q"))
            content.data, content.staged = None, staged.finish()
