"""The host's addresses, networks and gateways, asked of the kernel (rtnetlink(7)). No privilege.

All routing tables and all next hops of a multipath route, which /proc/net/route does not show.
"""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sensor.errors import SensorError
from sensor.model.address import MAPPED, Prefix

# linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x300, 0x10
RTM_GETADDR, RTM_GETROUTE = 22, 26
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_ANYCAST = 1, 2, 4, 5
RTA_DST, RTA_GATEWAY, RTA_MULTIPATH, RTA_VIA = 1, 5, 9, 18
RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST = 2, 3, 4
NLA_TYPE_MASK = 0x3FFF
HOST = 128  # prefix length of one address in 16 octets
BITS_BEFORE = {4: 96, 16: 0}  # by octets of an address: the prefix of those that stand for it

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
ERROR = struct.Struct("=i")
ATTRIBUTE = struct.Struct("=HH")  # length with this header, type
IFADDRMSG = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface
RTMSG = struct.Struct("=BBBBBBBBI")  # family, dst_len, src_len, tos, table, protocol, scope, type
RTNEXTHOP = struct.Struct("=HBBi")  # length with this header, flags, hops, interface
RECEIVE = 1 << 20  # octets; the kernel never sends as much of a dump at once
TIMEOUT_S = 5
TRIES = 5  # a dump during which something changed is asked for again
MOST = 65536  # of a kind: whoever has more is a router of the Internet's core


@dataclass(slots=True)
class HostAddresses:
    """What the kernel says of this network namespace, in 16 octets each."""

    own: set[Prefix] = field(default_factory=set)  # whole prefixes too: `ip route add local`
    peers: set[Prefix] = field(default_factory=set)  # other ends of point-to-point links
    broadcast: set[Prefix] = field(default_factory=set)  # and anycast
    gateways: set[Prefix] = field(default_factory=set)
    networks: set[Prefix] = field(default_factory=set)  # attached: no gateway in between

    def is_too_large(self) -> bool:
        kinds = self.own, self.peers, self.broadcast, self.gateways, self.networks
        return any(len(kind) > MOST for kind in kinds)


Take = Callable[[bytes, HostAddresses], None]


def host_addresses() -> HostAddresses:
    """SensorError when the kernel does not tell: what is not known cannot be protected."""
    try:
        for _ in range(TRIES):
            found = HostAddresses()
            addresses = dump(RTM_GETADDR, take_address, found)
            routes = dump(RTM_GETROUTE, take_route, found)
            if addresses and routes:
                return found
    except (OSError, AttributeError, struct.error) as error:  # AF_NETLINK is Linux's
        raise SensorError(f"cannot read this host's addresses: {error}") from error
    raise SensorError("cannot read this host's addresses: they keep changing")


def dump(request: int, take: Take, found: HostAddresses) -> bool:
    """Every answer goes to `take`; whether nothing changed meanwhile."""
    steady = True
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as s:
        s.settimeout(TIMEOUT_S)
        s.bind((0, 0))
        length = HEADER.size + RTMSG.size
        head = HEADER.pack(length, request, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
        s.sendto(head + bytes(RTMSG.size), (0, 0))
        while True:
            octets, _, cut, (port, _) = s.recvmsg(RECEIVE)
            if port != 0:  # not of the kernel
                continue
            if cut & socket.MSG_TRUNC:
                raise SensorError("cannot read this host's addresses: an answer was cut")
            for kind, flags, body in messages(octets):
                steady = steady and not flags & NLM_F_DUMP_INTR
                if kind == NLMSG_DONE:
                    return steady
                if kind == NLMSG_ERROR:
                    number = -ERROR.unpack_from(body)[0]
                    raise OSError(number, os.strerror(number))
                take(body, found)
            if found.is_too_large():
                raise SensorError(f"cannot protect this host: over {MOST} addresses of a kind")


def messages(octets: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of each netlink message."""
    at = 0
    while at + HEADER.size <= len(octets):
        length, kind, flags, _, _ = HEADER.unpack_from(octets, at)
        if length < HEADER.size:
            return
        yield kind, flags, octets[at + HEADER.size : at + length]
        at += (length + 3) & ~3


def attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each attribute."""
    at = 0
    while at + ATTRIBUTE.size <= len(octets):
        length, kind = ATTRIBUTE.unpack_from(octets, at)
        if length < ATTRIBUTE.size:
            return
        yield kind & NLA_TYPE_MASK, octets[at + ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def packed(octets: bytes) -> bytes | None:
    """16 octets of an address; None for what is neither IPv4 nor IPv6."""
    if len(octets) == 4:
        return MAPPED + octets
    return octets if len(octets) == 16 else None


def take_address(body: bytes, found: HostAddresses) -> None:
    """One address of an interface. IFA_ADDRESS is the other end's where IFA_LOCAL is another."""
    _, bits, *_ = IFADDRMSG.unpack_from(body)
    said = dict(attributes(body[IFADDRMSG.size :]))
    address = packed(said.get(IFA_ADDRESS, b""))
    own = packed(said.get(IFA_LOCAL, b"")) or address
    if own is not None:
        found.own.add((own, HOST))
    if address is not None:
        if address != own:
            found.peers.add((address, HOST))
        found.networks.add((address, bits + BITS_BEFORE[len(said[IFA_ADDRESS])]))
    for kind in (IFA_BROADCAST, IFA_ANYCAST):
        other = packed(said.get(kind, b""))
        if other is not None:
            found.broadcast.add((other, HOST))


def take_route(body: bytes, found: HostAddresses) -> None:
    """One route: its gateways, and the addresses that the kernel says are special.

    A local default route has no destination: it is a transparent proxy's, and says nothing.
    """
    _, bits, *_, kind, _ = RTMSG.unpack_from(body)
    said = dict(attributes(body[RTMSG.size :]))
    destination = packed(said.get(RTA_DST, b""))
    if destination is not None:
        prefix = destination, bits + BITS_BEFORE[len(said[RTA_DST])]
        if kind == RTN_LOCAL:
            found.own.add(prefix)
        elif kind in (RTN_BROADCAST, RTN_ANYCAST):
            found.broadcast.add(prefix)
    take_gateway(said, found)
    hops = said.get(RTA_MULTIPATH, b"")
    while len(hops) >= RTNEXTHOP.size:
        length = RTNEXTHOP.unpack_from(hops)[0]
        if length < RTNEXTHOP.size:
            return
        take_gateway(dict(attributes(hops[RTNEXTHOP.size : length])), found)
        hops = hops[(length + 3) & ~3 :]


def take_gateway(said: dict[int, bytes], found: HostAddresses) -> None:
    """A gateway; RTA_VIA is one of another family, which comes first in it."""
    for octets in (said.get(RTA_GATEWAY, b""), said.get(RTA_VIA, b"")[2:]):
        gateway = packed(octets)
        if gateway is not None:
            found.gateways.add((gateway, HOST))
