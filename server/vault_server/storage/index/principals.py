"""What is charged to principals, and their limits: the rows of `principals`."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from vault.store.usage import PrincipalInfo, PrincipalLimits

from vault_server.storage.decision.plan import Account
from vault_server.storage.index.expiring import NOW
from vault_server.storage.index.padded import for_sizes, select
from vault_server.storage.index.units import TOTAL_SIZE, count, is_count, limit_of, named_page

_COLUMNS: Final = ", ".join(Account._fields)
_MARKS: Final = ", ".join("?" * len(Account._fields))
_SELECT: Final = f"SELECT {_COLUMNS} FROM principals WHERE principal"  # noqa: S608  # names of columns
_NAMED: Final = for_sizes(f"{_SELECT} IN ({{values}})")
_COUNTED: Final = f"SELECT count(*), {TOTAL_SIZE} FROM objects WHERE principal = ?"  # noqa: S608  # likewise
_EXPIRED: Final = (
    f"SELECT count(*), {TOTAL_SIZE} FROM objects INDEXED BY objects_by_expiry "  # noqa: S608  # likewise
    f"WHERE expires_at <= {NOW} AND principal = ?"
)
_INSERT: Final = f"INSERT INTO principals ({_COLUMNS}) VALUES ({_MARKS}) ON CONFLICT (principal) DO UPDATE SET "  # noqa: S608  # likewise
_CHARGE: Final = f"{_INSERT} objects = excluded.objects, bytes = excluded.bytes"
_LIMIT: Final = f"{_INSERT} max_objects = excluded.max_objects, max_bytes = excluded.max_bytes"


def find_accounts(connection: sqlite3.Connection, principals: Sequence[str]) -> dict[str, Account]:
    """Of those of the principals that something was ever charged to, or that have limits. Counted, where what a row
    says cannot be right; without a limit that can be none."""
    found = select(connection, _NAMED, principals)
    return {row[0]: _account(connection, *row) for row in found}


def charge(connection: sqlite3.Connection, charges: Sequence[tuple[str, int, int]]) -> None:
    """Charges so many objects and bytes more to each principal, in the caller's transaction, in which the objects are
    not changed yet."""
    known = find_accounts(connection, [principal for principal, _, _ in charges])
    rows = [known.get(principal, Account(principal)).charged(objects, size) for principal, objects, size in charges]
    connection.executemany(_CHARGE, rows)


def principal_infos(connection: sqlite3.Connection, principals: Sequence[str]) -> list[PrincipalInfo]:
    """What is charged to each principal, and its limits."""
    known = find_accounts(connection, principals)
    return [_live(connection, known.get(principal, Account(principal))).info() for principal in principals]


def principal_page(
    connection: sqlite3.Connection, prefix: str, after: str | None, limit: int
) -> tuple[list[PrincipalInfo], str | None]:
    """As `unit_page`, of principals that something is charged to or that have limits."""

    def info_of(*row: Any) -> PrincipalInfo | None:
        info = _live(connection, _account(connection, *row)).info()
        return info if info.objects or info.limits.are_set else None

    return named_page(connection, _SELECT, prefix, after, limit, info_of)


def set_principal_limits(connection: sqlite3.Connection, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
    """Sets a principal's limits, in the caller's transaction; what is charged to it then, and they."""
    account = find_accounts(connection, [principal]).get(principal, Account(principal)).limited(limits)
    connection.execute(_LIMIT, account)
    return _live(connection, account).info()


def _account(connection: sqlite3.Connection, principal: str, objects: Any, size: Any, *limits: Any) -> Account:
    if not (is_count(objects) and is_count(size)):
        objects, size = count(connection, _COUNTED, principal)
    return Account(principal, objects, size, *map(limit_of, limits))


def _live(connection: sqlite3.Connection, account: Account) -> Account:
    """Without what has expired and is still counted."""
    objects, size = count(connection, _EXPIRED, account.principal)
    return account.charged(-objects, -size) if objects else account
