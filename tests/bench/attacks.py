"""Traffic made to cost the sensor as much as it can: each attack aims at one mechanism.

Seeded and endless; `frames(name, packets)` gives the first ones. Who writes a capture file also
chooses its times and knows the secret of a replay (programs/replay.py); who sends packets to a
live sensor does neither: ATTACKS says which it takes.
"""

import random
import struct
from collections.abc import Callable, Iterator
from itertools import count, cycle, islice
from typing import NamedTuple

from sensor.programs.replay import SECRET
from tests.traffic.frames import (
    ACK,
    ETHERNET4,
    ETHERNET6,
    FIN,
    HEAD4,
    HEAD6,
    PSH,
    SYN,
    UDP,
    UDP_HEAD,
    error,
    fragment,
    tcp,
    udp,
)  # fmt: skip
from tests.traffic.net import Frame

START_NS = 1_767_614_400 * 10**9
STEP_NS = 5_000  # 200,000 packets/s, as in the bench captures
MTU = 1500
TCP6, DESTINATION, HOP_BY_HOP, IPIP, GRE = 6, 60, 0, 4, 47
HOST = bytes((172, 16, 0, 1))
Octets = Iterator[bytes]


def address(rng: random.Random) -> bytes:
    """A host of the documentation's and other public nets; never one of HOST's."""
    return bytes((rng.randrange(11, 100), *rng.randbytes(3)))


# ---- keys

WORD = SECRET[:8][::-1]  # the secret's first word, as the upper half of an IPv6 address has it


def colliding(rng: random.Random) -> Iterator[bytes]:
    """Addresses whose flow keys have one hash in common.

    The upper half cancels the secret's first word, so that the folded product is 0 whatever the
    lower half is: possible only for who knows the secret.
    """
    while True:
        yield WORD + rng.randbytes(8)


def collide_new(rng: random.Random) -> Octets:
    for source in colliding(rng):
        yield udp(source, b"\xfe" * 16, 4000, 5000, b"x" * 8)


def collide_again(rng: random.Random) -> Octets:
    pairs = list(islice(colliding(rng), 8))
    for source in cycle(pairs):
        yield udp(source, b"\xfe" * 16, 4000, 5000, b"x" * 8)


def collide_syn(rng: random.Random) -> Octets:
    for source in colliding(rng):
        yield tcp(source, b"\xfe" * 16, 4000, 80, 1, 0, SYN)


def new_flows(rng: random.Random) -> Octets:
    while True:
        yield udp(address(rng), HOST, rng.randrange(1024, 65536), rng.randrange(65536), b"x" * 8)


def everywhere(rng: random.Random) -> Octets:
    """From anywhere to anywhere: services, hosts and sources are all new."""
    while True:
        to = bytes((172, 16, *rng.randbytes(2)))
        yield tcp(address(rng), to, rng.randrange(65536), rng.randrange(1, 1024), 1, 0, SYN)


def short_connections(rng: random.Random) -> Octets:
    """Three-way handshake and close, one after the other: each begins and ends a flow."""
    while True:
        source, port, seq = address(rng), rng.randrange(1024, 65536), rng.getrandbits(32)
        yield tcp(source, HOST, port, 80, seq, 0, SYN)
        yield tcp(HOST, source, 80, port, 9, seq + 1, SYN | ACK)
        yield tcp(source, HOST, port, 80, seq + 1, 10, FIN | ACK)
        yield tcp(HOST, source, 80, port, 10, seq + 2, FIN | ACK)


# ---- headers


def fragments(rng: random.Random) -> Octets:
    """Datagrams of which the first fragment and overlapping later ones come, never the last."""
    head = UDP_HEAD.pack(4000, 53, 4000, 0xFFFF)
    while True:
        source, ident = address(rng), rng.getrandbits(16)
        yield fragment(source, HOST, UDP, head + b"x" * 24, ident, 0, more=True)
        for _ in range(7):
            offset = rng.randrange(8, 4000) & ~7
            yield fragment(source, HOST, UDP, b"y" * 32, ident, offset, more=True)


