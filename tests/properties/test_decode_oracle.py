"""Random frames against scapy (builds them) and dpkt (reads them), whole, cut and damaged."""

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import dpkt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import GRE, CookedLinux, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from sensor._native.doors_decode import Decoding

MORE = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
CUT = 16
CLASSES = ("truncated", "malformed", "unsupported")
TUNNEL_PORTS = {1701, 2152, 3544, 4789, 5246, 5247, 6081, 8472}

octet = st.integers(0, 255)
word = st.integers(0, 0xFFFF)
long = st.integers(0, 0xFFFFFFFF)
port = word.filter(lambda p: p not in TUNNEL_PORTS)
ipv4 = st.integers(1, 0xFFFFFFFE).map(lambda n: str(IPv4Address(n)))
ipv6 = st.integers(1, (1 << 128) - 2).map(lambda n: str(IPv6Address(n)))

timestamp = st.tuples(st.just("Timestamp"), st.tuples(long, long))
options = st.one_of(
    timestamp.map(lambda o: [("NOP", None), ("NOP", None), o]),  # what most segments carry
    st.lists(
        st.one_of(
            st.just(("NOP", None)),
            st.tuples(st.just("MSS"), word),
            st.tuples(st.just("WScale"), octet),
            st.just(("SAckOK", b"")),
            timestamp,
            st.tuples(st.just("SAck"), st.tuples(long, long)),
        ),
        max_size=3,
        unique_by=lambda o: o[0],
    ),
)


@st.composite
def transports(draw: Callable) -> tuple[Packet, dict]:
    """A TCP, UDP or echo packet, and what must come out of it."""
    kind = draw(st.sampled_from(["tcp", "udp", "icmp"]))
    payload = draw(st.binary(max_size=40))
    if kind == "udp":
        sport, dport = draw(port), draw(port)
        return UDP(sport=sport, dport=dport) / Raw(payload), {
            "proto": 17,
            "ports": (sport, dport),
            "payload": payload,
        }
    if kind == "icmp":
        return ICMP(type=8, id=draw(word), seq=draw(word)) / Raw(payload), {
            "proto": 1,
            "ports": (8, 0),
            "payload": payload,
            "icmp_type": 8,
            "icmp_code": 0,
        }
    chosen = draw(options)
    told = dict(chosen)
    tcp = TCP(
        sport=draw(word),
        dport=draw(word),
        seq=draw(long),
        ack=draw(long),
        flags=draw(octet),
        window=draw(word),
        options=chosen,
    )
    syn = bool(int(tcp.flags) & 2)
    want = {
        "proto": 6,
        "ports": (tcp.sport, tcp.dport),
        "payload": payload,
        "seq": tcp.seq,
        "ack": tcp.ack,
        "tcp_flags": int(tcp.flags),
        "window": tcp.window,
        "mss": told.get("MSS", 0) if syn else 0,
        "wscale": told.get("WScale", 255) if syn else 255,
    }
    if "Timestamp" in told:
        want["ts_val"], want["ts_ecr"] = told["Timestamp"]
    return tcp / Raw(payload), want


@st.composite
def packets(draw: Callable) -> tuple[Packet, dict]:
    """An innermost IP packet: IPv4 with options, or IPv6 with extension headers."""
    inner, want = draw(transports())
    hops = draw(octet)
    if draw(st.booleans()):
        src, dst = draw(ipv4), draw(ipv4)
        head = IP(src=src, dst=dst, ttl=hops, options=[Raw(b"\x01" * 4)] * draw(st.integers(0, 3)))
    else:
        src, dst = draw(ipv6), draw(ipv6)
        head = IPv6(src=src, dst=dst, hlim=hops)
        for extension in draw(
            st.lists(
                st.sampled_from([IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting]),
                max_size=3,
            )
        ):
            head = head / extension()
        if want["proto"] == 1:
            inner = ICMPv6EchoRequest(id=1, seq=2, data=want["payload"])
            want.update(proto=58, ports=(128, 129), icmp_type=128)
    want.update(src=src, dst=dst, ttl=hops, depth=0)
    return head / inner, want


def outer(draw: Callable) -> Packet:
    if draw(st.booleans()):
        return IPv6(src=draw(ipv6), dst=draw(ipv6))
    return IP(src=draw(ipv4), dst=draw(ipv4))


@st.composite
def tunnelled(draw: Callable) -> tuple[Packet, dict]:
    packet, want = draw(packets())
    for kind in draw(
        st.lists(st.sampled_from(["ip", "gre", "teb", "vxlan", "geneve", "gtp"]), max_size=3)
    ):
        if kind == "ip":
            packet = outer(draw) / packet
        elif kind == "gre":
            packet = outer(draw) / GRE(key_present=draw(st.integers(0, 1))) / packet
        elif kind == "teb":
            packet = outer(draw) / GRE(proto=0x6558) / ethernet() / packet
        elif kind == "vxlan":
            front = UDP(sport=draw(port), dport=4789) / VXLAN(flags=8, vni=draw(st.integers(0, 99)))
            packet = outer(draw) / front / ethernet() / packet
        elif kind == "geneve":
            front = UDP(sport=draw(port), dport=6081) / GENEVE(proto=0x6558)
            packet = outer(draw) / front / ethernet() / packet
        else:
            front = UDP(sport=2152, dport=2152) / GTP_U_Header(gtp_type=255, teid=draw(long))
            packet = outer(draw) / front / packet
        want["depth"] += 1
    return packet, want


def ethernet() -> Packet:
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


