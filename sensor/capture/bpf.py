"""Filters that the kernel runs before a packet reaches the ring (classic BPF).

Expressions are compiled by libpcap. The VLAN tag is not in the frame that the filter sees (the
kernel takes it out before), so VLANs are told by a few instructions of our own in front.
"""

from collections.abc import Sequence
from pathlib import Path

import pcapy

from sensor.errors import UsageError, one_line

Step = tuple[int, int, int, int]  # code, jump if true, jump if false, operand
Program = list[Step]
Labelled = str | tuple[int, int | str, int | str, int | str]  # a label, or a Step with labels

SNAPLEN = 262144
LINK_OF_TYPE = {1: 1, 772: 1, 512: 9}  # ARPHRD_ -> DLT_, as the ring has it; others begin with IP
DLT_RAW = 12

# <linux/filter.h>
LD, LDH, AND, JEQ, JA, RET = 0x20, 0x28, 0x54, 0x15, 0x05, 0x06  # LD, LDH: absolute
# From X + operand; LDX_HEADER: four times the low nibble.
LDB, LD_AT_X, LDH_AT_X, LDB_AT_X, LDX_HEADER, LDX = 0x30, 0x40, 0x48, 0x50, 0xB1, 0x01
JGT, JSET, XOR_X, ADD, ADD_X, MUL, LSH, RSH = 0x25, 0x45, 0xAC, 0x04, 0x0C, 0x24, 0x64, 0x74
TAX, ST, LD_MEM, RET_A = 0x07, 0x02, 0x60, 0x16
HOSTS, PROTO = 0, 1  # places in the program's memory
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
ONE_WAY_PORTS = (4789, 8472, 6081)  # VXLAN and Geneve: RFC 7348 5, RFC 8926 3.3
PROTOCOL, VLAN_TAG, VLAN_TAG_PRESENT = 0xFFFFF000, 0xFFFFF000 + 44, 0xFFFFF000 + 48  # SKF_AD_OFF +
NET = 0xFFF00000  # SKF_NET_OFF: the network header, wherever it is
ETHERTYPE, ETHERTYPE_VLAN, TCI, VID = 12, 0x8100, 14, 0xFFF


def link_type(name: str) -> int:
    """The DLT_ that a filter for the interface is compiled for."""
    try:
        kind = int((Path("/sys/class/net") / name / "type").read_text())
    except (OSError, ValueError):
        return 1
    return LINK_OF_TYPE.get(kind, DLT_RAW)


def compiled(expression: str, link: int) -> Program:
    """A filter in pcap-filter(7)'s words as BPF; UsageError when it is none."""
    try:
        program: Program = pcapy.compile(link, SNAPLEN, expression, 1, 0xFFFFFFFF).get_bpf()
    except pcapy.PcapError as error:
        raise UsageError(one_line(f"filter {expression!r}: {error}")) from error
    return program


def by_vlan(rest: Program, only: int = 0, never: Sequence[int] = ()) -> Program:
    """`rest`, for the frames of VLAN `only` (0: any, and untagged), and of none of `never`."""
    if not only and not never:
        return rest
    tests = [only] if only else list(never)
    first, drop = 8, 8 + len(tests) + 1  # of the tests; of the instruction that drops
    keep = drop + 1
    program: Program = [
        (LD, 0, 0, VLAN_TAG_PRESENT),
        (JEQ, 4 - 2, 0, 0),
        (LD, 0, 0, VLAN_TAG),
        (JA, 0, 0, 7 - 4),
        (LDH, 0, 0, ETHERTYPE),  # a tag that the kernel left in the frame
        (JEQ, 0, (drop if only else keep) - 6, ETHERTYPE_VLAN),
        (LDH, 0, 0, TCI),
        (AND, 0, 0, VID),
    ]
    for at, vlan in enumerate(tests, first):
        program.append((JEQ, (keep if only else drop) - at - 1, 0, vlan))
    otherwise = drop if only else keep
    program += [(JA, 0, 0, otherwise - (drop - 1) - 1), (RET, 0, 0, 0)]
    return program + (rest or [(RET, 0, 0, SNAPLEN)])


