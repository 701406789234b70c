"""Channels inside what nobody looks at: DNS and ICMP tunnels, beacons; and what resembles them."""

import base64
from collections.abc import Iterator

from tests.traffic import frames, payloads
from tests.traffic.floods import Times, handshake
from tests.traffic.names import exchange
from tests.traffic.net import MS, US, Frame, Host, Net
from tests.traffic.payloads import TXT
from tests.traffic.talk import DOWN, UP, Talk


def labels(net: Net, octets: int) -> str:
    """Base32 of random octets in labels of at most 63."""
    data = base64.b32encode(net.octets(octets)).decode().lower().rstrip("=")
    return ".".join(data[n : n + 60] for n in range(0, len(data), 60))


def dns_tunnel(
    net: Net,
    times: Times,
    *,
    octets: int = 110,
    kind: int = TXT,
    down: int = 200,
    zone: str = "t.tunnel.example",
) -> Iterator[Frame]:
    """Our host talks through our resolver: every name carries `octets`, every answer `down`."""
    for ts in times:
        name = f"{labels(net, octets)}.{zone}"
        yield from exchange(
            net, ts, net.host.address, net.own(53), name, kind=kind, size=down, took_us=25_000
        )


def icmp_tunnel(
    net: Net, times: Times, *, up: int = 900, down: int = 1000, peer: int = 66
) -> Iterator[Frame]:
    """Echo requests and replies with other content each way, of other sizes."""
    host, far = net.host.address, net.far(peer)
    for number, ts in enumerate(times):
        sent = net.octets(net.rng.randrange(40, up))
        yield ts, frames.echo(host, far, 0x2601, number, b"\xd5\x20\x08\x80" + sent)
        told = net.octets(net.rng.randrange(40, down))
        answer = frames.echo(far, host, 0x2601, number, b"\xd5\x20\x08\x80" + told, reply=True)
        yield ts + 18 * MS, answer


def our_pings(
    net: Net, *, seconds: float = 30, size: int = 1400, rate: float = 5
) -> Iterator[Frame]:
    """ping -s 1400 -i .2: large, and every reply is what was sent."""
    host, far = net.host.address, net.far(67)
    for number, ts in enumerate(net.paced(0, seconds, rate)):
        content = (ts // US).to_bytes(16) + bytes(n & 255 for n in range(16, size))
        yield ts, frames.echo(host, far, 0x4711, number, content)
        yield ts + 12 * MS, frames.echo(far, host, 0x4711, number, content, reply=True)


def beacons(
    net: Net, *, every_s: float = 60, jitter: float = 0.03, hours: float = 1.2, size: int = 180
) -> Iterator[Frame]:
    """An implant asks its master for work: TLS, the same octets each time."""
    server, now = net.client(666), 5.0
    while now < hours * 3600:
        talk = Talk(net, net.at(now), net.host, server, 443, near=UP, rtt_ms=45).open()
        handshake(net, talk, "cdn.updates.example")
        talk.send(UP, payloads.application_data(net.rng, size)).wait(8)
        talk.send(DOWN, payloads.application_data(net.rng, 96))
        yield from talk.close().out
        now += every_s * (1 + net.rng.uniform(-jitter, jitter))


def clocks(net: Net, *, hours: float = 1.2) -> Iterator[Frame]:
    """NTP: four servers, every 64 s."""
    for number in range(4):
        server, now = net.far(500 + number), 1.0 + number
        while now < hours * 3600:
            ts, host = net.at(now), net.host.address
            yield ts, frames.udp(host, server, 123, 123, payloads.ntp(3))
            yield ts + 12 * MS, frames.udp(server, host, 123, 123, payloads.ntp(4), 52)
            now += 64 + net.rng.uniform(-0.5, 0.5)


def clock_server(net: Net, *, seconds: float = 12, rate: float = 250) -> Iterator[Frame]:
    """We are an NTP server of 3,000 clients, most of which ask from port 123."""
    host = net.host.address
    for ts in net.poisson(0, seconds, rate):
        client = net.far(10_000 + net.rng.randrange(3000))
        sport = 123 if net.rng.random() < 0.7 else net.port()
        yield ts, frames.udp(client, host, sport, 123, payloads.ntp(3), 50)
        yield ts + 30 * US, frames.udp(host, client, 123, sport, payloads.ntp(4))


def surfing(net: Net, *, hours: float = 1.2, every_s: float = 45) -> Iterator[Frame]:
    """A person: connections to a few sites at a person's times, of all sizes."""
    now = 3.0
    while now < hours * 3600:
        server = net.client(9000 + int(net.rng.paretovariate(0.8)) % 40)
        talk = Talk(net, net.at(now), net.host, server, 443, near=UP).open()
        handshake(net, talk)
        talk.send(UP, payloads.application_data(net.rng, net.rng.randrange(200, 900))).wait(30)
        talk.send(DOWN, payloads.application_data(net.rng, net.rng.randrange(500, 15_000)))
        yield from talk.close().out
        now += net.rng.expovariate(1 / every_s)


def balancer_pings(net: Net, *, hours: float = 0.5, every_s: float = 5) -> Iterator[Frame]:
    """A load balancer asks our /health every 5 s: periodic, inwards, of our own network."""
    checker = Host(net.own(200), clock=5)
    for ts in net.paced(0, hours * 3600, 1 / every_s):
        talk = Talk(net, ts, checker, net.host, 80, rtt_ms=0.4).open()
        talk.send(UP, payloads.request("/health", agent=b"ELB-HealthChecker/2.0")).wait(1)
        yield from talk.send(DOWN, payloads.response(200, b"ok")).close().out
