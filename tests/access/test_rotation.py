"""Tokens rotated under load: no call fails, and a write that is sent again over the change is applied once."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
from vault import AsyncRemoteVault, BytesWrapper, ConnectionSettings
from vault.store.limits import BLOCK_SIZE
from vault.v1 import vault_pb2 as pb
from vault_server import EmbeddedStore
from vault_server.access.identity_file import change_identities
from vault_server.access.token_changes import rotate_token
from vault_server.access.tokens import id_of

from tests.access.identified import IdentityFile, asking, bearer, now
from tests.server.raw_calls import Stub, stub_of, whole

ROTATIONS = 4
CLIENTS = 4


class Client:
    """Writes again and again by whatever token there is, and each once more when there is another."""

    def __init__(self, stub: Stub, number: int) -> None:
        self.stub = stub
        self.number = number
        self.written = 0
        self.sent_again = 0
        self._answered: list[tuple[str, list[pb.UploadRequest], bytes]] = []  # by which token, and how

    async def write(self, token: list[str]) -> None:
        self.written += 1
        # Large ones run for a while: the token changes under them.
        size = 4 * BLOCK_SIZE if self.written % 3 == 0 else 100
        messages = whole(bytes([self.number]) * size, self.number * 1_000_000 + self.written)
        by = token[0]
        self._answered.append((by, messages, await self._sent(messages, by)))
        for each in list(self._answered):
            if each[0] != token[0]:
                self._answered.remove(each)
                self.sent_again += 1
                assert await self._sent(each[1], token[0]) == each[2]  # the answer that it had

    async def _sent(self, messages: list[pb.UploadRequest], token: str) -> bytes:
        call: Any = self.stub.Upload(iter(messages), metadata=bearer(token))
        replies = [reply async for reply in call]
        info: bytes = replies[-1].info.SerializeToString()
        return info


async def test_no_call_fails_while_tokens_are_rotated_and_retries_are_applied_once(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    identities = IdentityFile(tmp_path)
    token = [identities.add("a", "u:*")]
    async with asking(store, identities) as (_, channel):
        stub = stub_of(channel)
        clients = [Client(stub, number) for number in range(1, CLIENTS + 1)]
        progress = asyncio.Semaphore(0)

        async def work(client: Client) -> None:
            while True:
                await client.write(token)
                progress.release()

        async def all_wrote(times: int) -> None:
            wanted = [client.written + times + 1 for client in clients]
            while any(client.written < least for client, least in zip(clients, wanted, strict=True)):
                await progress.acquire()

        async with asyncio.TaskGroup() as group:
            working = [group.create_task(work(client)) for client in clients]
            for _ in range(ROTATIONS):
                await all_wrote(1)
                old = token[0]
                # Sent by clients at once: the server may not have read it yet.
                token[0] = change_identities(identities.path, lambda before: rotate_token(before, "a", now=now()))
                await all_wrote(2)  # whoever used the old one is done with it
                identities.revoke("a", id_of(old))
            for task in working:
                task.cancel()
        assert all(client.sent_again >= ROTATIONS for client in clients)
        async with asyncio.timeout(30):
            while await stub.WhoAmI(pb.WhoAmIRequest(), metadata=bearer(old)).code() is grpc.StatusCode.OK:  # noqa: ASYNC110  # the file is yet to be read
                await asyncio.sleep(0.02)
    written = sum(client.written for client in clients)
    assert written - CLIENTS <= store.unit_info("u").objects <= written  # the last ones were cancelled
    assert store.check().ok


async def test_clients_with_a_file_of_their_token_notice_no_rotation(store: EmbeddedStore, tmp_path: Path) -> None:
    identities, file = IdentityFile(tmp_path), tmp_path / "a.token"
    token = identities.add("a", "u:*")
    file.write_text(token)
    written, progress = [0] * 3, asyncio.Semaphore(0)
    structure = {"u": (BytesWrapper, 0)}
    async with asking(store, identities) as (server, _), AsyncExitStack() as stack:
        settings = ConnectionSettings(token=file)
        vaults = [
            await stack.enter_async_context(AsyncRemoteVault(server.address, structure, connection=settings))
            for _ in written
        ]
        changes = await stack.enter_async_context(await vaults[0].watch("u", since=0))

        async def work(number: int) -> None:
            while True:
                data = BytesWrapper(bytes([number]) * (3 * BLOCK_SIZE if written[number] % 3 == 0 else 100))
                await vaults[number].put("u", f"{number} {written[number]}", data)
                written[number] += 1
                progress.release()
                assert await vaults[number].exists("u", f"{number} {written[number] - 1}")

        async def all_wrote(times: int) -> None:
            wanted = [count + times + 1 for count in written]
            while any(count < least for count, least in zip(written, wanted, strict=True)):
                await progress.acquire()

        async with asyncio.TaskGroup() as group:
            working = [group.create_task(work(number)) for number in range(len(written))]
            for _ in range(ROTATIONS):
                await all_wrote(1)
                old = token
                token = change_identities(identities.path, lambda before: rotate_token(before, "a", now=now()))
                new = tmp_path / "a.token.new"
                new.write_text(token)
                new.replace(file)
                await all_wrote(3)
                identities.revoke("a", id_of(old))
            await all_wrote(3)
            for task in working:
                task.cancel()
        seen: set[str | None] = set()
        async with asyncio.timeout(60):
            while len(seen) < sum(written):  # each once, over watches that were cut
                seen.add((await anext(changes)).name)
    assert {f"{number} {each}" for number, count in enumerate(written) for each in range(count)} <= seen
