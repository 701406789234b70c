"""Which share of the packets one belongs to: the program that the kernel runs, run here by hand."""

import itertools

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP
from scapy.packet import Packet, Raw

from sensor.capture.bpf import NET, PROTOCOL, Program, by_connection

IPV4, IPV6, ARP_TYPE = 0x0800, 0x86DD, 0x0806
WORD = 0xFFFFFFFF


def ran(program: Program, protocol: int, packet: bytes) -> int:
    """What the program gives; 0 where it reads beyond the packet, as in the kernel."""
    a = x = at = 0
    memory: dict[int, int] = {}

    def load(offset: int, size: int) -> int | None:
        octets = packet[offset - NET : offset - NET + size]
        return int.from_bytes(octets, "big") if len(octets) == size else None

    while True:
        code, yes, no, k = program[at]
        at += 1
        value: int | None
        if code in (0x20, 0x28, 0x30, 0x40, 0x48, 0x50):
            where = k + x if code & 0x40 else k
            value = protocol if k == PROTOCOL else load(where, {0: 4, 8: 2, 16: 1}[code & 0x18])
            if value is None:
                return 0
            a = value
        elif code == 0xB1:
            value = load(k, 1)
            if value is None:
                return 0
            x = 4 * (value & 15)
        elif code == 0x15:
            at += yes if a == k else no
        elif code == 0x25:
            at += yes if a > k else no
        elif code == 0x05:
            at += k
        elif code == 0x02:
            memory[k] = a
        elif code == 0x60:
            a = memory[k]
        elif code == 0x01:
            x = k
        elif code == 0x45:
            at += yes if a & k else no
        elif code == 0x54:
            a &= k
        elif code == 0x64:
            a = a << k & WORD
        elif code == 0x04:
            a = a + k & WORD
        elif code == 0x0C:
            a = a + x & WORD
        elif code == 0x07:
            x = a
        elif code == 0xAC:
            a ^= x
        elif code == 0x24:
            a = a * k & WORD
        elif code == 0x74:
            a >>= k
        elif code == 0x16:
            return a
        else:
            assert code == 0x06
            return k


PROGRAM = by_connection(0x2545F491)


def share(packet: Packet) -> int:
    protocol = IPV4 if isinstance(packet, IP) else IPV6 if isinstance(packet, IPv6) else ARP_TYPE
    return ran(PROGRAM, protocol, bytes(packet))


A4, B4, R4 = "192.0.2.1", "198.51.100.9", "203.0.113.1"
A6, B6, R6 = "2001:db8::1", "2001:db8:7::9", "2001:db8:ff::1"


def quoting(error: Packet, src: str, dst: str) -> list[Packet]:
    """Both directions of a connection, and errors of a router about either."""
    layer = IP if isinstance(error, IP) else IPv6
    there = layer(src=src, dst=dst) / UDP(sport=4000, dport=53)
    back = layer(src=dst, dst=src) / UDP(sport=53, dport=4000)
    return [there, back, error / there, error / back]


@pytest.mark.parametrize(
    "same",
    [
        quoting(IP(src=R4, dst=A4) / ICMP(type=3, code=4), A4, B4),
        quoting(IP(src=R4, dst=A4, options=[b"\x01" * 4]) / ICMP(type=11), A4, B4),
        quoting(IPv6(src=R6, dst=A6) / ICMPv6PacketTooBig(), A6, B6),
        [IP(src=A4, dst=B4) / TCP(sport=4000, dport=80, flags="S"),
         IP(src=A4, dst=B4, options=[b"\x01" * 8]) / TCP(sport=4000, dport=80),
         IP(src=B4, dst=A4) / TCP(sport=80, dport=4000) / Raw(b"x" * 900)],
        [IP(src=A4, dst=B4, frag=9), IP(src=B4, dst=A4, flags="MF") / UDP(sport=53, dport=4000),
         IP(src=A4, dst=B4) / ICMP(type=8), IP(src=B4, dst=A4) / ICMP(type=0),
         IP(src=A4, dst=B4) / UDP(sport=1, dport=4789),
         IP(src=B4, dst=A4) / UDP(sport=2, dport=4789)],
        [IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment() / UDP(sport=1), IPv6(src=B6, dst=A6) / Raw(),
         IPv6(src=B6, dst=A6) / ICMPv6EchoRequest()],
    ],
)  # fmt: skip
def test_what_belongs_together_stays_together(same: list[Packet]) -> None:
    assert len({share(packet) for packet in same}) == 1
    assert share(same[0]) != 0


def test_who_claims_an_address_is_for_the_first() -> None:
    assert share(ARP()) == 0
    for source in (A6, B6, R6):
        assert share(IPv6(src=source, dst="ff02::1:ff00:1") / ICMPv6ND_NS(tgt=A6)) == 0


@pytest.mark.parametrize("workers", [2, 3, 7])
@pytest.mark.parametrize("of", ["hosts", "ports"])
def test_connections_are_spread_evenly(workers: int, of: str) -> None:
    """Of many hosts, and of one with another."""
    counts = [0] * workers
    for a, b in itertools.product(range(32), range(32)):
        packet = (
            IP(src=f"10.0.0.{a}", dst=f"192.0.2.{b}") / UDP(sport=4000, dport=9)
            if of == "hosts"
            else IP(src=A4, dst=B4) / UDP(sport=1024 + 32 * a + b, dport=9)
        )
        counts[share(packet) % workers] += 1
    assert max(counts) < 1.35 * 32 * 32 / workers


def test_what_is_cut_short_is_for_the_first() -> None:
    whole = bytes(IP(src=A4, dst=B4) / ICMP(type=3) / IP(src=A4, dst=B4) / UDP())
    for n in range(len(whole) - 4):
        assert ran(PROGRAM, IPV4, whole[:n]) == 0