def later_fragments(rng: random.Random) -> Octets:
    """Fragments whose first one never came."""
    while True:
        piece = rng.randbytes(16)
        yield fragment(address(rng), HOST, UDP, piece, rng.getrandbits(16), 64, more=True)


def tunnels(rng: random.Random) -> Octets:
    """Eight encapsulations, IP in IP and GRE by turns, around a segment of a new flow."""
    while True:
        inner = tcp(address(rng), HOST, rng.randrange(65536), 80, 1, 1, ACK, b"x")[14:]
        for depth in range(8):
            if depth % 2:
                inner = b"\0\0\x08\0" + inner
            protocol = GRE if depth % 2 else IPIP
            head = HEAD4.pack(0x45, 0, 20 + len(inner), 0, 0, 64, protocol, 0)
            inner = head + address(rng) + HOST + inner
        yield ETHERNET4 + inner


def extensions(rng: random.Random) -> Octets:
    """As many extension headers as are looked at, before a segment."""
    while True:
        segment = tcp(address(rng), HOST, 4000, 80, 1, 1, ACK, b"x")[34:]
        chain = b"".join(
            bytes((DESTINATION if left else TCP6, 0)) + b"\x01\x04\0\0\0\0"
            for left in reversed(range(16))
        )
        head = HEAD6.pack(0x60000000, len(chain) + len(segment), DESTINATION, 64)
        yield ETHERNET6 + head + rng.randbytes(16) + b"\xfe" * 16 + chain + segment


def padded_options(rng: random.Random) -> Octets:
    """A hop-by-hop header as long as a frame allows, full of Pad1."""
    units = (MTU - 40 - 20) // 8
    while True:
        segment = tcp(address(rng), HOST, 4000, 80, 1, 1, ACK)[34:]
        header = bytes((TCP6, units - 1)) + bytes(units * 8 - 2)
        head = HEAD6.pack(0x60000000, len(header) + len(segment), HOP_BY_HOP, 64)
        yield ETHERNET6 + head + rng.randbytes(16) + b"\xfe" * 16 + header + segment


def tcp_options(rng: random.Random) -> Octets:
    """Forty octets of options, one by one."""
    while True:
        port = rng.randrange(1024, 65536)
        yield tcp(address(rng), HOST, port, 80, 1, 1, ACK, b"x", options=b"\x01" * 40)


def quoted(rng: random.Random) -> Octets:
    """ICMP errors about packets that never were."""
    while True:
        about = udp(HOST, address(rng), rng.randrange(65536), rng.randrange(65536), b"")
        yield error(address(rng), HOST, about)


# ---- streams and recognisers


class Stream:
    """A connection after its handshake, whose client speaks."""

    def __init__(self, rng: random.Random, port: int) -> None:
        self.client, self.server = address(rng), HOST
        self.ports = (rng.randrange(1024, 65536), port)
        self.next = rng.getrandbits(31)

    def opened(self) -> Octets:
        yield self.segment(b"", SYN, -1)
        yield tcp(self.server, self.client, *self.ports[::-1], 1, self.next, SYN | ACK)
        yield self.segment(b"", ACK)

    def segment(self, payload: bytes, flags: int = PSH | ACK, offset: int = 0) -> bytes:
        ack = 0 if flags == SYN else 2
        at = self.next + offset
        return tcp(self.client, self.server, *self.ports, at, ack, flags, payload)

    def say(self, payload: bytes) -> bytes:
        frame = self.segment(payload)
        self.next += len(payload)
        return frame


def first_octets(rng: random.Random) -> Octets:
    """Connections on any port that begin with anything: every recogniser looks, none is right."""
    while True:
        stream = Stream(rng, rng.randrange(1, 65536))
        yield from stream.opened()
        for _ in range(4):
            yield stream.say(rng.randbytes(64))


def nearly(rng: random.Random) -> Octets:
    """Datagrams that are DNS, QUIC, RTP or STUN up to their last octets, on any port."""
    name = b"\x01a" * 100 + b"\0\0\x01\0\x01"
    likes = (
        b"\0\1\1\0\0\1\0\0\0\0\0\1" + name + b"\xc0\x0c" * 3,
        b"\xc3\0\0\0\1\x08" + b"q" * 60,
        b"\x80\x60" + b"r" * 80,
        b"\0\1\0\x54!\x12\xa4\x42" + b"s" * 90,
    )
    while True:
        source, port, to = address(rng), rng.randrange(1024, 65536), rng.randrange(1024, 65536)
        yield udp(HOST, source, to, port, b"x")
        for like in likes:
            yield udp(source, HOST, port, to, like)


