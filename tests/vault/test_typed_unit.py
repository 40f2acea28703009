"""Typed units: every call of the vault is one of theirs; declared late, by many at once, across forks and closing."""

import contextlib
import inspect
import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from vault import (
    AsyncUnit,
    AsyncVault,
    BytesWrapper,
    ClosedError,
    DecodeError,
    InvalidArgumentError,
    NotFoundError,
    RemoteStore,
    StorageError,
    TextWrapper,
    Unit,
    Vault,
    VaultError,
)
from vault.store import MetadataSpec, Page, Store, Watch, WrapperStore
from vault_server import EmbeddedStore, Server

from tests.vault.places import Count, Note, Place, following
from tests.waiting import assert_soon

OF_THE_VAULT = {"unit", "units", "unit_infos", "cache_stats", "upkeep", "spawn_upkeeping_thread", "close", "revision"}
"""What is public and asked of no unit."""


def public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in inspect.getmembers(kind) if not name.startswith("_")}


def arguments(method: Any) -> list[inspect.Parameter]:
    """Those of a call, but for itself and the unit."""
    _, *rest = inspect.signature(method).parameters.values()
    return [parameter for parameter in rest if parameter.name not in {"unit", "units"}]


CALLS = {name: member for name, member in public(AsyncVault).items() if name not in OF_THE_VAULT | {"renew"}}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_of_the_vault_on_a_unit_is_one_of_the_unit(name: str) -> None:
    """Where one is missing: see vault/_async/vault/typed_unit.py."""
    ours, theirs = getattr(AsyncUnit, name, None), CALLS[name]
    assert ours is not None, f"AsyncUnit has no {name}"
    assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)
    described = [[(one.name, one.kind, one.default) for one in arguments(each)] for each in (ours, theirs)]
    assert described[0] == described[1], f"AsyncUnit.{name} has other arguments than AsyncVault.{name}"
    for one, other in zip(arguments(ours), arguments(theirs), strict=True):
        if "Any" not in str(other.annotation) and "Datatype" not in str(other.annotation):
            assert one.annotation == other.annotation, f"AsyncUnit.{name}({one.name})"


def test_a_unit_has_no_calls_of_its_own() -> None:
    assert set(public(AsyncUnit)) - set(CALLS) == {"name", "datatype"}


class Asked:
    """Stands where a unit has its vault, and notes how it is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        method = CALLS[name]

        def call(*args: Any, **options: Any) -> Any:
            self.calls.append((name, inspect.signature(method).bind(None, *args, **options).arguments))
            return self._answer() if inspect.iscoroutinefunction(method) else None

        return call

    async def _answer(self) -> tuple[None, None]:
        return None, None


@pytest.mark.parametrize("name", CALLS)
async def test_every_argument_of_a_unit_s_call_reaches_the_vault(name: str) -> None:
    asked: Any = Asked()
    given = {parameter.name: object() for parameter in arguments(getattr(AsyncUnit, name))}
    result = getattr(AsyncUnit(asked, "notes", Note, None), name)(**given)
    if inspect.isawaitable(result):
        await result
    ((called, got),) = asked.calls
    unit = got.pop("units" if name == "watch" else "unit")
    assert (called, unit, {each: got.get(each) for each in given}) == (name, "notes", given)


SAMPLES: dict[str, Any] = {
    "key": "name",
    "keys": ["name", 5],
    "name": "name",
    "names": {"name": "other"},
    "changes": [MetadataSpec("name", tags={})],
    "data": Note("text"),
    "objects": [Note("text")],
    "items": {"name": Note("text")},
    "path": io.BytesIO(b"text"),
    "function": lambda *_: Note("text"),
    "ranges": [(0, 1)],
}
"""By what it is called, something for each argument that a call has to be given."""


@pytest.mark.parametrize("name", CALLS)
def test_every_call_on_a_unit_that_was_not_declared_works_or_says_what_is_wrong(tmp_path: Path, name: str) -> None:
    with contextlib.ExitStack() as stack:
        vault = stack.enter_context(Vault(tmp_path / "store"))
        needed = [each.name for each in arguments(getattr(Vault, name)) if each.default is each.empty]
        with contextlib.suppress(VaultError):
            result = getattr(vault, name)("notes", *(SAMPLES[each] for each in needed))
            if hasattr(result, "__exit__"):
                stack.enter_context(result)
            elif isinstance(result, Iterator):
                list(result)


@pytest.fixture
def opened(place: Place) -> Iterator[Vault]:
    """A vault without a structure, and on what else is opened there."""
    with Vault(place.location) as vault:
        yield vault


def test_a_unit_is_known_by_its_vault_name_and_type(opened: Vault, place: Place) -> None:
    notes = opened.unit("notes", Note)
    assert isinstance(notes, Unit)
    assert notes == opened.unit("notes", Note)
    assert len({notes, opened.unit("notes", Note), opened.unit("counts", Count)}) == 2
    assert notes != place.open().unit("notes", Note), "that is of another vault"
    assert notes != "notes"
    assert repr(notes).startswith("<Unit 'notes' of Note, in <Vault on ")
    assert repr(opened.unit("scores", dict[str, int])).startswith("<Unit 'scores' of dict, in ")


def shows(unit: Unit[Note], text: str) -> None:
    """Waits until it does: another vault's write may take a moment to arrive."""
    assert_soon(lambda: unit.get("a").text == text)


