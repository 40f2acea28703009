"""Interrupts within Vault's calls, some of them: afterwards everything goes on, and nothing is lost or half there.

`scripts/torture/interrupts` does it at every point.
"""

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

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
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as program:
        hung = threading.Timer(60, program.kill)
        hung.start()
        try:
            assert program.stdout is not None
            for run in range(runs):
                assert program.stdout.readline() == "ready\n", f"run {run}, seed {SEED}"
                hung.join(choice.uniform(0.001, 0.03))
                program.send_signal(signal.SIGINT)
                assert program.stdout.readline() == "interrupted\n", f"run {run}, seed {SEED}"
            assert program.wait(30) == 0
        finally:
            hung.cancel()
            program.kill()
