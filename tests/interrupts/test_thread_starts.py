"""A thread that cannot be started, at each place that starts one: an error of the contract, and the next call works."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from vault import AsyncRemoteVault, AsyncVault, RemoteVault, UnavailableError, Vault
from vault.testing.store.objects import payload
from vault_server import EmbeddedStore, Server

from tests.vault.places import STRUCTURE, Note

LARGE = payload(3 << 20).hex()
BOUND = 30.0


class Starts:
    """Counts the threads that one thread starts, and fails one of them."""

    def __init__(self, failing: int, name: str = "") -> None:
        """
        Args:
            failing: Which.
            name: Of those threads of this name, whoever starts them; otherwise of those that the caller does.
        """
        self.count = 0
        self.failed = ""
        self._failing = failing
        self._name = name
        self._starter = 0
        self._start = threading.Thread.start

    def start(self, thread: threading.Thread) -> None:
        if thread.name.startswith(self._name) if self._name else threading.get_ident() == self._starter:
            self.count += 1
            if self.count == self._failing:
                self.failed = thread.name
                raise RuntimeError("can't start new thread")
        self._start(thread)

    @contextmanager
    def applied(self) -> Iterator[None]:
        self._starter = threading.get_ident()
        threading.Thread.start = lambda thread: self.start(thread)  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            threading.Thread.start = self._start  # type: ignore[method-assign]


def bounded(function: Callable[[], Any]) -> Any:
    """Its result, from a thread of its own; fails when it does not return."""
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append((function(), None))
        except BaseException as error:  # noqa: BLE001  # raised below
            outcome.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(BOUND)
    assert outcome, f"it hangs: {traceback.format_stack(sys._current_frames()[thread.ident or 0])}"
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def told(error: UnavailableError) -> None:
    assert error.reason == "OVERLOADED"
    assert isinstance(error.__cause__, RuntimeError)


class Steps:
    """What a program does, each again when it was refused once; what was refused was not done."""

    def __init__(self) -> None:
        self.refusals = 0

    def do(self, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except UnavailableError as error:
            told(error)
            self.refusals += 1
        return step()

    async def ado(self, step: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await step()
        except UnavailableError as error:
            told(error)
            self.refusals += 1
        return await step()


def use(steps: Steps, make: Callable[[], Vault], folder: Path) -> None:
    vault = steps.do(make)
    steps.do(lambda: vault.upload("notes", Note("small"), name="small"))  # NAME_TAKEN, if it had been done after all
    steps.do(lambda: vault.upload("notes", Note(LARGE), name="large"))
    steps.do(lambda: vault.load("notes", "small").close())
    steps.do(lambda: vault.load("notes", "large").close())
    steps.do(lambda: vault.load_many("notes", ["small"])[0].close())
    steps.do(lambda: vault.download_file("notes", "large", folder / "down"))
    steps.do(lambda: vault.upload_file("notes", folder / "down", name="file"))

    def watch() -> None:
        with vault.watch("notes", since=0) as changes:
            next(changes)

    steps.do(watch)
    steps.do(lambda: vault.spawn_upkeeping_thread(0.01)).stop()

    def write() -> None:
        with vault.open_writer("notes", name="written") as writer:
            writer.write(LARGE.encode())

    steps.do(write)
    names = [info.name for info in steps.do(lambda: list(vault.list("notes")))]
    assert sorted(names) == ["file", "large", "small", "written"]
    steps.do(vault.close)


async def ause(steps: Steps, make: Callable[[], AsyncVault], folder: Path) -> None:
    async def opened() -> AsyncVault:
        return make()

    vault = await steps.ado(opened)
    await steps.ado(lambda: vault.upload("notes", Note("small"), name="small"))
    await steps.ado(lambda: vault.upload("notes", Note(LARGE), name="large"))
    for name in ("small", "large"):
        await (await steps.ado(partial(vault.load, "notes", name))).close()
    await steps.ado(lambda: vault.download_file("notes", "large", folder / "down"))
    await steps.ado(lambda: vault.upload_file("notes", folder / "down", name="file"))

    async def watch() -> None:
        async with await vault.watch("notes", since=0) as changes:
            await anext(changes)

    await steps.ado(watch)

    async def write() -> None:
        async with await vault.open_writer("notes", name="written") as writer:
            await writer.write(LARGE.encode())

    await steps.ado(write)

    async def names() -> list[str | None]:
        return [info.name async for info in vault.list("notes")]

    assert sorted(map(str, await steps.ado(names))) == ["file", "large", "small", "written"]
    await steps.ado(vault.upkeep)
    await steps.ado(vault.close)


def program(kind: str, colour: str, folder: Path, address: str, starts: Starts) -> None:
    """All of a program's calls, during which one thread cannot be started."""
    steps = Steps()
    if colour == "sync":
        with starts.applied():
            if kind == "remote":
                use(steps, lambda: RemoteVault(address, STRUCTURE), folder)
            else:
                use(steps, lambda: Vault(folder / "own", STRUCTURE), folder)
    else:

        async def main() -> None:
            with starts.applied():
                if kind == "remote":
                    await ause(steps, lambda: AsyncRemoteVault(address, STRUCTURE), folder)
                else:
                    await ause(steps, lambda: AsyncVault(folder / "own", STRUCTURE), folder)

        asyncio.run(main())


