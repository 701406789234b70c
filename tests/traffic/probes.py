"""Monitoring: pings, traceroutes, banners and ports, from people who are meant to do that."""

from collections.abc import Iterator

from tests.traffic import frames
from tests.traffic.net import MS, US, Frame, Host, Net
from tests.traffic.talk import DOWN, Talk

WATCHED = (21, 22, 53, 80, 81, 443, 8080, 8765, 50051)
LISTENING = (22, 80, 443, 8080)


def pings(
    net: Net, *, hosts: int = 20, seconds: float = 30, every_s: float = 1, size: int = 56
) -> Iterator[Frame]:
    """Smokeping: `hosts` that ping us, all answered."""
    for number in range(hosts):
        src = net.client(30 + number).address
        for seq, ts in enumerate(net.paced(number * 0.037, seconds, 1 / every_s)):
            octets = net.octets(size)
            yield ts, frames.echo(src, net.host.address, 0x4000 + number, seq, octets)
            back = frames.echo(net.host.address, src, 0x4000 + number, seq, octets, reply=True)
            yield ts + 40 * US, back


def traceroutes(net: Net, *, count: int = 8, hops: int = 14) -> Iterator[Frame]:
    """Ours to 8 targets: three datagrams a hop, time exceeded from routers, unreachable at last."""
    host = net.host.address
    exceeded = (11, 0) if net.version == 4 else (3, 0)
    for number in range(count):
        target, sport = net.far(800 + number), net.port()
        for n, ts in enumerate(net.paced(number * 2, 4, hops * 3 / 4)):
            probe = frames.udp(host, target, sport, 33434 + n, bytes(32), 1 + n // 3)
            yield ts, probe
            last = n // 3 == hops - 1
            router = target if last else net.far(900 + n // 3)
            yield ts + (3 + n) * MS, frames.error(router, host, probe, None if last else exceeded)


def ports(net: Net, *, rounds: int = 8, every_s: float = 5) -> Iterator[Frame]:
    """Nine ports of ours, each round; the closed ones are closed on purpose."""
    monitor = Host(net.own(240), clock=5)
    for number in range(rounds):
        for n, port in enumerate(WATCHED):
            talk = Talk(
                net, net.at(number * every_s + n * 0.05), monitor, net.host, port, rtt_ms=0.5
            )
            yield from (talk.open().close() if port in LISTENING else talk.refused()).out


def banners(net: Net, *, rounds: int = 20, every_s: float = 2) -> Iterator[Frame]:
    """Is SSH alive? Reads the banner and goes."""
    monitor = Host(net.own(241), clock=9)
    for number in range(rounds):
        talk = Talk(net, net.at(number * every_s), monitor, net.host, 22, rtt_ms=0.5).open()
        yield from talk.send(DOWN, b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u6\r\n").close().out
