"""ls in an order, from either end, so many, or level by level."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from vault.errors import unsupported
from vault.store.specs import CopySpec
from vault.store.usage import UnitInfo
from vault.store.values import Page
from vault.store.wrapper import WrapperStore
from vault_server import EmbeddedStore, Server

from tests.cli.program import UNIT, Inside, on_terminal, plain
from tests.cli.test_get_folder import fill

SIZES = {"b/2": 5, "b/1": 1, "a": 3, "c/d/e": 2, "c/f": 4, "z": 0}


@pytest.fixture
def stocked(inside: Inside) -> Inside:
    """Objects whose names, sizes and times are ordered differently, one without a name."""
    for name, size in SIZES.items():
        inside.put(name, bytes(size), k="v" if name.startswith("c") else "w")
    inside.put(None, bytes(6))
    inside.out("tag", "a", "-u", UNIT, "changed=last")
    return inside


def listed(program: Inside, *words: str) -> list[str]:
    return [line.split("\t")[2] for line in program.text("ls", "-u", UNIT, *words).splitlines()]


BY_SIZE = ["z", "b/1", "c/d/e", "a", "c/f", "b/2", ""]
BY_TIME = ["b/2", "b/1", "c/d/e", "c/f", "z", "", "a"]
BY_NAME = sorted(SIZES)


@pytest.mark.parametrize(("sort", "names"), [("size", BY_SIZE), ("time", BY_TIME), ("name", BY_NAME)])
def test_a_listing_is_in_the_order_that_was_asked_for_and_from_either_end(
    stocked: Inside, sort: str, names: list[str]
) -> None:
    assert listed(stocked, "--sort", sort) == names
    assert listed(stocked, "--sort", sort, "--reverse") == names[::-1]
    for limit in (0, 1, 3, 100):
        assert listed(stocked, "--sort", sort, "--limit", str(limit)) == names[:limit]
        assert listed(stocked, "--sort", sort, "--limit", str(limit), "--reverse") == names[::-1][:limit]
    assert listed(stocked, "--sort", sort, "-p", "c/") == [name for name in names if name.startswith("c/")]
    assert listed(stocked, "--sort", sort, "-t", "k=v") == [name for name in names if name.startswith("c")]


def test_ids_are_an_order_too(stocked: Inside) -> None:
    ids = [int(line.split("\t")[0]) for line in stocked.text("ls", "-u", UNIT, "--sort", "id").splitlines()]
    assert ids == sorted(ids)
    assert [int(each["data_id"]) for each in stocked.documents("ls", "-u", UNIT, "--reverse")] == ids[::-1]
    assert len(stocked.documents("ls", "-u", UNIT, "--limit", "2")) == 2


def test_a_level_shows_what_goes_on_below_it_once(stocked: Inside) -> None:
    assert listed(stocked, "--level") == ["a", "b/", "c/", "z"]
    assert listed(stocked, "--level", "--reverse", "--limit", "3") == ["z", "c/", "b/"]
    assert listed(stocked, "--level", "-p", "c/") == ["c/d/", "c/f"]
    assert listed(stocked, "--level", "-p", "b") == ["b/"]
    assert listed(stocked, "--level", "-t", "k=v", "--sort", "name") == ["c/"]
    assert stocked.documents("ls", "-u", UNIT, "--level")[1] == {"level": "b/"}
    assert stocked.text("ls", "-u", UNIT, "--level", "-l").splitlines()[1] == "\t" * 8 + "b/"


def test_a_level_of_more_than_a_page_is_in_order(inside: Inside) -> None:
    names = [f"{'d' if index % 3 else 'e'}{index:05}{'/x' if index % 2 else ''}" for index in range(2500)]
    fill(inside, dict.fromkeys(names, b""))
    wanted = sorted(name.removesuffix("x") for name in names)
    assert listed(inside, "--level") == wanted
    assert listed(inside, "--level", "--reverse") == wanted[::-1]


def test_levels_are_rows_of_a_table(stocked: Inside) -> None:
    for words in ((), ("--long",)):
        code, shown = on_terminal(stocked, "ls", "-u", UNIT, "--level", *words, columns=200)
        header, *rows = plain(shown).splitlines()
        assert code == 0
        assert rows[1].index("b/") == header.index("name")


def test_what_contradicts_itself_is_refused(stocked: Inside) -> None:
    for words in (
        ("--sort", "colour"),
        ("--limit", "-1"),
        ("--limit", "x"),
        ("--level", "--sort", "size"),
        ("--level", "--older-than", "1d"),
        ("--prefix", "x" * 1025),
    ):
        stocked.assert_fails(2, "ls", "-u", UNIT, *words)


class Older(WrapperStore):
    """Refuses what servers did not know before there were orders, counts and copies."""

    def list_page(self, unit: str, **wanted: Any) -> Page:
        if wanted.get("order") is not None or wanted.get("descending"):
            raise unsupported(self, "list_page in another order")
        return self.inner.list_page(unit, **wanted)

    def unit_info(self, unit: str) -> UnitInfo:
        del unit
        raise unsupported(self, "unit_info")

    def copy_many(self, unit: str, items: Sequence[CopySpec], *, to_unit: str | None = None) -> Any:
        del unit, items, to_unit
        raise unsupported(self, "copy_many")


def test_what_an_older_server_does_not_order_count_or_copy_is_done_here(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store, Server(Older(store)) as server:
        inside = Inside(f"grpc://{server.address}", directory=tmp_path)
        for name, size in SIZES.items():
            inside.put(name, bytes(size))
        assert listed(inside, "--sort", "time", "--reverse", "--limit", "2") == ["z", "c/f"]
        assert listed(inside, "--sort", "name") == sorted(SIZES)
        assert listed(inside, "-p", "b", "--reverse") == ["b/2", "b/1"]
        assert inside.text("du", "-u", UNIT) == f"15\t6\t{UNIT}\t\n"
        inside.out("cp", "-r", "b", "copied", "-u", UNIT)
        assert listed(inside, "-p", "copied") == ["copied/1", "copied/2"]
