"""Captures made packet by packet with scapy, written by hand as pcap."""

import struct
from functools import cache
from pathlib import Path

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

HOST, SERVER, RESOLVER = "10.0.0.2", "198.51.100.7", "10.0.0.53"
MS = 1_000_000
START = 1_700_000_000 * 10**9  # 20 s after a full minute

Timed = tuple[int, bytes]  # nanoseconds, frame


def frame(ip: Packet) -> bytes:
    return bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / ip)


def http_connection(at_ns: int, port: int, rtt_ns: int = 20 * MS) -> list[Timed]:
    """SYN to FIN seen at the client: one request, one answer of 1000 octets."""
    out, back = IP(src=HOST, dst=SERVER), IP(src=SERVER, dst=HOST)
    c = {"sport": port, "dport": 80}
    s = {"sport": 80, "dport": port}
    request = Raw(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    answer = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 961\r\n\r\n" + b"x" * 961)
    n, m = 101 + len(request), 501 + len(answer)
    steps = [
        (0, out / TCP(**c, flags="S", seq=100)),
        (1, back / TCP(**s, flags="SA", seq=500, ack=101)),
        (0, out / TCP(**c, flags="A", seq=101, ack=501)),
        (0, out / TCP(**c, flags="PA", seq=101, ack=501) / request),
        (1, back / TCP(**s, flags="PA", seq=501, ack=n) / answer),
        (0, out / TCP(**c, flags="FA", seq=n, ack=m)),
        (1, back / TCP(**s, flags="FA", seq=m, ack=n + 1)),
        (0, out / TCP(**c, flags="A", seq=n + 1, ack=m + 1)),
    ]
    made = []
    for waited, packet in steps:
        at_ns += waited * rtt_ns
        made.append((at_ns, frame(packet)))
    return made


def dns_lookup(at_ns: int, ident: int, name: str, rcode: int = 0) -> list[Timed]:
    """A query answered after 3 ms."""
    question = [DNSQR(qname=name)]
    answers = [DNSRR(rrname=name, rdata=SERVER)] if rcode == 0 else []
    query = IP(src=HOST, dst=RESOLVER) / UDP(sport=5000 + ident, dport=53)
    reply = IP(src=RESOLVER, dst=HOST) / UDP(sport=53, dport=5000 + ident)
    return [
        (at_ns, frame(query / DNS(id=ident, qd=question))),
        (at_ns + 3 * MS, frame(reply / DNS(id=ident, qr=1, qd=question, an=answers, rcode=rcode))),
    ]


def refused(at_ns: int, port: int, server_port: int = 81) -> list[Timed]:
    """A SYN answered by RST."""
    syn = IP(src=HOST, dst=SERVER) / TCP(sport=port, dport=server_port, flags="S", seq=7)
    rst = IP(src=SERVER, dst=HOST) / TCP(sport=server_port, dport=port, flags="RA", seq=0, ack=8)
    return [(at_ns, frame(syn)), (at_ns + MS, frame(rst))]


def ping(at_ns: int, seq: int) -> list[Timed]:
    request = IP(src=HOST, dst=SERVER) / ICMP(type=8, id=1, seq=seq)
    reply = IP(src=SERVER, dst=HOST) / ICMP(type=0, id=1, seq=seq)
    return [(at_ns, frame(request)), (at_ns + 5 * MS, frame(reply))]


@cache
def traffic(connections: int) -> list[Timed]:
    """A second of all of it for each connection: 150 make three windows and three batches."""
    made: list[Timed] = []
    for i in range(connections):
        at = START + i * 10**9
        made += dns_lookup(at, i, "shop.example", rcode=3 if i % 10 == 9 else 0)
        made += http_connection(at + 10 * MS, 20000 + i)
        if i % 15 == 0:
            made += refused(at + 100 * MS, 30000 + i) + ping(at + 200 * MS, i)
    return sorted(made, key=lambda timed: timed[0])


def write(path: Path, packets: list[Timed]) -> Path:
    """A little-endian pcap with nanoseconds."""
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)]
    for ns, data in packets:
        parts.append(struct.pack("<IIII", *divmod(ns, 10**9), len(data), len(data)) + data)
    path.write_bytes(b"".join(parts))
    return path
