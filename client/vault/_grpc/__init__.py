"""Connections of gRPC and their calls, with one shape on both sides: over grpc.aio, and over grpc."""

from vault._grpc.async_connection import AsyncCall, AsyncConnection
from vault._grpc.async_duplex import AsyncDuplex
from vault._grpc.connection import Call, Connection
from vault._grpc.sync_duplex import Duplex

__all__ = ["AsyncCall", "AsyncConnection", "AsyncDuplex", "Call", "Connection", "Duplex"]
