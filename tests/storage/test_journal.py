"""The folder of a resumable write: read again to the last good block, after a kill at any point or a damage."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import PutSpec, Times, UpdateSpec
from vault.store.values import ObjectInfo
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.decision.writes import NOTHING, Put, Update, Upload
from vault_server.storage.uploads.resumption import fingerprint

from tests.storage.objects import UNIT, blob_files, blob_of, blocks_of, read, start, upload
from tests.storage.resuming import DATA, REQUEST, SPEC, folder, go_on, kept, suspend


def flipped(raw: bytes, position: int) -> bytes:
    return raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]


@pytest.mark.parametrize(
    ("name", "damage", "left"),
    [
        ("bytes", lambda raw: raw[: 2 * BLOCK_SIZE + 7], 2 * BLOCK_SIZE),
        ("bytes", lambda raw: raw[: 2 * BLOCK_SIZE], 2 * BLOCK_SIZE),
        (
            "bytes",
            lambda raw: flipped(raw, BLOCK_SIZE + 5),
            BLOCK_SIZE,
        ),
        ("bytes", lambda raw: flipped(raw, 0), 0),
        ("bytes", lambda raw: raw[:BLOCK_SIZE] + bytes(len(raw) - BLOCK_SIZE), BLOCK_SIZE),
        ("bytes", lambda raw: raw + b"a block that was not whole", 4 * BLOCK_SIZE),
        ("bytes", lambda _: b"", 0),
        ("blocks", lambda raw: raw[:-3], 3 * BLOCK_SIZE),
        ("blocks", lambda raw: raw[:8] + bytes(8) + raw[16:], BLOCK_SIZE),
        ("blocks", lambda raw: raw + bytes(24), 4 * BLOCK_SIZE),
        ("blocks", lambda _: b"", 0),
        ("spec", lambda raw: raw[:-5], 0),
        ("spec", lambda _: b"", 0),
    ],
)
def test_what_a_power_loss_damaged_is_cut_off_at_the_last_good_block(
    directory: Path, name: str, damage: Callable[[bytes], bytes], left: int
) -> None:
    with EmbeddedStore(directory) as store:
        suspend(store, 4)
    file = folder(directory) / name
    file.write_bytes(damage(file.read_bytes()))
    with EmbeddedStore(directory) as store:
        _, resumed_from = go_on(store)
        assert resumed_from == left
        assert read(store, SPEC.data_id) == DATA


@pytest.mark.parametrize("name", ["bytes", "blocks", "spec"])
def test_what_a_removal_that_was_killed_left_is_begun_anew(directory: Path, name: str) -> None:
    with EmbeddedStore(directory) as store:
        suspend(store, 4)
        (folder(directory) / name).unlink()
        assert go_on(store)[1] == 0
        assert read(store, SPEC.data_id) == DATA
    assert kept(directory) == []


AT_A_POINT = """
import os, signal, sys
from pathlib import Path
from tests.storage.resuming import DATA, SPEC, go_on
from tests.storage.objects import UNIT, blocks_of
from vault_server.storage import EmbeddedStore
from vault_server.storage.uploads import journal
from vault_server.storage.uploads.journal import FolderLock, JournaledFile
from vault_server.storage.files.staged_file import StagedFile
from vault_server.storage.failpoints import switch_on
store = EmbeddedStore(sys.argv[1])
calls = 0
def dying(function, before):
    def call(*args, **options):
        global calls
        calls += 1
        if before and calls == {call}:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **options)
        if not before and calls == {call}:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call
def die_at(owner, name, before):
    found = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, dying(found, before))
def die_when_reached(wanted):
    switch_on(lambda point: point == wanted and os.kill(os.getpid(), signal.SIGKILL))
def begin(*, suspended):
    writer = store.upload(UNIT, SPEC, resumable=True)
    for block in list(blocks_of(DATA))[:3]:
        writer.write(block)
    writer.suspend() if suspended else writer.abort()
def abort():
    begin(suspended=True)
    {point}
    store.abort_write(UNIT, SPEC.request_id)
def commit():
    begin(suspended=True)
    {point}
    go_on(store)
