"""Principals, and what each of them may do in which units. No I/O."""

import fnmatch
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Self, get_args

from vault.errors import InvalidArgumentError, PermissionDeniedError
from vault.store.limits import check_principal, shown

Scope = Literal["read", "write", "delete", "list", "watch", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

_PATTERN: Final = re.compile(r"[A-Za-z0-9._*-]{1,128}", re.ASCII)
_MOST_KNOWN: Final = 1024  # units for which a principal's scopes are kept


@dataclass(frozen=True, slots=True)
class Grant:
    """What may be done in the units of a pattern.

    Attributes:
        units: A unit's name; `*` stands for any text in it.
        scopes: Some of SCOPES.
    """

    units: str
    scopes: frozenset[Scope]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads UNITS:SCOPE[,SCOPE…], as "docs*:read,list"; "docs*:*" has all scopes but admin.

        Raises:
            InvalidArgumentError: BAD_GRANT.
        """
        units, colon, scopes = text.partition(":")
        words: set[str] = set(scopes.split(","))
        if words == {"*"}:
            words = {scope for scope in SCOPES if scope != "admin"}
        if not colon or _PATTERN.fullmatch(units) is None or not words <= set(SCOPES):
            expected = (
                f"UNITS:SCOPE[,SCOPE…], as docs*:read,list; scopes are {', '.join(SCOPES)}, or * for all but admin"
            )
            raise InvalidArgumentError(f"bad grant {shown(text)}: {expected}", reason="BAD_GRANT")
        return cls(units, frozenset(words))  # type: ignore[arg-type]  # some of SCOPES

    def __str__(self) -> str:
        return f"{self.units}:{','.join(scope for scope in SCOPES if scope in self.scopes)}"


def _compiled(pattern: str) -> "re.Pattern[str]":
    return re.compile(fnmatch.translate(pattern))  # which looks at each letter of a name once, whatever the stars


class Principal:
    """Somebody who calls, and what he may do.

    Attributes:
        name: "" for whoever connects where nobody is asked.
        grants: Deny by default: what is not in one of them is not allowed.
        expires_at: When the token that he showed ends; None: never.
        budget: What is other for him in the server's Budget, by field; Budget.changed checks it. None: nothing.
        credential: What he showed, the same in every version of the identities; None: he was not asked.
    """

    __slots__ = ("_known", "_patterns", "budget", "credential", "expires_at", "grants", "name")

    def __init__(
        self,
        name: str,
        grants: Iterable[Grant],
        expires_at: datetime | None = None,
        budget: Mapping[str, Any] | None = None,
        credential: Hashable | None = None,
    ) -> None:
        if name:
            check_principal(name)
        self.name = name
        self.grants = tuple(grants)
        self.expires_at = expires_at
        self.budget = budget
        self.credential = credential
        self._patterns = [(_compiled(grant.units), grant.scopes) for grant in self.grants]
        self._known: dict[str, frozenset[Scope]] = {}

    def scopes(self, unit: str) -> frozenset[Scope]:
        """All that he may do in a unit; empty: to him it looks as if it held nothing."""
        found = self._known.get(unit)
        if found is None:
            found = frozenset().union(*(scopes for pattern, scopes in self._patterns if pattern.fullmatch(unit)))
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[unit] = found
        return found

    def require(self, unit: str, scope: Scope) -> None:
        """Raises PermissionDeniedError unless he may do this in the unit."""
        if scope not in self.scopes(unit):
            raise denied(self, scope, unit)

    def may_somewhere(self, scope: Scope) -> bool:
        """Whether there is a unit, of whatever name, in which he may do this."""
        return any(scope in grant.scopes for grant in self.grants)

    @property
    def is_admin(self) -> bool:
        """Whether he may administer the server: admin for all units by one grant."""
        return any(grant.units == "*" and "admin" in grant.scopes for grant in self.grants)


ANYBODY: Final = Principal("", [Grant("*", frozenset(SCOPES))])
"""Whoever connects where nobody is asked."""


def denied(principal: Principal, scope: str, unit: str | None = None) -> PermissionDeniedError:
    """The error for a call that a principal may not make."""
    where = "on this server" if unit is None else f"in unit {unit!r}"
    return PermissionDeniedError(f"{principal.name!r} has no scope {scope} {where}", unit=unit, scope=scope)
