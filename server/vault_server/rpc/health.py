"""grpc.health.v1 by one servicer, which waits for no slow peer."""
# ruff: noqa: N802, ARG002  # the names and the arguments of its methods are those of the generated base class

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc
from vault.errors import NotFoundError

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["Health"].full_name


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
    """Says of each service, and of "", the whole server, that it serves, until it does not any more.

    grpc_health's own servicer sends to its watchers under the lock that a change takes: one that does not read
    keeps a server from draining.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))
        self._status = pb.HealthCheckResponse.SERVING
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """NOT_SERVING, from now on."""
        self._status = pb.HealthCheckResponse.NOT_SERVING
        self._stopping.set()

    async def Check(self, request: pb.HealthCheckRequest, context: object) -> pb.HealthCheckResponse:
        if request.service not in self._services:
            raise NotFoundError("no such service here")
        return pb.HealthCheckResponse(status=self._status)

    async def Watch(self, request: pb.HealthCheckRequest, context: object) -> AsyncIterator[pb.HealthCheckResponse]:
        if request.service in self._services:
            yield pb.HealthCheckResponse(status=self._status)
            if self._status == pb.HealthCheckResponse.SERVING:
                await self._stopping.wait()
                yield pb.HealthCheckResponse(status=self._status)
        else:
            yield pb.HealthCheckResponse(status=pb.HealthCheckResponse.SERVICE_UNKNOWN)
        await asyncio.get_running_loop().create_future()  # until it is cut off: a stream that ends is asked for again
