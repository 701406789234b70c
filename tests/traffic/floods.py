"""Floods of packets and connections, as the usual tools send them (hping3, ping -f, ab, hulk).

`times` says when packets (or connections) begin; `source()` gives the next sender's address.
"""

import struct
from collections.abc import Callable, Iterable, Iterator

from tests.traffic import frames, payloads
from tests.traffic.frames import ACK, FIN, PSH, RST, SYN, URG
from tests.traffic.net import MS, SECOND, US, Frame, Host, Net
from tests.traffic.talk import DOWN, UP, Talk

Times = Iterable[int]
Source = Callable[[], bytes]

XMAS = FIN | PSH | URG
HPING_WINDOW = 512
ANSWER_NS = 60 * US


def constant(address: bytes) -> Source:
    return lambda: address


def among(net: Net, count: int, first: int = 1000) -> Source:
    """`count` real senders in turn."""
    state = [0]

    def source() -> bytes:
        state[0] += 1
        return net.far(first + state[0] % count)

    return source


def syn(
    net: Net,
    times: Times,
    source: Source,
    *,
    port: int = 80,
    answered: bool = True,
    resets: bool = False,
    options: bytes = b"",
) -> Iterator[Frame]:
    """SYNs; the host answers, repeats its answer after a second, and hears nothing.

    With `resets` the sender's own kernel refuses the answer: it exists, its address is not spoofed.
    """
    host = net.host.address
    for number, ts in enumerate(times):
        src, sport, seq = source(), 1024 + number % 60_000, net.rng.getrandbits(32)
        yield (
            ts,
            frames.tcp(
                src, host, sport, port, seq, 0, SYN, window=HPING_WINDOW, options=options, ttl=52
            ),
        )
        if not answered:
            continue
        isn = net.rng.getrandbits(32)
        back = frames.tcp(
            host, src, port, sport, isn, seq + 1, SYN | ACK, options=b"\x02\x04\x05\xb4"
        )
        yield ts + ANSWER_NS, back
        if resets:
            yield (
                ts + ANSWER_NS + 300 * US,
                frames.tcp(src, host, sport, port, seq + 1, 0, RST, window=0),
            )
        else:
            yield ts + ANSWER_NS + 1024 * MS, back


def flags(
    net: Net, times: Times, source: Source, bits: int, *, port: int = 80, answered: bool = True
) -> Iterator[Frame]:
    """Segments of no connection; a stack answers all but RST with RST."""
    host = net.host.address
    for number, ts in enumerate(times):
        src, sport, seq = source(), 1024 + number % 60_000, net.rng.getrandbits(32)
        ack = net.rng.getrandbits(32) if bits & ACK else 0
        yield (
            ts,
            frames.tcp(src, host, sport, port, seq, ack, bits, window=HPING_WINDOW, ttl=52),
        )
        if answered and not bits & RST:
            back = RST if bits & ACK else RST | ACK
            yield (
                ts + ANSWER_NS,
                frames.tcp(host, src, port, sport, ack, seq if back & ACK else 0, back, window=0),
            )


def connections(
    net: Net, times: Times, clients: list[Host], *, port: int = 80, hold_ms: float = 0
) -> Iterator[Frame]:
    """Full handshakes that never say anything: closed after `hold_ms`, or never (0)."""
    for number, ts in enumerate(times):
        talk = Talk(net, ts, clients[number % len(clients)], net.host, port).open()
        if hold_ms:
            talk.wait(hold_ms).close()
        yield from talk.out


def datagrams(
    net: Net,
    times: Times,
    source: Source,
    *,
    port: int | None = 9999,
    size: int = 64,
    closed: bool = False,
) -> Iterator[Frame]:
    """UDP to one port (None: a random one each); a `closed` one is refused, 6/s as Linux does."""
    host = net.host.address
    told = 0
    for number, ts in enumerate(times):
        dport = net.rng.randrange(1, 65535) if port is None else port
        frame = frames.udp(source(), host, 1024 + number % 60_000, dport, net.octets(size), 52)
        yield ts, frame
        if closed and ts >= told:
            told = ts + SECOND // 6
            at = 26 if net.version == 4 else 22
            yield ts + ANSWER_NS, frames.error(host, frame[at : at + len(host)], frame)


def echoes(
    net: Net, times: Times, source: Source, *, size: int = 56, answered: bool = True
) -> Iterator[Frame]:
    """ping -f."""
    host = net.host.address
    for number, ts in enumerate(times):
        src, payload = source(), net.octets(size)
        yield ts, frames.echo(src, host, 0x1234, number, payload)
        if answered:
            yield ts + ANSWER_NS, frames.echo(host, src, 0x1234, number, payload, reply=True)


def unreachables(net: Net, times: Times, source: Source) -> Iterator[Frame]:
    """BlackNurse: port unreachable for connections that never were."""
    host = net.host.address
    for ts in times:
        src = source()
        quoted = frames.udp(host, src, net.port(), 53, b"")
        yield ts, frames.error(src, host, quoted)


