"""Ethernet frames, octet by octet: fast enough for floods of tens of thousands.

Addresses are packed (4 or 16 octets). Checksums are not computed, as on a
host whose card does that.
"""

import struct
from collections.abc import Iterator

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58

HOST_MAC, ROUTER_MAC = b"\x02\0\0\0\0\x10", b"\x02\0\0\0\0\x01"
ETHERNET4 = HOST_MAC + ROUTER_MAC + b"\x08\x00"
ETHERNET6 = HOST_MAC + ROUTER_MAC + b"\x86\xdd"
HEAD4 = struct.Struct(">BBHHHBBH")
HEAD6 = struct.Struct(">IHBB")
TCP_HEAD = struct.Struct(">HHIIBBHHH")
UDP_HEAD = struct.Struct(">HHHH")
NO_CHECKSUM = 0xFFFF  # not 0: IPv6 forbids that (RFC 8200 section 8.1)
DONT_FRAGMENT, MORE_FRAGMENTS = 0x4000, 0x2000


def ip(src: bytes, dst: bytes, protocol: int, body: bytes, ttl: int = 64) -> bytes:
    """One whole packet."""
    if len(src) == 4:
        head = HEAD4.pack(0x45, 0, 20 + len(body), 0, DONT_FRAGMENT, ttl, protocol, 0)
        return ETHERNET4 + head + src + dst + body
    head = HEAD6.pack(0x60000000, len(body), protocol, ttl)
    return ETHERNET6 + head + src + dst + body


def tcp(
    src: bytes,
    dst: bytes,
    sport: int,
    dport: int,
    seq: int,
    ack: int,
    flags: int,
    payload: bytes = b"",
    *,
    window: int = 64240,
    options: bytes = b"",
    ttl: int = 64,
) -> bytes:
    """A segment; `options` are padded to a multiple of 4."""
    options += b"\0" * (-len(options) % 4)
    head = TCP_HEAD.pack(
        sport,
        dport,
        seq & 0xFFFFFFFF,
        ack & 0xFFFFFFFF,
        (20 + len(options)) // 4 << 4,
        flags,
        window,
        0,
        0,
    )
    return ip(src, dst, TCP, head + options + payload, ttl)


def udp(src: bytes, dst: bytes, sport: int, dport: int, payload: bytes, ttl: int = 64) -> bytes:
    """A datagram."""
    head = UDP_HEAD.pack(sport, dport, 8 + len(payload), NO_CHECKSUM)
    return ip(src, dst, UDP, head + payload, ttl)


def echo(
    src: bytes, dst: bytes, ident: int, seq: int, payload: bytes, *, reply: bool = False
) -> bytes:
    """An echo request or its reply."""
    four = len(src) == 4
    kind = (0 if reply else 8) if four else (129 if reply else 128)
    body = struct.pack(">BBHHH", kind, 0, 0, ident & 0xFFFF, seq & 0xFFFF) + payload
    return ip(src, dst, ICMP if four else ICMP6, body)


def error(src: bytes, dst: bytes, quoted: bytes, kind: tuple[int, int] | None = None) -> bytes:
    """An ICMP error that quotes the frame `quoted`; port unreachable unless `kind` says otherwise.

    `kind` is (type, code) of the family in use.
    """
    four = len(src) == 4
    kind = kind or ((3, 3) if four else (1, 4))
    body = struct.pack(">BBHI", *kind, 0, 0) + quoted[14 : 14 + (28 if four else 48)]
    return ip(src, dst, ICMP if four else ICMP6, body)


def fragments(frame: bytes, ident: int, size: int = 1480) -> Iterator[bytes]:
    """The IP packet of `frame` in pieces of `size` octets (a multiple of 8)."""
    four = frame[12:14] == b"\x08\x00"
    head_length = 34 if four else 54
    body = frame[head_length:]
    for offset in range(0, len(body), size):
        piece = body[offset : offset + size]
        more = offset + size < len(body)
        yield fragment(
            frame[26:30] if four else frame[22:38],
            frame[30:34] if four else frame[38:54],
            frame[23] if four else frame[20],
            piece,
            ident,
            offset,
            more=more,
        )


def fragment(
    src: bytes, dst: bytes, protocol: int, piece: bytes, ident: int, offset: int, *, more: bool
) -> bytes:
    """One fragment; `offset` in octets."""
    if len(src) == 4:
        where = offset >> 3 | (MORE_FRAGMENTS if more else 0)
        head = HEAD4.pack(0x45, 0, 20 + len(piece), ident & 0xFFFF, where, 64, protocol, 0)
        return ETHERNET4 + head + src + dst + piece
    extension = struct.pack(">BBHI", protocol, 0, offset | more, ident)
    head = HEAD6.pack(0x60000000, 8 + len(piece), 44, 64)
    return ETHERNET6 + head + src + dst + extension + piece
