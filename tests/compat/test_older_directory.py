"""What one of the two versions wrote is the other's, in a directory and at a server; also both at once."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from vault import RemoteStore
from vault.errors import VaultError
from vault.store import CopySpec, MetadataSpec, PrincipalLimits, PutSpec, SmallPut, UnitLimits, UpdateSpec
from vault.store.contract import Store
from vault.store.values import checksum
from vault.testing.store.objects import payload
from vault_server import EmbeddedStore
from vault_server.storage.decision.writes import Put, Write

from tests.compat.directory import change, contents, feed, resume, write
from tests.compat.older import Older
from tests.server.process import COMMAND, Served
from tests.storage.deciding import content

EXPIRING = range(150, 156)


def by_older(older: Older, what: str, directory: Path, *arguments: object) -> Any:
    return json.loads(older.run("-m", "tests.compat.directory", what, str(directory), *map(str, arguments)))


def assert_sound(older: Older, directory: Path) -> None:
    """Both versions' checks find nothing."""
    for environment in (None, older.environment):
        assert_sound_by(environment, directory)


def assert_sound_by(environment: dict[str, str] | None, directory: Path) -> None:
    done = subprocess.run(
        [COMMAND, "check", directory, "--deep"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def use_what_is_new(store: Store) -> None:
    """Writes as only this version can."""
    for data in (b"new", payload(70_000, 9)):
        items = [SmallPut(PutSpec(name), data, checksum(data)) for name in (f"put/{len(data)}", "100/1000")]
        items.append(SmallPut(UpdateSpec(103, tags={"with": "bytes"}), data, checksum(data)))
        outcomes = [*store.put_many("a", items)]
        outcomes += store.copy_many("a", [CopySpec(104, name=f"copy/{len(data)}"), CopySpec(102)])
        outcomes += store.copy_many("a", [CopySpec(104)], to_unit="c")
        assert [outcome for outcome in outcomes if isinstance(outcome, VaultError)] == []
    store.set_metadata("a", MetadataSpec(110, name="100/70000", replace=True))
    expiring = [SmallPut(PutSpec(None, data_id, expires_in=3600.0), b"x", checksum(b"x")) for data_id in EXPIRING]
    assert [outcome for outcome in store.put_many("a", expiring) if isinstance(outcome, VaultError)] == []
    store.set_unit_limits("b", UnitLimits(max_objects=1000))
    store.acquire_lease("a", "name", b"0123456789abcdef", 30.0)


@pytest.mark.slow
def test_a_directory_goes_back_and_forth(older: Older, tmp_path: Path) -> None:
    directory = tmp_path / "store"
    written = by_older(older, "write", directory, 100)
    with EmbeddedStore(directory) as store:
        assert contents(store) == written
        resume(store, 100)
        write(store, 200)
        use_what_is_new(store)
        expected = contents(store)
    assert_sound(older, directory)
    assert by_older(older, "read", directory) == expected
    assert "b/220" in by_older(older, "resume", directory, 200)["objects"]
    changed = by_older(older, "change", directory)
    by_older(older, "write", directory, 300)
    assert changed["objects"].keys() < by_older(older, "read", directory)["objects"].keys()
    assert_sound(older, directory)
    with EmbeddedStore(directory) as store:
        assert contents(store) == by_older(older, "read", directory)
        left = [info for info in store.stat_many("a", EXPIRING) if info is not None]
        assert {info.generation == info.revision for info in left} == {False, True}, "updated, and given tags"
        assert None not in {info.expires_at for info in left}
        assert store.unit_info("b").limits == UnitLimits(max_objects=1000)
        change(store)
        expected = contents(store)
    assert by_older(older, "read", directory) == expected
    assert_sound(older, directory)


def test_a_directory_that_this_version_made_is_the_olders(older: Older, tmp_path: Path) -> None:
    directory = tmp_path / "store"
    with EmbeddedStore(directory) as store:
        write(store, 100)
        use_what_is_new(store)
        expected = contents(store)
    assert by_older(older, "read", directory) == expected
    by_older(older, "change", directory)
    assert_sound(older, directory)


def test_a_directory_of_the_older_version_gets_counts_that_a_repair_keeps_up(older: Older, tmp_path: Path) -> None:
    """It charges nothing to anybody, and gives nothing back for what it deletes."""
    directory = tmp_path / "store"
    by_older(older, "write", directory, 100)
    with EmbeddedStore(directory) as store:
        assert store.principal_page().principals == []
        ids = [info.data_id for info in store.list_page("a", page_size=1000).objects]
        replaced: list[Write] = [Put("a", PutSpec(None, data_id), content(b"x"), "ann") for data_id in ids]
        assert [outcome for outcome in store.commits.commit(replaced) if isinstance(outcome, VaultError)] == []
        store.set_principal_limits("ann", PrincipalLimits(max_bytes=1000))
        assert store.principal_info("ann").bytes == len(ids)
        assert store.check(deep=True).ok
    by_older(older, "change", directory)
    assert_sound_by(older.environment, directory)
    with EmbeddedStore(directory) as store:
        assert [problem.detail for problem in store.check().problems] == [
            "principals whose counts are not those of their objects: 1"
        ]
        assert store.check(repair=True).ok
        left = store.principal_info("ann")
        assert left.limits == PrincipalLimits(max_bytes=1000)
        assert 0 < left.bytes == left.objects < len(ids)


@pytest.mark.slow
def test_both_serve_one_directory_at_once(older: Older, tmp_path: Path) -> None:
    directory = tmp_path / "store"
    one = older.serve(directory)
    other = Served(directory, "--listen", "127.0.0.1:0")
    try:
        with RemoteStore(one.address) as by_one, RemoteStore(other.address) as by_other:
            for first in (100, 200, 300):
                write(by_one if first == 200 else by_other, first)
            use_what_is_new(by_other)
            change(by_one)
            change(by_other)
            assert contents(by_one) == contents(by_other)
    finally:
        one.kill()
        other.kill()
    assert_sound(older, directory)


def test_an_older_client_sees_what_only_this_version_writes(older: Older, tmp_path: Path) -> None:
    served = Served(tmp_path / "store", "--listen", "127.0.0.1:0", "--durability", "relaxed")
    try:
        with RemoteStore(served.address) as store:
            write(store, 100)
            use_what_is_new(store)
            store.set_unit_limits("full", UnitLimits(max_objects=0))
            told = json.loads(older.run("-m", "tests.compat.directory", "at", served.address))
            assert told == {"contents": contents(store), "feed": feed(store), "full": "QUOTA"}
            assert {kind for _, _, _, kind, *_ in told["feed"]} == {"UPLOADED", "UPDATED", "METADATA", "DELETED"}
    finally:
        served.kill()
