"""The calls that are interrupted, and what has to hold afterwards."""

import contextlib
import gc
import io
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vault import ClosedError, ConflictError, RemoteVault, UnitSettings, Vault
from vault._sync.objects import computing, lease_renewal
from vault.unit import UnitLike

from tests.vault.places import Count, Note, Place

STRUCTURE: Final[dict[str, UnitLike]] = {
    "notes": (Note, 0),
    "counts": UnitSettings(Count, max_cached=2),
    "files": (Note, 0),
}
LARGE: Final = "block " * 200_000
"""Of two blocks."""

BOUND: Final = 20.0
"""Seconds within which everything after an interrupt has to be over."""


@dataclass
class Scene:
    """A vault with some objects, of which one call is made and interrupted.

    Attributes:
        prefix: Of the names of this scene: a server serves many, one after the other.
        open: What was opened in the scene and is closed at its end, as a program's `with` blocks would.
    """

    place: Place
    vault: Vault
    prefix: str
    folder: Path
    open: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("kept", "touched", "doomed"):
            self.vault.upload("notes", Note(name), name=self.name(name))
        self.vault.upload("counts", Count(1), name=self.name("count"))

    def name(self, name: str) -> str:
        return f"{self.prefix}-{name}"


def new_vault(place: Place) -> Vault:
    """A vault of the caller's own on the place."""
    if place.kind == "remote":
        return RemoteVault(place.server.address, STRUCTURE)
    return Vault(place.directory, STRUCTURE)


def load(scene: Scene) -> Callable[[], object]:
    return lambda: scene.vault.load("notes", scene.name("kept")).close()  # type: ignore[union-attr]


def load_again(scene: Scene) -> Callable[[], object]:
    load(scene)()
    return load(scene)


def load_many(scene: Scene) -> Callable[[], object]:
    load(scene)()

    def call() -> None:
        keys = [scene.name(name) for name in ("kept", "touched", "nothing")]
        for ticket in scene.vault.load_many("notes", keys):
            if ticket is not None:
                ticket.close()

    return call


def load_large(scene: Scene) -> Callable[[], object]:
    scene.vault.upload("files", Note(LARGE), name=scene.name("large"))
    return lambda: scene.vault.load("files", scene.name("large")).close()  # type: ignore[union-attr]


def upload(scene: Scene) -> Callable[[], object]:
    return lambda: scene.vault.upload("notes", Note("new"), name=scene.name("new"))


def create(scene: Scene) -> Callable[[], object]:
    return lambda: scene.vault.create("notes", Note("new"), name=scene.name("new"))[1].close()


def upload_many(scene: Scene) -> Callable[[], object]:
    return lambda: scene.vault.upload_many("notes", [Note("new"), Note("new")], names=[scene.name("new"), None])


def upload_large(scene: Scene) -> Callable[[], object]:
    return lambda: scene.vault.upload("files", Note(LARGE), name=scene.name("new"))


def update(scene: Scene) -> Callable[[], object]:
    return lambda: scene.vault.update("notes", scene.name("touched"), Note("touched!"))


def delete(scene: Scene) -> Callable[[], object]:
    return lambda: scene.vault.delete("notes", scene.name("doomed"))


def edit(scene: Scene) -> Callable[[], object]:
    def change(count: Count) -> None:
        count.number += 1

    return lambda: scene.vault.edit("counts", scene.name("count"), change)


def compute(scene: Scene) -> Callable[[], object]:
    # The lease of a computation that was interrupted at the wrong moment is waited for.
    computing.__dict__["LEASE"] = lease_renewal.__dict__["LEASE"] = 1.0
    return lambda: scene.vault.get_or_compute("notes", scene.name("computed"), lambda: Note("computed"))


def close_ticket(scene: Scene) -> Callable[[], object]:
    ticket = scene.vault.load("notes", scene.name("touched"))
    assert ticket is not None

    def call() -> None:
        ticket.get_ref().text = "touched!"
        ticket.close()

    scene.open.append(ticket)
    return call


def set_metadata(scene: Scene) -> Callable[[], object]:
    return lambda: scene.vault.set_metadata("notes", scene.name("touched"), tags={"a": "b"})


def list_objects(scene: Scene) -> Callable[[], object]:
    return lambda: list(scene.vault.list("notes", prefix=scene.prefix))


def look(scene: Scene) -> Callable[[], object]:
    vault, name = scene.vault, scene.name("kept")
    return lambda: (vault.exists("notes", name), vault.stat("notes", name), vault.find("notes", name), vault.units())


def read(scene: Scene) -> Callable[[], object]:
    scene.vault.upload("files", Note(LARGE), name=scene.name("large"))

    def call() -> None:
        with scene.vault.open("files", scene.name("large")) as reader:
            reader.seek(1 << 20)
            reader.read(100)
            reader.seek(5)
            reader.read(10)

    return call


