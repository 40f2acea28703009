"""The entry points `grpc` and `grpcs` of the group `vault.stores`: a server's address becomes a remote store."""

from vault.store.connection import DEFAULT_CONNECTION, ConnectionSettings
from vault.store.contract import AsyncStore, Store


class GrpcOpener:
    """`grpc://host:port` and `unix:PATH`; or `grpcs://host:port`, over TLS."""

    def __init__(self, scheme: str) -> None:
        """
        Args:
            scheme: What the address gets in front that a location has lost.
        """
        self._scheme = scheme

    def open(self, location: str, connection: ConnectionSettings = DEFAULT_CONNECTION) -> Store:
        from vault._sync.remote.store import RemoteStore  # noqa: PLC0415  # each side alone: half of the time

        return RemoteStore(self._scheme + location, connection)

    def open_async(self, location: str, connection: ConnectionSettings = DEFAULT_CONNECTION) -> AsyncStore:
        from vault._async.remote.store import AsyncRemoteStore  # noqa: PLC0415  # as above

        return AsyncRemoteStore(self._scheme + location, connection)


opener = GrpcOpener("")
tls_opener = GrpcOpener("grpcs://")
