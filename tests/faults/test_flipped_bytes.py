"""A byte that is not as it was written, in every block there is: found by every read and the audit, never delivered."""

import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from vault import BytesWrapper, Datatype, RemoteStore, RemoteVault, Vault
from vault.errors import BatchError, CorruptionError
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import LoadItem
from vault.store.values import Key
from vault_server import EmbeddedStore, Server
from vault_server.storage import ProblemKind

from tests.storage.objects import blob_of, reader_of, upload

UNIT = "documents"
INLINE = 60_000
SIZES = {
    1: 1,
    2: INLINE,
    3: 100_000,
    4: BLOCK_SIZE,
    5: 3 * BLOCK_SIZE,
    6: 2 * BLOCK_SIZE + 1,
    7: 2 * BLOCK_SIZE + 54_321,
}
"""An object in the register or in a file, of one block or several, of whole blocks or with a short last one."""


class Streamed(BytesWrapper):
    """Loads by its streaming hook."""

    @classmethod
    def _load_from(cls, stream: Any) -> "Streamed":
        pieces = []
        while piece := stream.read(1 << 18):
            pieces.append(piece)
        return cls(b"".join(pieces))


def data_of(data_id: int) -> bytes:
    return random.Random(data_id).randbytes(SIZES[data_id])


def blocks_of(data_id: int) -> int:
    return -(-SIZES[data_id] // BLOCK_SIZE)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flipped") / "store"
    with EmbeddedStore(path) as store:
        for data_id in SIZES:
            upload(store, data_of(data_id), data_id=data_id)
    return path


@pytest.fixture(scope="module")
def embedded(directory: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(directory) as store:
        yield store
        assert store.check(deep=True).ok  # every byte was put back


@pytest.fixture(scope="module")
def server(embedded: EmbeddedStore) -> Iterator[Server]:
    with Server(embedded, listen="127.0.0.1:0") as started:
        yield started


def flip(store: EmbeddedStore, data_id: int, offset: int) -> None:
    """Flips a bit of a stored byte; once more puts it back."""
    if list((store.directory / UNIT).glob(f"{data_id}.*")):
        with blob_of(store.directory, data_id).open("r+b") as file:
            file.seek(offset)
            (byte,) = file.read(1)
            file.seek(offset)
            file.write(bytes([byte ^ 0x10]))
    else:
        change(store, "contents", "data", data_id, offset)


def change(store: EmbeddedStore, table: str, column: str, data_id: int, offset: int) -> None:
    """Flips a bit of a blob in the register."""
    where = "number = (SELECT content FROM objects WHERE data_id = ?)"

    def run(connection: Any) -> None:
        (stored,) = connection.execute(f"SELECT {column} FROM {table} WHERE {where}", (data_id,)).fetchone()
        changed = bytearray(stored)
        changed[offset] ^= 0x10
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (bytes(changed), data_id))

    store.engine.writer.submit(run).result()


def places() -> Iterator[tuple[int, int, int]]:
    """Id, block and offset of the first, a middle and the last byte of every block."""
    for data_id, size in SIZES.items():
        for block in range(blocks_of(data_id)):
            start, end = block * BLOCK_SIZE, min((block + 1) * BLOCK_SIZE, size)
            for offset in sorted({start, (start + end) // 2, end - 1}):
                yield data_id, block, offset


def read_blocks(store: Store, key: Key) -> None:
    with reader_of(store, key) as reader:
        for block in reader:
            block.verify(reader.info)


def map_blocks(store: Store, key: Key) -> None:
    with reader_of(store, key) as reader:
        if reader.map() is None:  # not in a file of its own
            read_blocks(store, key)


def read_range(store: Store, key: Key, offset: int) -> None:
    with reader_of(store, key, offset=offset, length=1) as reader:
        for block in reader:
            block.verify(reader.info)


def told(error: CorruptionError) -> tuple[object, object, object]:
    assert error.reason == "STORED_CHECKSUM_MISMATCH"
    return error.context.get("unit"), error.context.get("data_id"), error.context.get("block")


@pytest.mark.parametrize("data_id", SIZES)
def test_every_flipped_byte_is_refused_by_stores_and_found_by_the_audit(
    embedded: EmbeddedStore, server: Server, data_id: int
) -> None:
    with RemoteStore(server.address) as remote:
        for _, block, offset in (place for place in places() if place[0] == data_id):
            flip(embedded, data_id, offset)
            try:
                reads: list[Callable[[], None]] = [
                    partial(read_blocks, embedded, data_id),
                    partial(map_blocks, embedded, data_id),
                    partial(read_range, embedded, data_id, offset),
                    partial(read_blocks, remote, data_id),
                    partial(read_range, remote, data_id, offset),
                ]
                for read in reads:
                    with pytest.raises(CorruptionError) as raised:
                        read()
                    assert told(raised.value) == (UNIT, data_id, block)
                (problem,) = embedded.check(deep=True).problems
                assert (problem.kind, problem.unit, problem.data_id, problem.block) == (
                    ProblemKind.BAD_BLOCK,
                    UNIT,
                    data_id,
                    block,
                )
            finally:
                flip(embedded, data_id, offset)
            read_blocks(remote, data_id)


READS: dict[str, Callable[[Any, int, Path], object]] = {
    "load": lambda vault, data_id, _: vault.load(UNIT, data_id),
    "load_many": lambda vault, data_id, _: vault.load_many(UNIT, [data_id]),
    "open and read": lambda vault, data_id, _: vault.open(UNIT, data_id).read(),
    "seek and read": lambda vault, data_id, _: seek_and_read(vault, data_id),
    "download_file": lambda vault, data_id, path: vault.download_file(UNIT, data_id, path),
}


def seek_and_read(vault: Any, data_id: int) -> None:
    with vault.open(UNIT, data_id) as file:
        for position in range(SIZES[data_id] - 1, -1, -100_000):
            file.seek(position)
            file.read(100_000)


@pytest.mark.parametrize("datatype", [BytesWrapper, Streamed])
@pytest.mark.parametrize("face", ["embedded", "remote"])
@pytest.mark.parametrize("data_id", [2, 4, 7])
def test_no_way_of_reading_delivers_a_flipped_byte(
    embedded: EmbeddedStore, server: Server, tmp_path: Path, face: str, datatype: type[Datatype], data_id: int
) -> None:
    structure = {UNIT: (datatype, 100)}
    vault = Vault(embedded, structure) if face == "embedded" else RemoteVault(server.address, structure)
    with vault:
        for _, block, offset in (place for place in places() if place[0] == data_id):
            flip(embedded, data_id, offset)
            try:
                for what, read in READS.items():
                    with pytest.raises((CorruptionError, BatchError)) as raised:
                        pytest.fail(f"{what} delivered {read(vault, data_id, tmp_path / 'copy')!r:.100}")
                    error = raised.value.errors[0] if isinstance(raised.value, BatchError) else raised.value
                    assert isinstance(error, CorruptionError)
                    assert told(error) == (UNIT, data_id, block)
                assert list(tmp_path.iterdir()) == []
            finally:
                flip(embedded, data_id, offset)
        ticket = vault.load(UNIT, data_id)  # nothing of it stayed in the cache
        assert ticket is not None
        with ticket:
            assert ticket.get_data().data == data_of(data_id)


@pytest.mark.parametrize("data_id", SIZES)
def test_a_flipped_checksum_is_as_bad_as_a_flipped_byte(embedded: EmbeddedStore, server: Server, data_id: int) -> None:
    with RemoteStore(server.address) as remote:
        for block in range(blocks_of(data_id)):
            change(embedded, "contents", "blocks", data_id, 8 * block + 3)
            try:
                for store in (embedded, remote):
                    with pytest.raises(CorruptionError) as raised:
                        read_blocks(store, data_id)
                    # Of an object of one block the two checksums contradict each other before a byte is read.
                    assert told(raised.value) in ((UNIT, data_id, block), (UNIT, data_id, None))
                assert {problem.data_id for problem in embedded.check(deep=True).problems} == {data_id}
            finally:
                change(embedded, "contents", "blocks", data_id, 8 * block + 3)


@pytest.mark.parametrize("column", ["size", "checksum", "datatype", "generation", "created_at"])
def test_a_changed_row_is_found_by_the_audit(directory: Path, tmp_path: Path, column: str) -> None:
    shutil.copytree(directory, tmp_path / "store")
    value = "'Other'" if column == "datatype" else f"{column} - 1"
    with EmbeddedStore(tmp_path / "store") as store:
        statement = f"UPDATE objects SET {column} = {value} WHERE data_id = 5"
        store.engine.writer.submit(lambda connection: connection.execute(statement)).result()
        assert [problem.data_id for problem in store.check(deep=True).problems].count(5) >= 1


def cut(path: Path, _: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(BLOCK_SIZE + 1)


def grow(path: Path, _: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


def empty(path: Path, _: Path) -> None:
    path.write_bytes(b"")


def zero_a_block(path: Path, _: Path) -> None:
    with path.open("r+b") as file:
        file.seek(BLOCK_SIZE)
        file.write(bytes(BLOCK_SIZE))


def swap(path: Path, other: Path) -> None:
    between = path.with_suffix(".between")
    path.rename(between)
    other.rename(path)
    between.rename(other)


def put_the_old_generation(path: Path, other: Path) -> None:
    path.write_bytes(random.Random(99).randbytes(SIZES[7]))


@pytest.mark.parametrize("damage", [cut, grow, empty, zero_a_block, swap, put_the_old_generation])
def test_other_bytes_than_were_written_are_refused(
    directory: Path, tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    shutil.copytree(directory, tmp_path / "store")
    damage(blob_of(tmp_path / "store", 7), blob_of(tmp_path / "store", 6))
    with EmbeddedStore(tmp_path / "store") as store, Server(store, listen="127.0.0.1:0") as server:
        assert 7 in {problem.data_id for problem in store.check(deep=True).problems}
        with RemoteStore(server.address) as remote:
            for opened in (store, remote):
                if damage is grow:
                    # What was written is all there; the byte behind it is not handed out.
                    assert b"".join(bytes(block.data) for block in reader_of(opened, 7)) == data_of(7)
                    continue
                with pytest.raises(CorruptionError):
                    read_blocks(opened, 7)
                (outcome,) = opened.load_many(UNIT, [LoadItem(7)])
                assert getattr(outcome, "data", None) is None
