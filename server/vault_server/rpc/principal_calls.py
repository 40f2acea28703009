"""What is charged to principals, and their limits: these RPCs of VaultService."""
# ruff: noqa: N802  # the names of its methods are those of the generated base class

from contextlib import aclosing
from typing import Any

from vault.store.limits import check_batch
from vault.v1 import vault_pb2 as pb
from vault.wire import principal_messages

from vault_server.rpc.vault_calls import VaultCalls


class PrincipalCalls(VaultCalls):
    """Of VaultService, whose turns for looking things up they take."""

    async def StatPrincipals(self, request: pb.StatPrincipalsRequest, context: Any) -> pb.StatPrincipalsResponse:
        reply = pb.StatPrincipalsResponse(revision=self._store.revision)
        store = self._store_for(context)
        if request.principals:
            check_batch(request.principals)
            async with aclosing(self._lookups.of(context.caller, request.principals)) as parts:
                async for part in parts:
                    for name in part:
                        info = await store.principal_info(name)
                        principal_messages.fill_principal_info(reply.principals.add(), info)
            return reply
        page = await store.principal_page(
            prefix=request.prefix, page_size=request.page_size, page_token=request.page_token
        )
        for info in page.principals:
            principal_messages.fill_principal_info(reply.principals.add(), info)
        reply.next_page_token = page.next_page_token
        return reply

    async def SetPrincipalLimits(
        self, request: pb.SetPrincipalLimitsRequest, context: Any
    ) -> pb.SetPrincipalLimitsResponse:
        reply = pb.SetPrincipalLimitsResponse(revision=self._store.revision)
        limits = principal_messages.principal_limits_from_wire(request.limits)
        info = await self._store_for(context).set_principal_limits(request.principal, limits)
        principal_messages.fill_principal_info(reply.info, info)
        return reply
