"""Community ID version 1, seed 0 (github.com/corelight/community-id-spec).

The same connection has the same id in Zeek, Suricata, Packetbeat, Arkime and here, whichever side
spoke first. ICMP has no ports: its "ports" are the type and the type of the answer; a type without
an answer has its code instead, and keeps its direction.
"""

from binascii import b2a_base64
from hashlib import sha1

from sensor.model.address import MAPPED

TCP, UDP, SCTP, ICMP4, ICMP6 = 6, 17, 132, 1, 58
PORTED = frozenset((TCP, UDP, SCTP, ICMP4, ICMP6))
# Types that have an answer: echo, timestamp, information, router and mask of RFC 792, 950, 1256;
# echo, MLD, router, neighbour, node information and home agent of RFC 4443, 2710, 4861, 4620, 6275.
TWO_WAY = {
    ICMP4: frozenset((0, 8, 9, 10, 13, 14, 15, 16, 17, 18)),
    ICMP6: frozenset((128, 129, 130, 131, 133, 134, 135, 136, 139, 140, 144, 145)),
}
PROTOCOL = tuple(bytes((number, 0)) for number in range(256))


def community_id(orig: bytes, resp: bytes, orig_port: int, resp_port: int, protocol: int) -> str:
    """``1:`` and 28 characters; addresses are 16 octets, IPv4 as ::ffff:a.b.c.d.

    For ICMP, orig_port is the type, resp_port the answer's type (the code, if there is none).
    """
    two_way = TWO_WAY.get(protocol)
    turn = orig > resp or (orig == resp and orig_port > resp_port)
    if turn and (two_way is None or orig_port in two_way):
        orig, resp, orig_port, resp_port = resp, orig, resp_port, orig_port
    if orig[:12] == MAPPED == resp[:12]:
        orig, resp = orig[12:], resp[12:]
    hashed = b"\0\0" + orig + resp + PROTOCOL[protocol]
    if protocol in PORTED:
        hashed += (orig_port << 16 | resp_port).to_bytes(4)
    digest = sha1(hashed, usedforsecurity=False).digest()
    return "1:" + b2a_base64(digest, newline=False).decode()
