"""A wall clock that jumps by hours, back and forth: revisions, times, retention and waiting stay right."""

from pathlib import Path

from vault_server import EmbeddedStore

from tests.storage.objects import run

# `time.time_ns` is where the store takes its times from; gRPC reads the clock by itself, so the jump is the store's.
JUMPING = """
import sys, time
real_ns, hours = time.time_ns, [0]
time.time_ns = lambda: real_ns() + hours[0] * 3600 * 10**9

from vault import BytesWrapper, ConnectionSettings, RemoteStore, RemoteVault
from vault.store.specs import MetadataSpec
from vault.store.values import Change
from vault_server import EmbeddedStore, Server
from tests.storage.objects import LARGE, SMALL, UNIT, delete, read, stat, update, upload

begun = time.monotonic()
store = EmbeddedStore(sys.argv[1])
patient = ConnectionSettings(timeout=20)
with Server(store, listen="127.0.0.1:0") as server, RemoteStore(server.address, patient) as remote:
    units = {UNIT: (BytesWrapper, 10)}
    strict = RemoteVault(server.address, units, consistency="strict")
    with RemoteVault(server.address, units) as vault, strict:
        watch = remote.watch(since=0)
        seen = []
        created = upload(remote, SMALL, data_id=1)
        before = created
        for jump in (0, 5, -30, 1, -1, 48, -48, 0):
            hours[0] += jump
            after = update(remote, 1, LARGE[hours[0] + 100:])
            assert after.revision == before.revision + 1, (before, after)
            assert after.created_at == created.created_at
            assert after.updated_at >= before.updated_at >= created.created_at, (before, after)
            renamed = remote.set_metadata(UNIT, MetadataSpec(1, f"at {len(seen)}"))
            assert renamed.updated_at >= after.updated_at
            # What was replaced just now is there for its grace, whichever way the clock went.
            with store.load(UNIT, 1, generation=before.generation) as reader:
                assert reader.info.generation == before.generation
            with strict.load(UNIT, 1) as ticket:
                assert ticket.get_data().data == LARGE[hours[0] + 100:]
            # Another client's write: it may show as late as it takes to be told, and no later.
            told = time.monotonic() + 10
            while (ticket := vault.load(UNIT, 1)).get_data().data != LARGE[hours[0] + 100:]:
                ticket.close()
                assert time.monotonic() < told, "the watch was never told"
            ticket.close()
            before = renamed
            seen.append(renamed.revision)
        assert delete(remote, 1) == before.revision + 1
        changes = []
        for event in watch:
            if isinstance(event, Change):
                changes.append(event)
            if event.revision >= before.revision + 1:
                break
        assert [change.revision for change in changes] == list(range(1, before.revision + 2))
        watch.close()
report = store.check(deep=True)
assert report.ok, report.problems
store.close()
assert time.monotonic() - begun < 60, "something waited by the wall clock"
print("ok")
"""


def test_a_clock_that_jumps_changes_no_order_and_loses_nothing(directory: Path) -> None:
    assert run(JUMPING, directory) == "ok\n"
    with EmbeddedStore(directory) as store:
        assert store.list_units() == []
        assert store.check(deep=True).ok
