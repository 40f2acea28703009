"""Who is to be let in to what: said by hand, from docs/SECURITY.md. Nothing of the server's own tables is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

DOCS: Final = "docs"
THEIRS: Final = "theirs"
ALLOWED: Final = ("127.0.0.1/32", "::1/128")
SCOPES: Final = ("read", "write", "delete", "list", "watch", "admin")

Answer = Literal[
    "done", "nothing", "denied", "unknown caller", "address", "no such method", "no connection", "no answer", "other"
]
"""What comes of a call. nothing: as if the unit held none; address: it may not connect from there."""


@dataclass(frozen=True, kw_only=True)
class Who:
    """Somebody who calls, as the model knows him.

    Attributes:
        known: Whether the server is to know him.
        scopes: By unit.
        admin: By a grant for all units.
    """

    title: str
    known: bool = True
    scopes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    admin: bool = False

    def of(self, unit: str) -> frozenset[str]:
        return self.scopes.get(unit, frozenset()) | ({"admin"} if self.admin else set())


Expected = Callable[[Who], Answer]


def _open(_who: Who) -> Answer:
    return "done"


def _known(who: Who) -> Answer:
    return "done" if who.known else "unknown caller"


def _reads(scope: str, who: Who, unit: str = DOCS) -> Answer:
    if not who.known:
        return "unknown caller"
    if scope in who.of(unit):
        return "done"
    return "denied" if who.of(unit) else "nothing"


def _writes(*scopes: str) -> Expected:
    def expected(who: Who) -> Answer:
        if not who.known:
            return "unknown caller"
        return "done" if set(scopes) <= who.of(DOCS) else "denied"

    return expected


def _copies(source: str, target: str) -> Expected:
    def expected(who: Who) -> Answer:
        if who.known and "write" not in who.of(target):
            return "denied"
        return _reads("read", who, source)

    return expected


def _administers(who: Who) -> Answer:
    if not who.known:
        return "unknown caller"
    return "done" if who.admin else "denied"


def _shown(*scopes: str) -> Expected:
    """Of a list of units, in which one is shown on which he has one of these scopes."""

    def expected(who: Who) -> Answer:
        if not who.known:
            return "unknown caller"
        return "done" if who.of(DOCS) & set(scopes) else "nothing"

    return expected


def _not_implemented(who: Who) -> Answer:
    return "no such method" if who.known else "unknown caller"


def _no_writes_of_others(who: Who) -> Answer:
    wrote = _writes("write")(who)
    return "nothing" if wrote == "done" else wrote


def _finds(scope: str) -> Expected:
    return lambda who: _reads(scope, who)


EXPECTED: Final[Mapping[str, Expected]] = {
    "VaultService.GetCapabilities": _known,
    "VaultService.WhoAmI": _known,
    "VaultService.Exists": _finds("read"),
    "VaultService.Stat": _finds("read"),
    "VaultService.Load": _finds("read"),
    "VaultService.LoadMany": _finds("read"),
    "VaultService.LoadColumns": _finds("read"),
    "VaultService.Read": _finds("read"),
    "VaultService.List": _finds("list"),
    "VaultService.List a level of names": _finds("list"),
    "VaultService.ListUnits": _shown(*SCOPES),
    "VaultService.StatUnits": _shown("list"),
    "VaultService.StatUnits of one": _finds("list"),
    "VaultService.SetUnitLimits": _writes("admin"),
    "VaultService.StatPrincipals": _administers,
    "VaultService.StatPrincipals of another": _administers,
    "VaultService.StatPrincipals of itself": _known,
    "VaultService.SetPrincipalLimits": _administers,
    "VaultService.Upload": _writes("write"),
    "VaultService.Upload that can be resumed": _writes("write"),
    "VaultService.Update": _writes("write"),
    "VaultService.Put": _writes("write"),
    "VaultService.Put in the place of another": _writes("write"),
    "VaultService.WriteBlock": _writes("write"),
    "VaultService.WriteBlock of a write that nobody streams": _no_writes_of_others,
    "VaultService.GetWriteStatus": _writes("write"),
    "VaultService.GetWriteStatus of another's": _no_writes_of_others,
    "VaultService.AbortWrite": _writes("write"),
    "VaultService.UploadMany": _writes("write"),
    "VaultService.UpdateMany": _writes("write"),
    "VaultService.PutMany": _writes("write"),
    "VaultService.WriteColumns": _writes("write"),
    "VaultService.Delete": _writes("delete"),
    "VaultService.DeleteMany": _writes("delete"),
    "VaultService.SetMetadata": _writes("write"),
    "VaultService.SetMetadataMany": _writes("write"),
    "VaultService.SetMetadataMany that takes a name from another": _writes("write", "delete"),
    "VaultService.SetMetadataMany that sets an expiry": _writes("write"),
    "VaultService.Copy": _copies(DOCS, DOCS),
    "VaultService.Copy into a unit of others": _copies(DOCS, THEIRS),
    "VaultService.Copy out of a unit of others": _copies(THEIRS, DOCS),
    "VaultService.AcquireLease": _writes("write"),
    "VaultService.ReleaseLease": _writes("write"),
    "VaultService.Watch": _finds("watch"),
    "VaultService.Watch of all units": _shown("watch"),
    "VaultService.Watch of two units": _finds("watch"),
    "AdminService.ListPrincipals": _administers,
    "AdminService.AddToken": _administers,
    "AdminService.RevokeTokens": _administers,
    "AdminService.GetAllowlist": _administers,
    "AdminService.SetAllowlist": _administers,
    "AdminService.ListCalls": _administers,
    "AdminService.CutCalls": _administers,
    "AdminService.PurgeRetained": _administers,
    "Health.Check": _open,
    "Health.Watch": _open,
    "Health.List": _not_implemented,
    "ServerReflection.ServerReflectionInfo": _known,
}
"""By use: the method, and what tells it from other uses of it."""
