"""Writing objects as files."""

import gc
import io
import random
from typing import BinaryIO, cast

import pytest
from vault.errors import AlreadyExistsError, ClosedError, NotFoundError
from vault.store.contract import BlockReader, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.values import checksum

from tests.files.objects import SIZES, new_writer, put, some_bytes


@pytest.mark.parametrize("size", SIZES)
def test_pieces_of_any_size_add_up(any_store: Store, size: int) -> None:
    data = some_bytes(size)
    rng = random.Random(size)
    with new_writer(any_store) as writer:
        position = 0
        while position < size:
            piece = data[position : position + rng.choice([1, 1000, BLOCK_SIZE, BLOCK_SIZE + 1])]
            assert writer.write(piece) == len(piece)
            position += len(piece)
            assert writer.tell() == position
    assert writer.info.size == size
    assert writer.info.checksum == checksum(data)
    reader = any_store.load("files", writer.data_id)
    assert isinstance(reader, BlockReader)
    with reader:
        assert b"".join(bytes(block.data) for block in reader) == data


def test_the_object_exists_when_the_block_ends_and_not_before(any_store: Store) -> None:
    with new_writer(any_store) as writer:
        writer.write(some_bytes(3 * BLOCK_SIZE))
        assert any_store.exists_many("files", [writer.data_id]) == [0]
        with pytest.raises(NotFoundError):
            _ = writer.info
    assert any_store.exists_many("files", [writer.data_id]) == [writer.info.generation]
    with pytest.raises(ClosedError):
        writer.write(b"more")


def test_a_block_that_raises_leaves_nothing(any_store: Store) -> None:
    class OwnError(Exception):
        pass

    writer = new_writer(any_store)

    def fail() -> None:
        with writer:
            writer.write(some_bytes(3 * BLOCK_SIZE))
            raise OwnError

    with pytest.raises(OwnError):
        fail()
    writer.close()
    assert any_store.list_units() == []


def test_a_dropped_writer_warns_and_leaves_nothing(any_store: Store) -> None:
    def drop() -> None:
        writer = new_writer(any_store)
        writer.write(b"half")
        del writer
        gc.collect()

    with pytest.warns(ResourceWarning, match="dropped without closing"):
        drop()
    assert any_store.list_units() == []


def test_a_taken_name_is_known_before_the_first_byte(any_store: Store) -> None:
    put(any_store, b"first", "taken")
    with pytest.raises(AlreadyExistsError):
        new_writer(any_store, "taken")


def test_text_can_be_written_over_it(any_store: Store) -> None:
    writer = new_writer(any_store)
    with io.TextIOWrapper(cast(BinaryIO, writer), encoding="utf-8", write_through=True) as text:
        text.write("größer\n")
    assert writer.info.size == len("größer\n".encode())


def test_a_text_wrapper_under_a_block_that_raises_leaves_nothing(any_store: Store) -> None:
    def fail() -> None:
        with new_writer(any_store) as writer, io.TextIOWrapper(cast(BinaryIO, writer), encoding="utf-8") as text:
            text.write("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert any_store.list_units() == []


def test_a_text_wrapper_in_an_exception_handler_writes_as_elsewhere(any_store: Store) -> None:
    try:
        int("no number")
    except ValueError:
        with new_writer(any_store) as writer, io.TextIOWrapper(cast(BinaryIO, writer), encoding="utf-8") as text:
            text.write("whole")
    assert writer.info.size == 5


def test_a_write_that_failed_ends_the_writer_and_bad_data_does_not(any_store: Store) -> None:
    with new_writer(any_store) as writer:
        with pytest.raises(TypeError):
            writer.write("text")
        writer.write(memoryview(b"bytes"))
        writer.write(bytearray(b"more"))
    assert writer.info.size == 9
