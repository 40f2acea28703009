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
from pathlib import Path

import pytest
import vault
import vault_server

from tests.interrupts.calls import CALLS
from tests.interrupts.harness import attempt
from tests.vault.places import Place

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning"
)

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


def test_threads_wait_for_each_other_by_what_no_interrupt_can_tear() -> None:
    """threading's Condition, and what is made of it, can be left locked; `vault.eventcount` says how."""
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
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.parametrize("cache", ["cached", "uncached"])
def test_a_loop_of_loads_ends_with_one_signal(cache: str, tmp_path: Path) -> None:
    choice = random.Random(SEED)
    runs = 12
    arguments = [sys.executable, "-W", "ignore", "-c", LOOP, str(tmp_path / "store"), cache, str(runs)]
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
