"""What goes on inside one network segment: ARP and neighbour discovery, DHCP, VRRP, mDNS, SSDP."""

import socket
import struct
from collections.abc import Iterator

from tests.traffic import frames
from tests.traffic.floods import dhcp
from tests.traffic.net import MS, Frame, Net

EVERYBODY = b"\xff" * 6
ROUTER, ROUTER_2 = b"\x02\x11\x11\x00\x00\x01", b"\x02\x11\x11\x00\x00\x02"
ATTACKER = b"\x02\x66\x66\x66\x66\x66"
VRRP_MAC = {4: b"\0\0\x5e\0\x01\x07", 6: b"\0\0\x5e\0\x02\x07"}
REQUEST, REPLY = 1, 2


def mac_of(net: Net, n: int) -> bytes:
    """The card of own(n)."""
    return ROUTER if n == 1 else b"\x02\x22\x22\x00\x00" + bytes((n,))


def claim(net: Net, address: bytes, mac: bytes, to: bytes = EVERYBODY) -> bytes:
    """An ARP reply, or a neighbour advertisement (override), that nobody asked for."""
    if net.version == 4:
        return arp(REPLY, mac, address, to, address if to == EVERYBODY else net.host.address)
    group = socket.inet_pton(socket.AF_INET6, "ff02::1")
    target = group if to == EVERYBODY else net.host.address
    return neighbour(address, target, mac, address, 136, to, flags=0x20)


def resolve(net: Net, asker: int, wanted: int) -> Iterator[Frame]:
    """own(asker) asks for own(wanted), which answers; times are relative (0, 200 us)."""
    a, w = net.own(asker), net.own(wanted)
    mac_a, mac_w = mac_of(net, asker), mac_of(net, wanted)
    if net.version == 4:
        yield 0, arp(REQUEST, mac_a, a, bytes(6), w)
        yield 200_000, arp(REPLY, mac_w, w, mac_a, a)
    else:
        group = bytes.fromhex("ff0200000000000000000001ff") + w[13:]
        yield 0, neighbour(a, group, mac_a, w, 135, b"\x33\x33\xff" + w[13:])
        yield 200_000, neighbour(w, a, mac_w, w, 136, mac_a, flags=0x60)


def arp(kind: int, mac: bytes, address: bytes, to_mac: bytes, to: bytes) -> bytes:
    """An ARP packet; a request goes to everybody, a reply to `to_mac`."""
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, kind) + mac + address + to_mac + to
    return (EVERYBODY if kind == REQUEST else to_mac) + mac + b"\x08\x06" + body


def neighbour(
    src: bytes, dst: bytes, mac: bytes, target: bytes, kind: int, to_mac: bytes, *, flags: int = 0
) -> bytes:
    """A neighbour solicitation (135) or advertisement (136), RFC 4861 section 4."""
    option = (b"\x02" if kind == 136 else b"\x01") + b"\x01" + mac
    body = struct.pack(">BBHB3x", kind, 0, 0, flags) + target + option
    return to_mac + mac + frames.ip(src, dst, frames.ICMP6, body, 255)[12:]


def neighbours(net: Net, *, seconds: float = 30, hosts: int = 20) -> Iterator[Frame]:
    """Everybody looks for the router and the router for everybody, every few seconds."""
    for n in range(10, 10 + hosts):
        for ts in net.poisson(0, seconds, 0.4):
            pair = (n, 1) if net.rng.random() < 0.6 else (1, n)
            yield from ((ts + after, frame) for after, frame in resolve(net, *pair))


def poisoned(
    net: Net, *, at_s: float = 3, seconds: float = 20, every_s: float = 1, both: bool = True
) -> Iterator[Frame]:
    """arpspoof, ettercap: "I am the router", to us; with `both` also "I am .10", to the router."""
    for ts in net.paced(at_s, seconds, 1 / every_s):
        yield ts, claim(net, net.own(1), ATTACKER, mac_of(net, 10))
        if both:
            yield ts + 2 * MS, claim(net, net.own(10), ATTACKER, ROUTER)


