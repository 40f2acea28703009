"""The memory watermark: what no ticket is open on goes, and the process really gives it back."""

import time
from pathlib import Path
from typing import Any, Self

import pytest
from vault import Datatype, InvalidArgumentError, UnitSettings, Vault
from vault._runtime.memory import give_back, resident

from tests.vault.places import STRUCTURE, Note, Place
from tests.waiting import assert_soon

MEGABYTE = 1 << 20


class Rows(Datatype):
    """Many small objects in memory, as decoded data often is: the allocator does not give these back by itself."""

    def __init__(self, rows: list[bytes]) -> None:
        self.rows = rows

    def _dump(self) -> bytes:
        return b"".join(self.rows)

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        return cls([raw[start : start + 600] for start in range(0, len(raw), 600)])


def filled(directory: Path, megabytes: int, **options: Any) -> tuple[Vault, list[int]]:
    vault = Vault(directory, {"rows": (Rows, 0)}, **options)
    raw = bytes(range(256)) * (MEGABYTE // 256)
    return vault, [vault.upload("rows", Rows([raw])) for _ in range(megabytes)]


def load_all(vault: Vault, ids: list[int]) -> None:
    for data_id in ids:
        ticket = vault.load("rows", data_id)
        assert ticket is not None
        ticket.close()


def test_upkeep_really_gives_memory_back(tmp_path: Path) -> None:
    vault, ids = filled(tmp_path / "store", 64, max_memory_used=100_000)
    with vault:
        load_all(vault, ids)
        full = resident()
        assert vault.cache_stats().bytes == 64 * MEGABYTE
        vault.upkeep()
        assert vault.cache_stats().entries == 64  # below the limit nothing goes
        vault._memory._limit = full - 48 * MEGABYTE
        vault.upkeep()
        assert resident() <= full - 48 * MEGABYTE
        stats = vault.cache_stats()
        assert 0 < stats.evictions <= 64
        assert stats.rss <= full - 40 * MEGABYTE


def test_what_a_ticket_is_open_on_stays(tmp_path: Path) -> None:
    vault, ids = filled(tmp_path / "store", 6, max_memory_used=1)
    with vault:
        ticket = vault.load("rows", ids[0])
        assert ticket is not None
        load_all(vault, ids)
        vault.upkeep()
        assert vault.cache_stats().entries == 1
        with ticket:
            assert len(ticket.get_data()._dump()) == MEGABYTE
            misses = vault.cache_stats().misses
            load_all(vault, ids[:1])
            assert vault.cache_stats().misses == misses
        vault.upkeep()
        assert vault.cache_stats().entries == 0


def test_objects_that_come_in_are_kept_below_the_limit_without_upkeep(tmp_path: Path) -> None:
    vault, ids = filled(tmp_path / "store", 48, max_memory_used=100_000)
    with vault:
        load_all(vault, ids[:4])
        give_back()  # what tests before this one left free would otherwise take what is loaded
        limit = resident() + 8 * MEGABYTE
        vault._memory._limit = limit
        most = 0
        for data_id in ids * 3:
            load_all(vault, [data_id])
            most = max(most, resident())
        assert vault.cache_stats().evictions > 0
        assert most < limit + 24 * MEGABYTE  # it is looked at every few megabytes


def test_a_thread_looks_after_the_memory_until_it_is_stopped(tmp_path: Path, no_thread_left: None) -> None:
    vault, ids = filled(tmp_path / "store", 4, max_memory_used=100_000)
    with vault:
        load_all(vault, ids)
        upkeeping = vault.spawn_upkeeping_thread(0.05)
        time.sleep(0.2)
        assert vault.cache_stats().entries == 4
        vault._memory._limit = 1
        assert_soon(lambda: vault.cache_stats().entries == 0)
        upkeeping.stop()
        upkeeping.stop()
        assert not upkeeping.is_alive()
        load_all(vault, ids[:1])
        time.sleep(0.2)
        assert vault.cache_stats().entries == 1
        another = vault.spawn_upkeeping_thread(3600)
        assert another.is_alive()
    assert not another.is_alive()


@pytest.mark.parametrize("seconds", [0, -1, True, "1", float("inf")])
def test_an_interval_is_above_zero(tmp_path: Path, seconds: Any) -> None:
    with Vault(tmp_path / "store", {}) as vault, pytest.raises(InvalidArgumentError, match="above 0"):
        vault.spawn_upkeeping_thread(seconds)


def test_limits_of_a_unit_hold(place: Place) -> None:
    vault = place.open({"notes": (Note, 3), "rows": UnitSettings(Rows, max_bytes=1000)})
    notes = vault.upload_many("notes", [Note(str(n)) for n in range(10)])
    rows = vault.upload_many("rows", [Rows([bytes(300)]) for _ in range(10)])
    for unit, ids in (("notes", notes), ("rows", rows)):
        for ticket in vault.load_many(unit, ids):
            assert ticket is not None
            ticket.close()
    stats = vault.cache_stats()
    assert stats.entries == 6
    assert stats.evictions == 14


def test_stats_count_what_happens(place: Place) -> None:
    vault = place.open(STRUCTURE)
    data_id = vault.upload("notes", Note("four"))
    ticket = vault.load("notes", data_id)
    assert ticket is not None
    stats = vault.cache_stats()
    assert (stats.hits, stats.misses, stats.evictions) == (0, 1, 0)
    assert (stats.entries, stats.bytes, stats.open_tickets) == (1, 4, 1)
    assert stats.rss > MEGABYTE
    ticket.close()
    assert vault.cache_stats().open_tickets == 0
