"""The entry point `grpc` of the group `vault.stores`: a server's address becomes a remote store."""

from typing import Any

from vault.store.contract import AsyncStore, Store


class GrpcOpener:
    """`grpc://host:port` and `unix:PATH`. Options: `timeout`, seconds, and `proxy`."""

    def open(self, location: str, **options: Any) -> Store:
        from vault._sync.remote.store import RemoteStore  # noqa: PLC0415  # each side alone: half of the time

        return RemoteStore(location, **options)

    def open_async(self, location: str, **options: Any) -> AsyncStore:
        from vault._async.remote.store import AsyncRemoteStore  # noqa: PLC0415  # as above

        return AsyncRemoteStore(location, **options)


opener = GrpcOpener()
