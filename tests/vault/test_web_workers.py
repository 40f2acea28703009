"""A vault on a directory in each of several worker processes, opened after the fork or before it."""

import subprocess
import sys
from pathlib import Path

import pytest
from vault import Vault
from vault_server import EmbeddedStore

from tests.vault.places import STRUCTURE, Count

WORKERS = 3
STEPS = 25
PROGRAM = f"""
import os, signal, sys, threading, time, warnings
warnings.filterwarnings("ignore", category=DeprecationWarning)  # of forking with threads, which is the point here
signal.alarm(100)
from vault import Vault
from tests.vault.places import STRUCTURE, Note, text_of

directory, when = sys.argv[1:]

def work(vault, number):
    vault.upload("notes", Note("0"), name=f"mine {{number}}")
    for step in range({STEPS}):
        vault.edit("counts", "all", lambda count: setattr(count, "number", count.number + 1), attempts=1000)
        vault.update("notes", f"mine {{number}}", Note(str(step)))
        assert text_of(vault, f"mine {{number}}") == str(step)
        with vault.load("counts", "all") as ticket:  # what is seen never goes back, and holds one's own
            assert ticket.get_data().number >= step + 1
    end = time.monotonic() + 60
    while [text_of(vault, f"mine {{each}}") for each in range({WORKERS})] != [str({STEPS} - 1)] * {WORKERS}:
        assert time.monotonic() < end
        time.sleep(0.01)

vault = None if when == "after" else Vault(directory, STRUCTURE)
if vault is not None:
    vault.load("counts", "all").close()
    going, held = threading.Event(), threading.Event()
    def busy():  # other threads of the parent are in the middle of something when it forks
        while not going.is_set():
            vault.upload("notes", Note("busy"))
            vault.load("counts", "all").close()
            held.set()
    thread = threading.Thread(target=busy)
    thread.start()
    held.wait(20)

children = []
for number in range({WORKERS}):
    pid = os.fork()
    if not pid:
        try:
            if vault is None:
                vault = Vault(directory, STRUCTURE)
            work(vault, number)
            vault.close()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
if vault is not None:
    going.set()
    thread.join()
    with vault.load("counts", "all") as ticket:
        assert ticket.get_data().number == {WORKERS * STEPS}
    vault.close()
assert codes == [0] * {WORKERS}, codes
print("done")
"""


@pytest.mark.parametrize("when", ["after", "before"])
def test_each_sees_what_the_others_committed(when: str, tmp_path: Path) -> None:
    with Vault(tmp_path / "store", STRUCTURE) as vault:
        vault.upload("counts", Count(0), name="all")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "store", when],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    assert "locked" not in done.stderr
    with EmbeddedStore(tmp_path / "store") as store:
        assert store.check(deep=True).ok
        with Vault(store, STRUCTURE) as vault, vault.load("counts", "all") as ticket:  # type: ignore[union-attr]
            assert ticket.get_data().number == WORKERS * STEPS
