"""gRPC calls with one shape on both sides: AsyncChannel over grpc.aio, Channel over grpc.

Both raise errors of `vault.errors` only. A call may go `timeout` seconds without progress: for a unary
call that is its deadline, retries included; for a stream it is the longest wait for one message. What
can be sent again (all of Vault's calls can: reads, and writes under a request id) is sent again while
the server is away. When nothing came for a call for too long, the next ones get a connection of their own: the
one that there is may be dead, with nobody to say so.
"""

from vault._grpc.async_channel import AsyncChannel, claim_grpc_aio
from vault._grpc.async_streams import AsyncDuplex, AsyncReceiver
from vault._grpc.calls import Attempts
from vault._grpc.settings import MAX_MESSAGE_SIZE
from vault._grpc.sync_channel import Channel
from vault._grpc.sync_streams import Duplex, Receiver

__all__ = [
    "MAX_MESSAGE_SIZE",
    "AsyncChannel",
    "AsyncDuplex",
    "AsyncReceiver",
    "Attempts",
    "Channel",
    "Duplex",
    "Receiver",
    "claim_grpc_aio",
]
