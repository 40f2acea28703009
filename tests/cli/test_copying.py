"""cp and mv: copies with all that is known of them, in any vault; other names for what is there."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import click
import pytest
from vault.cli.choice import Choice, Renaming
from vault.cli.copying import Copying, copy
from vault.cli.tally import Tally
from vault.errors import VaultError
from vault.store.specs import DeleteSpec, LoadItem, MetadataSpec, PutSpec, SmallPut
from vault.store.values import Block, Key, ObjectInfo, checksum
from vault.store.wrapper import WrapperStore
from vault_server import EmbeddedStore, Server

from tests.cli.program import COMMAND, UNIT, Inside, Program
from tests.cli.test_get_folder import fill
from tests.cli.test_put_folder import contents
from tests.storage.objects import blob_of

FILES = {"a": b"1", "b/c": b"22", "b/d": b"", "b/e/f": b"333"}


@pytest.fixture(params=["directory", pytest.param("server", marks=pytest.mark.slow)])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Inside]:
    """Another vault."""
    directory = tmp_path / "other"
    if request.param == "directory":
        yield Inside(str(directory), directory=directory)
        return
    with EmbeddedStore(directory) as store, Server(store) as server:
        yield Inside(f"grpc://{server.address}", directory=directory)


def known(program: Program, unit: str = UNIT) -> dict[str, dict[str, Any]]:
    """What a unit holds, by name or id, but for what each store has of its own."""
    own = ("revision", "generation", "unit")
    return {
        each["name"] or each["data_id"]: {field: value for field, value in each.items() if field not in own}
        for each in program.documents("ls", "-u", unit)
    }


def test_into_another_vault_ids_names_tags_datatypes_and_times_go_along(inside: Inside, other: Inside) -> None:
    fill(inside, FILES, k="v")
    inside.put("large", os.urandom((3 << 20) + 5), x="y")
    inside.put(None, b"nameless")
    inside.out("tag", "a", "-u", UNIT, "later=1")
    before = known(inside)
    assert len(inside.text("cp", "--all", "-u", UNIT, "--to", str(other.location)).splitlines()) == len(before)
    assert known(other) == before == known(inside)
    assert contents(other) == contents(inside)
    assert inside.out("cp", "--all", "-u", UNIT, "--to", str(other.location)) == b""


def test_an_expiry_goes_along(inside: Inside, other: Inside) -> None:
    assert inside.directory is not None
    with EmbeddedStore(inside.directory) as store:
        store.put_many(UNIT, [SmallPut(PutSpec("a", expires_in=1000), b"1", checksum(b"1"))])
    inside.out("cp", "a", "-u", UNIT, "--to", str(other.location), "--to-unit", "elsewhere")
    assert abs(expiry(inside, UNIT) - expiry(other, "elsewhere")) < 60


def expiry(program: Program, unit: str) -> float:
    (found,) = program.documents("stat", "a", "-u", unit)
    return datetime.fromisoformat(found["expires_at"]).timestamp()


def test_what_is_taken_is_said_and_replaced_when_told_to(inside: Inside, other: Inside) -> None:
    fill(inside, FILES)
    theirs = other.put("a", b"theirs", their="tag")
    other.put("b/c", b"22")
    to = ("--to", str(other.location))
    assert "something else under the name 'a'" in inside.assert_fails(4, "cp", "--all", "-u", UNIT, *to)
    assert contents(other) == {**FILES, "a": b"theirs"}
    (copied,) = inside.documents("cp", "--all", "-u", UNIT, *to, "-f")
    assert (copied["name"], copied["data_id"], copied["tags"]) == ("a", str(theirs), {})
    assert contents(other) == FILES
    assert len(inside.documents("cp", "--all", "-u", UNIT, *to, "-f", "--no-skip")) == len(FILES)


@pytest.mark.parametrize(
    ("words", "copies"),
    [
        (("a",), {"a": "a"}),
        (("a", "z"), {"a": "z"}),
        (("-r", "b"), {"b/c": "b/c", "b/d": "b/d", "b/e/f": "b/e/f"}),
        (("-r", "b", "x/y"), {"b/c": "x/y/c", "b/d": "x/y/d", "b/e/f": "x/y/e/f"}),
        (("--prefix", "b/", ""), {"b/c": "c", "b/d": "d", "b/e/f": "e/f"}),
        (("--prefix", "b/e"), {"b/e/f": "b/e/f"}),
        (("--all", "x/"), {name: f"x/{name}" for name in FILES}),
        (("--older-than", "1h"), {}),
        (("-t", "k=v"), {name: name for name in FILES}),
    ],
)
def test_names_stay_or_begin_otherwise(
    inside: Inside, other: Inside, words: tuple[str, ...], copies: dict[str, str]
) -> None:
    fill(inside, FILES, k="v")
    other.put("mine", b"stays", unit="there")
    to = ("--to", str(other.location), "--to-unit", "there")
    dry = inside.run("cp", *words, "-u", UNIT, *to, "--dry-run", "--json")
    planned = [json.loads(line) for line in dry.stdout.splitlines()]
    assert contents(other, "there") == {"mine": b"stays"}
    copied = inside.documents("cp", *words, "-u", UNIT, *to)
    fields = ("unit", "data_id", "name", "size", "tags")
    assert [[each[field] for field in fields] for each in copied] == [
        [each[field] for field in fields] for each in planned
    ]
    assert contents(other, "there") == {"mine": b"stays", **{new: FILES[name] for name, new in copies.items()}}


def test_within_a_vault_objects_are_copied_too(inside: Inside) -> None:
    fill(inside, FILES, k="v")
    inside.put("large", os.urandom((2 << 20) + 5))
    everything = contents(inside)
    before = known(inside)
    inside.out("cp", "--all", "-u", UNIT, "--to-unit", "copies")
    assert contents(inside, "copies") == everything
    assert {name: each["data_id"] for name, each in known(inside, "copies").items()} == {
        name: each["data_id"] for name, each in before.items()
    }
    inside.out("cp", "large", "again", "-u", UNIT)
    inside.out("cp", "--prefix", "b/", "b/b/", "-u", UNIT)  # copies are below the prefix, and not copied again
    assert contents(inside) == {
        **everything,
        "again": everything["large"],
        **{f"b/{name}": data for name, data in FILES.items() if name.startswith("b/")},
    }
    assert known(inside)["b/b/c"]["tags"] == {"k": "v"}
    for words in (("a",), ("--all",), ("-r", "b")):
        assert "another name" in inside.assert_fails(2, "cp", *words, "-u", UNIT)
    assert "onto itself" in inside.assert_fails(2, "cp", "a", "a", "-u", UNIT)
    inside.assert_fails(3, "cp", "nothing", "x", "-u", UNIT)


def test_a_server_over_the_same_directory_is_the_same_vault(tmp_path: Path) -> None:
    directory = tmp_path / "vault"
    with EmbeddedStore(directory) as store, Server(store) as server:
        inside = Inside(str(directory), directory=directory)
        inside.put("a", b"1")
        address = f"grpc://{server.address}"
        assert "onto itself" in inside.assert_fails(2, "cp", "a", "-u", UNIT, "--to", address)
        inside.out("cp", "a", "b", "-u", UNIT, "--to", address)
        assert contents(inside) == {"a": b"1", "b": b"1"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_large_copy_goes_on_where_it_was_ended(embedded: Program, tmp_path: Path, how: int) -> None:
    data = os.urandom(64 << 20)
    data_id = embedded.put("large", data)
    with EmbeddedStore(tmp_path / "other") as store, Server(store) as server:
        to = ["--to", f"grpc://{server.address}"]
        staging = tmp_path / "other" / ".staging"
        with subprocess.Popen(
            [COMMAND, "cp", "--all", "-u", UNIT, *to],
            env=embedded.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            while process.poll() is None and staged(staging) < 6 << 20:
                pass
            process.send_signal(how)
            process.communicate(timeout=60)
        left = staged(staging)
        inside = Inside(embedded.location, directory=embedded.directory)
        assert process.returncode != 0
        assert left >= 4 << 20
        server_side = Inside(f"grpc://{server.address}")
        assert embedded.directory is not None
        blob = blob_of(embedded.directory, data_id, UNIT)
        flip(blob)  # in the first block, which is not read again
        inside.out("cp", "--all", "-u", UNIT, *to)
        flip(blob)
        assert server_side.out("cat", "large", "-u", UNIT) == data
        # The same copy once more after the first is gone is another one.
        store.delete_many(UNIT, [DeleteSpec("large")])
        assert len(inside.documents("cp", "--all", "-u", UNIT, *to)) == 1
        assert server_side.out("cat", "large", "-u", UNIT) == data


def flip(blob: Path) -> None:
    """Changes a bit of the first block, or changes it back."""
    with blob.open("r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))


def staged(folder: Path) -> int:
    """Bytes that wait for their commit."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def test_corrupt_bytes_are_not_copied_and_the_others_are(inside: Inside, other: Inside) -> None:
    fill(inside, {"a": b"1", "z": b"2"})
    ids = [inside.put("large", os.urandom(2 << 20)), inside.put("small", b"x" * 100_000)]
    assert inside.directory is not None
    for data_id in ids:
        flip(blob_of(inside.directory, data_id, UNIT))
    done = inside.run("cp", "--all", "-u", UNIT, "--to", str(other.location))
    assert (done.returncode, len(done.stderr.splitlines())) == (6, 2)
    assert contents(other) == {"a": b"1", "z": b"2"}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("a", "z"), {"a": "z"}),
        (("-r", "b", "x"), {"b/c": "x/c", "b/d": "x/d", "b/e/f": "x/e/f"}),
        (("--prefix", "b/", "b/b/"), {"b/c": "b/b/c", "b/d": "b/b/d", "b/e/f": "b/b/e/f"}),
        (("-p", "b/e/", ""), {"b/e/f": "f"}),
        (("-r", "b/e", ""), {"b/e/f": "f"}),
        (("--all", "all/"), {name: f"all/{name}" for name in FILES}),
        (("-p", "nothing", "x"), {}),
    ],
)
def test_mv_gives_other_names_and_nothing_else_changes(
    inside: Inside, words: tuple[str, ...], names: dict[str, str]
) -> None:
    fill(inside, FILES, k="v")
    before = {each["data_id"]: each for each in inside.documents("ls", "-u", UNIT)}
    planned = inside.run("mv", *words, "-u", UNIT, "--dry-run")
    assert sorted(contents(inside)) == sorted(FILES)
    assert inside.text("mv", *words, "-u", UNIT) == planned.stdout.decode()
    after = {each["data_id"]: each for each in inside.documents("ls", "-u", UNIT)}
    moves = {name: names.get(name, name) for name in FILES}
    assert contents(inside) == {moves[name]: data for name, data in FILES.items()}
    for data_id, then in before.items():
        now = after[data_id]
        assert now["name"] == moves[then["name"]]
        for field in ("generation", "tags", "size", "created_at", "written_at"):
            assert now[field] == then[field]


