"""Answers of amplifying protocols: to those who asked, and to those who did not."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.traffic import frames, payloads
from tests.traffic.floods import Times
from tests.traffic.net import SECOND, US, Frame, Net

Octets = Callable[[Net, int], bytes]


class Protocol(NamedTuple):
    """What a reflector of one protocol sends for one forged request."""

    name: str
    port: int
    size: int  # of one answer
    octets: Octets
    asked: int = 40  # size of the request


def noise(net: Net, size: int) -> bytes:
    return net.octets(size)


def dns(net: Net, size: int) -> bytes:
    records = tuple(net.octets(240) for _ in range(size // 252))
    return payloads.answer(net.rng.getrandbits(16), "example.org", payloads.TXT, records)


def ntp_monlist(net: Net, size: int) -> bytes:
    return b"\xd7\x00\x03\x2a\x00\x06\x00\x48" + net.octets(size - 8)


def ssdp(net: Net, size: int) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nUSN: uuid:%x::upnp\r\nSERVER: " % size
    return (head + b"Linux UPnP/1.0 MiniDLNA " * 20)[: size - 4] + b"\r\n\r\n"


def memcached(net: Net, size: int) -> bytes:
    return b"\0\0\0\0\0\1\0\0VALUE a 0 100000\r\n" + b"a" * (size - 26)


def snmp(net: Net, size: int) -> bytes:
    head = b"\x30\x82" + (size - 4).to_bytes(2) + b"\x02\x01\x01\x04\x06public\xa2\x82"
    return head + net.octets(size - len(head))


PROTOCOLS = (
    Protocol("qotd", 17, 500, noise, 1),
    Protocol("chargen", 19, 1020, noise, 1),
    Protocol("DNS", 53, 1200, dns),
    Protocol("TFTP", 69, 516, noise),
    Protocol("portmap", 111, 486, noise, 68),
    Protocol("NTP monlist", 123, 468, ntp_monlist, 8),
    Protocol("NetBIOS", 137, 410, noise, 50),
    Protocol("SNMP", 161, 1200, snmp, 44),
    Protocol("CLDAP", 389, 1450, noise, 52),
    Protocol("RIP", 520, 504, noise, 24),
    Protocol("SSDP", 1900, 420, ssdp, 90),
    Protocol("WS-Discovery", 3702, 1100, noise, 150),
    Protocol("mDNS", 5353, 700, dns, 46),
    Protocol("CoAP", 5683, 900, noise, 21),
    Protocol("memcached", 11211, 1400, memcached, 15),
    Protocol("Steam", 27015, 800, noise, 25),
    Protocol("QUIC", 443, 1200, noise, 1200),
)
BY_NAME = {each.name: each for each in PROTOCOLS}


def answers(
    net: Net,
    times: Times,
    protocol: Protocol,
    *,
    reflectors: int = 30,
    port: int | None = 80,
    size: int | None = None,
    refused: bool = True,
) -> Iterator[Frame]:
    """Unsolicited answers to us; large ones in fragments. The host refuses six a second."""
    host, told, length = net.host.address, 0, size or protocol.size
    for number, ts in enumerate(times):
        src = net.far(20_000 + number % reflectors)
        dport = net.port() if port is None else port
        whole = frames.udp(src, host, protocol.port, dport, protocol.octets(net, length), 51)
        pieces = [whole] if len(whole) <= 1514 else frames.fragments(whole, number)
        for index, piece in enumerate(pieces):
            yield ts + 12 * index * US, piece
        if refused and ts >= told:
            told = ts + SECOND // 6
            yield ts + 100 * US, frames.error(host, src, whole)


def abused(
    net: Net, times: Times, protocol: Protocol, victim: bytes, *, size: int | None = None
) -> Iterator[Frame]:
    """Requests in the victim's name, and what our own server answers to it."""
    host, length = net.host.address, size or protocol.size
    for number, ts in enumerate(times):
        sport = 40_111
        if protocol.port == 53:
            asked = payloads.query(number, "example.org", payloads.ANY, edns=4096)
            records = tuple(net.octets(240) for _ in range(length // 252))
            told = payloads.answer(number, "example.org", payloads.TXT, records)
        else:
            asked, told = net.octets(protocol.asked), protocol.octets(net, length)
        yield ts, frames.udp(victim, host, sport, protocol.port, asked, 51)
        whole = frames.udp(host, victim, protocol.port, sport, told)
        pieces = [whole] if len(whole) <= 1514 else frames.fragments(whole, number)
        for index, piece in enumerate(pieces):
            yield ts + (150 + 12 * index) * US, piece


def unsolicited_replies(net: Net, times: Times, *, servers: int, flags: int) -> Iterator[Frame]:
    """Backscatter: somebody used our address to flood web servers, here come their answers."""
    host = net.host.address
    resets = bool(flags & frames.RST)
    for number, ts in enumerate(times):
        server = number % servers
        src, sport, dport = net.far(21_000 + server), (80, 443)[server % 2], net.port()
        ack = net.rng.getrandbits(32)
        yield ts, frames.tcp(
            src, host, sport, dport, net.rng.getrandbits(32), ack, flags,
            window=0 if resets else 64_240, options=b"" if resets else b"\x02\x04\x05\xb4", ttl=49,
        )  # fmt: skip
        if not resets:
            back = frames.tcp(host, src, dport, sport, ack, 0, frames.RST, window=0)
            yield ts + 40 * US, back
