"""One remote store, used by many threads and across a fork."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from vault import ConnectionSettings
from vault._sync.remote.store import RemoteStore
from vault.store.specs import LoadItem, SmallUpload, UploadSpec, new_data_id
from vault.store.values import LoadedObject, checksum
from vault_server import EmbeddedStore, Server


def test_32_threads_share_one(store: EmbeddedStore) -> None:
    def work(number: int) -> bool:
        data = bytes([number]) * 1000
        spec = UploadSpec(new_data_id(), name=f"name {number}")
        remote.upload_many("u", [SmallUpload(spec, data, checksum(data))])
        (found,) = remote.load_many("u", [LoadItem(f"name {number}")])
        return isinstance(found, LoadedObject) and found.data == data

    with Server(store) as server, RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
        with ThreadPoolExecutor(32) as threads:
            assert all(threads.map(work, range(128)))
        assert len(remote.list_page("u", page_size=1000).objects) == 128


FORK = """
    import os, sys, threading
    from vault import ConnectionSettings, RemoteStore
    store = RemoteStore(sys.argv[1], ConnectionSettings(timeout=10))
    if sys.argv[2] != "unused":
        store.list_units()
    if sys.argv[2] == "watched":
        watch = store.watch()
        threading.Thread(target=lambda: [None for _ in watch], daemon=True).start()
    child = os.fork()
    if child == 0:
        os._exit(0 if store.exists_many("u", [1]) == [0] else 1)
    _, status = os.waitpid(child, 0)
    store.exists_many("u", [1])
    if sys.argv[2] == "watched":
        watch.close()
    store.close()
    sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("before", ["unused", "used", "watched"])
def test_a_store_made_before_a_fork_works_in_the_child_and_in_the_parent(store: EmbeddedStore, before: str) -> None:
    with Server(store) as server:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(FORK), server.address, before],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