@pytest.mark.parametrize("kind", ["embedded", "remote"])
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_thread_that_cannot_be_started_is_an_error_once_and_the_next_call_works(
    kind: str, colour: str, tmp_path: Path
) -> None:
    failed: list[str] = []
    for failing in range(1, 100):
        folder = tmp_path / str(failing)
        folder.mkdir()
        starts = Starts(failing)
        with EmbeddedStore(folder / "store") as store, Server(store) as server:
            bounded(partial(program, kind, colour, folder, server.address, starts))
        if not starts.failed:
            break
        failed.append(starts.failed)
    assert failed, "no thread was ever started"


@pytest.mark.parametrize("name", ["vault-writer", "vault-storage", "vault-notifier", "vault-resumption"])
def test_a_server_that_cannot_start_a_thread_says_so_and_goes_on(name: str, tmp_path: Path) -> None:
    """Its clients ask again by themselves: to them it was too busy for a moment."""
    with EmbeddedStore(tmp_path / "store") as store, Server(store) as server:
        starts = Starts(1, name=name)
        with starts.applied():
            use(Steps(), lambda: RemoteVault(server.address, STRUCTURE), tmp_path)
        assert starts.failed
        assert store.check(deep=True).ok


def test_a_scrub_that_cannot_be_started_is_no_scrub(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        with Starts(1).applied(), pytest.raises(UnavailableError) as caught:
            store.start_scrub()
        told(caught.value)
        store.start_scrub()


def test_a_server_object_that_cannot_be_started_is_started_by_the_next_call(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        server = Server(store)
        with Starts(1).applied(), pytest.raises(UnavailableError) as caught:
            server.start()
        told(caught.value)
        with server, RemoteVault(server.address, STRUCTURE) as vault:
            assert vault.upload("notes", Note("x"))


REAL = """
import os, resource, sys, tempfile
from pathlib import Path
from vault import UnavailableError, Vault
from tests.vault.places import STRUCTURE, Note

folder = Path(tempfile.mkdtemp(prefix="vault-no-threads-"))
user = 54321 + os.getpid()  # who has no process yet
os.chown(folder, user, user)
os.setgid(user)
os.setuid(user)
_, hard = resource.getrlimit(resource.RLIMIT_NPROC)
resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
with Vault(folder / "store", STRUCTURE) as vault:
    for _ in range(3):
        try:
            vault.upload("notes", Note("x"), name="x")
            sys.exit("a thread was started after all")
        except UnavailableError as error:
            assert error.reason == "OVERLOADED", error
        assert list(vault.list("notes")) == []
    resource.setrlimit(resource.RLIMIT_NPROC, (1000, hard))
    vault.upload("notes", Note("x"), name="x")
    assert [info.name for info in vault.list("notes")] == ["x"]
with Vault(folder / "store", STRUCTURE) as vault:
    resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
    assert vault.load("notes", "x").get_data().text == "x"
print(folder)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="takes root, to become somebody who has no process yet")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_user_who_may_start_no_thread_is_refused_until_he_may() -> None:
    """As it really is: RLIMIT_NPROC."""
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", REAL], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    shutil.rmtree(ran.stdout.strip())
