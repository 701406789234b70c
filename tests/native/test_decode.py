"""Decoding: hand-worked frames for every layer, and the hostile ones.

Expected values are the octets put in by hand or by scapy, never what the decoder said before.
"""

import random
from ipaddress import ip_address
from struct import pack

import pytest
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror, UDPerror
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, GRE, LLC, SNAP, STP, CookedLinux, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from sensor._native.doors_decode import Decoding, decode_frame

ETHERNET = 1
RAW_IP = 101
V6, FRAGMENT, LATER, TUNNELLED, CUT, GSO, TIMESTAMP, QUOTE, ECN_CE = (1 << i for i in range(9))
CLASSES = ("truncated", "malformed", "unsupported")


def ether(**fields: object) -> Packet:
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", **fields)


def ip4(**fields: object) -> Packet:
    return IP(src="192.0.2.1", dst="198.51.100.7", **fields)


IP4 = IP(src="192.0.2.1", dst="198.51.100.7")
IP6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
SEGMENT = TCP(sport=40000, dport=443, flags="PA", seq=7, ack=9) / b"hello"
TUNNEL = IP(src="10.0.0.1", dst="10.0.0.2")


def key_of(src: str, sport: int, dst: str, dport: int, proto: int) -> tuple[list[int], int]:
    """The canonical key and the direction, by packet.pxd's words."""
    ends = []
    for text, port in ((src, sport), (dst, dport)):
        address = ip_address(text)
        number = int(address) | (0xFFFF << 32 if address.version == 4 else 0)
        ends.append((number, port))
    direction = int(ends[0] > ends[1])
    (a, a_port), (b, b_port) = sorted(ends)
    low = (1 << 64) - 1
    key = [a >> 64, a & low, b >> 64, b & low, a_port << 48 | b_port << 32 | proto]
    return key, direction


FLOW4 = key_of("192.0.2.1", 40000, "198.51.100.7", 443, 6)
FLOW6 = key_of("2001:db8::1", 40000, "2001:db8::2", 443, 6)


def wire(frame: Packet | bytes) -> bytes:
    return bytes(frame)


def decoded(frame: Packet | bytes, link: int = ETHERNET, wire_len: int | None = None) -> dict:
    out = decode_frame(link, wire(frame), wire_len)
    told = [c for c in CLASSES for name in out["anomalies"] if name.startswith(c + "_")]
    assert told == ([out["result"]] if out["result"] in CLASSES else [])
    return out


def is_flow4(out: dict) -> bool:
    return (out["key"], out["dir"]) == FLOW4 and out["payload"] == b"hello" and out["seq"] == 7


# ---------------------------------------------------------------- transport


def test_tcp_fields_in_full() -> None:
    options = [("MSS", 1440), ("NOP", None), ("WScale", 9), ("SAckOK", b""), ("Timestamp", (77, 0))]
    syn = TCP(sport=40000, dport=443, flags="SEC", seq=0xFFFFFFF0, window=64240, options=options)
    out = decoded(ether() / ip4(ttl=57, tos=3) / syn)
    assert (out["key"], out["dir"]) == FLOW4
    assert out["tcp_flags"] == 0xC2
    assert out["seq"] == 0xFFFFFFF0
    assert (out["mss"], out["wscale"], out["ts_val"], out["ts_ecr"]) == (1440, 9, 77, 0)
    assert (out["window"], out["ttl"], out["payload_len"]) == (64240, 57, 0)
    assert out["flags"] == TIMESTAMP | ECN_CE


def test_timestamps_in_their_usual_place_and_elsewhere() -> None:
    stamp = ("Timestamp", (0x01020304, 0x05060708))
    for chosen in ([("NOP", None), ("NOP", None), stamp], [stamp], [("MSS", 9), stamp]):
        out = decoded(ether() / IP4 / TCP(flags="A", options=chosen) / b"x")
        assert (out["ts_val"], out["ts_ecr"], out["payload"]) == (0x01020304, 0x05060708, b"x")


def test_mss_and_scale_only_count_on_a_syn() -> None:
    out = decoded(ether() / IP4 / TCP(flags="A", options=[("MSS", 1), ("WScale", 3)]))
    assert (out["mss"], out["wscale"]) == (0, 255)


