"""Addresses as the native floor has them: 16 octets, IPv4 as ::ffff:a.b.c.d."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

MAPPED = bytes(10) + b"\xff\xff"

Prefix = tuple[bytes, int]  # network address in 16 octets, prefix length of 128

# RFC 1918, RFC 3927, loopback; RFC 4193, RFC 4291 link-local and loopback.
PRIVATE_RANGES = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
)


def address_of(packed: bytes) -> IPv4Address | IPv6Address:
    """The address that 16 octets stand for."""
    if packed[:12] == MAPPED:
        return IPv4Address(packed[12:])
    return IPv6Address(packed)


@lru_cache(maxsize=65536)
def address_text(packed: bytes) -> str:
    """``192.0.2.1`` or ``2001:db8::1``."""
    return str(address_of(packed))


def pack_address(text: str) -> bytes:
    """16 octets of an address; ValueError when it is none."""
    address = ip_address(text)
    return address.packed if address.version == 6 else MAPPED + address.packed


def pack_prefix(text: str) -> Prefix:
    """A CIDR (host bits may be set, no length means one host); ValueError when it is none."""
    network = ip_network(text, strict=False)
    if network.version == 6:
        return network.network_address.packed, network.prefixlen
    return MAPPED + network.network_address.packed, 96 + network.prefixlen


def prefix_text(prefix: Prefix) -> str:
    """``10.0.0.0/8``: the inverse of `pack_prefix`."""
    packed, length = prefix
    if packed[:12] == MAPPED and length >= 96:
        return f"{IPv4Address(packed[12:])}/{length - 96}"
    return f"{IPv6Address(packed)}/{length}"


@lru_cache(maxsize=65536)
def is_private(packed: bytes) -> bool:
    """Within PRIVATE_RANGES."""
    return any(contains(prefix, packed) for prefix in PRIVATE_PREFIXES)


def contains(prefix: Prefix, packed: bytes) -> bool:
    """Whether an address lies within a prefix."""
    network, length = prefix
    shift = 128 - length
    return int.from_bytes(network) >> shift == int.from_bytes(packed) >> shift


def is_host(packed: bytes) -> bool:
    """Whether one host can own the address: not multicast, broadcast or unspecified."""
    address = address_of(packed)
    return not (address.is_multicast or address.is_unspecified or packed[12:] == b"\xff" * 4)


PRIVATE_PREFIXES = tuple(pack_prefix(text) for text in PRIVATE_RANGES)
