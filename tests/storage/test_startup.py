"""Opening a store after a crash looks at what the crash left, and at no object: however many there are."""

import json
import signal
from pathlib import Path

import pytest
from vault_server.storage import EmbeddedStore, StoreOptions

from tests.storage.killing import Killer
from tests.storage.objects import LARGE, UNIT, blob_files, run, small, staged_files, succeeded, update, upload

OBSERVED = """
import json, os, sqlite3, sys, time
from pathlib import Path
from vault_server.storage import EmbeddedStore
root = Path(sys.argv[1])
looked, opened, steps = [], [], 0

def below(path):
    if isinstance(path, int):
        path = os.readlink(f"/proc/self/fd/{path}")
    path = root / os.fsdecode(path)  # what is not absolute is named from the store's directory
    return str(path.relative_to(root)) if path.is_relative_to(root) else None

def step():
    global steps
    steps += 1

def hook(event, arguments):
    if event in ("os.scandir", "os.listdir") and (path := below(arguments[0])) is not None:
        looked.append(path)
    if event == "open" and (path := below(arguments[0])) is not None:
        opened.append(path)

def connect(*arguments, **options):
    connection = connect_sqlite(*arguments, **options)
    connection.set_progress_handler(step, 1)
    return connection

sys.addaudithook(hook)
connect_sqlite, sqlite3.connect = sqlite3.connect, connect
with EmbeddedStore(root) as store:
    deadline = time.monotonic() + 60
    while store.engine.writer._sweeper.wait is not None:  # something is left to sweep
        assert time.monotonic() < deadline
        time.sleep(0.01)
print(json.dumps([sorted(looked), sorted(opened), steps]))
"""


def crashed(directory: Path, killer: Killer, objects: int) -> None:
    """A store of so many objects in files that was killed in a commit, with things to collect."""
    with EmbeddedStore(directory, StoreOptions(inline_limit=0)) as store:
        upload(store, LARGE, data_id=1)
        upload(store, LARGE, data_id=2)
        for outcome in store.upload_many(UNIT, [small(b"data", data_id=100 + n) for n in range(objects)]):
            succeeded(outcome)
        update(store, 2, LARGE[1:])
        expire = "UPDATE retired SET collect_at = 1"
        store.engine.writer.submit(lambda connection: connection.execute(expire)).result()
    assert killer.run("update", directory, "change recorded").signal == signal.SIGKILL
    assert staged_files(directory), "what it intended is noted there"


def observe(directory: Path) -> tuple[list[str], list[str], int]:
    looked, opened, steps = json.loads(run(OBSERVED, directory))
    return looked, [path for path in opened if not path.startswith(".staging/")], steps


@pytest.mark.parametrize("sizes", [(3, 1000)])
def test_opening_after_a_crash_does_not_depend_on_how_much_is_stored(tmp_path: Path, sizes: tuple[int, int]) -> None:
    found = []
    for objects in sizes:
        directory = tmp_path / str(objects)
        with Killer() as killer:
            crashed(directory, killer, objects)
        found.append(observe(directory))
        assert staged_files(directory) == []
        assert len(blob_files(directory)) == objects + 2, "the retired file and that of the kill are gone"
        with EmbeddedStore(directory) as store:
            assert store.check(deep=True).ok
    few, many = found
    assert not [path for path in few[0] if not path.startswith(".staging")], "no folder of objects is looked through"
    assert [path.split("/")[0] for path in few[0]] == [path.split("/")[0] for path in many[0]]
    # How many transactions the collecting takes is a matter of moments, and each opens the file of the turns.
    assert set(few[1]) == set(many[1]), "the same files are opened"
    assert not [path for path in many[1] if path.endswith(".vault")], "no object's file among them"
    assert many[2] - few[2] < sizes[1] - sizes[0], "SQLite takes not one step more for an object"
