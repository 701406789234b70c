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

SNAPLEN = 262144
LINK_OF_TYPE = {1: 1, 772: 1, 512: 9}  # ARPHRD_ -> DLT_, as the ring has it; others begin with IP
DLT_RAW = 12

# <linux/filter.h>
LD, LDH, AND, JEQ, JA, RET = 0x20, 0x28, 0x54, 0x15, 0x05, 0x06  # LD, LDH: absolute
VLAN_TAG, VLAN_TAG_PRESENT = 0xFFFFF000 + 44, 0xFFFFF000 + 48  # SKF_AD_OFF + ...
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
