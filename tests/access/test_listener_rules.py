"""What an address asks of who connects, by what it says and by the settings; and which are refused."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault.errors import InvalidArgumentError
from vault_server import AccessSettings
from vault_server.access.listeners import given_away, listeners_of
from vault_server.listen_address import Listen

PLAIN = AccessSettings()
TLS = AccessSettings(tls_cert="c", tls_key="k")
TOKENS = AccessSettings(tokens="t")
BOTH = AccessSettings(tls_cert="c", tls_key="k", tokens="t")
MUTUAL = AccessSettings(tls_cert="c", tls_key="k", tls_client_ca="a", tokens="t")


@pytest.mark.parametrize(
    ("listen", "settings", "rule"),  # TLS, client certificates, identity
    [
        ("127.0.0.1:0", PLAIN, (False, False, False)),
        ("127.0.0.1:0", TLS, (True, False, False)),
        ("grpc://127.0.0.1:0", TLS, (False, False, False)),
        ("grpcs://127.0.0.1:0", TLS, (True, False, False)),
        ("unix:/s", MUTUAL, (False, False, True)),
        ("unix:/s?identity=none", MUTUAL, (False, False, False)),
        ("127.0.0.1:0", TOKENS, (False, False, True)),
        ("[::1]:0", BOTH, (True, False, True)),
        ("[::1]:0?identity=none", BOTH, (True, False, False)),
        ("127.0.0.1:0", MUTUAL, (True, True, True)),
        ("grpc://127.0.0.1:0", MUTUAL, (False, False, True)),
        ("127.0.0.1:0?client-certs=none", MUTUAL, (True, False, True)),
        ("127.0.0.1:0?client-certs=required&identity=none", MUTUAL, (True, True, False)),
        ("grpcs://127.0.0.1:0/?identity=required", BOTH, (True, False, True)),
    ],
)
def test_the_rule_is_what_the_address_says_or_else_what_the_settings_imply(
    listen: str, settings: AccessSettings, rule: tuple[bool, bool, bool]
) -> None:
    (found,) = listeners_of(listen, settings)
    assert (found.tls, found.client_certs, found.identity) == rule
    assert found.shown(1).startswith("grpcs://") is found.tls


@pytest.mark.parametrize(
    ("listen", "settings", "why"),
    [
        ("grpcs://127.0.0.1:0", PLAIN, "--tls-cert"),
        ("127.0.0.1:0?client-certs=required", PLAIN, "over TLS alone"),
        ("grpc://127.0.0.1:0?client-certs=required", MUTUAL, "over TLS alone"),
        ("unix:/s?client-certs=required", MUTUAL, "over TLS alone"),
        ("127.0.0.1:0?client-certs=required", BOTH, "--tls-client-ca"),
        ("127.0.0.1:0?identity=required", TLS, "--tokens"),
        ("127.0.0.1:0", AccessSettings(tls_cert="c", tls_key="k", tls_client_ca="a"), "--tokens"),
    ],
)
def test_a_rule_without_what_it_needs_is_refused(listen: str, settings: AccessSettings, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why) as caught:
        listeners_of(listen, settings)
    assert caught.value.reason == "BAD_SETTING"


@pytest.mark.parametrize(
    "listen",
    [
        "127.0.0.1:0?", "127.0.0.1:0?x=y", "127.0.0.1:0?identity", "127.0.0.1:0?identity=yes",
        "http://127.0.0.1:0", "grpcs://unix:/s", "grpcs://127.0.0.1", "grpcs://", "unix:?identity=none",
        "unix-abstract:x", "127.0.0.1:0?identity=none?", "://127.0.0.1:0",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        listeners_of(listen, MUTUAL)
    assert caught.value.reason == "BAD_ADDRESS"


@given(
    st.builds(
        Listen,
        host=st.sampled_from(["127.0.0.1", "::1", "host.example"]),
        port=st.integers(0, 65535),
        tls=st.sampled_from([None, True, False]),
        client_certs=st.sampled_from([None, True, False]),
        identity=st.sampled_from([None, True, False]),
    )
)
def test_an_address_is_read_as_it_is_written(listen: Listen) -> None:
    assert Listen.parse(str(listen)) == listen


LOCAL = ["127.0.0.1:0", "127.8.8.8:0", "[::1]:0", "localhost:0", "[::ffff:127.0.0.1]:0", "unix:/s"]
OPEN = ["0.0.0.0:0", "[::]:0", "203.0.113.1:0", "[2001:db8::1]:0", "[::ffff:203.0.113.1]:0", "[::ffff:0.0.0.0]:0"]


@pytest.mark.parametrize("listen", LOCAL)
def test_on_this_machine_nothing_is_asked_for(listen: str) -> None:
    assert given_away(listeners_of(listen, PLAIN), PLAIN) == []


@pytest.mark.parametrize("listen", OPEN)
def test_beyond_the_machine_each_insecure_way_is_refused_unless_it_is_allowed(listen: str) -> None:
    for tls in (False, True):
        for tokens in (False, True):
            for plaintext in (False, True):
                for anonymous in (False, True):
                    settings = AccessSettings(
                        tls_cert="c" if tls else None,
                        tls_key="k" if tls else None,
                        tokens="t" if tokens else None,
                        insecure_plaintext=plaintext,
                        insecure_anonymous=anonymous,
                    )
                    listeners = listeners_of(["127.0.0.1:0", listen], settings)
                    missing = {"--insecure-plaintext": not tls, "--insecure-anonymous": not tokens}
                    allowed = {"--insecure-plaintext": plaintext, "--insecure-anonymous": anonymous}
                    if all(allowed[flag] or not missing[flag] for flag in missing):
                        lines = given_away(listeners, settings)
                        assert [line.partition(":")[0] for line in lines] == [f for f, gone in missing.items() if gone]
                    else:
                        with pytest.raises(InvalidArgumentError) as caught:
                            given_away(listeners, settings)
                        for flag, gone in missing.items():
                            assert (flag in caught.value.message) is (gone and not allowed[flag])


def test_a_name_with_one_address_beyond_the_machine_is_not_local(monkeypatch: pytest.MonkeyPatch) -> None:
    def several(host: str, port: int, **_: object) -> list[object]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.1", "203.0.113.1")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    with pytest.raises(InvalidArgumentError, match="--insecure-plaintext"):
        given_away(listeners_of("host.example:0", PLAIN), PLAIN)


@pytest.mark.parametrize("given", [{"tls_cert": "c"}, {"tls_key": "k"}, {"tls_client_ca": "a"}])
def test_settings_that_need_each_other_are_given_together(given: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError, match="tls_cert"):
        AccessSettings(**given)  # type: ignore[arg-type]  # paths


@pytest.mark.parametrize("wrong", [5, b"c", "", "a\0b", True, ["c"]])
@pytest.mark.parametrize("name", ["tls_cert", "tls_key", "tls_client_ca", "tokens", "allow_file", "audit"])
def test_what_is_no_path_is_refused(name: str, wrong: object) -> None:
    with pytest.raises(InvalidArgumentError, match=name) as caught:
        AccessSettings(**{name: wrong})  # type: ignore[arg-type]  # that is what is tested
    assert caught.value.reason == "BAD_SETTING"


@pytest.mark.parametrize("wrong", ["10.0.0.0/8", ["10.0.0.0/8"], (5,), None])
def test_networks_are_a_tuple_of_texts(wrong: object) -> None:
    with pytest.raises(InvalidArgumentError, match="allow"):
        AccessSettings(allow=wrong)  # type: ignore[arg-type]  # that is what is tested