def quic(rng: random.Random) -> Octets:
    """Initials of new clients: each would cost a decryption."""
    while True:
        ids = b"\x08" + rng.randbytes(8) + b"\0\0"
        packet = b"\xc3\0\0\0\1" + ids + b"\x44\x80" + rng.randbytes(1160)
        yield udp(address(rng), HOST, rng.randrange(1024, 65536), 443, packet)


def tiny(rng: random.Random) -> Octets:
    """One octet at a time, in no order, some twice."""
    streams = [Stream(rng, 80) for _ in range(64)]
    for stream in streams:
        yield from stream.opened()
    while True:
        for stream in streams:
            places = [*range(2, 34), 5, 9, 13]
            rng.shuffle(places)
            for place in places:
                yield stream.segment(b"x", PSH | ACK, place)
            stream.next += 33


def dns(rng: random.Random) -> Octets:
    """Answers with two copies of a name of 126 labels: every record has one to compare."""
    name = b"\x01a" * 126 + b"\0"
    question = name + b"\0\x01\0\x01"
    second = 12 + len(question) + 2 + 10  # where the second copy stands

    def alias(owner: bytes, target: bytes) -> bytes:
        return owner + struct.pack(">HHIH", 5, 1, 300, len(target)) + target

    one, other = b"\x01a\xc0\x0e", b"\x01a" + (0xC000 | second + 2).to_bytes(2, "big")
    records = [alias(b"\xc0\x0c", name)]
    room = MTU - 28 - 12 - len(question) - len(records[0])
    records += [alias(one, other)] * (room // len(alias(one, other)))
    while True:
        client, port, ident = address(rng), rng.randrange(1024, 65536), rng.getrandbits(16)
        ask = struct.pack(">6H", ident, 0x0100, 1, 0, 0, 0)
        yield udp(client, HOST, port, 53, ask + question)
        answer = struct.pack(">6H", ident, 0x8180, 1, len(records), 0, 0)
        yield udp(HOST, client, 53, port, answer + question + b"".join(records))


def dns_names(rng: random.Random) -> Octets:
    """Questions for names that nobody asked before."""
    while True:
        labels = b"".join(b"\x0f" + rng.randbytes(8).hex()[:15].encode() for _ in range(3))
        ask = struct.pack(">6H", rng.getrandbits(16), 0x0100, 1, 0, 0, 0)
        yield udp(address(rng), HOST, 4000, 53, ask + labels + b"\x03com\0\0\x01\0\x01")


def http2_frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


def http2(rng: random.Random, block: bytes) -> Octets:
    """Header blocks of one kind for ever, on streams of one connection at a time."""
    while True:
        stream = Stream(rng, 80)
        yield from stream.opened()
        yield stream.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + http2_frame(4, 0, 0, b""))
        for number in range(1, 2000, 2):
            yield stream.say(http2_frame(1, 4, number, block))


def hpack_indexed(rng: random.Random) -> Octets:
    return http2(rng, b"\x40\x01a\0" + b"\xbe" * 1400)  # adds an entry, 62, and names it


def hpack_huffman(rng: random.Random) -> Octets:
    # A literal name whose every symbol has the longest code (30 bits: LF, 0x3ffffffc).
    bits = int("1" * 28 + "00", 2)
    coded = int((f"{bits:030b}") * 16, 2).to_bytes(60, "big")
    return http2(rng, (b"\0" + b"\xbc" + coded + b"\0") * 22)


def hpack_growing(rng: random.Random) -> Octets:
    return http2(rng, b"\x40\x01a\0" * 350)


def http1_lines(rng: random.Random) -> Octets:
    """Requests of the shortest lines, and header fields of one octet."""
    while True:
        stream = Stream(rng, 80)
        yield from stream.opened()
        for _ in range(500):
            yield stream.say(b"GET / HTTP/1.1\r\n" + b"a:\n" * 460 + b"\r\n")


