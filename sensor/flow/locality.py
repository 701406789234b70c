"""Which side of the traffic is ours: given, or learned from who takes part, and said so.

Learning looks at how many of the first packets each address takes part in. A capture made on one
host has that host in nearly every packet; a capture of a network has private addresses that talk to
public ones. Anything else has no direction, and figures that need one are null.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from sensor.model.address import (
    MAPPED,
    PRIVATE_PREFIXES,
    Prefix,
    is_host,
    is_private,
    pack_prefix,
    prefix_text,
)

LEARN_PACKETS = 4096  # packets looked at
HOST_SHARE = 0.60  # of the packets of its family, to be called the host

LocalSource = Literal["given", "learned_host", "private_ranges", "unknown"]


@dataclass(frozen=True, slots=True)
class Local:
    """The local side, and how it became known."""

    prefixes: tuple[Prefix, ...]
    source: LocalSource

    @property
    def known(self) -> bool:
        return bool(self.prefixes)

    def texts(self) -> list[str]:
        return [prefix_text(p) for p in self.prefixes]


UNKNOWN = Local((), "unknown")


def given(cidrs: tuple[str, ...]) -> Local:
    """`--local`; ValueError names the one that is no CIDR."""
    return Local(tuple(sorted({pack_prefix(text) for text in cidrs})), "given")


def learn(packets_with: Counter[bytes]) -> Local:
    """The local side by the number of packets that each address takes part in."""
    hosts = {a: n for a, n in packets_with.items() if is_host(a)}
    families = [
        {a: n for a, n in hosts.items() if (a[:12] == MAPPED) is mapped} for mapped in (True, False)
    ]
    found = [host for family in families if (host := leader(family)) is not None]
    if found and sum(hosts[a] for a in found) >= HOST_SHARE * packets(packets_with):
        return Local(tuple(sorted((a, 128) for a in found)), "learned_host")
    if any(map(is_private, hosts)) and not all(map(is_private, hosts)):
        return Local(PRIVATE_PREFIXES, "private_ranges")
    return UNKNOWN


def packets(packets_with: dict[bytes, int] | Counter[bytes]) -> float:
    """Every packet has two addresses."""
    return sum(packets_with.values()) / 2


def leader(family: dict[bytes, int]) -> bytes | None:
    """The one address in most packets; of two in equally many, the private one, else neither."""
    if not family:
        return None
    most = max(family.values())
    if most < HOST_SHARE * packets(family):
        return None
    first = [a for a, n in family.items() if n == most]
    if len(first) > 1:
        first = [a for a in first if is_private(a)]
    return first[0] if len(first) == 1 else None