@st.composite
def frames(draw: Callable) -> tuple[int, bytes, dict]:
    """A frame of some link type: (LINKTYPE_, octets, what must come out)."""
    packet, want = draw(tunnelled())
    kind = draw(st.sampled_from(["ether", "vlan", "qinq", "pppoe", "mpls", "sll", "raw"]))
    want["vlan"] = 0
    if kind == "raw":
        return 101, bytes(packet), want
    if kind == "sll":
        ethertype = 0x0800 if packet.version == 4 else 0x86DD
        return 113, bytes(CookedLinux(proto=ethertype) / packet), want
    if kind == "mpls":
        return 1, bytes(ethernet() / MPLS(label=draw(word), s=1) / packet), want
    if kind == "pppoe":
        protocol = 0x21 if packet.version == 4 else 0x57
        return 1, bytes(ethernet() / PPPoE(sessionid=1) / PPP(proto=protocol) / packet), want
    frame = ethernet()
    if kind != "ether":
        want["vlan"] = draw(st.integers(1, 4094))
        frame = frame / (Dot1Q if kind == "vlan" else Dot1AD)(vlan=want["vlan"])
    if kind == "qinq":
        frame = frame / Dot1Q(vlan=draw(st.integers(1, 4094)))
    return 1, bytes(frame / packet), want


def number(text: str) -> int:
    return int(IPv6Address(text)) if ":" in text else 0xFFFF << 32 | int(IPv4Address(text))


def agrees(out: dict, want: dict) -> None:
    ends = [(number(want["src"]), want["ports"][0]), (number(want["dst"]), want["ports"][1])]
    direction = int(ends[0] > ends[1])
    (a, a_port), (b, b_port) = sorted(ends)
    low = (1 << 64) - 1
    assert out["key"] == [
        a >> 64,
        a & low,
        b >> 64,
        b & low,
        a_port << 48 | b_port << 32 | want["proto"],
    ]
    assert out["dir"] == direction
    assert out["payload_len"] == out["captured"] == len(want["payload"])
    for field in want.keys() - {"src", "dst", "ports"}:
        assert out[field] == want[field], field
    assert ("ts_val" in out) == ("ts_val" in want)


@MORE
@given(frames())
def test_every_field_agrees_with_the_builder_and_cutting_never_lies(frame: tuple) -> None:
    link, octets, want = frame
    d = Decoding()
    whole = d.frame(link, octets)
    assert whole["result"] == "ok"
    assert not d.anomalies
    agrees(whole, want)
    for n in range(len(octets)):
        for wire_len in (len(octets), n):
            cut = d.frame(link, octets[:n], wire_len)
            if wire_len > n:
                assert cut["result"] in ("ok", "truncated"), n
            if cut["result"] != "ok":
                continue
            assert cut["payload"] == whole["payload"][: cut["captured"]]
            assert cut["flags"] & CUT or cut["captured"] == cut["payload_len"]
            unknown = {"payload", "captured", "flags", "wire_len"}
            if cut["captured"] == 0:  # the cut may be inside the TCP options
                unknown |= {"mss", "wscale", "ts_val", "ts_ecr"}
            for field in cut.keys() - unknown:
                assert cut[field] == whole[field], (n, field)


@MORE
@given(frames(), st.lists(st.tuples(st.integers(0, 400), octet), min_size=1, max_size=8))
def test_damaged_frames_have_exactly_one_outcome(frame: tuple, damage: list) -> None:
    link, octets, _ = frame
    broken = bytearray(octets)
    for at, value in damage:
        broken[at % len(broken)] ^= value
    d = Decoding()
    for n in {len(broken), len(broken) // 2, len(broken) * 3 // 4}:
        before = d.anomalies
        out = d.frame(link, bytes(broken[:n]), len(broken))
        told = [
            name.split("_")[0]
            for name, count in d.anomalies.items()
            if count != before.get(name) and name.split("_")[0] in CLASSES
        ]
        assert told == ([out["result"]] if out["result"] in CLASSES else [])
    c = d.counts
    assert c["frames"] == sum(c.get(name, 0) for name in ("ipv4", "ipv6", "arp", "other"))
    assert sum(c.get(name, 0) for name in ("tcp", "udp", "icmp")) <= c["frames"]


@MORE
@given(packets())
def test_plain_ethernet_agrees_with_dpkt(packet: tuple) -> None:
    octets = bytes(ethernet() / packet[0])
    out = Decoding().frame(1, octets)
    ip = dpkt.ethernet.Ethernet(octets).data
    if isinstance(ip, dpkt.ip6.IP6):
        family, hops, proto = socket.AF_INET6, ip.hlim, ip.p
    else:
        family, hops, proto = socket.AF_INET, ip.ttl, ip.p
    assert (out["ttl"], out["proto"]) == (hops, proto)
    if proto not in (6, 17):
        return
    datagram = ip.data
    want = {
        "src": socket.inet_ntop(family, ip.src),
        "dst": socket.inet_ntop(family, ip.dst),
        "ports": (datagram.sport, datagram.dport),
        "proto": proto,
        "payload": bytes(datagram.data),
    }
    if proto == 6:
        want.update(
            seq=datagram.seq, ack=datagram.ack, tcp_flags=datagram.flags, window=datagram.win
        )
        for kind, value in dpkt.tcp.parse_opts(datagram.opts):
            if kind == dpkt.tcp.TCP_OPT_TIMESTAMP:
                want["ts_val"] = int.from_bytes(value[:4], "big")
                want["ts_ecr"] = int.from_bytes(value[4:], "big")
    agrees(out, want)


@MORE
@given(
    st.sampled_from([0, 1, 9, 10, 51, 101, 104, 105, 107, 113, 127, 192, 239, 276]),
    st.binary(max_size=120),
)
def test_noise_of_every_link_type_ends(link: int, octets: bytes) -> None:
    d = Decoding()
    for n in range(len(octets) + 1):
        d.frame(link, octets[:n], 2 * n)
    assert d.counts["frames"] == len(octets) + 1
