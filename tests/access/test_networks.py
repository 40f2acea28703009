"""Which addresses are in which networks, however either is written."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault.errors import InvalidArgumentError
from vault_server.access.networks import Networks, caller_network, parse_network, peer_address

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6, network="2000::/3")


def network_of(address: ipaddress.IPv4Address | ipaddress.IPv6Address, prefix: int) -> str:
    return str(ipaddress.ip_network((address, prefix), strict=False))


@given(V4, V4, st.integers(0, 32))
def test_an_ipv4_address_is_in_a_network_however_both_are_written(
    address: ipaddress.IPv4Address, other: ipaddress.IPv4Address, prefix: int
) -> None:
    network = network_of(other, prefix)
    mapped = f"::ffff:{network.partition('/')[0]}/{96 + prefix}"
    expected = address in ipaddress.ip_network(network)
    for written in (network, mapped):
        networks = Networks.parse([written])
        for peer in (f"ipv4:{address}:50000", f"ipv6:%5B::ffff:{address}%5D:50000"):
            assert (peer_address(peer) in networks) == expected
    assert peer_address(f"ipv4:{address}:1") in Networks.parse([f"{address}"])


@given(V6, V6, st.integers(0, 128))
def test_an_ipv6_address_is_in_its_networks_and_in_none_of_ipv4(
    address: ipaddress.IPv6Address, other: ipaddress.IPv6Address, prefix: int
) -> None:
    network = network_of(other, prefix)
    expected = address in ipaddress.ip_network(network)
    for peer in (f"ipv6:%5B{address}%5D:443", f"ipv6:[{address}]:443", f"ipv6:%5B{address}%25eth0%5D:443"):
        assert (peer_address(peer) in Networks.parse([network])) == expected
        assert peer_address(peer) not in Networks.parse(["0.0.0.0/0"])


def test_all_of_ipv6_is_nothing_of_ipv4() -> None:
    assert peer_address("ipv6:%5B::ffff:10.0.0.1%5D:1") not in Networks.parse(["::/0"])
    assert peer_address("ipv6:%5B::ffff:10.0.0.1%5D:1") in Networks.parse(["::/0", "10.0.0.0/8"])


@pytest.mark.parametrize("peer", ["unix:", "unix:/run/vault.sock", "unix-abstract:x"])
def test_a_unix_socket_is_always_allowed(peer: str) -> None:
    assert peer_address(peer) in Networks.parse([])


def test_of_no_network_there_is_no_address() -> None:
    assert peer_address("ipv4:127.0.0.1:1") not in Networks.parse([])


@given(V4 | V6, st.data())
def test_bits_beyond_the_prefix_are_refused_with_the_network_that_was_meant(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, data: st.DataObject
) -> None:
    prefix = data.draw(st.integers(0, address.max_prefixlen))
    meant = network_of(address, prefix)
    text = f"{address}/{prefix}"
    if ipaddress.ip_network(meant).network_address == address:
        assert parse_network(text) == ipaddress.ip_network(meant)
    else:
        with pytest.raises(InvalidArgumentError) as caught:
            parse_network(text)
        assert caught.value.reason == "BAD_NETWORK"
        assert meant in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0.0/33", "10.0.0/8", "fe80::1%eth0", "fe80::%1/64", "localhost", "10.0.0.0-10.0.0.9", "::/129", "x\n"],
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse_network(text)
    assert caught.value.reason == "BAD_NETWORK"


@given(st.text(max_size=40))
def test_any_text_is_a_network_or_refused(text: str) -> None:
    try:
        parse_network(text)
    except InvalidArgumentError as error:
        assert error.reason == "BAD_NETWORK"  # noqa: PT017  # of many that are refused


def test_a_file_has_networks_and_comments_and_all_of_it_or_nothing_is_taken() -> None:
    content = b"# offices\n10.1.0.0/16   # Berlin\n\n  fd00::/8\n192.0.2.7\n"
    assert Networks.parse_file(content) == Networks.parse(["10.1.0.0/16", "fd00::/8", "192.0.2.7"])
    assert Networks.parse_file(b"# nobody\n") == Networks.parse_file(b"") == Networks.parse([])
    for bad in (b"10.1.0.0/16\n10.1.0.1/16\n", b"10.1.0.0/16\n\xff\xfe\n"):
        with pytest.raises(InvalidArgumentError, match="line 2"):
            Networks.parse_file(bad)


def test_a_budget_is_an_addresss_or_of_ipv6_its_64s() -> None:
    assert caller_network(peer_address("ipv4:10.0.0.1:1")) == "10.0.0.1"
    one, two, other = (
        caller_network(peer_address(f"ipv6:%5B{a}%5D:1")) for a in ("2001:db8::1", "2001:db8::2:3:4", "2001:db8:0:1::1")
    )
    assert one == two != other
    assert caller_network(peer_address("unix:")) == "unix"