def test_units_that_are_declared_late_are_cached_and_kept_current(opened: Vault, place: Place) -> None:
    writer = place.open({"notes": (Note, 0), **{f"late-{number}": (Note, 0) for number in range(3)}})
    for name in ("notes", "late-0", "late-1", "late-2"):
        unit = opened.unit(name, Note)
        data_id = writer.upload(name, Note("one"), name="a")
        for _ in range(2):
            assert unit.get("a").text == "one"
        following(opened)
        assert unit.get("a").text == "one"
        before = opened.cache_stats()
        for _ in range(50):
            assert unit.get("a").text == "one"
        after = opened.cache_stats()
        assert (after.misses, after.hits) == (before.misses, before.hits + 50)
        writer.update(name, data_id, Note("two"))
        shows(unit, "two")
    for name in ("late-1", "notes"):
        writer.update(name, "a", Note("three"))
        shows(opened.unit(name, Note), "three")


class Watched(WrapperStore):
    """Notes which units are watched, and how many pages are asked for."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.watched: list[tuple[str, ...]] = []
        self.pages: list[Any] = []
        self.failing = False

    def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> Watch:
        self.watched.append(tuple(units))
        return super().watch(units, since=since)

    def list_page(self, unit: str, **options: Any) -> Page:
        self.pages.append(options)
        if self.failing:
            raise StorageError("the disk is gone")
        return super().list_page(unit, **options)


def test_the_feed_is_followed_for_the_declared_units_and_no_others(remote: Place) -> None:
    with RemoteStore(remote.server.address) as behind, Vault(store := Watched(behind)) as vault:
        one, two = vault.unit("one", Note), vault.unit("two", Note)
        assert one.load(1) is two.load(1) is None
        following(vault)
        three = vault.unit("three", Note)
        assert three.load(1) is None
        following(vault)
        assert vault.unit("three", Note).load(1) is None
        following(vault)
        assert store.watched == [("one", "two"), ("one", "two", "three")]
        assert vault.unit("four", Note).exists(1) is False, "which is not cached"
        vault.unit("four", Note).load(1)
        following(vault)
        assert store.watched[-1] == ("one", "two", "three", "four")


def test_a_vault_without_a_structure_watches_every_unit_unless_one_is_named(opened: Vault) -> None:
    notes = opened.unit("notes", Note)
    with opened.watch() as everything, notes.watch() as some:
        opened.upload("undeclared", BytesWrapper(b""), data_id=1)
        notes.upload(Note(""), data_id=2)
        assert [next(everything).data_id, next(everything).data_id] == [1, 2]
        assert next(some).data_id == 2


def test_of_declarations_at_once_one_type_wins_and_all_of_it_are_equal(tmp_path: Path) -> None:
    def declare(vault: Vault, number: int) -> Any:
        try:
            return vault.unit(f"unit-{number // 8}", (Note, Count)[number % 2])
        except InvalidArgumentError as error:
            return error.reason

    with Vault(tmp_path / "store") as vault, ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(declare, [vault] * 160, range(160)))
        for name in range(20):
            asked = outcomes[8 * name : 8 * name + 8]
            assert sorted(str(each) for each in asked if isinstance(each, str)) == ["BAD_STRUCTURE"] * 4
            assert len({each for each in asked if not isinstance(each, str)}) == 1


def test_a_closed_vault_gives_no_units_and_its_units_say_so(tmp_path: Path) -> None:
    with Vault(tmp_path / "store") as vault:
        notes = vault.unit("notes", Note)
    for call in (lambda: notes.load(1), lambda: notes.exists(1), lambda: vault.unit("notes", Note)):
        with pytest.raises(ClosedError):
            call()


def test_a_structure_stays_the_list_of_what_is_known_and_unit_adds_to_it(tmp_path: Path) -> None:
    with Vault(tmp_path / "store", {"notes": (Note, 5)}) as vault:
        assert vault.unit("notes", Note) == vault.unit("notes", Note, max_cached=5)
        with pytest.raises(InvalidArgumentError, match=r"max_cached=5.*not 6"):
            vault.unit("notes", Note, max_cached=6)
        with pytest.raises(InvalidArgumentError, match=r"declares it"):
            vault.load("counts", 1)
        vault.unit("counts", Count).upload(Count(1), data_id=1)
        assert vault.get("counts", 1).number == 1


def test_a_class_that_was_defined_again_is_another(tmp_path: Path) -> None:
    again = type("Note", (Note,), {})
    with Vault(tmp_path / "store") as vault:
        vault.unit("notes", Note)
        with pytest.raises(InvalidArgumentError, match="defined again"):
            vault.unit("notes", again)


@pytest.mark.parametrize("kind", [object, Path, type(None), 5, "Note", None, tuple, set, Any, int | str])
def test_what_no_unit_can_hold_is_refused(tmp_path: Path, kind: Any) -> None:
    with Vault(tmp_path / "store") as vault, pytest.raises(InvalidArgumentError) as caught:
        vault.unit("notes", kind)
    assert (caught.value.reason, caught.value.context["unit"]) == ("BAD_STRUCTURE", "notes")


def test_names_like_a_missing_one_cost_nothing_when_it_is_there_and_little_when_not(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as inner, Vault(store := Watched(inner)) as vault:
        notes = vault.unit("notes", str)
        notes.upload_many([""] * 3000, names=[f"{number:04}/name" for number in range(3000)])
        notes.get("0001/name")
        assert notes.load("0001/nam") is None
        assert store.pages == []
        with pytest.raises(NotFoundError, match=r"names like it: '2999/name'"):
            notes.get("2999/nam")
        with pytest.raises(NotFoundError) as caught:
            notes.get("nothing like that")
        assert "like it" not in str(caught.value)
        assert len(store.pages) <= 4
        assert all(options["page_size"] <= 50 for options in store.pages)
        store.failing = True
        with pytest.raises(NotFoundError, match=r"'2999/nam'$"):
            notes.get("2999/nam")


FORKS = """
import os, signal, sys, threading, warnings
warnings.filterwarnings("ignore", category=DeprecationWarning)  # of forking with threads, which is the point here
signal.alarm(60)
from vault import Vault
from tests.vault.places import Count, Note, following

