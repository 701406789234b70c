"""Scans as nmap and masscan make them, and what the scanned say to it."""

from collections.abc import Iterable, Iterator

from tests.traffic import frames
from tests.traffic.frames import ACK, RST, SYN
from tests.traffic.net import MS, US, Frame, Host, Net
from tests.traffic.talk import Talk

NMAP_WINDOW = 1024
NMAP_OPTIONS = b"\x02\x04\x05\xb4"
SERVICES = (
    21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 389, 443, 445, 465, 587, 636, 873, 993, 995,
    1080, 1433, 1521, 1723, 2049, 2375, 3128, 3306, 3389, 5060, 5432, 5900, 5985, 6379, 8000, 8080,
    8081, 8443, 8888, 9000, 9090, 9200, 9300, 10000, 11211, 27017,
)  # fmt: skip
OPEN = (22, 80, 443)


def ports(net: Net, count: int) -> list[int]:
    """The usual ones and more, in random order as scanners try them."""
    more = [port for port in range(1, 9999) if port not in SERVICES]
    chosen = [*SERVICES, *net.rng.sample(more, max(0, count - len(SERVICES)))][:count]
    net.rng.shuffle(chosen)
    return chosen


def syn(
    net: Net, times: Iterable[int], scanner: bytes, targets: Iterable[tuple[bytes, int]], *,
    silent: bool = False,
) -> Iterator[Frame]:  # fmt: skip
    """A SYN to each (address, port): open ones answer and are reset, others refuse or not."""
    sport = net.port()
    for ts, (target, port) in zip(times, targets, strict=False):
        seq = net.rng.getrandbits(32)
        yield (
            ts,
            frames.tcp(
                scanner, target, sport, port, seq, 0, SYN,
                window=NMAP_WINDOW, options=NMAP_OPTIONS, ttl=47,
            ),
        )  # fmt: skip
        if port in OPEN and target == net.host.address:
            isn = net.rng.getrandbits(32)
            yield (
                ts + 60 * US,
                frames.tcp(
                    target, scanner, port, sport, isn, seq + 1, SYN | ACK, options=NMAP_OPTIONS
                ),
            )
            yield (
                ts + 20 * MS,
                frames.tcp(scanner, target, sport, port, seq + 1, 0, RST, window=0, ttl=47),
            )
        elif not silent:
            yield (
                ts + 60 * US,
                frames.tcp(target, scanner, port, sport, 0, seq + 1, RST | ACK, window=0),
            )


def odd(net: Net, times: Iterable[int], scanner: bytes, bits: int, count: int) -> Iterator[Frame]:
    """FIN, null or Xmas scan: closed ports answer RST, open ones nothing."""
    host, sport = net.host.address, net.port()
    for ts, port in zip(times, ports(net, count), strict=False):
        seq = net.rng.getrandbits(32)
        yield (
            ts,
            frames.tcp(scanner, host, sport, port, seq, 0, bits, window=NMAP_WINDOW, ttl=47),
        )
        if port not in OPEN:
            yield (
                ts + 60 * US,
                frames.tcp(host, scanner, port, sport, 0, seq + 1, RST | ACK, window=0),
            )


def connect(net: Net, times: Iterable[int], scanner: Host, count: int) -> Iterator[Frame]:
    """nmap -sT: the scanner's own stack, so open ports see a whole handshake."""
    for ts, port in zip(times, ports(net, count), strict=False):
        talk = Talk(net, ts, scanner, net.host, port, rtt_ms=12)
        yield from (talk.open().reset() if port in OPEN else talk.refused()).out


def udp(net: Net, times: Iterable[int], scanner: bytes, count: int) -> Iterator[Frame]:
    """nmap -sU: closed ports answer port unreachable."""
    host, sport = net.host.address, net.port()
    for ts, port in zip(times, ports(net, count), strict=False):
        probe = frames.udp(scanner, host, sport, port, b"", 47)
        yield ts, probe
        yield ts + 60 * US, frames.error(host, scanner, probe)


def pings(net: Net, times: Iterable[int], scanner: bytes, count: int) -> Iterator[Frame]:
    """An ICMP sweep of the agent's network: every tenth address is alive."""
    for n, ts in zip(range(1, count + 1), times, strict=False):
        target = net.own(n)
        yield ts, frames.echo(scanner, target, 0x77, 0, bytes(32))
        if n % 10 == 0:
            yield ts + 300 * US, frames.echo(target, scanner, 0x77, 0, bytes(32), reply=True)


def sweep_targets(net: Net, port: int, count: int) -> list[tuple[bytes, int]]:
    """One port of `count` addresses of the agent's network."""
    return [(net.own(n), port) for n in range(1, count + 1)]
