"""Who a call is taken to be: by its token, by its connection's certificate, by both."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from vault.errors import UnauthenticatedError
from vault.v1 import vault_pb2 as pb
from vault.wire.status import error_from_rpc
from vault_server import AsyncServer, EmbeddedStore
from vault_server.access.authentication import Authenticator
from vault_server.access.grants import Grant
from vault_server.access.identities import Identities, Identity, Token
from vault_server.access.settings import AccessSettings
from vault_server.access.tokens import hash_of, make_token

from tests.access.identified import IdentityFile, asking, bearer
from tests.server.raw_calls import stub_of
from tests.tls import LOOPBACK, Authority, Pair

READ = (Grant.parse("docs*:read"),)
NOW = datetime.now(UTC)


def kept(token: str, token_id: str, expires: datetime | None = None) -> Token:
    return Token(id=token_id, sha256=hash_of(token), created=NOW, expires=expires)


A, A_ID = make_token()
B, B_ID = make_token()
OLD, OLD_ID = make_token()
STRANGE, _ = make_token()

KNOWN = Authenticator(
    Identities([
        Identity(
            name="a",
            grants=READ,
            certificates=("uri:spiffe://x/a", "dns:a.example"),
            tokens=(kept(A, A_ID), kept(OLD, OLD_ID, NOW - timedelta(seconds=1))),
        ),
        Identity(name="b", grants=READ, certificates=("dns:b.example",), tokens=(kept(B, B_ID),)),
    ])
)  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "certificate", "name"),
    [
        ([f"Bearer {A}"], (), "a"),
        ([f"bearer {B}"], (), "b"),
        ([], ["uri:spiffe://x/a"], "a"),
        ([], ["dns:nobody.example", "dns:b.example"], "b"),
        ([], ["uri:spiffe://x/a", "dns:a.example"], "a"),
        ([f"Bearer {A}"], ["dns:a.example"], "a"),
        ([f"Bearer {B}"], ["dns:nobody.example"], "b"),
    ],
)
def test_a_token_or_a_certificate_says_who_calls(headers: list[str], certificate: Iterable[str], name: str) -> None:
    principal = KNOWN.authenticate(headers, certificate)
    assert principal.name == name
    assert principal.grants == READ


@pytest.mark.parametrize(
    ("headers", "certificate", "expected"),
    [
        ([], (), "asks who calls"),
        ([], ["dns:nobody.example"], "asks who calls"),
        ([], ["uri:spiffe://x/a", "dns:b.example"], "several principals"),
        ([f"Bearer {A}"], ["uri:spiffe://x/a", "dns:b.example"], "several principals"),
        ([f"Bearer {A}"], ["dns:b.example"], "two principals"),
        ([f"Bearer {STRANGE}"], ["dns:a.example"], "not known"),
        ([f"Bearer {A}", f"Bearer {A}"], (), "not several"),
        ([f"Bearer {A}", ""], (), "not several"),
        ([f"Bearer {STRANGE}"], (), "not known"),
        ([f"Bearer {A[:-1]}{'A' if A[-1] != 'A' else 'B'}"], (), "not known"),
        ([f"Bearer {A.replace(A_ID, B_ID)}"], (), "not known"),
        ([f"Bearer {OLD}"], (), "has expired"),
        ([f"Basic {A}"], (), "no token"),
        ([f"Bearer  {A}"], (), "no token"),
        ([f"Bearer {A} "], (), "no token"),
        ([A], (), "no token"),
        (["Bearer "], (), "no token"),
        ([""], (), "no token"),
        ([f"Bearer {A}".encode()], (), "no token"),
        ([f"Bearer vt_{A_ID}_{hash_of(A).hex()[:43]}"], (), "not known"),
    ],
)
def test_whatever_else_is_shown_is_refused(
    headers: list[str | bytes], certificate: Iterable[str], expected: str
) -> None:
    with pytest.raises(UnauthenticatedError, match=expected) as caught:
        KNOWN.authenticate(headers, certificate)
    for secret in (A, B, OLD, STRANGE, hash_of(A).hex()):
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value.context)


def test_a_token_ends_by_the_clock() -> None:
    token, token_id = make_token()
    ends = datetime.now(UTC) + timedelta(seconds=0.3)
    known = Authenticator(Identities([Identity(name="a", tokens=(kept(token, token_id, ends),))]))
    principal = known.authenticate([f"Bearer {token}"], ())
    assert principal.expires_at == ends
    assert known.renewed(principal) is principal
    assert known.next_expiry() == ends.timestamp()
    while time.time() < ends.timestamp():
        time.sleep(0.05)
    with pytest.raises(UnauthenticatedError, match="expired"):
        known.authenticate([f"Bearer {token}"], ())
    assert known.renewed(principal) is None
    assert known.next_expiry() == float("inf")


def test_a_principal_goes_on_by_what_it_has_shown_alone() -> None:
    by_token = KNOWN.authenticate([f"Bearer {A}"], ())
    by_certificate = KNOWN.authenticate([], ["dns:a.example"])

    def renewed(*identities: Identity) -> tuple[bool, bool]:
        after = Authenticator(Identities(identities))
        return after.renewed(by_token) is not None, after.renewed(by_certificate) is not None

    assert renewed(Identity(name="a", tokens=(kept(A, A_ID),), certificates=("dns:a.example",))) == (True, True)
    assert renewed(Identity(name="a", tokens=(kept(A, A_ID),))) == (True, False)
    assert renewed(Identity(name="a", certificates=("dns:a.example",))) == (False, True)
    assert renewed(Identity(name="a", tokens=(kept(B, A_ID),))) == (False, False)  # the same id, another secret
    assert renewed(Identity(name="b", tokens=(kept(A, A_ID),), certificates=("dns:a.example",))) == (False, False)
    assert renewed() == (False, False)


async def test_a_call_is_its_tokens_principals(store: EmbeddedStore, tmp_path: Path) -> None:
    identities = IdentityFile(tmp_path)
    token = identities.add("a", "docs*:read,list", expires_in=900)
    async with asking(store, identities) as (_, channel):
        reply = await stub_of(channel).WhoAmI(pb.WhoAmIRequest(), metadata=bearer(token))
    assert reply.principal == "a"
    assert [(each.units, list(each.scopes)) for each in reply.grants] == [("docs*", ["read", "list"])]
    assert abs(reply.expires_at.ToDatetime(UTC) - datetime.now(UTC) - timedelta(seconds=900)) < timedelta(seconds=300)


async def who(address: str, authority: Authority, own: Pair | None, token: str | None = None) -> str:
    """Who a client is to the server, by this certificate and token; or why nobody."""
    credentials = grpc.ssl_channel_credentials(authority.pem, own and own.key, own and own.cert)
    async with grpc.aio.secure_channel(address.removeprefix("grpcs://"), credentials) as channel:
        try:
            reply = await stub_of(channel).WhoAmI(
                pb.WhoAmIRequest(), metadata=bearer(token) if token else (), timeout=30
            )
        except grpc.aio.AioRpcError as error:
            return error_from_rpc(error).reason
        return reply.principal


async def test_a_certificates_alternative_names_say_who_calls_and_its_common_name_never(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    identities = IdentityFile(tmp_path)
    identities.add_certificate("uri", "spiffe://example.org/uri", "x:read")
    identities.add_certificate("dns", "dns:Dns.example.org", "x:read")
    identities.add_certificate("common", "dns:common.example.org", "x:read")
    token = identities.add("token", "x:read")
    of_dns = identities.add("dns")
    authority = Authority()
    cert, key = authority.issue(*LOOPBACK).write(tmp_path)
    access = AccessSettings(
        tls_cert=str(cert), tls_key=str(key), tls_client_ca=str(authority.write(tmp_path)), tokens=str(identities.path)
    )
    issued = {
        "uri": authority.issue("spiffe://example.org/uri", "unknown.example.org"),
        "dns": authority.issue("dns.example.org", common_name="common.example.org"),
        "common": authority.issue("nobody.example.org", common_name="common.example.org"),
        "two": authority.issue("spiffe://example.org/uri", "dns.example.org"),
        "prefix": authority.issue("spiffe://example.org/uri/more"),
    }
    async with AsyncServer(store, access=access) as server:
        address = server.address
        assert {name: await who(address, authority, own) for name, own in issued.items()} == {
            "uri": "uri",
            "dns": "dns",
            "common": "UNAUTHENTICATED",
            "two": "UNAUTHENTICATED",
            "prefix": "UNAUTHENTICATED",
        }
        assert await who(address, authority, issued["common"], token) == "token"  # its certificate names nobody
        assert await who(address, authority, issued["dns"], of_dns) == "dns"
        assert await who(address, authority, issued["dns"], token) == "UNAUTHENTICATED"
        assert await who(address, authority, issued["dns"], STRANGE) == "UNAUTHENTICATED"
