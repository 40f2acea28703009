"""A server that asks who calls, its principals, and raw calls with a token."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from vault.errors import VaultError
from vault.wire.status import error_from_rpc
from vault_server import AsyncServer, EmbeddedStore, Service
from vault_server.access.grants import Grant
from vault_server.access.identity_file import change_identities
from vault_server.access.settings import AccessSettings
from vault_server.access.token_changes import add_certificates, add_token, revoke_tokens, set_grants

Metadata = Sequence[tuple[str, str]]


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


def now() -> datetime:
    return datetime.now(UTC)


class IdentityFile:
    """A file of identities, changed as `vault-grpc token` does."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "identities.toml"
        change_identities(self.path, lambda old: (old, None))

    def add(self, name: str, *grants: str, expires_in: float | None = None) -> str:
        """A token for a principal, who is new or has these grants."""
        made_at = now()
        expires = None if expires_in is None else made_at + timedelta(seconds=expires_in)
        wanted = tuple(map(Grant.parse, grants))
        return change_identities(
            self.path, lambda old: add_token(old, name, now=made_at, grants=wanted, expires=expires)
        )

    def add_expired(self, name: str, *grants: str) -> str:
        past = datetime(2020, 1, 1, tzinfo=UTC)
        wanted, expires = tuple(map(Grant.parse, grants)), past + timedelta(1)
        return change_identities(self.path, lambda old: add_token(old, name, now=past, grants=wanted, expires=expires))

    def add_certificate(self, name: str, certificate: str, *grants: str) -> None:
        wanted = tuple(map(Grant.parse, grants))
        change_identities(self.path, lambda old: add_certificates(old, name, [certificate], grants=wanted))

    def revoke(self, name: str, token_id: str | None = None) -> None:
        change_identities(self.path, lambda old: revoke_tokens(old, name, token_id))

    def grant(self, name: str, *grants: str) -> None:
        change_identities(self.path, lambda old: set_grants(old, name, tuple(map(Grant.parse, grants))))


@contextlib.asynccontextmanager
async def asking(
    store: EmbeddedStore, identities: IdentityFile, services: Sequence[Service] = ()
) -> AsyncIterator[tuple[AsyncServer, grpc.aio.Channel]]:
    """A server that asks who calls, and a channel to it."""
    access = AccessSettings(tokens=str(identities.path))
    async with (
        AsyncServer(store, access=access, services=services) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield server, channel


async def refusal(
    channel: grpc.aio.Channel, method: str, metadata: Metadata = (), message: bytes | None = None
) -> tuple[grpc.StatusCode, VaultError] | None:
    """How a call is refused whose client says nothing, or one message and its end; None: it is answered."""
    begin: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(method)
    call = begin(_nothing() if message is None else _once(message), metadata=metadata, timeout=30)
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code(), error_from_rpc(error)
    finally:
        call.cancel()
    return None


async def _once(message: bytes) -> AsyncIterator[bytes]:
    yield message


async def _nothing() -> AsyncIterator[bytes]:
    """A client that has said nothing yet, and does not end."""
    await asyncio.get_running_loop().create_future()
    yield b""


async def ended(call: "grpc.aio.StreamStreamCall[object, object]", *, since: float) -> tuple[VaultError, float]:
    """What a running call is ended with, and the seconds after `since` until then."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error_from_rpc(error), time.monotonic() - since
    raise AssertionError("the call ended well")
