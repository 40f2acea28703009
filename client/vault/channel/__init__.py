"""gRPC calls with one shape on both sides: AsyncChannel over grpc.aio, Channel over grpc.

Both raise errors of `vault.errors` only. A call may go `timeout` seconds without progress: for a unary
call that is its deadline, retries included; for a stream it is the longest wait for one message. What
can be sent again (all of Vault's calls can: reads, and writes under a request id) is sent again while
the server is away.
"""

from vault.channel.asynchronous import AsyncChannel, AsyncDuplex, AsyncReceiver
from vault.channel.calls import MAX_MESSAGE_SIZE
from vault.channel.synchronous import Channel, Duplex, Receiver

__all__ = ["MAX_MESSAGE_SIZE", "AsyncChannel", "AsyncDuplex", "AsyncReceiver", "Channel", "Duplex", "Receiver"]
