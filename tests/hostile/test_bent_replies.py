"""Every field of every reply may be another: what comes of it is a VaultError, or the right answer."""

import random
from pathlib import Path

import pytest

from torture.hostile_server.bends import Recorder
from torture.hostile_server.operations import OPERATIONS, restore
from torture.hostile_server.server import SERVICE
from torture.hostile_server.walk import Report, client, hostile, walk

SHARE = 0.02
"""Of some 4,000 bends; scripts/torture/hostile_server tries them all."""


@pytest.mark.parametrize("face", ["sync", "async"])
async def test_a_bent_reply_is_refused_or_makes_no_difference(face: str, tmp_path: Path) -> None:
    report = Report()
    seed = random.randrange(1 << 32)
    with hostile(tmp_path / "store") as (store, liar):
        await walk(face, store, liar, report, SHARE, seed)
    assert not report.broken, (seed, report.broken)
    assert report.raised["ProtocolError"] > 20
    assert report.right


async def test_the_operations_ask_for_every_reply_that_there_is(tmp_path: Path) -> None:
    recorder = Recorder()
    with hostile(tmp_path / "store") as (store, liar):
        liar.bend = recorder
        async with client("sync", liar.address) as (vault, remote):
            for operation in OPERATIONS:
                await operation.run(vault, remote)
                restore(store)
    of_stores = {method.name for method in SERVICE.methods} - {"WhoAmI"}  # which the command admin asks for alone
    assert {method for method, _, _ in recorder.replies} == of_stores
