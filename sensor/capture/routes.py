"""Default gateways of this host, as its kernel routes (proc(5)): read once, before the sandbox."""

import struct
from collections.abc import Collection
from ipaddress import IPv4Address
from pathlib import Path

from sensor.model.address import MAPPED

ROUTES4, ROUTES6 = Path("/proc/net/route"), Path("/proc/net/ipv6_route")
RTF_UP, RTF_GATEWAY = 0x1, 0x2  # <linux/route.h>


def default_gateways(
    interfaces: Collection[str], routes4: Path = ROUTES4, routes6: Path = ROUTES6
) -> list[bytes]:
    """Addresses in 16 octets of the default routes by these interfaces; without any where the
    kernel does not say (other systems, another namespace's files)."""
    found: dict[bytes, None] = {}
    for line in lines(routes4):
        # Iface Destination Gateway Flags RefCnt Use Metric Mask ...: hexadecimal, host order
        part = line.split()
        if len(part) < 8 or part[0] not in interfaces or int(part[1], 16) or int(part[7], 16):
            continue
        if int(part[3], 16) & (RTF_UP | RTF_GATEWAY) == RTF_UP | RTF_GATEWAY:
            found[MAPPED + IPv4Address(struct.pack("=I", int(part[2], 16))).packed] = None
    for line in lines(routes6):
        # destination length source length next-hop metric refs use flags interface
        part = line.split()
        if len(part) < 10 or part[9] not in interfaces or int(part[1], 16) or int(part[0], 16):
            continue
        if int(part[8], 16) & (RTF_UP | RTF_GATEWAY) == RTF_UP | RTF_GATEWAY:
            found[bytes.fromhex(part[4])] = None
    return list(found)


def lines(path: Path) -> list[str]:
    """Without the heading of the IPv4 table."""
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return []
    return [line for line in text.splitlines() if not line.startswith("Iface")]