def first():
    {point}
    begin(suspended=True)
{act}()
print("survived", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

POINTS = {
    "a folder, nothing in it": ("first", "die_at(JournaledFile, 'note', True)", 1),
    "a block without its checksum": ("first", "die_at(JournaledFile, 'note', True)", 3),
    "a block with its checksum": ("first", "die_at(JournaledFile, 'note', False)", 2),
    "before it is suspended": ("first", "die_at(JournaledFile, 'release', True)", 1),
    "suspended, and locked": ("first", "die_at(FolderLock, 'release', True)", 1),
    "suspended": ("first", "die_at(FolderLock, 'release', False)", 1),
    "being verified": ("commit", "die_at(JournaledFile, '_verify', True)", 1),
    "resumed": ("commit", "die_at(JournaledFile, '_verify', False)", 1),
    "before the fsync": ("commit", "die_at(JournaledFile, 'finish', True)", 1),
    "before it gets its name": ("commit", "die_at(JournaledFile, 'rename', True)", 1),
    "after it got its name": ("commit", "die_at(JournaledFile, 'rename', False)", 1),
    "after its rows": ("commit", "die_when_reached('change recorded')", 1),
    "before the commit": ("commit", "die_when_reached('before COMMIT')", 1),
    "after the commit": ("commit", "die_at(store.engine.writer, '_committed', True)", 1),
    "before the folder goes": ("commit", "die_at(JournaledFile, 'discard', True)", 1),
    "after the folder went": ("commit", "die_at(journal, 'remove', False)", 1),
    "before it is given up": ("abort", "die_at(journal, 'remove', True)", 1),
    "given up": ("abort", "die_at(journal, 'remove', False)", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_leaves_a_write_that_goes_on(directory: Path, point: str) -> None:
    act, where, call = POINTS[point]
    with start(AT_A_POINT.format(act=act, point=where, call=call), directory) as process:
        assert process.stdout is not None
        assert process.stdout.read() == "", "the point was not reached"
    assert process.returncode == -signal.SIGKILL
    committed = point in ("after the commit", "before the folder goes", "after the folder went")
    with EmbeddedStore(directory) as store:
        assert store.exists_many(UNIT, [SPEC.data_id]) == [int(committed)]
        assert store.check(deep=True).ok
        info, resumed_from = go_on(store)
        given_up = point == "given up" or (act == "first" and point == "a folder, nothing in it")
        if committed:
            assert resumed_from == len(DATA)
        elif given_up:
            assert resumed_from == 0
        elif act == "first":
            assert resumed_from == (3 if "suspended" in point else 2) * BLOCK_SIZE
        else:
            assert resumed_from >= 3 * BLOCK_SIZE, "what was reported as persisted is found again"
        assert read(store, SPEC.data_id) == DATA
        assert store.changes(0)[0] == info.revision == 1, "it was applied once"
    assert kept(directory) == []
    assert blob_files(directory) == [f"{SPEC.data_id}.1.vault"]


def test_what_an_abandoned_commit_named_is_not_written_to(directory: Path) -> None:
    """A kill between the naming and the COMMIT leaves one file with two names, until the next opener removes one."""
    with EmbeddedStore(directory) as store:
        suspend(store, 3)
        upload(store, DATA, data_id=99)
        named = blob_of(directory, 99)
        named.unlink()
        os.link(folder(directory) / "bytes", named)
        before = named.read_bytes()
        writer = store.upload(UNIT, SPEC, resumable=True)
        assert writer.persisted_size == 3 * BLOCK_SIZE
        for block in list(blocks_of(DATA))[3:]:
            writer.write(block)
        assert named.read_bytes() == before
        named.write_bytes(DATA)
        writer.commit(len(DATA))


@pytest.mark.parametrize(
    ("write", "noted"),
    [
        (
            Upload(UNIT, SPEC, NOTHING),
            {"kind": "upload", "data_id": 7, "name": "resumed", "tags": {"a": "1"}, "unit": UNIT, "datatype": "bytes"},
        ),
        (
            Update(UNIT, UpdateSpec("name", 5, "bytes", REQUEST), NOTHING),
            {"kind": "update", "key": "name", "if_generation": 5, "unit": UNIT, "datatype": "bytes"},
        ),
    ],
)
def test_what_an_older_store_noted_of_a_write_is_still_the_same(write: Upload | Update, noted: dict[str, Any]) -> None:
    """It lies on disks, and a write that is begun again is compared with it."""
    assert fingerprint(write) == noted


def test_what_is_noted_of_a_write_tells_it_from_others_under_its_id() -> None:
    times = Times(*[datetime(2020, 1, 1, tzinfo=UTC)] * 3)
    others: list[dict[str, Any]] = [
        {},
        {"tags": {"a": "1"}},
        {"if_generation": 0},
        {"expires_in": 60},
        {"times": times},
    ]
    writes: list[Update | Put] = [
        Update(UNIT, UpdateSpec("name", 5, "bytes", REQUEST), NOTHING),
        Update(UNIT, UpdateSpec("name", 5, "bytes", REQUEST, tags={}), NOTHING),
        Update(UNIT, UpdateSpec("name", 5, "bytes", REQUEST, 6), NOTHING),
        *[Put(UNIT, PutSpec("name", 7, request_id=REQUEST, **more), NOTHING) for more in others],
    ]
    noted = [json.dumps(fingerprint(write)) for write in writes]
    assert len(set(noted)) == len(writes)


def test_the_spec_is_readable_by_people(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        suspend(store, 2)
    told = json.loads((folder(directory) / "spec").read_text())
    assert told["write"]["unit"] == UNIT
    assert told["window"] == StoreOptions().resume_window
    assert isinstance(go_on(EmbeddedStore(directory))[0], ObjectInfo)