with Vault(sys.argv[1]) as vault:
    notes = vault.unit("notes", Note)
    notes.upload(Note("one"), name="a")
    assert notes.get("a").text == "one"
    held, done = threading.Event(), threading.Event()
    def hold():  # as a thread does that declares a unit while the process forks
        with vault._declaring:
            held.set()
            done.wait(20)
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(40)
            assert notes.get("a").text == "one"
            assert notes == vault.unit("notes", Note)
            counts = vault.unit("counts", Count)
            counts.upload(Count(1), name="a")
            assert counts.get("a").number == 1
            following(vault)
            notes.edit("a", lambda note: Note("two"))
            assert notes.get("a").text == "two"
            vault.close()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    done.set()
    thread.join()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
    assert vault.unit("counts", bytes).exists("a"), "of the child's declarations the parent knows nothing"
print("done")
"""


def test_units_go_on_in_a_forked_child(place: Place) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKS, place.location],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


async def test_an_async_unit_may_be_declared_before_there_is_an_event_loop(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as elsewhere:
        vault = elsewhere.submit(AsyncVault, tmp_path / "store").result()
        notes = elsewhere.submit(vault.unit, "notes", str).result()
    async with vault:
        data_id = await notes.upload("text")
        assert await notes.get(data_id) == "text"


def test_an_object_for_an_undeclared_unit_is_answered_with_how_to_declare_it(opened: Vault, place: Place) -> None:
    with pytest.raises(InvalidArgumentError, match=r"vault\.unit\('notes', Note\) declares it"):
        opened.upload("notes", Note(""))
    opened.unit("notes", Note).upload(Note("text"), name="a")
    with (
        Vault(place.location) as another,
        pytest.raises(DecodeError, match=r"vault\.unit\('notes', Type\) declares it"),
    ):
        another.load("notes", "a")


def test_a_text_for_a_unit_of_another_type_is_answered_with_what_to_do(opened: Vault) -> None:
    opened.unit("notes", Note)
    opened.unit("texts", TextWrapper)
    text: Any = "text"
    with pytest.raises(InvalidArgumentError, match=r"TextWrapper, not str: wrap it: TextWrapper\(x\)"):
        opened.upload("texts", text)
    with pytest.raises(InvalidArgumentError, match=r"Note, not str: declare a unit for it with str"):
        opened.upload("notes", text)
    with pytest.raises(InvalidArgumentError, match=r"name TextWrapper, or declare it by vault.unit\('texts', str\)"):
        Vault("memory://", {"texts": (str, 0)})  # type: ignore[dict-item]


def test_a_remote_vault_without_a_structure_does_no_io(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as store, Server(store) as server:
        address = server.address
    with Vault(f"grpc://{address}") as vault:  # nobody listens there any more
        assert vault.unit("notes", Note).get_datatype() is Note