def test_mv_over_a_name_replaces_it_when_told_to(inside: Inside) -> None:
    first = inside.put("a", b"1", k="v")
    inside.put("b", b"2")
    assert "'b'" in (said := inside.assert_fails(4, "mv", "a", "b", "-u", UNIT))
    assert said.endswith("; --replace takes it")
    inside.out("mv", "a", "b", "-u", UNIT, "-f")
    assert contents(inside) == {"b": b"1"}
    assert known(inside)["b"]["data_id"] == str(first)


@pytest.mark.parametrize("count", [1, 600], ids=["one batch", "several"])
@pytest.mark.parametrize(("old", "new"), [("a", "aa"), ("aa", "a"), ("", "a")])
def test_cp_replaces_none_that_is_not_copied_yet(inside: Inside, old: str, new: str, count: int) -> None:
    files = {f"{'a' * depth}{number}": str(depth).encode() for depth in (2, 3, 4) for number in range(count)}
    fill(inside, files)
    inside.out("cp", "-p", old, new, "-u", UNIT, "-f")
    assert contents(inside) == {**files, **{new + name[len(old) :]: data for name, data in files.items()}}


@pytest.mark.parametrize("count", [1, 400], ids=["one batch", "several"])
@pytest.mark.parametrize("options", [(), ("-f",)], ids=["as it is", "replace"])
@pytest.mark.parametrize(("old", "new"), [("a", "aa"), ("aa", "a"), ("", "a")])
def test_mv_loses_none_of_those_that_have_each_others_names(
    inside: Inside, old: str, new: str, options: tuple[str, ...], count: int
) -> None:
    names = [f"{'a' * depth}{number}" for depth in (2, 3, 4) for number in range(count)]
    fill(inside, dict.fromkeys(names, b""))
    before = {each["data_id"]: each["name"] for each in inside.documents("ls", "-u", UNIT)}
    done = inside.run("mv", "-p", old, new, "-u", UNIT, *options)
    after = {each["data_id"]: each["name"] for each in inside.documents("ls", "-u", UNIT)}
    assert after.keys() == before.keys(), done.stderr
    if count == 1:
        assert (done.returncode, after) == (0, {key: new + name[len(old) :] for key, name in before.items()})


