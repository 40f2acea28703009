"""Quotas of principals at a server that asks who calls."""

import threading
from pathlib import Path

import pytest
from vault import ConnectionSettings, RemoteStore
from vault.errors import PermissionDeniedError
from vault.store.usage import PrincipalInfo, PrincipalLimits
from vault_server import EmbeddedStore, Server
from vault_server.access.settings import AccessSettings

from tests.access.identified import IdentityFile
from tests.cli.program import Inside
from tests.server.process import Served
from tests.storage.charging import MOST_BYTES, MOST_OBJECTS, assert_never_over, write_as
from tests.storage.objects import UNIT, small

LIMITS = PrincipalLimits(MOST_OBJECTS, MOST_BYTES)


def as_principal(address: str, token: str) -> RemoteStore:
    return RemoteStore(address, ConnectionSettings(token=token, timeout=30))


def test_eight_writers_at_two_servers_of_a_directory_never_exceed_a_limit_by_a_byte(tmp_path: Path) -> None:
    directory, identities = tmp_path / "store", IdentityFile(tmp_path)
    tokens = {name: identities.add(name, "*:*") for name in ("ann", "bob")}
    with EmbeddedStore(directory) as store:
        store.set_principal_limits("ann", LIMITS)
    servers = [
        Served(directory, "--listen", "127.0.0.1:0", "--tokens", identities.path, "--durability", "relaxed")
        for _ in range(2)
    ]
    try:
        stores = [{name: as_principal(each.address, token) for name, token in tokens.items()} for each in servers]
        counts: list[dict[str, int]] = []
        threads = [
            threading.Thread(target=lambda at=at: counts.append(write_as(stores[at], range(at * 4, at * 4 + 4))))
            for at in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for by in stores:
            for remote in by.values():
                remote.close()
    finally:
        for server in servers:
            server.terminate()
    assert len(counts) == 2
    assert all(each["put QUOTA"] and "delete QUOTA" not in each for each in counts), counts
    with EmbeddedStore(directory) as store:
        assert_never_over(store, "ann")
        assert store.principal_info("bob").objects > 0
        assert store.check(deep=True).ok


def test_a_principal_sees_what_is_charged_to_itself_and_an_admin_what_is_to_all(tmp_path: Path) -> None:
    identities = IdentityFile(tmp_path)
    ann, root = identities.add("ann", f"{UNIT}:*"), identities.add("root", "*:admin")
    with (
        EmbeddedStore(tmp_path / "store") as store,
        Server(store, access=AccessSettings(tokens=str(identities.path))) as server,
        as_principal(server.address, ann) as by_ann,
        as_principal(server.address, root) as by_root,
    ):
        assert by_root.set_principal_limits("ann", PrincipalLimits(max_objects=1)).limits.max_objects == 1
        outcomes = by_ann.upload_many(UNIT, [small(b"data"), small(b"more")])
        assert [getattr(outcome, "reason", "") for outcome in outcomes] == ["", "QUOTA"]
        known = PrincipalInfo("ann", 1, 4, PrincipalLimits(max_objects=1))
        assert by_ann.principal_info("ann") == known == by_root.principal_info("ann")
        assert by_root.principal_page().principals == [known]
        for refused in (
            lambda: by_ann.principal_info("root"),
            lambda: by_ann.principal_page(),
            lambda: by_ann.set_principal_limits("ann", PrincipalLimits()),
        ):
            with pytest.raises(PermissionDeniedError):
                refused()
        command = Inside(f"grpc://{server.address}")
        shown = command.run("quota", "--principal", "ann", env={"VAULT_GRPC_TOKEN": ann})
        assert (shown.returncode, shown.stdout) == (0, b"4\t\t1\t1\t\t\tann\n")
        changed = command.run("quota", "--principal", "ann", "--none", env={"VAULT_GRPC_TOKEN": ann})
        assert changed.returncode != 0
        assert store.principal_info("ann") == known
        assert command.run("quota", "--principal", "ann", "--none", env={"VAULT_GRPC_TOKEN": root}).returncode == 0
        assert store.principal_info("ann").limits == PrincipalLimits()
