"""Interrupts within Vault's calls, some of them: afterwards everything goes on, and nothing is lost or half there.

`scripts/torture/interrupts` does it at every point.
"""

import queue
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import vault
import vault_server
from vault._sync.remote.store import RemoteStore

from tests.vault.places import Place
from torture.interrupts.calls import CALLS
from torture.interrupts.delivery import run
from torture.interrupts.harness import attempt

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning"
    ),
]

SEED = random.SystemRandom().randrange(1 << 32)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("kind", "points"), [("embedded", 3), ("remote", 1)])
def test_after_an_interrupt_everything_goes_on(kind: str, points: int, call: str, tmp_path: Path) -> None:
    place = Place(kind, tmp_path)
    try:
        whole = attempt(place, call, 0, tmp_path)
        assert not whole.problem, whole
        choice = random.Random(SEED)
        for point in sorted(choice.sample(range(1, whole.count + 1), min(points, whole.count))):
            trial = attempt(place, call, point, tmp_path, fork=kind == "embedded" and point % 3 == 0)
            assert not trial.problem, f"seed {SEED}, {trial}"
    finally:
        place.close()


# gRPC's thread of the old connection may end by what it finds there.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("call", ["load", "load_large", "upload_large", "write", "watch", "list_objects"])
def test_after_an_interrupt_within_grpc_everything_goes_on(call: str, tmp_path: Path) -> None:
    place = Place("remote", tmp_path)
    try:
        whole = attempt(place, call, 0, tmp_path, within="grpc")
        assert not whole.problem, whole
        assert whole.count > 10
        for point in sorted(random.Random(SEED).sample(range(1, whole.count + 1), 4)):
            trial = attempt(place, call, point, tmp_path, within="grpc")
            assert not trial.problem, f"seed {SEED}, {trial}"
    finally:
        place.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_interrupt_within_grpc_holds_up_no_other_thread(tmp_path: Path) -> None:
    place = Place("remote", tmp_path)
    asked, ended = [0], threading.Event()
    try:
        with RemoteStore(place.server.address) as store:

            def ask() -> None:
                while not ended.is_set():
                    store.list_units()
                    asked[0] += 1

            other = threading.Thread(target=ask, daemon=True)
            other.start()
            points, _, _ = run(store.list_units, 0, "grpc")
            assert points.count > 10
            for point in range(1, points.count + 1):
                _, _, error = run(store.list_units, point, "grpc")
                assert error is None or isinstance(error, KeyboardInterrupt)
                before, until = asked[0], time.monotonic() + 10
                while asked[0] < before + 2:
                    assert time.monotonic() < until, f"{point}: {error}"
                    time.sleep(0.001)
            ended.set()
            other.join()
    finally:
        ended.set()
        place.close()


def test_threads_wait_for_each_other_by_what_no_interrupt_can_tear() -> None:
    """threading's Condition, and what is made of it, can be left locked; `vault._runtime.eventcount` says how."""
    for package in (vault, vault_server):
        for path in Path(package.__path__[0]).rglob("*.py"):
            if path.parent.name != "testing":
                found = re.findall(
                    r"threading\.(?:Condition|Event|Semaphore|BoundedSemaphore|Barrier)\b", path.read_text()
                )
                assert not found, f"{path}: {found}"


LOOP = """
import sys
from vault import Vault
from tests.vault.places import STRUCTURE, Note

for _ in range(int(sys.argv[3])):
    try:
        with Vault(sys.argv[1], STRUCTURE, cache=sys.argv[2] == "cached") as vault:
            key = vault.upload("notes", Note("x"))
            print("ready", flush=True)
            while True:
                vault.load("notes", key).close()
                if sys.argv[1].startswith("grpc"):
                    vault.delete("notes", vault.upload("notes", Note("x" * 1_200_000)))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.fixture(params=["embedded", "remote"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    place = Place(request.param, tmp_path)
    yield place.location
    place.close()


@pytest.mark.parametrize("cache", ["cached", "uncached"])
def test_a_loop_of_calls_ends_with_one_signal(cache: str, location: str, tmp_path: Path) -> None:
    choice = random.Random(SEED)
    runs = 12
    arguments = [sys.executable, "-W", "ignore", "-c", LOOP, location, cache, str(runs)]
    told = tmp_path / "stderr"
    with told.open("wb") as errors, subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors) as program:
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        stdout = program.stdout
        assert stdout is not None

        def pump() -> None:
            for line in stdout:
                lines.put(line)

        reader = threading.Thread(target=pump, daemon=True)
        reader.start()
        try:
            for run in range(runs):
                assert lines.get(timeout=60) == b"ready\n"
                time.sleep(choice.uniform(0.001, 0.03))
                program.send_signal(signal.SIGINT)
                try:
                    ended = lines.get(timeout=15)
                except queue.Empty:
                    # Python throws away what comes in a finalizer or a weak reference's callback, and says so.
                    assert "KeyboardInterrupt" in told.read_text(), f"run {run} hangs, seed {SEED}"
                    program.send_signal(signal.SIGINT)
                    ended = lines.get(timeout=30)
                assert ended == b"interrupted\n", f"run {run}, seed {SEED}"
            assert program.wait(30) == 0
        finally:
            program.kill()
        reader.join()