class Late(WrapperStore):
    """Objects expire between their being listed and read."""

    @property
    def time(self) -> datetime:
        return self.inner.time + timedelta(hours=1)


def test_what_expires_while_it_is_copied_ends_nothing(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "a") as store, EmbeddedStore(tmp_path / "b") as other:
        for index, size in enumerate((1, 2 << 20, 1, 2 << 20)):
            writer = store.put(UNIT, PutSpec(f"n{index}", expires_in=1800 if index < 2 else 7200))
            for offset in range(0, size, 1 << 20):
                data = bytes(min(size - offset, 1 << 20))
                writer.write(Block(offset, data, checksum(data)))
            writer.commit(size, checksum(bytes(size)))
        copying = Copying(Late(store), UNIT, other, UNIT, Tally(), replace=False, resend=False)
        copying.run(Renaming(None, Choice(everything=True), None))
        with click.Context(copy), pytest.raises(click.exceptions.Exit) as ended:
            copying.tally.end()
        assert ended.value.exit_code == 0
        assert sorted(info.name or "" for info in other.list_page(UNIT).objects) == ["n2", "n3"]


class Counting(WrapperStore):
    """Notes the batches of metadata."""

    batches: ClassVar[list[int]] = []

    def set_metadata_many(self, unit: str, items: Sequence[MetadataSpec]) -> Sequence[ObjectInfo | VaultError]:
        self.batches.append(len(items))
        return self.inner.set_metadata_many(unit, items)


