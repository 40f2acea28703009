"""Which blocks are asked for, and which are asked for again."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from vault import BytesWrapper, Vault
from vault._sync.files.object_reader import ObjectReader, open_reader
from vault.errors import CorruptionError, ProtocolError
from vault.store.blocks import MOST_APART, RangePlan, spans, verified
from vault.store.contract import BlockReader
from vault.store.limits import BLOCK_SIZE, EXACT_BELOW, MAX_READ_BYTES
from vault.store.values import Block, Key, NotModified, ObjectRanges, checksum
from vault_server import EmbeddedStore

from tests.files.objects import put, some_bytes


class ObservedStore(EmbeddedStore):
    """Embedded storage that notes the ranges it is asked for, in blocks, as if a network were between."""

    local_bytes: ClassVar[bool] = False
    asked: list[tuple[int, int | None]]
    apart: list[tuple[int, int | None]]

    def read(
        self,
        unit: str,
        key: Key,
        ranges: Sequence[tuple[int, int | None]],
        *,
        if_generation: int | None = None,
        generation: int | None = None,
        exact_below: int = EXACT_BELOW,
        max_bytes: int = MAX_READ_BYTES,
    ) -> ObjectRanges | None:
        self.apart += ranges
        asked = list(self.asked)
        options = {"if_generation": if_generation, "generation": generation}
        found = super().read(unit, key, ranges, **options, exact_below=exact_below, max_bytes=max_bytes)
        self.asked = asked  # it loads by itself
        return found

    def load(
        self,
        unit: str,
        key: Key,
        *,
        offset: int = 0,
        length: int | None = None,
        if_generation: int | None = None,
        if_generation_not_match: int | None = None,
        generation: int | None = None,
    ) -> BlockReader | NotModified | None:
        self.asked.append((offset // BLOCK_SIZE, None if length is None else -(-length // BLOCK_SIZE)))
        return super().load(
            unit,
            key,
            offset=offset,
            length=length,
            if_generation=if_generation,
            if_generation_not_match=if_generation_not_match,
            generation=generation,
        )


@pytest.fixture
def observed(tmp_path: Path) -> ObservedStore:
    observed = ObservedStore(tmp_path / "observed")
    observed.asked = []
    observed.apart = []
    return observed


def opened(store: ObservedStore, data: bytes) -> ObjectReader:
    return open_reader(store, "files", put(store, data).data_id)


@pytest.mark.parametrize("size", [10_000, 300_000, BLOCK_SIZE])
def test_reading_in_order_is_one_stream_from_the_second_block_on(observed: ObservedStore, size: int) -> None:
    data = some_bytes(5 * BLOCK_SIZE + 9)
    with observed, opened(observed, data) as reader:
        assert b"".join(iter(lambda: reader.read(size), b"")) == data
    assert observed.asked == [(0, 1), (1, None)]
    assert observed.apart == ([(0, size)] if size < EXACT_BELOW else [])


def test_reading_everything_at_once_is_one_stream(observed: ObservedStore) -> None:
    data = some_bytes(5 * BLOCK_SIZE + 9)
    with observed, opened(observed, data) as reader:
        assert reader.read() == data
    assert (observed.asked, observed.apart) == ([(0, None)], [])


@pytest.mark.parametrize("size", [BLOCK_SIZE // 2, BLOCK_SIZE, 5 * BLOCK_SIZE + 9])
def test_what_is_downloaded_or_loaded_comes_by_the_stream_that_found_it(observed: ObservedStore, size: int) -> None:
    data, got = some_bytes(size), io.BytesIO()
    with observed, Vault(observed, {"files": (BytesWrapper, 0)}, cache=False) as vault:
        data_id = put(observed, data).data_id
        vault.download_file("files", data_id, got)
        assert got.getvalue() == data
        assert observed.asked == [(0, None)]
        assert vault.get("files", data_id).data == data
    assert observed.asked[1:] in ([(0, None)], [])  # what is small comes with the lookup


def test_a_short_read_at_the_start_moves_what_it_wants_and_opens_no_stream(observed: ObservedStore) -> None:
    data = some_bytes(5 * BLOCK_SIZE)
    with observed, opened(observed, data) as reader:
        assert reader.read(100) == data[:100]
        assert (observed.asked, observed.apart) == ([], [(0, 100)])
        assert reader.read(100) == data[100:200], "and it goes on"
        assert reader.read(BLOCK_SIZE // 2) == data[200 : 200 + BLOCK_SIZE // 2]
    assert (observed.asked, observed.apart) == ([(0, 1)], [(0, 100)])


def test_a_read_after_a_seek_asks_for_its_blocks_alone_and_going_on_streams(observed: ObservedStore) -> None:
    data = some_bytes(12 * BLOCK_SIZE)
    with observed, opened(observed, data) as reader:
        size = BLOCK_SIZE // 2
        reader.seek(5 * BLOCK_SIZE - 10)
        assert reader.read(size) == data[5 * BLOCK_SIZE - 10 : 5 * BLOCK_SIZE - 10 + size]
        assert observed.asked == [(4, 2)]
        reader.seek(6 * BLOCK_SIZE)
        assert reader.read() == data[6 * BLOCK_SIZE :]
        assert observed.asked == [(4, 2), (6, None)]


def test_seeks_back_and_forth_reload_nothing(observed: ObservedStore) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for number in range(40):
            packed.writestr(f"{number}.bin", some_bytes(50_000, number))
    with observed, opened(observed, archive.getvalue()) as reader, zipfile.ZipFile(reader) as unpacked:
        for number in reversed(range(40)):
            assert unpacked.read(f"{number}.bin") == some_bytes(50_000, number)
    blocks = [first for first, _ in observed.asked]
    assert sorted(blocks) == sorted(set(blocks)), "a block was asked for twice"


def test_opening_and_seeking_alone_fetch_nothing(observed: ObservedStore) -> None:
    with observed, opened(observed, some_bytes(3 * BLOCK_SIZE)) as reader:
        reader.seek(0, io.SEEK_END)
        reader.seek(7)
    assert observed.asked == []


def test_spans_cover_a_range_block_by_block() -> None:
    assert list(spans(0, 0)) == []
    assert list(spans(7, 5)) == [(0, 7, 12)]
    assert list(spans(BLOCK_SIZE - 1, BLOCK_SIZE + 2)) == [
        (0, BLOCK_SIZE - 1, BLOCK_SIZE),
        (1, 0, BLOCK_SIZE),
        (2, 0, 1),
    ]


def test_a_few_bytes_are_read_alone_the_first_time_that_their_blocks_are_wanted() -> None:
    plan = RangePlan(5000)
    assert plan.apart(7, 7, 100)
    assert not plan.apart(7, 7, 100), "who comes back gets the block"
    assert not plan.apart(6, 7, 100)
    assert plan.apart(8, 8, EXACT_BELOW - 1)
    assert not plan.apart(9, 9, EXACT_BELOW)
    plan.took(10)
    assert not plan.apart(11, 11, 100), "it is what follows"
    for index in range(100, 100 + MOST_APART):
        assert plan.apart(index, index, 100)
    assert plan.apart(7, 7, 100), "what it remembers has a bound"


def test_a_lost_stream_is_no_stream() -> None:
    plan = RangePlan(10)
    assert plan.begin(0, 0) == 1
    plan.took(0)
    assert not plan.goes_on(1)
    assert plan.begin(1, 1) == 10, "reading goes on, so the rest is streamed"
    plan.took(1)
    assert plan.goes_on(2)
    plan.lost()
    assert not plan.goes_on(2)
    assert plan.begin(2, 2) == 10, "reading goes on, so the rest is streamed"
    assert plan.begin(5, 6) == 7
    assert plan.begin(8, 99) == 10


def test_another_block_than_the_one_that_is_due_is_refused(store: EmbeddedStore) -> None:
    data = some_bytes(2 * BLOCK_SIZE)
    info = put(store, data)
    first = Block(0, data[:BLOCK_SIZE], checksum(data[:BLOCK_SIZE]))
    assert verified(first, info, 0) == data[:BLOCK_SIZE]
    with pytest.raises(ProtocolError, match="were due"):
        verified(first, info, 1)
    with pytest.raises(ProtocolError, match="were due"):
        verified(Block(0, data[:10], checksum(data[:10])), info, 0)
    with pytest.raises(CorruptionError):
        verified(Block(0, data[BLOCK_SIZE:], first.checksum), info, 0)
