"""Streams: calls, speed tests, downloads, logs; some go one way only, and all mean well."""

import struct
from collections.abc import Iterator

from tests.traffic import frames, payloads
from tests.traffic.net import MS, SECOND, US, Frame, Host, Net
from tests.traffic.talk import DOWN, UP, Talk


def iperf_udp(net: Net, *, seconds: float = 8, megabits: float = 3, size: int = 172) -> list[Frame]:
    """iperf3 -u: its TCP control connection, one datagram back, then one way."""
    client = net.client(11)
    control = Talk(net, net.at(0), client, net.host, 5201, rtt_ms=1).open()
    control.send(UP, net.octets(37)).send(DOWN, b"\x09")
    control.send(UP, b'\0\0\0\x5c{"udp":true,"omit":0,"time":8,"bandwidth":3000000}').send(
        DOWN, b"\x0a"
    )
    out, sport = control.out, net.port()
    begin = control.now / SECOND - net.at(0) / SECOND + 0.01
    hello = control.now + 5 * MS
    out.append((hello, frames.udp(client.address, net.host.address, sport, 5201, b"9876", 55)))
    out.append(
        (hello + 40 * US, frames.udp(net.host.address, client.address, 5201, sport, b"6789"))
    )
    for number, ts in enumerate(net.paced(begin, seconds, megabits * 1e6 / 8 / size)):
        head = struct.pack(">IIII", ts // SECOND & 0xFFFFFFFF, ts // US % 1_000_000, 0, number)
        datagram = head + net.octets(size - 16)
        out.append((ts, frames.udp(client.address, net.host.address, sport, 5201, datagram, 55)))
    control.now = net.at(begin + seconds)
    control.send(UP, b"\x04").send(DOWN, b"\x0d").close()
    return out


def speed_test(
    net: Net, *, up: bool, seconds: float = 6, megabits: float = 20, streams: int = 4
) -> Iterator[Frame]:
    """iperf3 or a browser's test: a few connections as full as they get."""
    client = net.client(12)
    chunk = 28_960
    gap_ms = chunk * 8 * streams / megabits / 1e3
    for number in range(streams):
        start = net.at(0.2 + number * 0.01)
        talk = Talk(net, start, client, net.host, 5201 if up else 443, rtt_ms=9).open()
        talk.send(UP, net.octets(37))
        while talk.now < net.at(seconds):
            talk.send(UP if up else DOWN, net.octets(chunk)).wait(gap_ms)
        yield from talk.close().out


def calls(net: Net, *, count: int = 6, seconds: float = 20, hold: bool = False) -> Iterator[Frame]:
    """RTP (G.711, 50 packets/s) both ways after SIP; on `hold` only the far side plays music."""
    for number in range(count):
        peer, sport, port = net.client(20 + number), 16_384 + 2 * number, 20_000 + 2 * number
        begin, stream, back = number * 0.21, net.rng.getrandbits(32), net.rng.getrandbits(32)
        yield from sip(net, begin, peer)
        for n, ts in enumerate(net.paced(begin + 0.3, seconds - begin, 50)):
            octets = payloads.rtp(n, 160 * n, stream, net.octets(160))
            yield ts, frames.udp(peer.address, net.host.address, sport, port, octets, 50)
            if not hold or n < 100:
                octets = payloads.rtp(n, 160 * n, back, net.octets(160))
                yield ts + 7 * MS, frames.udp(net.host.address, peer.address, port, sport, octets)


def sip(net: Net, at_s: float, peer: Host) -> Iterator[Frame]:
    """INVITE, 200, ACK."""
    head = b"Via: SIP/2.0/UDP x\r\nFrom: <sip:a@x>\r\nTo: <sip:b@x>\r\nCall-ID: %d\r\n"
    head = head % net.rng.getrandbits(32) + b"CSeq: 1 INVITE\r\n\r\n"
    for after, mine, line in (
        (0, False, b"INVITE sip:b@x"),
        (20, True, b""),
        (60, False, b"ACK sip:b@x"),
    ):
        octets = (b"SIP/2.0 200 OK\r\n" if mine else line + b" SIP/2.0\r\n") + head
        ends = (net.host.address, peer.address) if mine else (peer.address, net.host.address)
        yield net.at(at_s) + after * MS, frames.udp(*ends, 5060, 5060, octets)


def quic_download(net: Net, *, seconds: float = 8, rate: float = 500) -> Iterator[Frame]:
    """Our host downloads over QUIC: 1,200-octet packets, an acknowledgement for every second."""
    server, sport, ident = net.far(31), net.port(), net.rng.randbytes(8)
    initial = b"\xc3\0\0\0\x01\x08" + ident + b"\0\0\x44\x96" + net.octets(1182)
    yield net.at(0), frames.udp(net.host.address, server, sport, 443, initial)
    answer = b"\xc1\0\0\0\x01\0\x08" + ident + b"\0\x44\x96" + net.octets(1182)
    yield net.at(0.02), frames.udp(server, net.host.address, 443, sport, answer)
    for number, ts in enumerate(net.paced(0.05, seconds, rate)):
        yield ts, frames.udp(server, net.host.address, 443, sport, b"\x41" + net.octets(1199))
        if number % 2:
            ack = b"\x42" + ident + net.octets(26)
            yield ts + 100 * US, frames.udp(net.host.address, server, sport, 443, ack)


def syslog(net: Net, *, senders: int = 20, seconds: float = 30, rate: float = 3) -> Iterator[Frame]:
    """Hosts of the network log to us; nobody answers syslog."""
    for number in range(senders):
        for ts in net.poisson(0, seconds, rate):
            line = b"<30>Jan  5 12:00:00 web%d app[77]: GET /item/%d 200" % (number, ts % 1000)
            yield ts, frames.udp(net.own(50 + number), net.host.address, 514, 514, line)


def vpn(net: Net, *, seconds: float = 12, rate: float = 300) -> Iterator[Frame]:
    """WireGuard: a backup over it, nearly all of it one way."""
    peer, sport = net.far(33), net.port()
    host = net.host.address
    for number, ts in enumerate(net.paced(0, seconds, rate)):
        kind, size = (b"\x01\0\0\0", 144) if number == 0 else (b"\x04\0\0\0", 1280)
        yield ts, frames.udp(peer, host, sport, 51820, kind + net.octets(size), 55)
        if number == 0:
            answer = b"\x02\0\0\0" + net.octets(88)
            yield ts + 300 * US, frames.udp(host, peer, 51820, sport, answer)
        elif number % 40 == 0:
            answer = b"\x04\0\0\0" + net.octets(92)
            yield ts + 300 * US, frames.udp(host, peer, 51820, sport, answer)


def game(net: Net, *, players: int = 30, seconds: float = 10) -> Iterator[Frame]:
    """A game server: 20 small datagrams a second each way and player."""
    for number in range(players):
        player, sport = net.client(400 + number).address, net.port()
        for ts in net.paced(number * 0.07, seconds, 20):
            yield ts, frames.udp(player, net.host.address, sport, 27015, net.octets(48), 50)
            back = net.octets(120)
            yield ts + 9 * MS, frames.udp(net.host.address, player, 27015, sport, back)
