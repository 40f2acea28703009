"""Leases over a directory: shared by its processes, gone with the machine, and never in anybody's way for long."""

import contextlib
import fcntl
import os
import random
import secrets
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault import RemoteStore
from vault._runtime.elapsed import elapsed_ns
from vault.errors import StorageError, StorageFullError, UnavailableError
from vault_server import EmbeddedStore
from vault_server.storage.decision import leases
from vault_server.storage.decision.leases import PAGE_BYTES, PAGES, Lease, lease_key, page_number
from vault_server.storage.files import leases as file

from tests.faults.filesystems import mounted, why_not
from tests.server.process import Served
from tests.storage.objects import SMALL, UNIT, run, start, upload
from tests.waiting import assert_soon

ONE, OTHER = b"1" * 16, b"2" * 16
SECOND = 1_000_000_000
FILE = "register.db-leases"

HOLDING = """
import sys
from vault_server import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
print(store.acquire_lease("unit", "name", b"1" * 16, float(sys.argv[2])), flush=True)
sys.stdin.read()
"""

FORKING = """
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which is what is tried here
signal.alarm(60)
from vault_server import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
def take():
    number = 0
    while not over:
        number += 1
        store.acquire_lease("unit", f"name {number % 50}", b"1" * 16, 1)
over = False
threads = [threading.Thread(target=take) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(30):
    pid = os.fork()
    if pid == 0:
        opened = [os.readlink(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")
                  if os.path.exists(f"/proc/self/fd/{each}")]
        inherited = any(each.endswith("leases") for each in opened)
        held = store.acquire_lease("unit", "child", os.getpid().to_bytes(16, "big"), 1)
        store.release_lease("unit", "child", os.getpid().to_bytes(16, "big"))
        os._exit(inherited or held > 0)
    assert os.waitpid(pid, 0)[1] == 0
over = True
for thread in threads:
    thread.join()
store.close()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path) as opened:
        yield opened


steps = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "release", "wait", "damage"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([ONE, OTHER]),
        st.integers(1, 60),
    ),
    max_size=30,
)


@given(steps, st.randoms(use_true_random=False))
def test_a_page_is_what_was_asked_of_it(asked: list[tuple[str, str, bytes, int]], choice: random.Random) -> None:
    page, now = b"", SECOND
    held: dict[str, tuple[bytes, int]] = {}
    for call, name, holder, seconds in asked:
        held = {each: lease for each, lease in held.items() if lease[1] > now}
        key = lease_key(UNIT, name)
        if call == "wait":
            now += seconds * SECOND // 2
        elif call == "damage" and page:  # of a record: that lease is lost, and no other one is made of it
            changed = bytearray(page)
            changed[choice.randrange(len(page))] ^= 1 << choice.randrange(8)
            left = {lease.key for lease in leases._held(bytes(changed), b"boot", now)}
            assert left <= {lease_key(UNIT, each) for each in held}
        elif call == "acquire":
            other = held.get(name)
            remaining, page = leases.acquire(page, b"boot", Lease(key, holder, now + seconds * SECOND), now)
            if other is not None and other[0] != holder:
                assert remaining == (other[1] - now) / SECOND
            else:
                assert remaining == 0.0
                held[name] = holder, now + seconds * SECOND
        elif call == "release":
            page = leases.release(page, b"boot", key, holder, now)
            if held.get(name, (b"", 0))[0] == holder:
                del held[name]
        assert len(page) <= PAGE_BYTES


def test_names_are_spread_over_the_pages() -> None:
    pages = [page_number(lease_key(UNIT, f"name {number}")) for number in range(20 * PAGES)]
    assert set(pages) == set(range(PAGES))
    assert max(map(pages.count, range(0, PAGES, 50))) < 60


def test_there_are_never_more_leases_than_fit_and_those_that_ended_make_room() -> None:
    page, now, taken = b"", SECOND, 0
    with pytest.raises(UnavailableError, match="too many leases") as refused:
        while taken < 1000:
            wanted = Lease(lease_key(UNIT, f"name {taken}"), ONE, now + 10 * SECOND)
            remaining, page = leases.acquire(page, b"", wanted, now)
            assert remaining == 0.0
            assert len(page) <= PAGE_BYTES
            taken += 1
    assert refused.value.reason == "OVERLOADED"
    assert taken == 85
    renewed = Lease(lease_key(UNIT, "name 5"), ONE, now + 10 * SECOND)
    assert leases.acquire(page, b"", renewed, now)[0] == 0.0
    now += 10 * SECOND
    remaining, page = leases.acquire(page, b"", Lease(lease_key(UNIT, "later"), ONE, now + SECOND), now)
    assert (remaining, len(page)) == (0.0, 48)


def test_processes_on_one_directory_share_its_leases(tmp_path: Path, store: EmbeddedStore) -> None:
    holding = start(HOLDING, tmp_path, "60")
    try:
        assert holding.stdout
        assert holding.stdout.readline() == "0.0\n"
        assert 50 < store.acquire_lease("unit", "name", OTHER, 1) <= 60
        store.release_lease("unit", "name", ONE)
        assert store.acquire_lease("unit", "name", OTHER, 1) == 0.0
    finally:
        holding.communicate()


def test_the_lease_of_a_process_that_was_killed_ends_by_itself(tmp_path: Path, store: EmbeddedStore) -> None:
    holding = start(HOLDING, tmp_path, "1")
    assert holding.stdout
    assert holding.stdout.readline() == "0.0\n"
    holding.kill()
    holding.communicate()
    assert store.acquire_lease("unit", "name", OTHER, 1) > 0
    assert_soon(lambda: store.acquire_lease("unit", "name", OTHER, 1) == 0.0, 20)


def test_workers_of_a_server_and_processes_beside_it_share_leases(tmp_path: Path) -> None:
    served = Served(tmp_path, "--listen", "127.0.0.1:0", "--workers", "2")
    with EmbeddedStore(tmp_path) as beside, ExitStack() as clients:
        clients.callback(served.kill)
        remotes = [clients.enter_context(RemoteStore(served.address)) for _ in range(6)]
        for number, remote in enumerate(remotes):
            holder = number.to_bytes(16, "big")
            assert remote.acquire_lease("unit", "name", holder, 60) == 0.0
            for other in (*remotes, beside):
                assert other.acquire_lease("unit", "name", OTHER, 1) > 0
            remotes[number - 1].release_lease("unit", "name", holder)


def test_a_lease_ends_with_the_run_of_the_machine(tmp_path: Path, store: EmbeddedStore) -> None:
    assert store.acquire_lease("unit", "name", ONE, 60) == 0.0
    with EmbeddedStore(tmp_path) as started_again:
        started_again.engine.leases._boot = b"another"
        assert started_again.acquire_lease("unit", "name", OTHER, 60) == 0.0
    with EmbeddedStore(tmp_path) as unknown, pytest.MonkeyPatch.context() as patch:
        assert unknown.acquire_lease("unit", "name", ONE, 60) == 0.0
        patch.setattr(file, "elapsed_ns", lambda: elapsed_ns() - 3600 * SECOND)
        assert unknown.acquire_lease("unit", "name", OTHER, 60) == 0.0


@pytest.mark.parametrize("damage", [b"", b"x", b"\xff" * PAGE_BYTES * PAGES, b"\0" * PAGE_BYTES * PAGES, None])
def test_damage_costs_leases_and_nothing_else(tmp_path: Path, store: EmbeddedStore, damage: bytes | None) -> None:
    upload(store, SMALL, data_id=1)
    assert store.acquire_lease("unit", "name", ONE, 60) == 0.0
    if damage is None:
        (tmp_path / FILE).unlink()
    else:
        (tmp_path / FILE).write_bytes(damage)
    assert store.acquire_lease("unit", "name", OTHER, 60) == 0.0
    assert store.acquire_lease("unit", "name", ONE, 60) > 0
    store.release_lease("unit", "name", OTHER)
    assert store.acquire_lease("unit", "name", ONE, 60) == 0.0
    assert store.check(deep=True).ok


def test_the_file_holds_so_many_pages_and_is_its_owners(tmp_path: Path, store: EmbeddedStore) -> None:
    for number in range(3 * PAGES):
        store.acquire_lease("unit", f"name {number}", ONE, 0.001)
    there = (tmp_path / FILE).stat()
    assert there.st_size <= PAGE_BYTES * PAGES
    assert there.st_mode & 0o777 == 0o600


def test_what_is_in_the_files_place_is_told(tmp_path: Path, store: EmbeddedStore) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(StorageError, match=r"could not keep leases in .*Is a directory"):
        store.acquire_lease("unit", "name", ONE, 1)
    (tmp_path / FILE).rmdir()
    assert store.acquire_lease("unit", "name", ONE, 1) == 0.0


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path, store: EmbeddedStore) -> None:
    (tmp_path / FILE).symlink_to(tmp_path / "nowhere" / "file")
    with pytest.raises(StorageError, match=r"could not keep leases in .*a link that leads nowhere"):
        store.acquire_lease("unit", "name", ONE, 1)
    (tmp_path / FILE).unlink()
    assert store.acquire_lease("unit", "name", ONE, 1) == 0.0


@pytest.mark.parametrize("name", ["register.db-turn", "register.db-reserve", "register.db-scrub", ".staging/intents"])
def test_a_link_that_leads_nowhere_is_no_wait_without_end(tmp_path: Path, name: str) -> None:
    (tmp_path / ".staging").mkdir()
    (tmp_path / name).symlink_to(tmp_path / "nowhere" / "file")
    with contextlib.suppress(StorageError), EmbeddedStore(tmp_path) as store:
        upload(store, SMALL, data_id=1)
    assert not (tmp_path / "nowhere").exists()


def test_a_lock_that_is_not_let_go_is_no_wait_without_end(
    tmp_path: Path, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "_PATIENCE", 0.1)
    store.acquire_lease("unit", "name", ONE, 60)
    with (tmp_path / FILE).open("rb") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="another process has locked") as refused:
            store.acquire_lease("unit", "name", OTHER, 60)
        assert refused.value.reason == "REGISTER_BUSY"
        upload(store, SMALL, data_id=1)
    assert store.acquire_lease("unit", "name", OTHER, 60) > 0


@pytest.mark.skipif(bool(why_not("tmpfs")), reason=why_not("tmpfs"))
def test_a_full_and_a_read_only_disk_are_told(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "tmpfs", 8) as disk, EmbeddedStore(disk.path / "store") as store:
        with pytest.raises(OSError, match="No space"):
            (disk.path / "filler").write_bytes(bytes(16 << 20))
        with pytest.raises(StorageFullError, match=r"could not keep leases"):
            store.acquire_lease("unit", "name", ONE, 1)
        (disk.path / "filler").unlink()
        assert store.acquire_lease("unit", "name", ONE, 60) == 0.0
        store.release_lease("unit", "name", ONE)
    with mounted(tmp_path / "other", "ext4", 32) as disk, EmbeddedStore(disk.path / "store") as store:
        store.acquire_lease("unit", "name", ONE, 60)
        disk.abort()
        with pytest.raises(StorageError, match=r"could not keep leases .*Read-only|I/O error"):
            store.acquire_lease("unit", "another", ONE, 60)


def test_forks_while_threads_take_leases_inherit_no_lock(tmp_path: Path) -> None:
    assert run(FORKING, tmp_path) == ""


def test_a_process_that_is_killed_in_the_middle_leaves_no_lock(tmp_path: Path, store: EmbeddedStore) -> None:
    taking = (
        "import sys\nfrom vault_server import EmbeddedStore\nstore = EmbeddedStore(sys.argv[1])\nprint(flush=True)\n"
        "number = 0\nwhile True:\n    number += 1\n    store.acquire_lease('unit', f'name {number}', b'1' * 16, 0.01)\n"
    )
    for _ in range(3):
        process = start(taking, tmp_path)
        assert process.stdout
        process.stdout.readline()
        assert_soon(lambda: (tmp_path / FILE).exists())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        holder = secrets.token_bytes(16)
        assert store.acquire_lease("unit", "name", holder, 60) == 0.0
        store.release_lease("unit", "name", holder)
