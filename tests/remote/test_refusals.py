"""What a server refuses while bytes are on their way: its own error reaches the sender, not a broken stream's."""

import pytest
from vault import ConnectionSettings
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.remote.store import RemoteStore
from vault.errors import ChecksumError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec, new_data_id
from vault.store.values import Block, checksum
from vault_server import EmbeddedStore, Server

DATA = bytes(BLOCK_SIZE)
BLOCKS = [Block(index * BLOCK_SIZE, DATA, checksum(DATA) ^ (index == 0)) for index in range(6)]
"""The first is refused when it arrives, while the others are being sent."""


async def test_a_task_learns_why_its_upload_was_refused(store: EmbeddedStore) -> None:
    with Server(store) as server:
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
            for _ in range(30):  # which of the two comes first, the refusal or the next block, is chance
                with pytest.raises(ChecksumError, match="checksum"):
                    async with await remote.upload("u", UploadSpec(new_data_id())) as writer:
                        for block in BLOCKS:
                            await writer.write(block)
                        await writer.commit(6 * BLOCK_SIZE)
    assert store.list_units() == []


def test_a_thread_learns_why_its_upload_was_refused(store: EmbeddedStore) -> None:
    with Server(store) as server, RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
        for _ in range(30):
            with (
                pytest.raises(ChecksumError, match="checksum"),
                remote.upload("u", UploadSpec(new_data_id())) as writer,
            ):
                for block in BLOCKS:
                    writer.write(block)
                writer.commit(6 * BLOCK_SIZE)
    assert store.list_units() == []
