"""The example does what it says, in a directory and on a real server, for several people at a time."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from vault import AlreadyExistsError, InvalidArgumentError, NotFoundError
from vault._escaping import holds_hidden

from examples.filekeeper.keeper import Keeper
from examples.filekeeper.model import Document, Folder
from tests import before

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COMMAND = [sys.executable, "-W", "error", "-m", "filekeeper"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server in a process of its own."""
    serve = [sys.executable, "-m", "vault.cli", "serve", str(tmp_path_factory.mktemp("storage"))]
    with subprocess.Popen([*serve, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", ready)
        assert found, ready
        yield f"grpc://{found[0]}"
        process.terminate()
        assert process.wait(timeout=30) == 0


@pytest.fixture(params=["embedded", "remote"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "embedded":
        yield str(tmp_path / "keeper")
        return
    location: str = request.getfixturevalue("address")
    yield location
    with Keeper(location) as keeper:  # the server is shared by the tests
        for info in [info for info in keeper.list_folder() if info.datatype == "Folder"]:
            keeper.remove_folder(info.name or "", contents=True)
        for info in keeper.list_folder():
            keeper.remove_document(info.name or "")
        assert keeper.list_folder() == []


@pytest.fixture
def keeper(location: str) -> Iterator[Keeper]:
    with Keeper(location) as opened:
        yield opened


def titles(keeper: Keeper, folder: str | None = None) -> list[str | None]:
    return [info.name for info in keeper.list_folder(folder)]


def run(location: str, *arguments: str, cwd: Path = EXAMPLES, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "FILEKEEPER_VAULT": location, "COLUMNS": "100"},
    )


def test_a_document_may_be_in_two_folders(keeper: Keeper) -> None:
    keeper.new_folder("inbox")
    keeper.new_folder("favourites")
    keeper.upload_document("a", b"\0 one\n two", within="inbox")
    keeper.add_to_folder("favourites", ["a"])
    keeper.add_to_folder("favourites", ["a"])
    assert titles(keeper) == ["favourites", "inbox"]
    assert titles(keeper, "inbox") == titles(keeper, "favourites") == ["a"]
    assert keeper.get_document("a") == Document("a", b"\0 one\n two")

    keeper.remove_from_folder("inbox", ["a"])
    assert (titles(keeper, "inbox"), titles(keeper, "favourites")) == ([], ["a"])
    keeper.remove_document("a")
    assert titles(keeper, "favourites") == []
    with pytest.raises(NotFoundError, match="there is no document 'a'"):
        keeper.get_document("a")


def test_a_removed_document_is_in_no_folder_any_more(keeper: Keeper) -> None:
    keeper.new_folder("one")
    keeper.upload_document("a", b"", within="one")
    keeper.remove_document("a")
    assert keeper._read("one", Folder).items == []


def test_a_removed_folder_leaves_what_was_in_it(keeper: Keeper) -> None:
    keeper.new_folder("outer")
    keeper.new_folder("inner", within="outer")
    keeper.upload_document("a", b"", within="outer")
    keeper.remove_folder("outer")
    assert titles(keeper) == ["a", "inner"]


def test_a_folder_removed_with_its_contents_spares_what_another_folder_holds(keeper: Keeper) -> None:
    for title, within in (("top", None), ("outer", "top"), ("inner", "outer"), ("shared", "inner"), ("other", None)):
        keeper.new_folder(title, within=within)
    for title, within in (("own", "outer"), ("deep", "inner"), ("kept", "outer"), ("below", "shared")):
        keeper.upload_document(title, b"", within=within)
    keeper.add_to_folder("other", ["kept", "shared"])

    keeper.remove_folder("outer", contents=True)

    assert titles(keeper) == ["other", "top"]
    assert titles(keeper, "top") == []
    assert titles(keeper, "other") == ["kept", "shared"]
    assert titles(keeper, "shared") == ["below"]
    for gone in ("own", "deep", "inner", "outer"):
        with pytest.raises(NotFoundError):
            keeper._find(gone)


def test_a_folder_is_not_put_into_itself(keeper: Keeper) -> None:
    keeper.new_folder("outer")
    keeper.new_folder("inner", within="outer")
    for inside in ("outer", "inner"):
        with pytest.raises(InvalidArgumentError, match=f"{inside!r} would end up inside itself"):
            keeper.add_to_folder(inside, ["outer"])
    assert (titles(keeper), titles(keeper, "inner")) == (["outer"], [])


def test_a_ring_of_folders_hurts_nobody(keeper: Keeper) -> None:
    keeper.new_folder("a")
    keeper.new_folder("b", within="a")
    keeper._edit("b", lambda folder: folder.add([keeper._find("a").data_id]))  # as two people at once may do
    assert (titles(keeper), titles(keeper, "a"), titles(keeper, "b")) == ([], ["b"], ["a"])
    keeper.remove_folder("a", contents=True)
    assert titles(keeper) == []


def test_a_title_is_taken_once_by_document_or_folder(keeper: Keeper) -> None:
    keeper.new_folder("x")
    with pytest.raises(AlreadyExistsError, match="there is a 'x' already"):
        keeper.new_folder("x")
    with pytest.raises(AlreadyExistsError, match="there is a 'x' already"):
        keeper.upload_document("x", b"")
    with pytest.raises(NotFoundError, match="there is no folder 'nowhere'"):
        keeper.upload_document("y", b"", within="nowhere")
    assert titles(keeper) == ["x"]


def test_a_document_is_no_folder_and_a_folder_no_document(keeper: Keeper) -> None:
    keeper.new_folder("folder")
    keeper.upload_document("document", b"")
    for wrong in (keeper.get_document, keeper.remove_document):
        with pytest.raises(NotFoundError, match="there is no document 'folder'"):
            wrong("folder")
    with pytest.raises(NotFoundError, match="there is no folder 'document'"):
        keeper.list_folder("document")
    with pytest.raises(NotFoundError, match="there is no folder 'document'"):
        keeper.remove_from_folder("document", ["folder"])
    with pytest.raises(NotFoundError, match="there is no item 'nothing'"):
        keeper.add_to_folder("folder", ["nothing"])
    assert titles(keeper) == ["document", "folder"]


ADDER = """
import sys
from filekeeper.keeper import Keeper

with Keeper(sys.argv[1]) as keeper:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(10):
        keeper.upload_document(f"{sys.argv[2]}-{number}", b"content", within="shared")
"""


@pytest.mark.slow
def test_four_processes_that_add_to_one_folder_lose_nothing(keeper: Keeper, location: str) -> None:
    keeper.new_folder("shared")
    adders = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", ADDER, location, name],
            cwd=EXAMPLES,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    for adder in adders:
        assert adder.stdout is not None
        assert adder.stdout.readline() == "ready\n"
    for adder in adders:
        assert adder.stdin is not None
        adder.stdin.write("go\n")
        adder.stdin.flush()
    for adder in adders:
        adder.communicate(timeout=100)
        assert adder.returncode == 0
    found = titles(keeper, "shared")
    assert sorted(map(str, found)) == [f"{name}-{number}" for name in "abcd" for number in range(10)]


def test_two_threads_of_one_keeper_lose_nothing(keeper: Keeper) -> None:
    keeper.new_folder("shared")
    for number in range(20):
        keeper.upload_document(str(number), b"")
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda number: keeper.add_to_folder("shared", [str(number)]), range(20)))
    assert sorted(int(title or "") for title in titles(keeper, "shared")) == list(range(20))


@pytest.mark.slow
def test_what_the_readme_shows_runs(location: str, tmp_path: Path) -> None:
    readme = (EXAMPLES / "filekeeper" / "README.md").read_text()
    commands = re.findall(r"^\$ python -m filekeeper (.*)$", readme, re.MULTILINE)
    assert len(commands) > 5
    (tmp_path / "filekeeper").symlink_to(EXAMPLES / "filekeeper")
    outputs = []
    for command in commands:
        done = run(location, *shlex.split(command), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.decode())
    assert (tmp_path / "copy.md").read_text() == readme
    assert "favourites" in outputs[4]
    assert "about this" not in outputs[4]
    assert re.search(r"about this +│ document", outputs[5])
    assert "reports" not in outputs[-1]


def test_each_kind_of_error_is_one_line_and_an_exit_code_of_its_own(tmp_path: Path) -> None:
    assert run(f"{tmp_path}/keeper", "new-folder", "x").returncode == 0
    for code, text, arguments in (
        (2, "bad name ''", ["new-folder", ""]),
        (2, "would end up inside itself", ["add-to-folder", "x", "x"]),
        (3, "there is no document 'x'", ["get-document", "x"]),
        (4, "there is a 'x' already", ["new-folder", "x"]),
        (2, "No such command", ["nonsense"]),
    ):
        done = run(f"{tmp_path}/keeper", *arguments)
        assert done.returncode == code
        assert done.stdout == b""
        *usage, line = done.stderr.decode().splitlines()
        assert line.startswith("Error: ")
        assert text in line
        assert not usage or usage[0].startswith("Usage: ")


def test_a_document_goes_in_and_out_through_a_pipe(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    assert run(f"{tmp_path}/keeper", "upload-document", "-", "--title", "piped", stdin=content).returncode == 0
    assert run(f"{tmp_path}/keeper", "get-document", "piped").stdout == content


def test_a_document_that_is_not_there_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before")
    assert run(f"{tmp_path}/keeper", "get-document", "nothing", "--output", str(file)).returncode == 3
    assert file.read_text() == "before"


def test_a_server_that_is_away_is_said_so() -> None:
    done = run("unix:/nonexistent/vault.socket", "list-folder")
    assert done.returncode == 5
    assert len(done.stderr.splitlines()) == 1


def test_a_title_that_would_steer_the_terminal_is_listed_escaped(tmp_path: Path) -> None:
    before.store_before(tmp_path / "keeper", "items", b"a\n", name="a\x1b]0;b\x07\u202e[red]", datatype="\x9bDocument")
    listed = subprocess.run(
        [*COMMAND, "--vault", tmp_path / "keeper", "list-folder"],
        cwd=EXAMPLES,
        capture_output=True,
        timeout=60,
        check=True,
    )
    text = listed.stdout.decode()
    assert "\\x1b]0;b\\x07\\u202e[red]" in text
    assert not holds_hidden(text.replace("\n", ""))
