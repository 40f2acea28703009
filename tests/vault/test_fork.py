"""A remote vault that was made before a fork, in the child. Forks happen in a process of its own."""

import subprocess
import sys
from pathlib import Path

from tests.vault.places import Note, Place

PARENT = """
import os, signal, sys, threading, warnings
warnings.filterwarnings("ignore", category=DeprecationWarning)  # of forking with threads, which is the point here
signal.alarm(60)
from vault import ConnectionSettings, RemoteVault
from tests.vault.places import Count, Note, text_of, following
from tests.waiting import assert_soon

vault = RemoteVault(sys.argv[1], {"notes": (Note, 0), "counts": (Count, 0)}, connection=ConnectionSettings(timeout=20))
data_id = vault.upload("notes", Note("one"))
if sys.argv[2] == "used":
    assert text_of(vault, data_id) == "one"
    following(vault)
    # A thread that holds the cache's lock while the fork happens: in the child nobody would let it go.
    held, done = threading.Event(), threading.Event()
    def hold():
        with vault._cache.lock:
            held.set()
            done.wait(20)
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

pid = os.fork()
if pid == 0:
    try:
        signal.alarm(40)
        assert text_of(vault, data_id) == "one"
        with vault.load("notes", data_id) as ticket:
            ticket.get_ref().text = "child's"
        assert text_of(vault, data_id) == "child's"
        following(vault)
        assert text_of(vault, data_id) == "child's"
        vault.close()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
if sys.argv[2] == "used":
    done.set()
    thread.join()
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert_soon(lambda: text_of(vault, data_id) == "child's")
vault.update("notes", data_id, Note("parent's"))
assert text_of(vault, data_id) == "parent's"
vault.close()
print("done")
"""


def assert_works(place: Place, how: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PARENT, place.server.address, how],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert result.stdout == "done\n", result.stderr
    assert result.returncode == 0


def test_a_vault_that_was_not_used_yet_works_in_the_child(remote: Place) -> None:
    assert_works(remote, "new")


def test_a_vault_that_was_in_use_works_in_parent_and_child(remote: Place) -> None:
    assert_works(remote, "used")
    vault = remote.open()
    assert [info.size for info in vault.list("notes")] == [len(Note("parent's")._dump())]
