"""LLDP (IEEE 802.1AB-2016 clause 8) and CDP messages: who the neighbour says it is.

Anybody on the link can send these, so they are claims. Sizes are those of one frame; a message that
contradicts itself is read up to there.
"""

from collections.abc import Iterator
from typing import NamedTuple

from sensor.model.address import MAPPED
from sensor.model.text import decode_name

LLDP_CHASSIS, LLDP_NAME, LLDP_CAPABILITIES, LLDP_ADDRESS = 1, 5, 7, 8
BY_MAC = 4  # subtype of LLDP_CHASSIS
CDP_NAME, CDP_ADDRESSES, CDP_CAPABILITIES, CDP_MANAGEMENT = 1, 2, 4, 0x16
# Bits of what a device does: (router, switch).
LLDP_BITS = (1 << 4, 1 << 2)
CDP_BITS = (1 << 0, 1 << 1 | 1 << 2 | 1 << 3)
IPV4, IPV6 = 1, 2  # IANA address families
CDP_PROTOCOLS = {b"\xcc": 4, bytes.fromhex("aaaa0300000086dd"): 16}  # octets of an address
MOST_ADDRESSES = 8
MOST_NAME = 255  # octets
Parts = Iterator[tuple[int, bytes]]


class Announced(NamedTuple):
    """`addresses`: in 16 octets each, where it can be managed; `role`: as of topology nodes."""

    name: str | None
    mac: bytes | None
    addresses: tuple[bytes, ...]
    role: str


def read(is_cdp: bool, octets: bytes) -> Announced:
    """One message, from behind its Ethernet or SNAP header."""
    return read_cdp(octets) if is_cdp else read_lldp(octets)


def read_lldp(octets: bytes) -> Announced:
    name, mac, role = None, None, "host"
    addresses: list[bytes] = []
    for kind, value in lldp_parts(octets):
        if kind == LLDP_CHASSIS and len(value) == 7 and value[0] == BY_MAC:
            mac = value[1:]
        elif kind == LLDP_NAME:
            name = decode_name(value[:MOST_NAME])
        elif kind == LLDP_CAPABILITIES and len(value) >= 4:
            role = role_of(int.from_bytes(value[2:4]), *LLDP_BITS)
        elif kind == LLDP_ADDRESS and len(value) > 1:
            length, family = value[0] - 1, value[1]
            if {IPV4: 4, IPV6: 16}.get(family) == length and len(value) >= 2 + length:
                addresses.append(packed(value[2 : 2 + length]))
    return Announced(name, mac, tuple(addresses[:MOST_ADDRESSES]), role)


def read_cdp(octets: bytes) -> Announced:
    name, role = None, "host"
    addresses: list[bytes] = []
    for kind, value in cdp_parts(octets):
        if kind == CDP_NAME:
            name = decode_name(value[:MOST_NAME])
        elif kind in (CDP_ADDRESSES, CDP_MANAGEMENT):
            addresses += cdp_addresses(value)
        elif kind == CDP_CAPABILITIES and len(value) == 4:
            role = role_of(int.from_bytes(value), *CDP_BITS)
    return Announced(name, None, tuple(dict.fromkeys(addresses))[:MOST_ADDRESSES], role)


def lldp_parts(octets: bytes) -> Parts:
    """Type and value, up to the end, or to what is cut."""
    at = 0
    while at + 2 <= len(octets):
        head = int.from_bytes(octets[at : at + 2])
        kind, length = head >> 9, head & 0x1FF
        at += 2
        if kind == 0 or at + length > len(octets):
            return
        yield kind, octets[at : at + length]
        at += length


def cdp_parts(octets: bytes) -> Parts:
    """Likewise, behind version, time to live and checksum; lengths have their own four octets."""
    at = 4
    while at + 4 <= len(octets):
        kind, length = int.from_bytes(octets[at : at + 2]), int.from_bytes(octets[at + 2 : at + 4])
        if length < 4 or at + length > len(octets):
            return
        yield kind, octets[at + 4 : at + length]
        at += length


def cdp_addresses(value: bytes) -> Iterator[bytes]:
    count, at = int.from_bytes(value[:4]), 4
    for _ in range(min(count, MOST_ADDRESSES)):
        protocol = value[at + 2 : at + 2 + value[at + 1]] if at + 1 < len(value) else b""
        at += 2 + len(protocol)
        length = int.from_bytes(value[at : at + 2])
        address = value[at + 2 : at + 2 + length]
        if not protocol or len(address) < length:
            return
        if CDP_PROTOCOLS.get(protocol) == length:
            yield packed(address)
        at += 2 + length


def role_of(bits: int, router: int, switch: int) -> str:
    return "router" if bits & router else "switch" if bits & switch else "host"


def packed(address: bytes) -> bytes:
    return address if len(address) == 16 else MAPPED + address
