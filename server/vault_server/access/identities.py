"""Who may call a server: principals with their grants, certificates and tokens, and how a file tells of them. No I/O.

[[principal]]
name = "reports"
grants = ["docs*:read,list"]
certificates = ["spiffe://example.org/reports"]

[[principal.token]]
id = "5f0c3d2e9a1b"
sha256 = "…"
created = 2026-11-27T08:00:00Z
expires = 2027-02-25T08:00:00Z

[principal.budget]
transfers = 8
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self, TypeVar

from vault.errors import InvalidArgumentError
from vault.store.limits import check_principal, shown

from vault_server.access.budgets import DEFAULT_BUDGET
from vault_server.access.grants import Grant
from vault_server.access.tokens import ID

T = TypeVar("T")
V = TypeVar("V")

_SHA256: Final = re.compile("[0-9a-f]{64}", re.ASCII)
_DNS: Final = re.compile(r"[a-z0-9_*-]{1,63}(\.[a-z0-9_-]{1,63})*", re.ASCII)
_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]{1,2000}", re.ASCII)
_CERTIFICATE: Final = "spiffe://…, uri:… or dns:…, of the certificate's alternative names; its common name is not asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is kept of a token.

    Attributes:
        id: The part of it that is no secret.
        sha256: Of all of it.
        expires: None: never.
    """

    id: str
    sha256: bytes = field(repr=False)
    created: datetime
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A principal, and what it shows to say who it is.

    Attributes:
        certificates: URIs and DNS names of certificates, as `certificate_name` has them.
        budget: What is other for it in the server's Budget, by field.
    """

    name: str
    grants: tuple[Grant, ...] = ()
    certificates: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()
    budget: Mapping[str, Any] | None = None


class Identities(Mapping[str, Identity]):
    """All principals, by name.

    Raises:
        InvalidArgumentError: BAD_IDENTITIES, a name, an id, a hash or a certificate stands there twice.
    """

    __slots__ = ("_by_name",)

    def __init__(self, identities: Iterable[Identity] = ()) -> None:
        self._by_name: dict[str, Identity] = {}
        taken: dict[tuple[str, object], str] = {}
        for each in identities:
            unique: list[tuple[str, object]] = [("name", each.name)]
            unique += (("certificate", name) for name in each.certificates)
            for token in each.tokens:
                unique += (("token id", token.id), ("sha256", token.sha256))
            for what, value in unique:
                if (what, value) in taken:
                    shown_value = "" if isinstance(value, bytes) else f" {shown(value)}"
                    raise _bad(f"principal {each.name!r}: {what}{shown_value} is principal {taken[what, value]!r}'s")
                taken[what, value] = each.name
            self._by_name[each.name] = each

    def __getitem__(self, name: str) -> Identity:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def with_identity(self, identity: Identity) -> Self:
        """These, with one replaced or added."""
        return type(self)({**self._by_name, identity.name: identity}.values())

    def without(self, name: str) -> Self:
        """These but one."""
        return type(self)(each for each in self.values() if each.name != name)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads what `document` wrote, or somebody's own hand: all of it or nothing.

        Raises:
            InvalidArgumentError: BAD_IDENTITIES, it says at which line or key.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise _bad(f"not TOML: {error}") from error
        (principals,) = _fields("the file", document, principal=(_tables, ()))
        return cls(_identity(f"principal {index}", each) for index, each in enumerate(principals, 1))

    def document(self) -> dict[str, Any]:
        """These as the file has them, for a writer of TOML."""
        return {"principal": [_as_document(each) for each in self.values()]}


def certificate_name(text: str) -> str:
    """A name of a certificate, as "dns:host.example.org" or "uri:spiffe://example.org/reports", in the one form that is
    compared.

    Raises:
        InvalidArgumentError: BAD_IDENTITIES, it is none.
    """
    kind, _, rest = text.partition(":")
    if kind == "dns" and _DNS.fullmatch(rest.lower()):
        return text.lower()
    if kind == "spiffe":
        rest = text
    if kind in ("uri", "spiffe") and _URI.fullmatch(rest):
        return f"uri:{rest}"
    raise _bad(f"bad certificate {shown(text)}: {_CERTIFICATE}")


def _identity(where: str, table: Mapping[str, Any]) -> Identity:
    if isinstance(table.get("name"), str):
        where = f"principal {shown(table['name'])}"
    name, grants, certificates, tokens, budget = _fields(
        where,
        table,
        name=(_text, ...),
        grants=(_texts, ()),
        certificates=(_texts, ()),
        token=(_tables, ()),
        budget=(_table, None),
    )
    _within(where, check_principal, name)
    if budget is not None:
        _within(where, DEFAULT_BUDGET.changed, budget)
    return Identity(
        name=name,
        grants=tuple(_within(where, Grant.parse, each) for each in grants),
        certificates=tuple(_within(where, certificate_name, each) for each in certificates),
        tokens=tuple(_token(f"{where}, token {index}", each) for index, each in enumerate(tokens, 1)),
        budget=budget,
    )


def _token(where: str, table: Mapping[str, Any]) -> Token:
    token_id, sha256, created, expires = _fields(
        where, table, id=(_text, ...), sha256=(_text, ...), created=(_moment, ...), expires=(_moment, None)
    )
    if ID.fullmatch(token_id) is None:
        raise _bad(f"{where}: bad id {shown(token_id)}: 1 to 32 of 0-9 a-z")
    if _SHA256.fullmatch(sha256) is None:
        raise _bad(f"{where}: bad sha256: 64 of 0-9 a-f")
    return Token(id=token_id, sha256=bytes.fromhex(sha256), created=created, expires=expires)


def _as_document(identity: Identity) -> dict[str, Any]:
    document: dict[str, Any] = {"name": identity.name, "grants": [str(grant) for grant in identity.grants]}
    if identity.certificates:
        document["certificates"] = list(identity.certificates)
    if identity.budget is not None:
        document["budget"] = dict(identity.budget)
    if identity.tokens:
        document["token"] = [
            {
                "id": token.id,
                "sha256": token.sha256.hex(),
                "created": token.created,
                **({} if token.expires is None else {"expires": token.expires}),
            }
            for token in identity.tokens
        ]
    return document


def _fields(where: str, table: Mapping[str, Any], **known: tuple[Callable[[Any], str | None], Any]) -> list[Any]:
    """The values of a table: for each key what is wrong with a value of another kind, and the default; `...`: none."""
    if unknown := sorted(table.keys() - known.keys()):
        raise _bad(f"{where}: unknown key {', '.join(map(shown, unknown))}; known are {', '.join(known)}")
    values = []
    for key, (expected, default) in known.items():
        if key not in table and default is ...:
            raise _bad(f"{where}: it has no {key}")
        value = table.get(key, default)
        if key in table and (kind := expected(value)) is not None:
            raise _bad(f"{where}: {key} is {kind}")
        values.append(value)
    return values


def _text(value: object) -> str | None:
    return None if isinstance(value, str) else "a text"


def _texts(value: object) -> str | None:
    return None if isinstance(value, list) and all(isinstance(each, str) for each in value) else "a list of texts"


def _tables(value: object) -> str | None:
    is_list = isinstance(value, list) and all(isinstance(each, dict) for each in value)
    return None if is_list else "written as [[…]], once for each"


def _table(value: object) -> str | None:
    return None if isinstance(value, dict) else "a table"


def _moment(value: object) -> str | None:
    is_moment = isinstance(value, datetime) and value.tzinfo is not None
    return None if is_moment else "a time with its zone, as 2026-11-27T08:00:00Z"


def _within(where: str, parse: Callable[[V], T], value: V) -> T:
    try:
        return parse(value)
    except InvalidArgumentError as error:
        raise _bad(f"{where}: {error.message}") from error


def _bad(text: str) -> InvalidArgumentError:
    return InvalidArgumentError(text, reason="BAD_IDENTITIES")
