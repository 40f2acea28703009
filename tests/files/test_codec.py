"""Objects into blocks and back."""

import contextlib
import io
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault import BytesWrapper, Datatype, TextWrapper
from vault._async.objects.codec import AsyncCodec
from vault._sync.objects.codec import Codec
from vault.datatype import ObjectStream
from vault.errors import (
    ChecksumError,
    CorruptionError,
    DecodeError,
    EncodeError,
    InvalidArgumentError,
    NotFoundError,
    StorageFullError,
    VaultError,
)
from vault.store._async.reopening import reopener as async_reopener
from vault.store._sync.reopening import reopener
from vault.store.blocks import Encoded
from vault.store.columns import LoadedObjects
from vault.store.contract import BlockWriter, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec, new_data_id
from vault.store.values import Block, LoadedObject, NotModified, ObjectInfo, checksum
from vault_server import AsyncEmbeddedStore, EmbeddedStore

from tests.files.objects import SIZES, some_bytes
from tests.storage.objects import blob_of

PIECE = some_bytes(BLOCK_SIZE)


class Pieces(Datatype):
    """So many pieces, which are never in memory together."""

    def __init__(self, count: int, *, seen: int = 0) -> None:
        self.count = count
        self.seen = seen

    def _dump_to(self, stream: BinaryIO) -> None:
        stream.write(b"head")
        stream.writelines(PIECE for _ in range(self.count))

    @staticmethod
    def _load_from(stream: ObjectStream) -> "Pieces":
        assert stream.read(4) == b"head"
        seen = 0
        while piece := stream.read(BLOCK_SIZE):
            assert piece == PIECE
            seen += 1
        return Pieces((stream.size - 4) // BLOCK_SIZE, seen=seen)


class Backwards(Datatype):
    """Reads its end first, then its lines, and looks whether it is mapped."""

    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines
        self.mapped: bytes | None = None

    def _dump_to(self, stream: BinaryIO) -> None:
        stream.writelines(self.lines)
        stream.write(len(self.lines).to_bytes(8))

    @staticmethod
    def _load_from(stream: Any) -> "Backwards":
        stream.seek(-8, io.SEEK_END)
        count = int.from_bytes(stream.read())
        stream.seek(0)
        loaded = Backwards([stream.readline() for _ in range(count)])
        view = stream.map()
        loaded.mapped = None if view is None else bytes(view)
        return loaded


class Broken(Datatype):
    def __init__(self, what: object = b"") -> None:
        self.what = what

    def _dump(self) -> Any:
        if isinstance(self.what, Exception):
            raise self.what
        return self.what

    @staticmethod
    def _load(raw: bytes) -> "Broken":
        raise ZeroDivisionError("no such thing")


def write(store: Store, codec: Codec, data: Datatype, encoded: Encoded | None = None) -> ObjectInfo:
    spec = UploadSpec(new_data_id(), datatype=type(data).datatype_tag)
    return codec.write(lambda: store.upload("files", spec), data, encoded)


def load(store: Store, codec: Codec, info: ObjectInfo) -> Any:
    reader = store.load("files", info.data_id)
    assert reader is not None
    assert not isinstance(reader, NotModified)
    return codec.load_stream(reader, reopener(store, info))


@contextlib.contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Puts the most bytes that Python had allocated at once, above those at the start, into the list."""
    peak: list[int] = []
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", SIZES)
def test_an_object_comes_back_whatever_its_size(any_store: Store, size: int) -> None:
    codec = Codec("files", BytesWrapper)
    data = BytesWrapper(some_bytes(size))
    encoded = codec.encode(data)
    assert encoded is not None
    assert encoded.tag == "bytes"
    assert encoded.fits_block == (size <= BLOCK_SIZE)
    info = write(any_store, codec, data, encoded)
    assert info.size == size
    assert load(any_store, codec, info) == data
    if encoded.fits_block:
        assert codec.decode(info, encoded.data) == data


def test_a_streaming_class_is_never_in_memory_as_a_whole(any_store: Store) -> None:
    codec = Codec("files", Pieces)
    data = Pieces(64)
    with peak_memory() as peak:
        assert codec.encode(data) is None
        info = write(any_store, codec, data)
        loaded = load(any_store, codec, info)
    assert (loaded.count, loaded.seen) == (64, 64)
    assert peak[0] < 24 * BLOCK_SIZE


async def test_a_streaming_class_is_never_in_memory_as_a_whole_on_a_loop_either(store: EmbeddedStore) -> None:
    codec = AsyncCodec("files", Pieces)
    data = Pieces(64)
    async with AsyncEmbeddedStore(store) as face:
        spec = UploadSpec(new_data_id())
        with peak_memory() as peak:
            info = await codec.write(lambda: face.upload("files", spec), data, await codec.encode(data))
            reader = await face.load("files", info.data_id)
            assert reader is not None
            assert not isinstance(reader, NotModified)
            loaded = await codec.load_stream(reader, async_reopener(face, info))
    assert (loaded.count, loaded.seen) == (64, 64)
    assert peak[0] < 24 * BLOCK_SIZE


def test_a_large_object_is_loaded_with_its_bytes_once_in_memory(any_store: Store) -> None:
    class Counted(BytesWrapper):
        datatype_tag = "counted"

        @classmethod
        def _load(cls, raw: bytes) -> "Counted":
            assert type(raw) is bytes
            return cls(len(raw).to_bytes(8))

    codec = Codec("files", Counted)
    info = write(any_store, codec, (data := Counted(bytes(64 * BLOCK_SIZE))), codec.encode(data))
    del data
    with peak_memory() as peak:
        assert load(any_store, codec, info).data == (64 * BLOCK_SIZE).to_bytes(8)
    assert peak[0] < 90 * BLOCK_SIZE


def test_a_small_object_of_a_streaming_class_fits_a_block(any_store: Store) -> None:
    codec = Codec("files", Backwards)
    data = Backwards([b"a\n", b"b\n"])
    encoded = codec.encode(data)
    assert encoded is not None
    assert encoded.fits_block
    info = write(any_store, codec, data, encoded)
    assert codec.decode(info, encoded.data).lines == data.lines


def test_a_streaming_class_may_seek_read_lines_and_map(any_store: Store) -> None:
    codec = Codec("files", Backwards)
    data = Backwards([b"x" * 100_000 + b"\n" for _ in range(30)])
    loaded = load(any_store, codec, write(any_store, codec, data))
    assert loaded.lines == data.lines
    if isinstance(any_store, EmbeddedStore):
        assert loaded.mapped == b"".join(data.lines) + (30).to_bytes(8)
    else:
        assert loaded.mapped is None


def test_what_a_hook_raises_is_an_encode_error_with_its_cause() -> None:
    codec = Codec("files", Broken)
    with pytest.raises(EncodeError, match="ValueError: not this one") as caught:
        codec.encode(Broken(ValueError("not this one")))
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.context["unit"] == "files"
    with pytest.raises(EncodeError, match="returned str, not bytes"):
        codec.encode(Broken("text"))
    with pytest.raises(InvalidArgumentError, match="holds objects of Broken"):
        codec.encode(BytesWrapper(b""))


async def test_a_hook_that_raises_stop_iteration_hangs_nobody() -> None:
    with pytest.raises(EncodeError, match="StopIteration"):
        await AsyncCodec("files", Broken).encode(Broken(StopIteration("end")))


def test_what_does_not_load_is_a_decode_error_that_names_the_object(any_store: Store) -> None:
    codec = Codec("files", Broken)
    info = write(any_store, codec, Broken(b"raw"), codec.encode(Broken(b"raw")))
    for attempt in (partial(codec.decode, info, b"raw"), partial(load, any_store, codec, info)):
        with pytest.raises(DecodeError, match="ZeroDivisionError: no such thing") as caught:
            attempt()
        assert caught.value.context["data_id"] == info.data_id
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_foreign_tag_is_found_before_any_byte_is_decoded(any_store: Store) -> None:
    info = write(any_store, Codec("files", Broken), Broken(b"raw"), Encoded("Broken", b"raw"))
    codec = Codec("files", TextWrapper)
    for attempt in (partial(codec.decode, info, b"raw"), partial(load, any_store, codec, info)):
        with pytest.raises(DecodeError, match="stored as 'Broken'") as caught:
            attempt()
        assert caught.value.reason == "DATATYPE_MISMATCH"
        assert caught.value.context["data_id"] == info.data_id


def test_bytes_that_changed_reach_no_hook(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        codec = Codec("files", Pieces)
        info = write(store, codec, Pieces(3))
        with pytest.raises(CorruptionError):
            codec.decode(info, b"head")
        path = blob_of(tmp_path, info.data_id, "files")
        with path.open("r+b") as file:
            file.seek(2 * BLOCK_SIZE + 5)
            byte = file.read(1)
            file.seek(-1, io.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        with pytest.raises(CorruptionError) as caught:
            load(store, codec, info)
        assert caught.value.context["block"] == 2


class FaultyWriter(BlockWriter):
    """A way to the store on which the second block goes wrong."""

    def __init__(self, writer: BlockWriter, fault: Exception | None) -> None:
        self._writer = writer
        self._fault = fault

    @property
    def persisted_size(self) -> int:
        return self._writer.persisted_size

    def write(self, block: Block) -> None:
        if self._fault is not None and block.offset:
            if not isinstance(self._fault, ChecksumError):
                raise self._fault
            block = Block(block.offset, bytes(len(block.data)), block.checksum)
        self._writer.write(block)

    def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        return self._writer.commit(size, checksum)

    def abort(self) -> None:
        self._writer.abort()


def faulty(store: Store, faults: list[Exception | None]) -> Any:
    spec = UploadSpec(new_data_id(), datatype="Pieces")
    return lambda: FaultyWriter(store.upload("files", spec), faults.pop(0))


class Picky(Datatype):
    """Loads what begins with a letter; of digits it makes no Datatype."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def _dump(self) -> bytes:
        return self.raw

    @staticmethod
    def _load(raw: bytes) -> Any:
        if raw[:1].isdigit():
            return int(raw)
        if not raw[:1].isalpha():
            raise StopIteration("no letter")
        return Picky(raw)


def test_a_batch_is_decoded_as_its_objects_alone() -> None:
    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([b"a", b"b" * 5000, b"7", b"!", b""]),
                st.sampled_from([Picky.datatype_tag, "", "another"]),
                st.sampled_from([0, 0, 0, 1]),  # bits of the checksum that are wrong
                st.sampled_from([0, 0, 0, 1]),  # bytes that are missing
            )
        ),
        st.booleans(),
    )
    def holds(drawn: list[tuple[bytes, str, int, int]], others: bool) -> None:
        items: list[Any] = []
        for at, (raw, tag, wrong, missing) in enumerate(drawn, 1):
            now = datetime.now(UTC)
            info = ObjectInfo("u", at, at, at, len(raw) + missing, checksum(raw) ^ wrong, tag, None, {}, now, now)
            items.append(LoadedObject(info, raw))
        if others:
            items[1:1] = [None, NotFoundError("gone")]
        found = codec.decode_some(LoadedObjects.of(items))
        for item, got in zip(items, found, strict=True):
            if not isinstance(item, LoadedObject):
                assert got is item
                continue
            assert item.data is not None
            assert told(got) == told(alone(item.info, item.data))

    def alone(info: ObjectInfo, raw: bytes) -> Any:
        try:
            return codec.decode(info, raw)
        except VaultError as error:
            return error

    def told(found: Any) -> Any:
        if isinstance(found, VaultError):
            return type(found), str(found), found.context, type(found.__cause__)
        return type(found), found.raw

    codec = Codec("u", Picky)
    holds()