def write(scene: Scene) -> Callable[[], object]:
    def call() -> None:
        with scene.vault.open_writer("files", name=scene.name("new")) as writer:
            for start in range(0, len(LARGE), 1 << 20):
                writer.write(LARGE[start : start + (1 << 20)].encode())

    return call


def upload_file(scene: Scene) -> Callable[[], object]:
    path = scene.folder / f"{scene.prefix}-up"
    path.write_text(LARGE)
    return lambda: scene.vault.upload_file("files", path, name=scene.name("new"))


def download_file(scene: Scene) -> Callable[[], object]:
    scene.vault.upload("files", Note(LARGE), name=scene.name("large"))
    path = scene.folder / f"{scene.prefix}-down"
    path.write_text("before")

    def call() -> None:
        scene.vault.download_file("files", scene.name("large"), path)

    return call


def watch(scene: Scene) -> Callable[[], object]:
    since = scene.vault.revision

    def call() -> None:
        with scene.vault.watch(["notes", "counts"], since=since - 1) as changes:
            scene.open.append(changes)
            next(changes)

    return call


def close(scene: Scene) -> Callable[[], object]:
    load(scene)()
    return scene.vault.close


CALLS: Final[dict[str, Callable[[Scene], Callable[[], object]]]] = {
    call.__name__: call
    for call in (
        load, load_again, load_many, load_large, upload, create, upload_many, upload_large, update, delete, edit,
        compute, close_ticket, set_metadata, list_objects, look, read, write, upload_file, download_file, watch, close,
    )
}  # fmt: skip


def afterwards(scene: Scene, *, fork: bool) -> None:
    """Asserts what has to hold of a vault when one of its calls was interrupted; while the exception is handled."""
    vault = scene.vault
    if not vault._closed:
        use(scene)
        if fork:
            in_a_child(lambda: use(scene))
    for each in scene.open:
        with contextlib.suppress(ConflictError, ClosedError):  # of an edit that is not written: others wrote since
            each.close()
    vault.close()
    with new_vault(scene.place) as another:
        sound(scene, another)


def use(scene: Scene) -> None:
    """Calls of each kind, on what the interrupted one was about."""
    vault, name = scene.vault, scene.name
    with vault.watch(since=vault.revision) as changes:
        sound(scene, vault)
        again = name(f"again-{os.getpid()}")
        vault.upload("notes", Note("again"), name=again)
        assert any(change.name == again for change in changes)  # what was interrupted may have been done, too
    assert vault.edit("counts", name("count"), lambda count: None).name == name("count")
    if scene.prefix.startswith("compute"):
        assert vault.get_or_compute("notes", name("computed"), lambda: Note("computed")).text == "computed"
    vault.update("notes", name("touched"), Note("touched!"))
    with vault.load("notes", name("touched")) as ticket:  # type: ignore[union-attr]
        assert ticket.get_ref().text == "touched!"
    with vault.open_writer("files") as writer:
        writer.write(b"x" * 100_000)
    with vault.open("files", writer.data_id) as reader:
        assert reader.read() == b"x" * 100_000
    into = io.BytesIO()
    vault.download_file("files", writer.data_id, into)
    vault.set_metadata("notes", again, tags={"x": "y"})
    assert vault.delete_many("notes", [again, name("new")])[0]


def sound(scene: Scene, vault: Vault) -> None:
    """Asserts that every object is there that has to be, and that none is half of one."""
    values = {"kept": {"kept"}, "touched": {"touched", "touched!"}, "doomed": {"doomed"}, "new": {"new"}}
    found = {info.name for info in vault.list("notes", prefix=scene.prefix)}
    assert {scene.name("kept"), scene.name("touched")} <= found
    for name, allowed in values.items():
        ticket = vault.load("notes", scene.name(name))
        if ticket is not None:
            with ticket:
                assert ticket.get_data().text in allowed
    with vault.load("counts", scene.name("count")) as count:  # type: ignore[union-attr]
        assert count.get_data().number in (1, 2)
    for info in vault.list("files", prefix=scene.prefix):
        assert info.size == len(LARGE)
    down = scene.folder / f"{scene.prefix}-down"
    if down.exists():
        assert down.read_text() in ("before", LARGE)


def in_a_child(function: Callable[[], object]) -> None:
    """Calls the function in a fork of this process."""
    child = os.fork()
    if not child:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + BOUND / 2
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError("a fork's child hangs")
        time.sleep(0.001)
    assert os.waitstatus_to_exitcode(ended[1]) == 0, "a fork's child failed"


def no_ticket_is_left(scene: Scene) -> None:
    """Asserts that the cache holds nothing on behalf of the interrupted call."""
    if scene.vault.cache_stats().open_tickets:
        gc.collect()
    left = scene.vault.cache_stats().open_tickets
    assert not left, f"{left} tickets are counted that nobody has"