def http1_pipelined(rng: random.Random) -> Octets:
    while True:
        stream = Stream(rng, 80)
        yield from stream.opened()
        for _ in range(500):
            yield stream.say(b"GET / HTTP/1.1\r\n\r\n" * 80)


# ---- time: who writes the file chooses it


def ended_at_once(rng: random.Random) -> Iterator[Frame]:
    """A table full of flows falls idle in one instant, again and again."""
    now = START_NS
    while True:
        for frame in islice(new_flows(rng), 50_000):
            now += 200
            yield now, frame
        now += 61 * 10**9


def wheel(rng: random.Random) -> Iterator[Frame]:
    """Flows that speak just before their deadline, in the order that memory likes least."""
    flows = list(islice(new_flows(rng), 20_000))
    now = START_NS
    while True:
        rng.shuffle(flows)
        for frame in flows:
            now += 500
            yield now, frame
        now += 59 * 10**9


def thrown_back(rng: random.Random) -> Iterator[Frame]:
    """Behind a table that was full once, the clock goes back an hour, and on, and back."""
    early, late = START_NS, START_NS + 2 * 3600 * 10**9
    for frame in islice(new_flows(rng), 60_000):
        yield late, frame
    frames = list(islice(new_flows(rng), 67))
    for step in count():
        for number, frame in enumerate(frames, 1):
            yield (late if number == len(frames) else early) + step * 1000, frame


class Attack(NamedTuple):
    """`make`: octets (at STEP_NS) or whole frames. `needs`: what only the writer of a file has."""

    text: str
    make: Callable[[random.Random], Iterator[bytes] | Iterator[Frame]]
    needs: str = ""


ATTACKS = {
    "collide_new": Attack("new flows of one hash", collide_new, "secret"),
    "collide_again": Attack("eight flows of one hash, by turns", collide_again, "secret"),
    "collide_syn": Attack("SYNs of one hash", collide_syn, "secret"),
    "new_flows": Attack("a new flow with each datagram", new_flows),
    "everywhere": Attack("SYNs from anywhere to anywhere", everywhere),
    "short_connections": Attack("connections of four packets", short_connections),
    "fragments": Attack("overlapping fragments, never complete", fragments),
    "later_fragments": Attack("fragments without a first", later_fragments),
    "tunnels": Attack("eight tunnels deep", tunnels),
    "extensions": Attack("16 IPv6 extension headers", extensions),
    "padded_options": Attack("1,440 octets of IPv6 Pad1", padded_options),
    "tcp_options": Attack("40 octets of TCP options", tcp_options),
    "quoted": Attack("ICMP errors about nothing", quoted),
    "first_octets": Attack("random first octets, any port", first_octets),
    "nearly": Attack("nearly DNS, QUIC, RTP, STUN", nearly),
    "quic": Attack("QUIC Initials of new clients", quic),
    "tiny": Attack("segments of one octet, in no order", tiny),
    "dns": Attack("DNS answers of the deepest names", dns),
    "dns_names": Attack("DNS questions, every name new", dns_names),
    "hpack_indexed": Attack("HTTP/2: 1,400 indexed fields", hpack_indexed),
    "hpack_huffman": Attack("HTTP/2: the longest Huffman codes", hpack_huffman),
    "hpack_growing": Attack("HTTP/2: 350 insertions", hpack_growing),
    "http1_lines": Attack("HTTP/1: 460 header lines", http1_lines),
    "http1_pipelined": Attack("HTTP/1: 80 requests a segment", http1_pipelined),
    "ended_at_once": Attack("50,000 flows end in one instant", ended_at_once, "times"),
    "wheel": Attack("timers set anew at the last moment", wheel, "times"),
    "thrown_back": Attack("the clock thrown back and forth", thrown_back, "times"),
}


def frames(name: str, packets: int, seed: int = 1) -> Iterator[Frame]:
    """The attack's first packets, with their times."""
    made = ATTACKS[name].make(random.Random(f"{name} {seed}"))
    for number, item in enumerate(islice(made, packets)):
        yield item if isinstance(item, tuple) else (START_NS + number * STEP_NS, item)