def test_mv_of_five_hundred_is_one_call(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store, Server(Counting(store)) as server:
        inside = Inside(f"grpc://{server.address}", directory=tmp_path)
        fill(inside, {f"old/{index}": b"" for index in range(500)})
        inside.out("mv", "-r", "old", "new", "-u", UNIT)
        names = [each["name"] for each in inside.documents("ls", "-u", UNIT)]
    assert sorted(names) == sorted(f"new/{index}" for index in range(500))
    assert Counting.batches == [500]


class Unread(WrapperStore):
    """Hands out no bytes."""

    def load(self, unit: str, key: Key, **wanted: Any) -> Any:
        raise AssertionError((unit, key, wanted))

    def load_many(self, unit: str, items: Sequence[LoadItem]) -> Any:
        raise AssertionError((unit, items))


def test_within_a_server_no_bytes_pass_through_the_command(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store, Server(Unread(store)) as server:
        inside = Inside(f"grpc://{server.address}", directory=tmp_path)
        fill(inside, FILES)
        inside.put("large", bytes(3 << 20))
        inside.out("cp", "--all", "-u", UNIT, "--to-unit", "copies")
        inside.out("cp", "large", "larger", "-u", UNIT)
        assert len(inside.documents("ls", "-u", "copies")) == len(FILES) + 1


def test_names_that_cannot_be_are_said_and_the_others_moved(inside: Inside) -> None:
    fill(inside, {"ab": b"1", "abc": b"2"})
    assert "bad name ''" in inside.assert_fails(2, "mv", "-p", "ab", "", "-u", UNIT)
    assert contents(inside) == {"ab": b"1", "c": b"2"}
    for words in (
        (),
        ("ab",),
        ("-p", "a"),
        ("-r", "a"),
        ("a", "b", "c"),
        ("-p", "a", "b", "c"),
        ("ab", ""),
        ("ab", "x" * 1025),
        ("ab", "a\nb"),
        ("--all", "x" * 1025),
        ("-r", "id:5", "x"),
    ):
        inside.assert_fails(2, "mv", *words, "-u", UNIT)
        if len(words) != 1 or not words[0].isalpha():
            inside.assert_fails(2, "cp", *words, "-u", UNIT)
    inside.assert_fails(3, "mv", "nothing", "x", "-u", UNIT)
    assert contents(inside) == {"ab": b"1", "c": b"2"}


def test_cp_refuses_places_that_are_none(inside: Inside, tmp_path: Path) -> None:
    inside.put("a", b"1")
    (tmp_path / "file").write_bytes(b"")
    for place, code in ((tmp_path / "file", 2), ("localhost:1", 2), ("nothing://x", 2), ("", 2)):
        inside.assert_fails(code, "cp", "a", "-u", UNIT, "--to", place)
    inside.assert_fails(5, "cp", "a", "-u", UNIT, "--to", "grpc://127.0.0.1:1", "--timeout", "0.2")
    inside.assert_fails(2, "cp", "a", "-u", UNIT, "--to", tmp_path / "new", "--to-unit", "../x")
