"""A directory's files, as `generic` reads blobs; and items of a batch, staged where they are to be files."""

from array import array
from collections.abc import Sequence
from contextlib import closing
from functools import partial

from vault.errors import VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import SmallWrite
from vault.store.values import Block

from vault_server.storage.decision.refusals import cut_short
from vault_server.storage.decision.rows import unpack_checksums
from vault_server.storage.decision.stored import Stored
from vault_server.storage.decision.writes import Content
from vault_server.storage.files.blobs import Blobs, unit_folder
from vault_server.storage.files.reader import BlobFile
from vault_server.storage.files.staged_file import StagedFile
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

    def copy(self, unit: str, found: Stored) -> Content | None:
        """See `generic`'s Blobs: a hard link, and bytes where there can be none."""
        content = found.content
        copied = Content(found.info.size, found.info.checksum, content.blocks, content.data)
        if content.file is None:
            return copied
        try:
            copied.staged = self._staging.link(content.file, unit_folder(unit))
        except FileNotFoundError:
            return None
        if copied.staged is None:
            copied.staged = self._copy_bytes(unit, found)
        return None if copied.staged is None else copied

    def read(self, found: Sequence[Stored]) -> list[bytes | VaultError | None]:
        return [self._read(each) for each in found]

    def open(self, found: Stored) -> BlobFile | None:
        about = f"object {found.info.data_id} of unit {found.info.unit!r}"
        with storing(f"open {about}"):
            try:
                return BlobFile(self._blobs.open(found.content.file or ""), about)
            except FileNotFoundError:
                return None

    def _copy_bytes(self, unit: str, found: Stored) -> StagedFile | None:
        """The bytes, verified; None: there is no such blob."""
        checksums = unpack_checksums(found.content.blocks)
        if len(checksums) < found.info.block_count:
            raise cut_short(found.info, len(checksums))
        blob = self.open(found)
        if blob is None:
            return None
        staged = self.stage(unit)
        try:
            with closing(blob):
                for index in range(found.info.block_count):
                    offset = index * BLOCK_SIZE
                    data = blob.block(index, min(BLOCK_SIZE, found.info.size - offset))
                    Block(offset, data, checksums[index]).verify(found.info)
                    staged.append(data, checksums[: index + 1])
            return staged.finish()
        except BaseException:
            staged.discard()
            raise

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
            try:
                staged.append(content.data or b"", array("Q"))
                content.data, content.staged = None, staged.finish()
            except BaseException:
                staged.discard()  # the caller keeps the error, which keeps this frame
                raise
