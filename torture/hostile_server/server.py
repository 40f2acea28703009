"""A server that lies: it asks a real one, and bends what that answers.

Every method is a stream here, so that it can answer with nothing, or with more than was asked for.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

import grpc
from vault.v1 import vault_pb2 as pb

SERVICE: Final = pb.DESCRIPTOR.services_by_name["VaultService"]

Bend = Callable[[str, Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]
"""Gets a method's name, what the real server replies, and the call; yields what is sent instead."""


def honest(_method: str, replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
    """Bends nothing."""
    yield from replies


class HostileServer(grpc.GenericRpcHandler):
    """In front of the server at `target`, on loopback.

    Attributes:
        bend: What is done to replies, from the next call on.
    """

    def __init__(self, target: str) -> None:
        self.bend: Bend = honest
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self._server = grpc.server(ThreadPoolExecutor(32), options=_OPTIONS)
        self._server.add_generic_rpc_handlers((self,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def service(self, details: Any) -> Any:
        path: str = details.method
        name = path.rpartition("/")[2]
        if SERVICE.methods_by_name[name].client_streaming:
            return grpc.stream_stream_rpc_method_handler(self._handler(path, name, self._channel.stream_stream(path)))
        return grpc.unary_stream_rpc_method_handler(self._handler(path, name, self._channel.unary_stream(path)))

    def _handler(self, _path: str, name: str, forward: Any) -> Any:
        def handle(request: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
            call = forward(request)
            context.add_callback(call.cancel)
            try:
                yield from self.bend(name, call, context)
            except grpc.RpcError as error:
                context.set_trailing_metadata(call.trailing_metadata() or ())
                context.abort(error.code(), error.details() or "")
            finally:
                call.cancel()

        return handle

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.stop(0).wait()
        self._channel.close()


_OPTIONS: Final = [
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.max_metadata_size", 16 << 20),
    ("grpc.so_reuseport", 0),
]
