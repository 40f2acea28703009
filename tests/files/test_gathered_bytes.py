"""Bytes that are gathered part by part, small and large."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault._runtime import gathered_bytes as module
from vault._runtime.gathered_bytes import gathered_bytes

LARGE = module._HUGE_PAGES_FROM


@settings(max_examples=20)
@given(st.integers(0, 2 * 4096), st.lists(st.integers(1, LARGE), max_size=8))
def test_what_is_gathered_is_what_was_written_whatever_the_parts_are(more: int, cuts: list[int]) -> None:
    size = LARGE + more
    whole = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    gathered = gathered_bytes(size)
    begin = 0
    for end in [*sorted(cuts), size]:
        gathered.write(memoryview(whole)[begin:end])
        begin = end
    found = gathered.getvalue()
    assert type(found) is bytes
    assert found == whole
    assert hash(found) == hash(whole)


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE])
def test_bytes_of_any_size_are_gathered(size: int) -> None:
    gathered = gathered_bytes(size)
    gathered.write(bytes(size))
    assert gathered.getvalue() == bytes(size)


def test_large_bytes_that_are_not_all_there_are_not_given_away() -> None:
    gathered = gathered_bytes(LARGE)
    gathered.write(bytes(LARGE - 1))
    with pytest.raises(ValueError, match=f"{LARGE - 1} of {LARGE} bytes"):
        gathered.getvalue()


def test_no_more_is_written_than_there_is_room_for() -> None:
    gathered = gathered_bytes(LARGE)
    with pytest.raises(ValueError, match="memoryview"):
        gathered.write(bytes(LARGE + 1))


def test_a_size_that_no_memory_has_is_gathered_as_far_as_it_comes() -> None:
    gathered = gathered_bytes(1 << 62)
    gathered.write(b"some")
    assert isinstance(gathered, io.BytesIO)
    assert gathered.getvalue() == b"some"