def by_connection(secret: int) -> Program:
    """Numbers of packets for PACKET_FANOUT_CBPF: the same for all of a connection, both directions.

    An ICMP error goes where the packet goes that it quotes. Fragments go by their two hosts, since
    most have no ports, and so do tunnels whose source port says nothing of the way back. What is
    not IP, and who claims which address (neighbour discovery), is 0. `secret`: 32 bits, so that
    nobody outside can choose that all of the world goes to one.
    """
    ipv4: list[Labelled] = [
        (LDB, 0, 0, NET + 9),
        (JEQ, 0, "own4", ICMP),
        (LDX_HEADER, 0, 0, NET),
        (LDB_AT_X, 0, 0, NET),
        *((JEQ, "quoted4", 0, kind) for kind in (3, 4, 5, 11, 12)),
        "own4",
        (LD, 0, 0, NET + 12),
        (ST, 0, 0, HOSTS),
        (LD, 0, 0, NET + 16),
        *mixed_into(HOSTS),
        (LDH, 0, 0, NET + 6),
        (JSET, "end", 0, 0x3FFF),  # more fragments, or not the first
        (LDX_HEADER, 0, 0, NET),
        (LDB, 0, 0, NET + 9),
        (JA, 0, 0, "ports"),
        "quoted4",  # X is where the ICMP header is
        (LD_AT_X, 0, 0, NET + 8 + 12),
        (ST, 0, 0, HOSTS),
        (LD_AT_X, 0, 0, NET + 8 + 16),
        *mixed_into(HOSTS),
        (LDX_HEADER, 0, 0, NET),
        (LDB_AT_X, 0, 0, NET + 8 + 9),
        (ST, 0, 0, PROTO),
        (LDB_AT_X, 0, 0, NET + 8),
        (AND, 0, 0, 15),
        (LSH, 0, 0, 2),
        (ADD, 0, 0, 8),
        (ADD_X, 0, 0, 0),
        (TAX, 0, 0, 0),  # where the quoted ports are
        (LD_MEM, 0, 0, PROTO),
        (JA, 0, 0, "ports"),
    ]
    ipv6: list[Labelled] = [
        (LDB, 0, 0, NET + 6),
        (JEQ, 0, "own6", ICMP6),
        (LDB, 0, 0, NET + 40),
        (JGT, 0, "errors", 132),
        (JGT, "own6", "none", 137),
        "errors",
        (JGT, "own6", 0, 4),
        *folded(NET + 48 + 8),
        (ST, 0, 0, HOSTS),
        (LDX, 0, 0, 48 + 40),
        (LDB, 0, 0, NET + 48 + 6),
        (JA, 0, 0, "ports"),
        "own6",
        *folded(NET + 8),
        (ST, 0, 0, HOSTS),
        (LDX, 0, 0, 40),
        (LDB, 0, 0, NET + 6),
        (JA, 0, 0, "ports"),
    ]
    return assembled([
        (LD, 0, 0, PROTOCOL),
        (ST, 0, 0, HOSTS),
        (ST, 0, 0, PROTO),
        (JEQ, "four", 0, 0x0800),
        (JEQ, "six", "none", 0x86DD),
        "four",
        *ipv4,
        "six",
        *ipv6,
        "ports",  # A is the protocol, X where its header is
        (JEQ, "pair", 0, TCP),
        (JEQ, 0, "end", UDP),
        (LDH_AT_X, 0, 0, NET + 2),
        *((JEQ, "end", 0, port) for port in ONE_WAY_PORTS),
        "pair",
        (LDH_AT_X, 0, 0, NET),
        (ST, 0, 0, PROTO),
        (LDH_AT_X, 0, 0, NET + 2),
        *mixed_into(PROTO),
        (MUL, 0, 0, 0x9E3779B1),
        *mixed_into(HOSTS),
        "end",
        (LD_MEM, 0, 0, HOSTS),
        (MUL, 0, 0, secret | 1),
        (RSH, 0, 0, 16),
        (RET_A, 0, 0, 0),
        "none",  # last: the kernel takes what is behind a RET to be reached from it
        (RET, 0, 0, 0),
    ])  # fmt: skip


def mixed_into(place: int) -> list[Labelled]:
    """A xor what is in `place`, put there and in A; X is lost."""
    return [(TAX, 0, 0, 0), (LD_MEM, 0, 0, place), (XOR_X, 0, 0, 0), (ST, 0, 0, place)]


def folded(at: int) -> list[Labelled]:
    """The eight words of two IPv6 addresses, xor: the same for both directions."""
    made: list[Labelled] = [(LD, 0, 0, at)]
    for i in range(1, 8):
        made += [(TAX, 0, 0, 0), (LD, 0, 0, at + 4 * i), (XOR_X, 0, 0, 0)]
    return made


def assembled(lines: Sequence[Labelled]) -> Program:
    """Instructions with labels as numbers: a jump's target is counted from the next instruction."""
    places: dict[str, int] = {}
    steps: list[tuple[int, int | str, int | str, int | str]] = []
    for line in lines:
        if isinstance(line, str):
            places[line] = len(steps)
        else:
            steps.append(line)

    def at(value: int | str, i: int) -> int:
        return places[value] - i - 1 if isinstance(value, str) else value

    return [(code, at(jt, i), at(jf, i), at(k, i)) for i, (code, jt, jf, k) in enumerate(steps)]