def test_a_block_that_changed_on_its_way_is_sent_once_more(any_store: Store) -> None:
    codec = Codec("files", Pieces)
    changed = ChecksumError("on its way")
    info = codec.write(faulty(any_store, [changed, None]), Pieces(3), None)
    assert load(any_store, codec, info).seen == 3
    with pytest.raises(ChecksumError):
        codec.write(faulty(any_store, [changed, changed]), Pieces(3), None)


def test_what_the_store_raises_is_raised_whatever_the_hook_makes_of_it(any_store: Store) -> None:
    class Deaf(Pieces):
        datatype_tag = "deaf"

        def _dump_to(self, stream: BinaryIO) -> None:
            with contextlib.suppress(Exception):
                super()._dump_to(stream)

    class Grumbling(Pieces):
        datatype_tag = "grumbling"

        def _dump_to(self, stream: BinaryIO) -> None:
            try:
                super()._dump_to(stream)
            except Exception as error:
                raise ValueError("something") from error

    codec = Codec("files", Pieces)
    for data in (Pieces(3), Deaf(3), Grumbling(3)):
        with pytest.raises(StorageFullError, match="no room"):
            codec.write(faulty(any_store, [StorageFullError("no room")]), data, None)
    assert any_store.list_units() == []


def test_a_load_hook_that_returns_no_datatype_is_refused_with_what_it_returned(any_store: Store) -> None:
    class Raw(Datatype):
        def _dump(self) -> bytes:
            return b"text"

        @classmethod
        def _load(cls, raw: bytes) -> Any:
            return raw

    class Streamed(Raw):
        @classmethod
        def _load_from(cls, stream: ObjectStream) -> Any:
            return None

    for kind in (Raw, Streamed):
        codec = Codec("files", kind)
        info = write(any_store, codec, kind(), codec.encode(kind()))
        with pytest.raises(
            DecodeError, match=r"object \d+ in unit 'files' .*(a bytes|a NoneType), which is no Datatype"
        ):
            load(any_store, codec, info)
