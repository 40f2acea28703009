"""A watched file is read again when it changed, and its last good content stays while it is broken."""

import asyncio
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault._runtime import watched_file
from vault._runtime.watched_file import FilePoller, WatchedFile
from vault.errors import InvalidArgumentError

from tests.rights import in_a_thread, rights_of
from tests.waiting import assert_soon


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are not for everybody
        Path(folder).chmod(0o777)
        found = Path(folder) / "file"
        found.write_text("[1]")
        yield found


def watched(path: Path) -> WatchedFile[Any]:
    return WatchedFile(str(path), json.loads)


def replace(path: Path, text: str) -> None:
    other = path.with_name("other")
    other.write_text(text)
    other.replace(path)


def keep_times(path: Path, text: str) -> None:
    """Replaces it by one of the same size and mtime."""
    times = path.stat().st_mtime_ns
    other = path.with_name("other")
    other.write_text(text)
    os.utime(other, ns=(times, times))
    other.replace(path)


def write_in_place(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [replace, keep_times, write_in_place])
def test_a_changed_file_is_read_at_once_when_asked_for(path: Path, change: Callable[[Path, str], None]) -> None:
    file = watched(path)
    found: list[Any] = []
    file.on_change(found.append)
    assert not file.check()
    change(path, "[2]")
    assert file.check()
    assert file.content == [2]
    assert not file.check()
    assert found == [[2]]


def test_a_link_that_was_changed_is_followed(tmp_path: Path) -> None:
    """As Kubernetes replaces a secret: the files are links into a folder, which is a link itself."""
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
        for name in ("left", "right"):
            (tmp_path / f"..{number}" / name).write_text(str(number))
    (tmp_path / "..data").symlink_to("..1")
    for name in ("left", "right"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    file = WatchedFile([str(tmp_path / name) for name in ("left", "right")], lambda *both: both)
    assert file.content == (b"1", b"1")
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert file.check()
    assert file.content == (b"2", b"2")


def lines(log: pytest.LogCaptureFixture) -> list[str]:
    return [str(record.msg) for record in log.records if record.name == watched_file.__name__]


GONE = "file is not usable, the last good one stays: %(file)s: %(detail)s"
BACK = "file is good again: %s"


def remove(path: Path) -> Callable[[], object]:
    path.rename(path.with_name("aside"))
    return lambda: path.with_name("aside").rename(path)


def take_permission(path: Path) -> Callable[[], object]:
    path.chmod(0)
    return lambda: path.chmod(0o644)


def spoil(path: Path) -> Callable[[], object]:
    replace(path, "[")
    return lambda: replace(path, "[1]")


def make_a_folder(path: Path) -> Callable[[], object]:
    undo = remove(path)
    path.mkdir()
    return lambda: [step() for step in (path.rmdir, undo)]


def make_a_fifo(path: Path) -> Callable[[], object]:
    undo = remove(path)
    os.mkfifo(path)
    return lambda: [step() for step in (path.unlink, undo)]


@pytest.mark.parametrize("harm", [remove, take_permission, spoil, make_a_folder, make_a_fifo])
def test_what_is_broken_or_gone_leaves_the_last_content_and_one_line_each_way(
    path: Path, harm: Callable[[Path], Callable[[], object]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    file = watched(path)
    undo = harm(path)

    def look() -> None:
        with rights_of():
            for _ in range(5):
                assert not file.check()

    in_a_thread(look)
    assert file.content == [1]
    assert lines(caplog) == [GONE]
    undo()
    in_a_thread(look)
    assert lines(caplog) == [GONE, BACK]
    replace(path, "[3]")
    assert file.check()
    assert file.content == [3]


def test_each_broken_version_has_its_line(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = watched(path)
    for number in range(3):
        replace(path, "[" * (number + 1))
        for _ in range(3):
            file.check()
    assert lines(caplog) == [GONE] * 3


@pytest.mark.parametrize(("text", "why"), [("[", "JSONDecodeError"), (None, "No such file")])
def test_a_file_that_is_broken_at_first_is_an_error_that_names_it(path: Path, text: str | None, why: str) -> None:
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(InvalidArgumentError, match=why) as caught:
        watched(path)
    assert caught.value.reason == "BAD_SETTING"
    assert str(path) in caught.value.message


def test_a_file_that_is_being_written_in_place_is_left_until_it_is_whole(path: Path) -> None:
    file = watched(path)
    with path.open("w") as writer:
        for part in ("[1", ", 2", "]"):
            writer.write(part)
            writer.flush()
            os.utime(path, ns=(len(part), writer.tell()))  # a clock that ticks each time
            assert not file.look()
    assert file.look()
    assert file.deliver()
    assert file.content == [1, 2]


def test_it_is_found_wherever_the_program_goes(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    file = watched(Path(path.name))
    monkeypatch.chdir(tmp_path)
    replace(path, "[2]")
    assert file.check()


def test_a_listener_that_fails_keeps_nobody_from_being_called(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = watched(path)
    found: list[Any] = []
    file.on_change(lambda _: 1 / 0)
    file.on_change(found.append)
    replace(path, "[2]")
    assert file.check()
    assert found == [[2]]
    assert lines(caplog) == ["a file's listener failed"]


async def test_a_poller_calls_listeners_in_its_event_loop(path: Path) -> None:
    poller = FilePoller()
    file = poller.add(watched(path))
    told: asyncio.Queue[tuple[Any, threading.Thread]] = asyncio.Queue()
    file.on_change(lambda content: told.put_nowait((content, threading.current_thread())))
    poller.start()
    for number in (2, 3):
        replace(path, f"[{number}]")
        async with asyncio.timeout(30):
            assert await told.get() == ([number], threading.current_thread())
        assert file.content == [number]
    replace(path, "[4]")
    file.check()
    assert told.qsize() == 1  # the poller's own look finds nothing new any more
    poller.stop()


def test_a_poller_ends_with_its_event_loop_and_when_it_is_stopped(path: Path) -> None:
    async def begin(poller: FilePoller, found: list[Any]) -> None:
        file = poller.add(watched(path))
        file.on_change(found.append)
        poller.start()
        poller.start()

    before = threading.active_count()
    poller, found = FilePoller(), list[Any]()
    asyncio.run(begin(poller, found))
    replace(path, "[2]")
    assert threading.active_count() == before + 1
    poller.stop()
    assert_soon(lambda: threading.active_count() == before)
    assert found == []


@given(st.lists(st.sampled_from(["replace", "in place", "break", "remove", "nothing"]), max_size=12))
def test_whatever_happens_the_content_is_the_last_good_one(tmp_path_factory: Any, steps: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_text("[0]")
    file = watched(path)
    seen: list[Any] = []
    file.on_change(seen.append)
    good = [[0]]
    for number, step in enumerate(steps, 1):
        match step:
            case "replace":
                replace(path, f"[{number}]")
            case "in place":
                write_in_place(path, f"[{number}]")
                os.utime(path, ns=(number, number))
            case "break":
                replace(path, "[" * number)
            case "remove":
                path.unlink(missing_ok=True)
        if step in ("replace", "in place"):
            good.append([number])
        file.check()
        assert file.content == good[-1]
    assert seen == good[1:]