def fail_over(net: Net, *, virtual: bool) -> Iterator[Frame]:
    """The backup router takes over, and 12 s later the master again: five announcements each.

    VRRP's own address is `virtual`; keepalived can also move the address to its own card.
    """
    shared = VRRP_MAC[net.version]
    for at_s, mac in ((8, ROUTER_2), (20, ROUTER)):
        for ts in net.paced(at_s, 1, 5):
            for n in (1, 2, 3):
                yield ts, claim(net, net.own(n), shared if virtual else mac)


def boots(net: Net, *, machines: int = 25) -> Iterator[Frame]:
    """A power cut is over: every machine announces its address three times."""
    for n in range(100, 100 + machines):
        for ts in net.paced(2 + net.rng.random() * 10, 3, 1):
            yield ts, claim(net, net.own(n), mac_of(net, n))


def reassigned(net: Net) -> Iterator[Frame]:
    """A DHCP lease goes to another machine, and a container takes over an address."""
    for at_s, n in ((5, 120), (15, 121)):
        yield net.at(at_s), claim(net, net.own(n), mac_of(net, n))
        yield net.at(at_s + 3), claim(net, net.own(n), mac_of(net, n + 50))


def proxy_router(net: Net) -> Iterator[Frame]:
    """A router with proxy ARP answers for 30 addresses with its own card."""
    for n in range(60, 90):
        for ts in net.poisson(0, 25, 0.2):
            if net.version == 4:
                yield ts, arp(REQUEST, mac_of(net, 10), net.host.address, bytes(6), net.own(n))
                yield ts + MS, arp(REPLY, ROUTER, net.own(n), mac_of(net, 10), net.host.address)
            else:
                mine, wanted = mac_of(net, 10), net.own(n)
                asked = neighbour(net.host.address, wanted, mine, wanted, 135, ROUTER)
                told = neighbour(wanted, net.host.address, ROUTER, wanted, 136, mine, flags=0x40)
                yield ts, asked
                yield ts + MS, told


def renewals(net: Net, *, clients: int = 60, seconds: float = 20) -> Iterator[Frame]:
    """After a power cut: 60 machines discover and request, some twice; others renew."""
    for n in range(clients):
        mac = b"\x02\x33\x33\x00\x00" + bytes((n,))
        ts = net.at(1 + net.rng.random() * seconds)
        yield ts, dhcp(net, mac, 1)
        if n % 5 == 0:
            yield ts + 4000 * MS, dhcp(net, mac, 1)
        yield ts + 30 * MS, dhcp(net, mac, 3)
        if net.version == 4:
            yield ts + 9000 * MS, dhcp(net, mac, 3, net.own(100 + n))


def chatter(net: Net, *, devices: int = 30, seconds: float = 30) -> Iterator[Frame]:
    """mDNS announcements and SSDP notifications of televisions and printers, to everybody."""
    mdns = {4: "224.0.0.251", 6: "ff02::fb"}[net.version]
    ssdp = {4: "239.255.255.250", 6: "ff02::c"}[net.version]
    family = socket.AF_INET if net.version == 4 else socket.AF_INET6
    to_mdns, to_ssdp = socket.inet_pton(family, mdns), socket.inet_pton(family, ssdp)
    notify = b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNTS: ssdp:alive\r\n"
    notify += b"CACHE-CONTROL: max-age=1800\r\nNT: upnp:rootdevice\r\nUSN: uuid:" + b"a" * 200
    for n in range(devices):
        src = net.own(100 + n)
        for ts in net.poisson(0, seconds, 0.3):
            head = struct.pack(">6H", 0, 0x8400, 0, 1, 0, 0)
            announced = head + b"\x05_http\x04_tcp\x05local\0\0\x0c\0\1\0\0\x11\x94\x01\x2c"
            yield ts, frames.udp(src, to_mdns, 5353, 5353, announced + net.octets(300), 255)
        for ts in net.poisson(0, seconds, 0.2):
            for k in range(5):
                yield ts + 2 * k * MS, frames.udp(src, to_ssdp, 1900, 1900, notify + b"\r\n\r\n", 4)
