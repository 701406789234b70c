"""16-octet addresses against the ipaddress module."""

import random
from ipaddress import ip_address, ip_network

import pytest

from sensor.model.address import (
    PRIVATE_RANGES,
    address_text,
    contains,
    is_host,
    is_private,
    pack_address,
    pack_prefix,
    prefix_text,
)


@pytest.mark.parametrize("text", ["192.0.2.1", "0.0.0.0", "2001:db8::1", "::", "::1"])  # noqa: S104
def test_round_trip(text: str) -> None:
    assert address_text(pack_address(text)) == text
    assert len(pack_address(text)) == 16


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.9.9.9/8", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_prefixes(text: str, canonical: str) -> None:
    assert prefix_text(pack_prefix(text)) == canonical


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "10.0.0", "example.org", "::/129"])
def test_what_is_no_prefix(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        pack_prefix(text)


def test_membership_equals_ipaddress() -> None:
    rng = random.Random(4)
    networks = [ip_network(text) for text in PRIVATE_RANGES]
    edges = [n[i] for n in networks for i in (0, -1)]
    drawn = [ip_address(rng.getrandbits(32)) for _ in range(500)]
    for address in [*edges, *(e + 1 for e in edges), *(e - 1 for e in edges if int(e)), *drawn]:
        packed = pack_address(str(address))
        inside = [address in n for n in networks]
        assert is_private(packed) is any(inside)
        assert [contains(pack_prefix(t), packed) for t in PRIVATE_RANGES] == inside


def test_hosts() -> None:
    nobody = ("224.0.0.251", "255.255.255.255", "0.0.0.0", "::", "ff02::1")  # noqa: S104
    assert not any(is_host(pack_address(text)) for text in nobody)
    assert is_host(pack_address("192.0.2.1"))
    assert is_host(pack_address("fe80::1"))
