"""Thousands of calls that one client makes at once: each is answered, however long the queue."""

import asyncio

import pytest
from vault import ConnectionSettings
from vault._async.remote.store import AsyncRemoteStore
from vault.store.specs import SmallUpload, UploadSpec
from vault.store.values import ObjectInfo, checksum
from vault_server import EmbeddedStore, Server

pytestmark = pytest.mark.slow

CALLS = 4000
"""Above both of gRPC's own limits of calls that wait, 1,000 and 3,000."""


async def test_every_call_of_a_burst_is_answered(store: EmbeddedStore) -> None:
    with Server(store) as server:
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=60)) as remote:

            async def upload(data_id: int) -> object:
                data = b"%d" % data_id
                (outcome,) = await remote.upload_many("u", [SmallUpload(UploadSpec(data_id), data, checksum(data))])
                return outcome

            outcomes = await asyncio.gather(*map(upload, range(1, CALLS + 1)), return_exceptions=True)
    assert [each for each in outcomes if not isinstance(each, ObjectInfo)] == []
