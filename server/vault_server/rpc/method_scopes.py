"""What each method asks of who calls it: the one table. A method that is not in it is refused."""

from collections.abc import Mapping
from typing import Final, Literal

from vault_server.access.grants import Principal, Scope, denied

MethodScope = Literal["open", "identity", "read", "list", "watch", "write", "delete", "unit admin", "admin"]
"""open: nobody is asked who he is. identity: whoever has one. read, list, watch: an identity; what there is to see goes
by its scopes in each unit, and may be nothing. write, delete, unit admin: that scope in some unit, before a message is
read, and then in the units that the call is about. admin: that of the server."""

_VAULT: Final[Mapping[str, MethodScope]] = {
    "GetCapabilities": "identity",
    "ListUnits": "identity",
    "WhoAmI": "identity",
    "StatPrincipals": "identity",  # admin, but for one's own
    "Exists": "read",
    "Stat": "read",
    "Load": "read",
    "LoadMany": "read",
    "LoadColumns": "read",
    "Read": "read",
    "List": "list",
    "StatUnits": "list",
    "Watch": "watch",
    "Upload": "write",
    "Update": "write",
    "Put": "write",
    "UploadMany": "write",
    "UpdateMany": "write",
    "PutMany": "write",
    "WriteColumns": "write",
    "Copy": "write",  # and read where it comes from
    "SetMetadata": "write",  # and delete where another object's name is taken, as in SetMetadataMany
    "SetMetadataMany": "write",
    "AcquireLease": "write",
    "ReleaseLease": "write",
    "WriteBlock": "write",
    "GetWriteStatus": "write",
    "AbortWrite": "write",
    "Delete": "delete",
    "DeleteMany": "delete",
    "SetUnitLimits": "unit admin",
    "SetPrincipalLimits": "admin",
}

_ADMIN: Final = (
    "ListPrincipals",
    "AddToken",
    "RevokeTokens",
    "GetAllowlist",
    "SetAllowlist",
    "ListCalls",
    "CutCalls",
    "PurgeRetained",
)

METHOD_SCOPES: Final[Mapping[str, MethodScope]] = {
    **{f"/vault.v1.VaultService/{name}": scope for name, scope in _VAULT.items()},
    **{f"/vault.v1.AdminService/{name}": "admin" for name in _ADMIN},
    "/grpc.health.v1.Health/Check": "open",
    "/grpc.health.v1.Health/Watch": "open",
    "/grpc.health.v1.Health/List": "identity",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "identity",
}

_SOMEWHERE: Final[Mapping[MethodScope, Scope]] = {"write": "write", "delete": "delete", "unit admin": "admin"}


def require_method(principal: Principal, method: str, scope: MethodScope | None) -> None:
    """Raises PermissionDeniedError unless a principal may call a method, as far as that does not depend on a unit.

    Args:
        scope: What the method asks for; None: it is in no table.
    """
    if scope is None:
        raise denied(principal, f"for {method}")
    somewhere = _SOMEWHERE.get(scope)
    if somewhere is not None and not principal.may_somewhere(somewhere):
        raise denied(principal, somewhere)
    if scope == "admin" and not principal.is_admin:
        raise denied(principal, "admin")
