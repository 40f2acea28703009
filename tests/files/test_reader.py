"""Reading objects as files."""

import io
import random
import zipfile
from pathlib import Path

import pytest
from vault._sync.files.object_reader import open_reader
from vault.errors import ClosedError, ConflictError, CorruptionError, NotFoundError
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec
from vault_server import EmbeddedStore, StoreOptions

from tests.files.objects import SIZES, put, some_bytes
from tests.storage.objects import blob_of


@pytest.mark.parametrize("size", SIZES)
def test_a_reader_gives_back_the_bytes_whatever_their_number(any_store: Store, size: int) -> None:
    data = some_bytes(size)
    info = put(any_store, data)
    with open_reader(any_store, "files", info.data_id) as reader:
        assert reader.size == size
        assert reader.read() == data
        assert reader.read() == b""


def test_any_seek_and_read_agree_with_bytes_in_memory(any_store: Store) -> None:
    data = some_bytes(3 * BLOCK_SIZE + 5)
    info = put(any_store, data)
    rng = random.Random(7)
    reference = io.BytesIO(data)
    with open_reader(any_store, "files", info.data_id) as reader:
        for _ in range(150):
            whence = rng.choice([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
            offset = {
                io.SEEK_SET: rng.randrange(len(data) + 10),
                io.SEEK_CUR: rng.randrange(-min(reference.tell(), 1000), 2 * BLOCK_SIZE),
                io.SEEK_END: -rng.randrange(len(data)),
            }[whence]
            assert reader.seek(offset, whence) == reference.seek(offset, whence)
            size = rng.choice([0, 1, 100, BLOCK_SIZE, BLOCK_SIZE + 3, -1])
            assert reader.read(size) == reference.read(size)
            assert reader.tell() == reference.tell()


def test_lines_are_those_of_a_file_on_disk(any_store: Store, tmp_path: Path) -> None:
    lines = [b"x" * length + b"\n" for length in (0, 5, BLOCK_SIZE - 3, 1, BLOCK_SIZE * 2)] + [b"no newline"]
    info = put(any_store, b"".join(lines))
    with open_reader(any_store, "files", info.data_id) as reader:
        assert list(reader) == lines


def test_the_standard_library_takes_a_reader_for_a_file(any_store: Store) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a.txt", "hello")
        packed.writestr("b.bin", some_bytes(2 * BLOCK_SIZE))
    info = put(any_store, archive.getvalue())
    with open_reader(any_store, "files", info.data_id) as reader, zipfile.ZipFile(reader) as unpacked:
        assert unpacked.testzip() is None
        assert unpacked.read("a.txt") == b"hello"
    with (
        open_reader(any_store, "files", put(any_store, "ä\nö\n".encode()).data_id) as reader,
        io.TextIOWrapper(reader, encoding="utf-8") as text,
    ):
        assert text.read() == "ä\nö\n"


def test_a_reader_finishes_with_the_bytes_it_began_with(any_store: Store) -> None:
    data = some_bytes(6 * BLOCK_SIZE)
    info = put(any_store, data, "doomed")
    with open_reader(any_store, "files", "doomed") as reader:
        assert reader.read(10) == data[:10]
        assert any_store.delete_many("files", [DeleteSpec(info.data_id)]) != [0]
        assert reader.read() == data[10:]


def test_a_seek_after_the_object_was_deleted_finds_the_old_bytes(any_store: Store) -> None:
    data = some_bytes(6 * BLOCK_SIZE)
    info = put(any_store, data)
    small = put(any_store, b"one block")
    with open_reader(any_store, "files", info.data_id) as reader, open_reader(any_store, "files", small.data_id) as one:
        reader.read(1)
        any_store.delete_many("files", [DeleteSpec(info.data_id), DeleteSpec(small.data_id)])
        reader.seek(5 * BLOCK_SIZE)
        assert reader.read() == data[5 * BLOCK_SIZE :]
        reader.seek(0)
        assert reader.read() == data
        assert one.read() == b"one block", "a reader that had read nothing yet"


@pytest.mark.parametrize("store", [StoreOptions(retention=0)], indirect=True)
def test_a_seek_after_the_object_was_deleted_and_nothing_is_retained_is_a_conflict(any_store: Store) -> None:
    info = put(any_store, some_bytes(6 * BLOCK_SIZE))
    with open_reader(any_store, "files", info.data_id) as reader:
        reader.read(1)
        any_store.delete_many("files", [DeleteSpec(info.data_id)])
        reader.seek(5 * BLOCK_SIZE)
        with pytest.raises(ConflictError, match="deleted while it was read"):
            reader.read(1)


def test_a_flipped_byte_is_found_and_not_handed_out(tmp_path: Path) -> None:
    data = some_bytes(3 * BLOCK_SIZE)
    with EmbeddedStore(tmp_path) as damaged:
        info = put(damaged, data)
        path = blob_of(tmp_path, info.data_id, "files")
        with path.open("r+b") as file:
            file.seek(BLOCK_SIZE + 77)
            file.write(bytes([data[BLOCK_SIZE + 77] ^ 1]))
        with open_reader(damaged, "files", info.data_id) as reader:
            assert reader.read(BLOCK_SIZE) == data[:BLOCK_SIZE]
            with pytest.raises(CorruptionError) as caught:
                reader.read(1)
            assert caught.value.context["block"] == 1
            reader.seek(2 * BLOCK_SIZE)
            assert reader.read() == data[2 * BLOCK_SIZE :]


def test_what_is_not_there_and_what_is_closed_is_said(any_store: Store) -> None:
    with pytest.raises(NotFoundError, match="'nothing'"):
        open_reader(any_store, "files", "nothing")
    reader = open_reader(any_store, "files", put(any_store, b"x").data_id)
    with pytest.raises(ValueError, match="before the start"):
        reader.seek(-1)
    with pytest.raises(ValueError, match="whence"):
        reader.seek(0, 9)
    reader.close()
    reader.close()
    assert reader.closed
    with pytest.raises(ClosedError):
        reader.read()
