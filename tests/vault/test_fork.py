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


def assert_works(place: Place, how: str, parent: str = PARENT) -> None:
    result = subprocess.run(
        [sys.executable, "-c", parent, place.server.address, how],
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


SEVERAL = """
import os, signal, sys, threading, warnings
warnings.filterwarnings("ignore", category=DeprecationWarning)
signal.alarm(60)
from vault import BytesWrapper, ConnectionSettings, RemoteVault
from vault.testing.store.objects import payload

DATA = payload(48 << 20)
vaults = [RemoteVault(sys.argv[1], {"u": (BytesWrapper, 1)}, timeout=20, connections=3) for _ in range(3)]
ids = [vault.upload("u", BytesWrapper(b"small")) for vault in vaults]
for vault, data_id in zip(vaults, ids):
    assert vault.load("u", data_id).get_data().data == b"small"
large = vaults[0].upload("u", BytesWrapper(DATA))
failures = []

def transfer(work):
    try:
        for _ in range(2):
            work()
    except BaseException as error:
        failures.append(error)

def upload():
    vaults[1].put("u", "up", BytesWrapper(DATA))

def download():
    with vaults[2].open("u", large) as reader:
        assert b"".join(map(bytes, reader.blocks())) == DATA

threads = [threading.Thread(target=transfer, args=(work,)) for work in (upload, download)]
for thread in threads:
    thread.start()
children = []
while any(thread.is_alive() for thread in threads) and len(children) < 8:
    pid = os.fork()
    if pid == 0:
        ended = 1
        try:
            signal.alarm(40)
            for vault, data_id in zip(vaults, ids):
                assert vault.load("u", data_id).get_data().data == b"small"
            vaults[0].upload("u", BytesWrapper(DATA[:3 << 20]))
            ended = 0
        finally:
            os._exit(ended)
    children.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
for thread in threads:
    thread.join()
assert not failures, failures
assert set(children) == {0}, children
with vaults[0].open("u", "up") as reader:
    assert b"".join(map(bytes, reader.blocks())) == DATA
for vault, data_id in zip(vaults, ids):
    assert vault.load("u", data_id).get_data().data == b"small"
    vault.close()
print("done")
"""


def test_children_work_that_are_forked_while_several_connections_are_in_use(remote: Place) -> None:
    assert_works(remote, "", SEVERAL)


CALLING = """
import os, signal, sys, threading, time, warnings
warnings.filterwarnings("ignore", category=DeprecationWarning)
signal.alarm(60)
from vault import BytesWrapper, RemoteVault

vaults = [RemoteVault(sys.argv[1], {"u": (BytesWrapper, 1)}, timeout=20) for _ in range(int(sys.argv[2]))]
data_id = vaults[0].upload("u", BytesWrapper(b"small"))
for vault in vaults:
    assert vault.load("u", data_id).get_data().data == b"small"
over = threading.Event()
failures = []

def call(vault):
    try:
        while not over.is_set():
            assert vault.stat("u", data_id).size == 5
    except BaseException as error:
        failures.append(error)

threads = [threading.Thread(target=call, args=(vaults[number % len(vaults)],)) for number in range(4)]
for thread in threads:
    thread.start()
children = []
for _ in range(10):
    time.sleep(0.02)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        vaults[0].load("u", data_id)
        vaults[-1].upload("u", BytesWrapper(bytes(3 << 20)))
        os._exit(0)
    children.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
over.set()
for thread in threads:
    thread.join()
assert not failures, failures
assert set(children) == {0}, children
print("done")
"""


def test_children_work_that_are_forked_while_other_threads_call(remote: Place) -> None:
    for vaults in ("1", "2"):
        assert_works(remote, vaults, CALLING)
