"""A server with TLS: what it shows, whom it lets in, and what it does when its files change."""

from pathlib import Path

import grpc
import pytest
from vault.v1 import vault_pb2 as pb
from vault.v1.vault_pb2_grpc import VaultServiceStub
from vault_server import AccessSettings, EmbeddedStore, Server

from tests.tls import Authority, Pair


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


def access(folder: Path, pair: Pair, **more: str) -> AccessSettings:
    cert, key = pair.write(folder, "server")
    return AccessSettings(tls_cert=str(cert), tls_key=str(key), **more)  # type: ignore[arg-type]  # paths


def ask(address: str, authority: bytes, pair: Pair | None = None) -> str:
    """A store's id, over a connection of its own."""
    shown = (pair.key, pair.cert) if pair else (None, None)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(
        address.removeprefix("grpcs://"), grpc.ssl_channel_credentials(authority, *shown), options
    ) as channel:
        reply = VaultServiceStub(channel).GetCapabilities(pb.GetCapabilitiesRequest(), timeout=20)
        return str(reply.store_id)


def test_a_client_that_trusts_its_authority_is_answered(
    authority: Authority, store: EmbeddedStore, tmp_path: Path
) -> None:
    with Server(store, access=access(tmp_path, authority.server())) as server:
        assert server.address.startswith("grpcs://127.0.0.1:")
        assert ask(server.address, authority.pem)
        with pytest.raises(grpc.RpcError):
            ask(server.address, Authority().pem)
