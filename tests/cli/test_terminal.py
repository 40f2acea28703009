"""On a terminal there are tables and progress bars; elsewhere there are not."""

from pathlib import Path

import pytest

from tests.cli.program import UNIT, Program, on_terminal, plain


def test_ls_is_a_table(embedded: Program) -> None:
    data_id = embedded.put("two words ä", bytes(1536))
    code, shown = on_terminal(embedded, "ls", "-u", UNIT)
    header, row = (line.split() for line in plain(shown).splitlines())
    assert code == 0
    assert header == ["id", "size", "updated", "name"]
    assert row[:3] == [str(data_id), "1.5", "KiB"]
    assert row[-3:] == ["two", "words", "ä"]


def test_ls_long_and_find_show_what_they_add(embedded: Program) -> None:
    embedded.put("a", b"1", k="v")
    _, shown = on_terminal(embedded, "ls", "-u", UNIT, "-l", columns=140)
    assert "k=v" in plain(shown)
    header = ["id", "size", "updated", "written", "expires", "gen", "datatype", "name", "tags"]
    assert plain(shown).split()[:9] == header
    _, shown = on_terminal(embedded, "find", "a")
    assert plain(shown).split()[0] == "unit"
    assert UNIT in plain(shown)


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_costs_no_name_no_tag_and_no_unit(embedded: Program, columns: int) -> None:
    name = "a-name-that-is-longer-than-a-narrow-terminal-is-wide"
    embedded.put(name, b"1", language="english")
    for arguments in (["ls", "-u", UNIT], ["ls", "-l", "-u", UNIT], ["find", name]):
        code, shown = on_terminal(embedded, *arguments, columns=columns)
        header, *rows = plain(shown).splitlines()
        folded = "".join(row[header.index("name") :].split("  ")[0].strip() for row in rows)
        assert (code, folded) == (0, name)
        assert ("language=english" in plain(shown)) == ("-l" in arguments)
        assert (UNIT in plain(shown)) == (arguments[0] == "find")


def test_stat_is_a_table(embedded: Program) -> None:
    data_id = embedded.put("a", b"1")
    _, shown = on_terminal(embedded, "stat", "a", "-u", UNIT)
    assert ["data_id", str(data_id)] in [line.split() for line in plain(shown).splitlines()]


def test_json_stays_json(embedded: Program) -> None:
    embedded.put("a", b"1")
    code, shown = on_terminal(embedded, "ls", "-u", UNIT, "--json")
    assert code == 0
    assert shown.startswith("{")
    assert "\x1b" not in shown


def test_names_are_not_read_as_markup(embedded: Program) -> None:
    embedded.put("[red]x[/red]", b"1")
    _, shown = on_terminal(embedded, "ls", "-u", UNIT)
    assert "[red]x[/red]" in plain(shown)


def test_put_and_get_show_a_progress_bar(program: Program, random_file: Path, tmp_path: Path) -> None:
    named = random_file.rename(random_file.with_name("[b]ig.bin"))
    code, shown = on_terminal(program, "put", named, "-u", UNIT)
    assert code == 0
    assert "━" in shown
    assert "[b]ig.bin" in plain(shown)
    assert "3.0/3.0 MiB" in plain(shown)
    code, shown = on_terminal(program, "get", "[b]ig.bin", tmp_path / "copy", "-u", UNIT)
    assert code == 0
    assert "━" in shown
    assert "3.0/3.0 MiB" in plain(shown)
    assert (tmp_path / "copy").read_bytes() == named.read_bytes()


def test_cat_to_a_terminal_shows_the_bytes_and_no_bar(embedded: Program) -> None:
    embedded.put("a", b"just this")
    assert on_terminal(embedded, "cat", "a", "-u", UNIT) == (0, "just this")


def test_an_error_is_one_line_on_a_terminal_too(embedded: Program, tmp_path: Path) -> None:
    embedded.put("a", b"1")
    code, shown = on_terminal(embedded, "get", "b", tmp_path / "copy", "-u", UNIT)
    assert code == 3
    assert len(plain(shown).split("vault-grpc: ")) == 2


def test_a_server_that_does_not_answer_is_said_to_be_waited_for() -> None:
    code, shown = on_terminal(Program("grpc://127.0.0.1:1"), "--timeout", "5", "units")
    waiting, failed = plain(shown).splitlines()
    assert code == 5
    assert waiting.startswith("vault-grpc: no answer from 127.0.0.1:1 yet (")
    assert "within 5 s" in failed
