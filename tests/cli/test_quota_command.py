"""quota: how much units and principals hold and may hold, shown and set."""

import pytest
from vault.errors import StorageFullError
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitLimits
from vault_server import EmbeddedStore

from tests.cli.program import UNIT, Inside, Program, on_terminal, plain
from tests.storage.objects import small


def fill(inside: Program) -> None:
    """Two objects of nobody, one of ann's."""
    inside.put("a", b"22")
    inside.put("b", b"333")
    assert inside.directory is not None
    with EmbeddedStore(inside.directory) as store:
        store.for_principal("ann").upload_many("other", [small(b"4444")])


def test_it_shows_all_that_hold_something_or_have_limits(inside: Inside) -> None:
    fill(inside)
    inside.text("quota", "--unit", "empty", "--max-objects", "0")
    inside.text("quota", "--principal", "zoe", "--max-bytes", "1GiB", "--max-objects", "7")
    assert inside.text("quota").splitlines() == [
        "0\t\t0\t0\trefuse\tempty\t",
        f"5\t\t2\t\t\t{UNIT}\t",
        "4\t\t1\t\t\tother\t",
        "4\t\t1\t\t\t\tann",
        f"0\t{1 << 30}\t0\t7\t\t\tzoe",
    ]
    assert inside.documents("quota", "--principal", "ann") == [
        {
            "bytes": 4,
            "max_bytes": None,
            "objects": 1,
            "max_objects": None,
            "when_full": None,
            "unit": None,
            "principal": "ann",
        }
    ]


def test_what_is_not_given_stays_as_it_is(inside: Inside) -> None:
    fill(inside)
    steps = {
        ("--max-bytes", "10GB"): UnitLimits(None, 10_000_000_000),
        ("--max-objects", "5", "--when-full", "evict"): UnitLimits(5, 10_000_000_000, "evict"),
        ("--max-bytes", "none"): UnitLimits(5, None, "evict"),
        ("--max-bytes", "512MiB", "--when-full", "refuse"): UnitLimits(5, 512 << 20),
        (): UnitLimits(5, 512 << 20),
        ("--none",): UnitLimits(),
    }
    assert inside.directory is not None
    for words, limits in steps.items():
        inside.text("quota", "--unit", UNIT, *words)
        with EmbeddedStore(inside.directory) as store:
            assert store.unit_info(UNIT).limits == limits
    for words, of_ann in (
        (("--max-bytes", "4"), PrincipalLimits(max_bytes=4)),
        (("--max-objects", "1"), PrincipalLimits(1, 4)),
        (("--none",), PrincipalLimits()),
        (("--max-objects", "1"), PrincipalLimits(1)),
    ):
        inside.text("quota", "--principal", "ann", *words)
        with EmbeddedStore(inside.directory) as store:
            assert store.principal_info("ann") == PrincipalInfo("ann", 1, 4, of_ann)
    with EmbeddedStore(inside.directory) as store:
        (refused,) = store.for_principal("ann").upload_many(UNIT, [small(b"4444")])
        assert isinstance(refused, StorageFullError)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--max-bytes", "1G"), "whose limits"),
        (("--none",), "whose limits"),
        (("--unit", "a", "--principal", "b"), "--unit or --principal"),
        (("--principal", "b", "--when-full", "evict"), "--when-full is of a unit"),
        (("--unit", "a", "--none", "--max-objects", "1"), "--none takes all limits away"),
        (("--unit", "a", "--max-bytes", "-1"), "bad size '-1'"),
        (("--unit", "a", "--max-bytes", "10X"), "bad size '10X'"),
        (("--unit", "a", "--max-bytes", "9EiB"), "bad size '9EiB'"),
        (("--unit", "a", "--max-objects", "1.5"), "bad number '1.5'"),
        (("--unit", "a", "--max-objects", "9223372036854775808"), "bad number '9223372036854775808'"),
        (("--unit", "../a"), "bad unit name '../a'"),
        (("--principal", "a b"), "bad principal 'a b'"),
        (("--unit", "a", "--when-full", "drop"), "'drop' is not one of"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(embedded: Program, words: tuple[str, ...], said: str) -> None:
    inside = Inside(embedded.location, directory=embedded.directory)
    fill(inside)
    before = inside.text("quota")
    assert said in inside.assert_fails(2, "quota", *words)
    assert inside.text("quota") == before


def test_it_is_a_table_on_a_terminal(embedded: Program) -> None:
    embedded.put("a/b", bytes(1536))
    Inside(embedded.location).text("quota", "-u", UNIT, "--max-bytes", "1MiB", "--when-full", "evict")
    code, shown = on_terminal(embedded, "quota")
    assert code == 0
    assert [line.split() for line in plain(shown).splitlines()] == [
        ["bytes", "max_bytes", "objects", "max_objects", "when_full", "unit", "principal"],
        ["1.5", "KiB", "1.0", "MiB", "1", "evict", UNIT],
    ]