def pieces(
    net: Net, times: Times, source: Source, *, size: int = 1480, tiny: bool = False
) -> Iterator[Frame]:
    """Fragments that never make a packet: `tiny` first ones, or later ones without a first."""
    host = net.host.address
    protocol = frames.UDP
    for number, ts in enumerate(times):
        offset = 0 if tiny else 1480 * (1 + number % 40)
        piece = net.octets(8 if tiny else size // 8 * 8)
        yield ts, frames.fragment(source(), host, protocol, piece, number, offset, more=True)


def big_datagrams(net: Net, times: Times, source: Source, *, size: int = 4000) -> Iterator[Frame]:
    """UDP larger than the path: each comes in fragments, its first one with ports."""
    host = net.host.address
    for number, ts in enumerate(times):
        whole = frames.udp(source(), host, 4444, 9999, net.octets(size))
        for index, piece in enumerate(frames.fragments(whole, number)):
            yield ts + index * 12 * US, piece


# ---- requests


def requests(
    net: Net,
    times: Times,
    clients: list[Host],
    *,
    path: Callable[[int], str] = lambda number: "/api/v1/search?q=a",
    method: str = "GET",
    per_connection: int = 1,
    pause_ms: float = 0,
    port: int = 80,
    size: int = 600,
    status: int = 200,
    agent: Callable[[int], bytes] = lambda number: b"ApacheBench/2.3",
) -> Iterator[Frame]:
    """A connection at every time: `per_connection` requests, one after the other."""
    number = 0
    for index, ts in enumerate(times):
        talk = Talk(net, ts, clients[index % len(clients)], net.host, port, rtt_ms=2).open()
        for _ in range(per_connection):
            body = b"user=a&password=" + net.octets(60).hex().encode() if method == "POST" else b""
            asked = payloads.request(path(number), method=method, agent=agent(number), body=body)
            talk.send(UP, asked).wait(2)
            talk.send(DOWN, payloads.response(status, net.octets(size))).wait(pause_ms)
            number += 1
        yield from talk.close().out


def encrypted_requests(
    net: Net, times: Times, clients: list[Host], *, per_connection: int, pause_ms: float
) -> Iterator[Frame]:
    """The same over TLS."""
    for index, ts in enumerate(times):
        talk = Talk(net, ts, clients[index % len(clients)], net.host, 443, rtt_ms=2).open()
        handshake(net, talk)
        for _ in range(per_connection):
            talk.send(UP, payloads.application_data(net.rng, 220)).wait(2)
            talk.send(DOWN, payloads.application_data(net.rng, 600)).wait(pause_ms)
        yield from talk.close().out


def handshake(net: Net, talk: Talk, name: str = "www.example.net", version: int = 0x0304) -> Talk:
    """A TLS handshake on an open connection."""
    talk.send(UP, payloads.client_hello(net.rng, name, newest=version)).wait(1)
    talk.send(DOWN, payloads.server_hello(net.rng, version))
    talk.send(UP, payloads.client_finished(net.rng, version))
    return talk


def handshakes(
    net: Net, times: Times, clients: list[Host], *, finished: bool = False
) -> Iterator[Frame]:
    """TLS handshakes for their own sake: hello, let the server work, go away."""
    for index, ts in enumerate(times):
        talk = Talk(net, ts, clients[index % len(clients)], net.host, 443, rtt_ms=2).open()
        talk.send(UP, payloads.client_hello(net.rng)).wait(1)
        talk.send(DOWN, payloads.server_hello(net.rng))
        if finished:
            talk.send(UP, payloads.client_finished(net.rng))
        yield from talk.reset().out


def names(
    net: Net, times: Times, clients: list[Host], *, zone: str = "example.net"
) -> Iterator[Frame]:
    """Random subdomains of our zone: NXDOMAIN each, nothing in any cache."""
    host = net.host.address
    for index, ts in enumerate(times):
        client, sport = clients[index % len(clients)], net.port()
        ident = net.rng.getrandbits(16)
        label = "".join(net.rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=12))
        asked = f"{label}.{zone}"
        yield ts, frames.udp(client.address, host, sport, 53, payloads.query(ident, asked), 55)
        told = payloads.answer(ident, asked, records=(), rcode=payloads.NXDOMAIN)
        yield ts + 200 * US, frames.udp(host, client.address, 53, sport, told)


def discovers(net: Net, times: Times) -> Iterator[Frame]:
    """dhcpstarv: DHCP discovers, each of another hardware address (DHCPv6: solicits)."""
    for ts in times:
        yield ts, dhcp(net, b"\x02" + net.rng.randbytes(5), 1)


def dhcp(net: Net, mac: bytes, kind: int, client: bytes | None = None) -> bytes:
    """A client's message: 1 discover, 3 request (DHCPv6: solicit 1, renew 5)."""
    xid = net.rng.randbytes(4)
    if net.version == 4:
        boot = struct.pack(">BBBB4sHH", 1, 1, 6, 0, xid, 0, 0)
        boot += (client or bytes(4)) + bytes(12) + mac + bytes(10 + 192)
        boot += b"\x63\x82\x53\x63\x35\x01" + bytes((kind,)) + b"\x3d\x07\x01" + mac + b"\xff"
        to = net.host.address if client else b"\xff\xff\xff\xff"
        frame = frames.udp(client or bytes(4), to, 68, 67, boot)
    else:
        message = bytes((5 if kind == 3 else kind,)) + xid[:3]
        message += b"\0\x01\0\x0a\0\x03\0\x01" + mac + b"\0\x08\0\x02\0\0"
        link_local = b"\xfe\x80" + bytes(6) + mac[:3] + b"\xff\xfe" + mac[3:]
        servers = bytes.fromhex("ff020000000000000000000000010002")
        frame = frames.udp(link_local, servers, 546, 547, message)
    return b"\xff" * 6 + mac + frame[12:]
