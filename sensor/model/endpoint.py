"""Endpoints and protocols by name (DESIGN 4.6): `name:port/proto` of the responder."""

from functools import lru_cache

from sensor.model.address import address_text
from sensor.model.text import decode_name

ICMP = (1, 58)
OTHER = "__other__"  # where the endpoints beyond the first 500 are added up
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp"}


def protocol_name(number: int) -> str:
    """``tcp``; ``ip47`` for a protocol without a name of ours."""
    return PROTOCOLS.get(number) or f"ip{number}"


@lru_cache(maxsize=65536)
def endpoint_label(name: bytes, address: bytes, port: int, protocol: int) -> str:
    """One endpoint; without a name it is its address, IPv6 in brackets; ICMP has no port."""
    if name:
        shown = decode_name(name)
    else:
        text = address_text(address)
        shown = f"[{text}]" if ":" in text else text
    kind = protocol_name(protocol)
    return f"{shown}/{kind}" if protocol in ICMP else f"{shown}:{port}/{kind}"