@pytest.mark.parametrize(
    "options",
    [
        b"\x08\x00" * 2,
        b"\x08\x01" * 2,
        b"\x02\x05\x01\x01",
        b"\x01\x01\x01\x08",
        b"\xfe\xff\x01\x01",
    ],
)
def test_bad_tcp_options_are_noted_and_end(options: bytes) -> None:
    head = pack("!HHIIBBHHH", 1, 2, 3, 4, (20 + len(options)) // 4 << 4, 0x10, 5, 0, 0)
    out = decoded(ether() / ip4(proto=6) / Raw(head + options + b"data"))
    assert out["result"] == "ok"
    assert out["payload"] == b"data"
    assert out["anomalies"] == {"tcp_option_bad": 1}


def test_both_directions_share_a_key_and_differ_in_dir() -> None:
    there = decoded(ether() / IP4 / UDP(sport=5353, dport=53) / b"q")
    answer = IP(src="198.51.100.7", dst="192.0.2.1") / UDP(sport=53, dport=5353)
    back = decoded(ether() / answer / b"a")
    assert there["key"] == back["key"] == key_of("192.0.2.1", 5353, "198.51.100.7", 53, 17)[0]
    assert there["hash"] == back["hash"]
    assert {there["dir"], back["dir"]} == {0, 1}


def test_hash_is_keyed() -> None:
    frame = wire(ether() / IP4 / SEGMENT)
    draws = [[0x9E3779B97F4A7C15 * (5 * n + i + 1) % 2**64 for i in range(5)] for n in range(20)]
    assert len({Decoding(secret=draw).frame(ETHERNET, frame)["hash"] for draw in draws}) == 20


def test_ethernet_padding_is_no_payload_and_udp_length_rules() -> None:
    out = decoded(wire(ether() / IP4 / UDP(sport=1, dport=2) / b"x") + b"\0" * 17)
    assert (out["payload"], out["payload_len"]) == (b"x", 1)
    for packet in (IP4 / TCP(), IP4 / TCP() / b"x", IP6 / TCP() / b"x", Dot1Q() / IP4 / TCP()):
        whole = wire(ether() / packet)
        padded = decoded(whole + b"\0" * 46)
        assert padded["captured"] == padded["payload_len"] == len(packet[TCP].payload)
        assert not padded["anomalies"]
    out = decoded(ether() / IP4 / UDP(sport=1, dport=2, len=9) / b"xyz")
    assert (out["payload"], out["payload_len"]) == (b"x", 1)
    out = decoded(ether() / IP4 / UDP(sport=1, dport=2, len=900) / b"xyz")
    assert (out["payload"], out["anomalies"]) == (b"xyz", {"udp_length_past_ip": 1})
    assert decoded(ether() / IP4 / UDP(sport=1, dport=2, len=7) / b"xyz")["result"] == "malformed"


def test_snaplen_keeps_wire_lengths() -> None:
    frame = wire(ether() / IP4 / TCP(sport=40000, dport=443, seq=7) / (b"hello" + b"z" * 500))
    out = decoded(frame[:59], wire_len=len(frame))
    assert (out["payload"], out["captured"], out["payload_len"]) == (b"hello", 5, 505)
    assert out["flags"] == CUT
    assert out["wire_len"] == len(frame)


def test_options_cut_by_the_snaplen_are_unknown_not_wrong() -> None:
    frame = wire(ether() / IP4 / TCP(flags="S", options=[("MSS", 1460), ("Timestamp", (1, 2))]))
    out = decoded(frame[:58], wire_len=len(frame))
    assert (out["result"], out["mss"], out["payload_len"]) == ("ok", 1460, 0)
    assert "ts_val" not in out
    assert out["anomalies"] == {"snaplen_cut_tcp_options": 1}


# ---------------------------------------------------------------- ICMP


@pytest.mark.parametrize(("ask", "answer"), [(8, 0), (13, 14), (15, 16), (17, 18), (10, 9)])
def test_icmp_request_and_reply_share_a_key(ask: int, answer: int) -> None:
    a, b = "192.0.2.1", "198.51.100.7"
    there = decoded(ether() / IP(src=a, dst=b, proto=1) / Raw(pack("!BBHI", ask, 0, 0, 0)))
    back = decoded(ether() / IP(src=b, dst=a, proto=1) / Raw(pack("!BBHI", answer, 0, 0, 0)))
    assert there["key"] == key_of(a, ask, b, answer, 1)[0] == back["key"]
    assert {there["dir"], back["dir"]} == {0, 1}
    assert (there["icmp_type"], back["icmp_type"]) == (ask, answer)


@pytest.mark.parametrize(
    ("ask", "answer"), [(128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)]
)
def test_icmpv6_request_and_reply_share_a_key(ask: int, answer: int) -> None:
    a, b = "2001:db8::1", "2001:db8::2"
    there = decoded(ether() / IPv6(src=a, dst=b, nh=58) / Raw(pack("!BBHI", ask, 0, 0, 0)))
    back = decoded(ether() / IPv6(src=b, dst=a, nh=58) / Raw(pack("!BBHI", answer, 0, 0, 0)))
    assert there["key"] == key_of(a, ask, b, answer, 58)[0] == back["key"]


def test_icmp_error_names_the_flow_it_complains_about() -> None:
    lost = decoded(ether() / IP4 / UDP(sport=4000, dport=53) / b"q")
    error = (
        ether()
        / IP(src="203.0.113.9", dst="192.0.2.1")
        / ICMP(type=3, code=3)
        / IPerror(src="192.0.2.1", dst="198.51.100.7")
        / UDPerror(sport=4000, dport=53)
    )
    out = decoded(error)
    assert out["flags"] & QUOTE
    assert (out["quoted_key"], out["quoted_hash"], out["quoted_dir"]) == (
        lost["key"],
        lost["hash"],
        lost["dir"],
    )
    assert out["key"] == key_of("203.0.113.9", 3, "192.0.2.1", 3, 1)[0]
    quoted6 = IP6 / IPv6ExtHdrDestOpt() / TCP(sport=40000, dport=443)
    out = decoded(
        ether()
        / IPv6(src="2001:db8::ff", dst="2001:db8::1")
        / ICMPv6TimeExceeded()
        / Raw(wire(quoted6))
    )
    assert (out["quoted_key"], out["quoted_dir"]) == FLOW6


def test_icmp_error_with_a_bad_quote_is_noted() -> None:
    out = decoded(ether() / IP4 / ICMP(type=3) / Raw(b"\x45" + b"\0" * 7))
    assert out["result"] == "ok"
    assert not out["flags"] & QUOTE
    assert out["anomalies"] == {"icmp_quote_bad": 1}


def test_a_quote_without_ports_is_no_fault() -> None:
    for quoted in (
        IP(src="192.0.2.1", dst="192.0.2.2", proto=50),
        IP(src="192.0.2.1", dst="192.0.2.2", proto=17, frag=3),
    ):
        out = decoded(ether() / IP4 / ICMP(type=3) / Raw(wire(quoted) + b"8octets!"))
        assert (out["result"], out["anomalies"]) == ("ok", {})
        assert not out["flags"] & QUOTE


def test_quoted_transport_is_not_counted() -> None:
    d = Decoding()
    quoted = IPerror(src="192.0.2.1", dst="192.0.2.2") / TCPerror()
    d.frame(ETHERNET, wire(ether() / IP4 / ICMP(type=11) / quoted))
    assert d.counts == {"frames": 1, "ipv4": 1, "icmp": 1}


# ---------------------------------------------------------------- links


def sll2(payload: bytes, proto: int) -> bytes:
    return pack("!HHIHBB8s", proto, 0, 3, 1, 0, 6, b"\x02" * 8) + payload


def nflog(payload: bytes, order: str) -> bytes:
    tlv = pack(order + "HH", 8, 1) + b"\x08\x00\x01\x00" + pack(order + "HH", 5, 10) + b"\0\0\0\0"
    return b"\x02\0\0\0" + tlv + pack(order + "HH", 4 + len(payload), 9) + payload


DATAGRAM = wire(IP4 / SEGMENT)
ETHER = wire(ether() / IP4 / SEGMENT)
SNAPPED = b"\xaa\xaa\x03\0\0\0\x08\0" + DATAGRAM
WIFI = b"\x08\x01" + b"\0" * 22 + SNAPPED

LINKS = {
    "ethernet": (1, ETHER),
    "802.3 snap": (1, wire(ether(type=len(SNAPPED))) + SNAPPED + b"\0" * 3),
    "sll": (113, wire(CookedLinux(proto=0x0800)) + DATAGRAM),
    "sll vlan": (113, wire(CookedLinux(proto=0x8100)) + b"\0\x05\x08\0" + DATAGRAM),
    "sll2": (276, sll2(DATAGRAM, 0x0800)),
    "raw": (101, DATAGRAM),
    "raw bsd": (12, DATAGRAM),
    "raw openbsd": (14, DATAGRAM),
    "ipv4": (228, DATAGRAM),
    "null little": (0, b"\x02\0\0\0" + DATAGRAM),
    "null big": (0, b"\0\0\0\x02" + DATAGRAM),
    "loop": (108, b"\0\0\0\x02" + DATAGRAM),
    "ppp": (9, b"\xff\x03\0\x21" + DATAGRAM),
    "ppp compressed": (9, b"\x21" + DATAGRAM),
    "ppp serial": (50, b"\xff\x03\0\x21" + DATAGRAM),
    "cisco under ppp": (9, b"\x0f\0\x08\0" + DATAGRAM),
    "chdlc": (104, b"\x0f\0\x08\0" + DATAGRAM),
    "pppoe": (51, pack("!BBHH", 0x11, 0, 1, 2 + len(DATAGRAM)) + b"\0\x21" + DATAGRAM),
    "frame relay": (107, b"\x18\x41\x03\xcc" + DATAGRAM),
    "frame relay cisco": (107, b"\x18\x41\x08\0" + DATAGRAM),
    "frame relay snap": (107, b"\x18\x41\x03\0\x80\0\0\0\x08\0" + DATAGRAM),
    "fddi": (10, b"\x50" + b"\x02" * 12 + SNAPPED),
    "nflog little": (239, nflog(DATAGRAM, "<")),
    "nflog big": (239, nflog(DATAGRAM, ">")),
    "802.11": (105, WIFI),
    "802.11 qos": (105, b"\x88\x01" + b"\0" * 24 + SNAPPED),
    "radiotap": (127, b"\0\0\x0c\0" + b"\0" * 8 + WIFI),
    "ppi": (192, b"\0\0\x08\0\x69\0\0\0" + WIFI),
}


@pytest.mark.parametrize("name", LINKS)
def test_link_types_lead_to_the_same_packet_whole_and_cut(name: str) -> None:
    link, frame = LINKS[name]
    assert is_flow4(decoded(frame, link))
    for n in range(len(frame)):
        out = decoded(frame[:n], link, wire_len=len(frame))
        assert out["result"] in ("ok", "truncated"), n
        assert out["result"] == "truncated" or (out["key"], out["payload_len"]) == (FLOW4[0], 5)


@pytest.mark.parametrize("family", [10, 24, 28, 30])
def test_loopback_families_of_ipv6(family: int) -> None:
    assert decoded(pack("<I", family) + wire(IP6 / SEGMENT), 0)["key"] == FLOW6[0]


@pytest.mark.parametrize(
    "tags",
    [Dot1Q(vlan=7), Dot1AD(vlan=7) / Dot1Q(vlan=9), Dot1Q(vlan=7) / Dot1Q(vlan=8) / Dot1Q(vlan=9)],
)
def test_the_outermost_vlan_is_kept(tags: Packet) -> None:
    out = decoded(ether() / tags / IP4 / SEGMENT)
    assert is_flow4(out)
    assert (out["vlan"], out["depth"]) == (7, 0)


def test_pppoe_session_and_mpls_stacks() -> None:
    assert is_flow4(decoded(ether() / PPPoE(sessionid=1) / PPP() / IP4 / SEGMENT))
    labels = MPLS(label=20, s=0) / MPLS(label=30, s=1)
    assert is_flow4(decoded(ether() / labels / IP4 / SEGMENT))
    pseudowire = wire(ether() / MPLS(label=20, s=1)) + b"\0\0\0\0" + ETHER
    assert is_flow4(decoded(pseudowire))


@pytest.mark.parametrize(
    "frame",
    [
        ether() / LLC() / STP(),
        ether() / LLC() / SNAP(OUI=0x0C, code=0x2003) / b"vtp",
        ether() / ip4(proto=50) / b"esp!esp!",
        ether() / ip4(proto=2) / b"igmpigmp",
        ether() / ip4(proto=132) / b"sctpsctp",
    ],
)
def test_understood_but_no_flow(frame: Packet) -> None:
    assert decoded(frame)["result"] == "no_flow"


@pytest.mark.parametrize(
    ("frame", "result"),
    [
        (ether() / ARP(), "arp"),
        (ether(type=0x88CC) / b"lldp", "lldp"),
        (ether() / LLC() / SNAP(OUI=0x0C, code=0x2000) / b"cdp", "cdp"),
    ],
)
def test_no_flow_but_handed_on(frame: Packet, result: str) -> None:
    assert decoded(frame)["result"] == result


def test_unsupported_is_named_and_unknown_links_are_listed() -> None:
    assert decoded(ether(type=0x1234) / b"?")["anomalies"] == {"unsupported_ethertype": 1}
    assert decoded(ether() / ip4(proto=253) / b"?")["anomalies"] == {"unsupported_ip_protocol": 1}
    d = Decoding()
    for link in [9999, 253, 9999, *range(300, 320)]:
        assert d.frame(link, b"x" * 60)["result"] == "unsupported"
    assert d.unknown_links[9999] == 2
    assert len(d.unknown_links) == 8
    assert d.anomalies == {"unsupported_link_type": 23}
    assert d.counts == {"frames": 23, "other": 23}


# ---------------------------------------------------------------- IP


def test_ipv6_extension_headers_and_hop_limit() -> None:
    chain = IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt()
    packet = IPv6(src="2001:db8::1", dst="2001:db8::2", hlim=3, tc=3) / chain / SEGMENT
    out = decoded(ether() / packet)
    assert (out["key"], out["dir"]) == FLOW6
    assert (out["ttl"], out["flags"], out["payload"]) == (3, V6 | ECN_CE, b"hello")


def chain_of(n: int) -> bytes:
    headers = (b"\x3c" + b"\0" * 7) * (n - 1) + b"\x06" + b"\0" * 7 if n else b""
    head = IPv6(src="2001:db8::1", dst="2001:db8::2", nh=60 if n else 6)
    return wire(head / Raw(headers + wire(SEGMENT)))


@pytest.mark.parametrize(
    ("headers", "result"), [(1, "ok"), (16, "ok"), (17, "unsupported"), (1000, "unsupported")]
)
def test_ipv6_extension_chain_is_bounded(headers: int, result: str) -> None:
    assert decoded(chain_of(headers), RAW_IP)["result"] == result


def test_lengths_left_to_the_offload_come_from_the_wire() -> None:
    big = bytearray(wire(IP4 / TCP(sport=40000, dport=443) / (b"z" * 30000)))
    big[2:4] = b"\0\0"
    out = decoded(bytes(big[:100]), RAW_IP, wire_len=len(big))
    assert (out["payload_len"], out["captured"]) == (30000, 60)
    assert out["flags"] == CUT | GSO
    jumbo = b"\x06\0\xc2\x04" + pack("!I", 8 + 20 + 100000) + wire(TCP(sport=40000, dport=443))
    packet = wire(IPv6(src="2001:db8::1", dst="2001:db8::2", nh=0, plen=0)) + jumbo
    out = decoded(packet, RAW_IP, wire_len=40 + 8 + 20 + 100000)
    assert (out["key"], out["payload_len"]) == (FLOW6[0], 100000)
    out = decoded(packet, RAW_IP)
    assert (out["payload_len"], out["anomalies"]) == (
        0,
        {"ip_length_past_frame": 1, "ipv6_jumbogram": 1},
    )


def test_gso_is_flagged_and_no_fault() -> None:
    out = decoded(ether() / IP4 / TCP() / (b"z" * 20000))
    assert out["flags"] & GSO
    assert out["anomalies"] == {"gso": 1}


def patched(at: int, octets: bytes, frame: bytes = ETHER) -> bytes:
    return frame[:at] + octets + frame[at + len(octets) :]


@pytest.mark.parametrize(
    ("frame", "anomaly"),
    [
        (b"", "malformed_link"),
        (b"\0", "malformed_link"),
        (ETHER[:13], "malformed_link"),
        (patched(14, b"\x44"), "malformed_ipv4"),
        (patched(14, b"\x40"), "malformed_ipv4"),
        (patched(14, b"\x65"), "malformed_ipv4"),
        (patched(16, b"\0\x13"), "malformed_ipv4_length"),
        (patched(16, b"\0\x14"), "malformed_tcp"),
        (patched(16, b"\0\x1b"), "malformed_tcp"),
        (patched(14, b"\x4f"), "malformed_ipv4_length"),
        (patched(46, b"\x40"), "malformed_tcp"),
        (patched(46, b"\x00"), "malformed_tcp"),
        (patched(46, b"\xf0"), "malformed_tcp"),
    ],
)
def test_hostile_headers_are_malformed(frame: bytes, anomaly: str) -> None:
    out = decoded(frame)
    assert out["result"] == "malformed"
    assert out["anomalies"] == {anomaly: 1}


def test_ip_length_past_the_frame_is_noted_and_kept() -> None:
    out = decoded(patched(16, b"\x0f\xff"))
    assert out["payload_len"] == 0x0FFF - 40
    assert out["captured"] == 5
    assert out["anomalies"] == {"ip_length_past_frame": 1, "snaplen_cut": 1}


def test_a_thousand_vlan_tags_end() -> None:
    frame = b"\2" * 12 + b"\x81\0\0\x01" * 1000 + b"\x08\0" + DATAGRAM
    assert decoded(frame)["anomalies"] == {"unsupported_headers_too_many": 1}


# ---------------------------------------------------------------- fragments


def fragments(proto_packet: bytes, proto: int, size: int, ident: int = 77) -> list[bytes]:
    pieces = [proto_packet[i : i + size] for i in range(0, len(proto_packet), size)]
    return [
        wire(
            ether()
            / ip4(
                proto=proto, id=ident, frag=i * size // 8, flags="MF" if i + 1 < len(pieces) else 0
            )
            / Raw(piece)
        )
        for i, piece in enumerate(pieces)
    ]


def test_later_fragments_get_the_flow_of_the_first() -> None:
    datagram = wire(UDP(sport=40000, dport=443, len=3008, chksum=1) / (b"z" * 3000))
    first, second, third = fragments(datagram, 17, 1480)
    d = Decoding()
    assert d.frame(ETHERNET, second)["result"] == "fragment"
    head = d.frame(ETHERNET, first)
    assert (head["key"], head["payload_len"], head["flags"]) == (
        key_of("192.0.2.1", 40000, "198.51.100.7", 443, 17)[0],
        1472,
        FRAGMENT,
    )
    for piece, size in ((second, 1480), (third, 48)):
        out = d.frame(ETHERNET, piece, ts_ns=2_000_000_000)
        assert (out["key"], out["hash"], out["dir"]) == (head["key"], head["hash"], head["dir"])
        assert (out["payload_len"], out["flags"]) == (size, FRAGMENT | LATER)
    assert d.frame(ETHERNET, third, ts_ns=2_000_000_001)["result"] == "fragment"
    assert d.counts["udp"] == 1
    assert d.counts["fragments"] == 5
    assert d.anomalies == {"fragment_unattributed": 2}


def test_ipv6_fragments_and_atomic_fragments() -> None:
    d = Decoding()
    first = ether() / IP6 / IPv6ExtHdrFragment(id=5, m=1, nh=6) / Raw(wire(SEGMENT) + b"zzzzzzz")
    later = ether() / IP6 / IPv6ExtHdrFragment(id=5, offset=4, nh=6) / b"more"
    assert d.frame(ETHERNET, wire(first))["key"] == FLOW6[0]
    out = d.frame(ETHERNET, wire(later))
    assert (out["key"], out["payload"], out["flags"]) == (FLOW6[0], b"more", V6 | FRAGMENT | LATER)
    atomic = decoded(ether() / IP6 / IPv6ExtHdrFragment(id=6) / SEGMENT)
    assert (atomic["key"], atomic["flags"]) == (FLOW6[0], V6)


def test_ipv6_fragments_with_headers_behind_the_fragment_header() -> None:
    d = Decoding()
    first = (
        ether()
        / IP6
        / IPv6ExtHdrFragment(id=5, m=1, nh=60)
        / IPv6ExtHdrDestOpt(nh=6)
        / Raw(wire(SEGMENT) + b"zzzzzzz")
    )
    later = ether() / IP6 / IPv6ExtHdrFragment(id=5, offset=5, nh=60) / b"more"
    assert d.frame(ETHERNET, wire(first))["key"] == FLOW6[0]
    assert d.frame(ETHERNET, wire(later))["key"] == FLOW6[0]


def test_fragment_of_a_tunnel_belongs_to_the_inner_flow() -> None:
    inner = wire(IP4 / TCP(sport=40000, dport=443) / (b"z" * 2000))
    d = Decoding()
    whole, rest = fragments(inner, 4, 1480)
    head = d.frame(ETHERNET, whole)
    assert (head["key"], head["depth"], head["payload_len"]) == (FLOW4[0], 1, 1440)
    assert d.frame(ETHERNET, rest)["key"] == FLOW4[0]


def test_fragment_attacks_are_named() -> None:
    tiny = wire(ether() / ip4(proto=6, flags="MF") / b"8octets!")
    assert decoded(tiny)["anomalies"] == {"fragment_tiny": 1}
    over = wire(ether() / ip4(proto=6, frag=1) / b"8octets!")
    assert decoded(over)["anomalies"] == {"fragment_in_header": 1, "fragment_unattributed": 1}
    far = wire(ether() / ip4(proto=17, frag=8191) / b"past the end of every datagram")
    assert decoded(far)["result"] == "fragment"


def test_fragment_bomb_is_bounded_and_evictions_are_counted() -> None:
    frame = bytearray(fragments(b"\x9c\x40\x01\xbb\0\x10\0\0" + b"z" * 16, 17, 16)[0])
    d = Decoding()
    for ident in range(65536):
        frame[18:20] = ident.to_bytes(2, "big")
        d.frame(ETHERNET, bytes(frame))
    assert d.counts["udp"] == 65536
    assert 65536 - 4096 <= d.counts["fragments_evicted"] <= 65536 - 3000


# ---------------------------------------------------------------- tunnels


def teredo(inner: Packet, front: bytes = b"") -> Packet:
    return TUNNEL / UDP(sport=50000, dport=3544) / Raw(front + wire(inner))


TEREDO6 = IPv6(src="2001:0:4136:e378:8000:63bf:3fff:fdd2", dst="2001:db8::2") / SEGMENT
TEREDO_FLOW = key_of("2001:0:4136:e378:8000:63bf:3fff:fdd2", 40000, "2001:db8::2", 443, 6)[0]
L2TP = pack("!HHHH", 0x4002, 8 + 4 + len(DATAGRAM), 1, 2) + b"\xff\x03\0\x21" + DATAGRAM
PPTP = pack("!HHHHII", 0x3081, 0x880B, 4 + len(DATAGRAM), 1, 5, 4) + b"\xff\x03\0\x21" + DATAGRAM

TUNNELS = {
    "ipip": (TUNNEL / IP4 / SEGMENT, FLOW4[0], "ipip"),
    "6in4": (TUNNEL / IP6 / SEGMENT, FLOW6[0], "6in4"),
    "4in6": (IPv6(src="2001:db8::8", dst="2001:db8::9") / IP4 / SEGMENT, FLOW4[0], "ipip"),
    "gre": (TUNNEL / GRE() / IP4 / SEGMENT, FLOW4[0], "gre"),
    "gre all fields": (
        TUNNEL / GRE(chksum_present=1, key_present=1, seqnum_present=1) / IP6 / SEGMENT,
        FLOW6[0],
        "gre",
    ),
    "gre bridging": (TUNNEL / GRE(proto=0x6558) / ether() / IP4 / SEGMENT, FLOW4[0], "gre"),
    "erspan ii": (
        TUNNEL / GRE(proto=0x88BE, seqnum_present=1) / Raw(b"\x10\1" + b"\0" * 6 + ETHER),
        FLOW4[0],
        "gre",
    ),
    "wccp": (TUNNEL / GRE(proto=0x883E) / Raw(b"\0\0\0\0" + DATAGRAM), FLOW4[0], "gre"),
    "pptp": (ip4(proto=47) / Raw(PPTP), FLOW4[0], "gre"),
    "vxlan": (
        TUNNEL / UDP(sport=9, dport=4789) / VXLAN(vni=7) / ether() / IP4 / SEGMENT,
        FLOW4[0],
        "vxlan",
    ),
    "vxlan ip": (
        TUNNEL / UDP(sport=9, dport=4789) / VXLAN(flags=12, NextProtocol=2) / IP6 / SEGMENT,
        FLOW6[0],
        "vxlan",
    ),
    "vxlan linux": (
        TUNNEL / UDP(sport=9, dport=8472) / VXLAN(vni=7, flags=8) / ether() / IP6 / SEGMENT,
        FLOW6[0],
        "vxlan",
    ),
    "geneve": (
        TUNNEL / UDP(sport=9, dport=6081) / GENEVE(proto=0x6558) / ether() / IP4 / SEGMENT,
        FLOW4[0],
        "geneve",
    ),
    "geneve ip": (
        TUNNEL / UDP(sport=9, dport=6081) / GENEVE(proto=0x0800) / IP4 / SEGMENT,
        FLOW4[0],
        "geneve",
    ),
    "gtp": (
        TUNNEL / UDP(sport=2152, dport=2152) / GTP_U_Header(teid=1, gtp_type=255) / IP4 / SEGMENT,
        FLOW4[0],
        "gtp",
    ),
    "gtp 5g": (
        TUNNEL
        / UDP(sport=2152, dport=2152)
        / GTP_U_Header(teid=1, gtp_type=255, E=1)
        / GTPPDUSessionContainer(type=0)
        / IP6
        / SEGMENT,
        FLOW6[0],
        "gtp",
    ),
    "teredo": (teredo(TEREDO6), TEREDO_FLOW, "teredo"),
    "teredo origin": (teredo(TEREDO6, b"\0\0" + b"\x11" * 6), TEREDO_FLOW, "teredo"),
    "teredo authentication": (teredo(TEREDO6, b"\0\x01\0\0" + b"\x11" * 9), TEREDO_FLOW, "teredo"),
    "l2tp": (TUNNEL / UDP(sport=1701, dport=1701) / Raw(L2TP), FLOW4[0], "l2tp"),
}


@pytest.mark.parametrize("name", TUNNELS)
def test_tunnels_give_the_innermost_flow_whole_and_cut(name: str) -> None:
    packet, key, kind = TUNNELS[name]
    frame = wire(ether() / packet)
    d = Decoding()
    out = d.frame(ETHERNET, frame)
    assert out["result"] == "ok"
    assert (out["key"], out["payload"], out["depth"]) == (key, b"hello", 1)
    assert out["flags"] & TUNNELLED
    assert d.counts[kind] == 1
    assert d.counts["tcp"] == 1
    assert "udp" not in d.counts
    assert d.counts.get("ipv4", 0) + d.counts.get("ipv6", 0) == 1
    for n in range(len(frame)):
        cut = decoded(frame[:n], wire_len=len(frame))
        assert cut["result"] == "truncated" or (cut["key"], cut["payload_len"]) == (key, 5), n


def test_tunnels_nest_to_eight_and_not_further() -> None:
    packet = IP4 / SEGMENT
    for depth in range(1, 101):
        packet = ip4(proto=4) / Raw(wire(packet))
        out = decoded(ether() / packet)
        if depth <= 8:
            assert is_flow4(out)
            assert out["depth"] == depth
        else:
            assert out["anomalies"] == {"unsupported_tunnel_too_deep": 1}


@pytest.mark.parametrize("port", [1701, 2152, 3544, 4789, 5247, 6081, 8472])
def test_a_port_alone_is_no_tunnel(port: int) -> None:
    rng = random.Random(port)
    for size in range(200):
        payload = rng.randbytes(size)
        sport, dport = (port, 1024) if size & 1 else (1024, port)
        out = decoded(ether() / IP4 / UDP(sport=sport, dport=dport) / Raw(payload))
        assert (out["result"], out["depth"], out["payload"]) == ("ok", 0, payload)
        assert out["key"] == key_of("192.0.2.1", sport, "198.51.100.7", dport, 17)[0]


VXLAN_PAYLOAD = wire(VXLAN(vni=7, flags=8)) + ETHER
GENEVE_PAYLOAD = wire(GENEVE(proto=0x6558)) + ETHER
GTP_PAYLOAD = wire(GTP_U_Header(teid=1, gtp_type=255) / IP4 / SEGMENT)
TEREDO_PAYLOAD = wire(TEREDO6)

NEARLY_TUNNELS = {
    "vxlan without the flag": (4789, patched(0, b"\0", VXLAN_PAYLOAD)),
    "vxlan reserved flag": (4789, patched(0, b"\x18", VXLAN_PAYLOAD)),
    "vxlan reserved octet": (4789, patched(7, b"\1", VXLAN_PAYLOAD)),
    "vxlan ethertype": (4789, patched(20, b"\x12\x34", VXLAN_PAYLOAD)),
    "vxlan ip version": (4789, patched(22, b"\x55", VXLAN_PAYLOAD)),
    "vxlan nothing inside": (4789, VXLAN_PAYLOAD[:8]),
    "geneve version": (6081, patched(0, b"\x40", GENEVE_PAYLOAD)),
    "geneve reserved": (6081, patched(7, b"\1", GENEVE_PAYLOAD)),
    "geneve protocol": (6081, patched(2, b"\x12\x34", GENEVE_PAYLOAD)),
    "gtp version 2": (2152, patched(0, b"\x50", GTP_PAYLOAD)),
    "gtp echo": (2152, patched(1, b"\1", GTP_PAYLOAD)),
    "gtp length": (2152, GTP_PAYLOAD + b"\0"),
    "gtp ip version": (2152, patched(8, b"\x95", GTP_PAYLOAD)),
    "teredo prefix": (3544, wire(IP6 / SEGMENT)),
    "teredo version": (3544, patched(0, b"\x50", TEREDO_PAYLOAD)),
    "teredo length": (3544, TEREDO_PAYLOAD[:-1]),
    "l2tp control": (1701, patched(0, b"\xc0\2", L2TP)),
    "l2tp version": (1701, patched(1, b"\3", L2TP)),
    "l2tp length": (1701, patched(2, b"\0\1", L2TP)),
    "l2tp lcp": (1701, patched(10, b"\xc0\x21", L2TP)),
}


@pytest.mark.parametrize("name", NEARLY_TUNNELS)
def test_what_is_not_quite_a_tunnel_is_udp(name: str) -> None:
    port, payload = NEARLY_TUNNELS[name]
    out = decoded(ether() / IP4 / UDP(sport=1024, dport=port) / Raw(payload))
    assert (out["result"], out["proto"], out["depth"]) == ("ok", 17, 0)
    assert out["payload"] == payload


def test_echo_in_ipv6_is_icmp_58() -> None:
    there = decoded(ether() / IP6 / ICMPv6EchoRequest(id=1, seq=2, data=b"x"))
    back = decoded(ether() / IPv6(src=IP6.dst, dst=IP6.src) / ICMPv6EchoReply(id=1, seq=2))
    assert there["key"] == back["key"]
    assert there["proto"] == 58
