# Generated from _async/vault/streams.py by scripts/unasync: DO NOT CHANGE.
"""Large objects: as binary files, from files and into files, in flat memory."""

from collections.abc import Mapping

from vault._sync.files.object_reader import ObjectReader, open_reader
from vault._sync.files.object_writer import ObjectWriter
from vault._sync.files.transfer import PathOrFile, download_file, upload_file
from vault._sync.vault.base import VaultBase, new_spec
from vault.store.limits import check_key
from vault.store.progress import ProgressCallback
from vault.store.values import Key, ObjectInfo


class Streams(VaultBase):
    """The calls that move an object's bytes, past its Datatype and the cache.

    What they write is tagged as the unit's Datatype would: its bytes are taken to be what `_dump` gives.
    """

    def open(self, unit: str, key: Key) -> ObjectReader:
        """A seekable binary reader on the object's present generation, to be closed.

        Only the blocks that are asked for are fetched; each is verified before it is seen.

        Raises:
            NotFoundError: There is no such object.
            InvalidArgumentError: The unit, or the key, can be none.

        Example:
            >>> data_id = vault.upload("notes", TextWrapper("hello"), name="greeting")
            >>> with vault.open("notes", "greeting") as reader:
            ...     print(reader.read())
            b'hello'
        """
        self._require_unit(unit)
        check_key(key)
        return open_reader(self._store, unit, key)

    def open_writer(
        self,
        unit: str,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
    ) -> ObjectWriter:
        """A binary writer of a new object, which exists when it is closed, and not when its block raises.

        Raises:
            AlreadyExistsError: The name or the id is taken; here, or when it closes.
            InvalidArgumentError: BAD_NAME, BAD_TAGS, BAD_ID.

        Example:
            >>> with vault.open_writer("files", name="log") as writer:
            ...     written = writer.write(b"one line")
            >>> writer.info.size
            8
        """
        self._require_unit(unit)
        spec = new_spec(self.get_datatype(unit), name, tags, data_id)
        writer = ObjectWriter(spec.data_id, lambda: self._writes.begin(unit, spec))
        writer.start()
        return writer

    def upload_file(
        self,
        unit: str,
        path: PathOrFile,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
        progress: ProgressCallback | None = None,
    ) -> int:
        """Stores a file as a new object.

        Args:
            path: A file, or a binary file object, from where it stands. Links are followed. A file that is replaced
                under its name meanwhile is stored as it was, a named pipe until nobody writes to it any more.
            progress: An fsspec Callback, or anything with its `set_size` and `relative_update`; bytes.

        Returns:
            The object's id.

        Raises:
            AlreadyExistsError: The name or the id is taken.
            ConflictError: FILE_CHANGED, the file was written while it was read; nothing was stored.
            OSError: The file cannot be read, as Python says it; nothing was stored.
            StorageFullError: There is no room for it.

        Example:
            >>> data_id = vault.upload_file("files", io.BytesIO(b"hello"), name="hello.txt")
        """
        self._require_unit(unit)
        spec = new_spec(self.get_datatype(unit), name, tags, data_id)
        return (upload_file(lambda: self._writes.begin(unit, spec), path, progress)).data_id

    def download_file(
        self, unit: str, key: Key, path: PathOrFile, *, progress: ProgressCallback | None = None
    ) -> ObjectInfo:
        """Writes an object into a file, every block verified first.

        Args:
            path: A file, which is replaced at the end in one step, so that nobody finds half of it, and keeps its
                mode, access control list and, where that is permitted, owner and group; links are followed. Or a
                pipe or a device, or a binary file object, which get the bytes as they come.
            progress: An fsspec Callback, or anything with its `set_size` and `relative_update`; bytes.

        Returns:
            What was written.

        Raises:
            NotFoundError: There is no such object.
            CorruptionError: Stored bytes do not match their checksum.
            OSError: The file cannot be written, as Python says it.

        Example:
            >>> data_id = vault.upload_file("files", io.BytesIO(b"hello"))
            >>> info = vault.download_file("files", data_id, "hello.txt")
            >>> info.size
            5
        """
        self._require_unit(unit)
        check_key(key)
        return download_file(self._store, unit, key, path, progress)
