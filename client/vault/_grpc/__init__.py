"""Connections of gRPC and their calls, with one shape on both sides: over grpc.aio, and over grpc."""

from vault._grpc.async_connection import AsyncCall, AsyncConnection, claim_grpc_aio
from vault._grpc.async_duplex import AsyncDuplex
from vault._grpc.calls import (
    Attempts,
    OverdueError,
    closed,
    is_sign_of_life,
    patience_of,
    readable,
    something,
    stalled,
    timed_out,
)
from vault._grpc.connection import Call, Connection
from vault._grpc.settings import MAX_MESSAGE_SIZE, OPTIONS
from vault._grpc.sync_duplex import Duplex

__all__ = [
    "MAX_MESSAGE_SIZE",
    "OPTIONS",
    "AsyncCall",
    "AsyncConnection",
    "AsyncDuplex",
    "Attempts",
    "Call",
    "Connection",
    "Duplex",
    "OverdueError",
    "claim_grpc_aio",
    "closed",
    "is_sign_of_life",
    "patience_of",
    "readable",
    "something",
    "stalled",
    "timed_out",
]
