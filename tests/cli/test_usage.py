"""du and ping: how much there is, and who answers."""

from tests.cli.program import UNIT, Inside, Program, on_terminal, plain
from tests.cli.test_get_folder import fill


def test_du_shows_bytes_and_objects_of_each_unit(inside: Inside) -> None:
    fill(inside, {"a": b"1", "b": b"22"})
    inside.put("c", b"4444", unit="other")
    assert inside.text("du") == f"3\t2\t{UNIT}\t\n4\t1\tother\t\n"
    assert inside.text("du", "-u", "other") == "4\t1\tother\t\n"
    assert inside.documents("du", "-u", "empty") == [{"bytes": 0, "objects": 0, "unit": "empty", "level": None}]


def test_du_shows_the_levels_below_a_prefix(inside: Inside) -> None:
    fill(inside, {"a/1": b"1", "a/b/2": b"22", "c/3": b"333", "top": b"4444"})
    fill(inside, {"a/x": b"55555"}, k="v")
    inside.put(None, b"666666")
    assert inside.text("du", "-u", UNIT, "--level") == f"8\t3\t{UNIT}\ta/\n3\t1\t{UNIT}\tc/\n21\t6\t{UNIT}\t\n"
    assert inside.text("du", "-u", UNIT, "-l", "-p", "a/") == f"2\t1\t{UNIT}\ta/b/\n8\t3\t{UNIT}\t\n"
    assert inside.text("du", "-p", "a") == f"8\t3\t{UNIT}\t\n"
    assert inside.text("du", "-t", "k=v", "--level") == f"5\t1\t{UNIT}\ta/\n5\t1\t{UNIT}\t\n"
    assert inside.text("du", "--older-than", "1h") == f"0\t0\t{UNIT}\t\n"


def test_du_is_a_table_on_a_terminal(embedded: Program) -> None:
    embedded.put("a/b", bytes(1536))
    code, shown = on_terminal(embedded, "du", "--level")
    assert code == 0
    assert [line.split() for line in plain(shown).splitlines()] == [
        ["bytes", "objects", "unit", "level"],
        ["1.5", "KiB", "1", UNIT, "a/"],
        ["1.5", "KiB", "1", UNIT],
    ]


def test_ping_measures_round_trips_and_says_who_answers(inside: Inside) -> None:
    inside.put("a", b"1")
    (found,) = inside.documents("ping", "--count", "3")
    assert found["round_trips"] == 3
    assert 0 <= found["min_ms"] <= found["median_ms"] <= found["max_ms"]
    assert (found["durability"], found["version"], len(found["store_id"])) == ("full", "0.1.0", 32)
    assert inside.text("ping").splitlines()[0] == "round_trips\t5"
    inside.assert_fails(2, "ping", "--count", "0")


def test_ping_of_what_does_not_answer_has_a_code_of_its_own(embedded: Program) -> None:
    embedded.assert_fails(5, "ping")
    Program("grpc://127.0.0.1:1").assert_fails(5, "ping", "--timeout", "1")
    Program(None).assert_fails(2, "ping")
