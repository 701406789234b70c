"""DNS as clients, resolvers and servers use it."""

from collections.abc import Iterator

from tests.traffic import frames, payloads
from tests.traffic.net import MS, US, Frame, Net
from tests.traffic.payloads import AAAA, ANY, DNSKEY, NXDOMAIN, TXT, A

WORDS = ("mail", "www", "api", "cdn", "img", "news", "shop", "static", "login", "app")


def exchange(
    net: Net,
    ts: int,
    client: bytes,
    server: bytes,
    qname: str,
    *,
    kind: int = A,
    size: int = 0,
    rcode: int = 0,
    took_us: int = 300,
    edns: int = 1232,
    answered: bool = True,
    sport: int | None = None,
) -> Iterator[Frame]:
    """A question and its answer; `size` octets of records instead of one address."""
    sport, ident = sport or net.port(), net.rng.getrandbits(16)
    yield ts, frames.udp(client, server, sport, 53, payloads.query(ident, qname, kind, edns=edns))
    if not answered:
        return
    records: tuple[bytes, ...] = () if rcode else (net.octets(16 if kind == AAAA else 4),)
    if size:
        records = tuple(net.octets(min(240, size - n)) for n in range(0, size, 240))
    told = payloads.answer(ident, qname, TXT if kind == ANY else kind, records, rcode=rcode)
    frame = frames.udp(server, client, 53, sport, told)
    pieces = [frame] if len(frame) <= 1514 else frames.fragments(frame, ident)
    for number, piece in enumerate(pieces):
        yield ts + (took_us + 12 * number) * US, piece


def site(net: Net) -> str:
    return f"{net.rng.choice(WORDS)}.site{net.rng.randrange(3000)}.example"


def looked_up(net: Net, *, seconds: float = 10, rate: float = 250) -> Iterator[Frame]:
    """We are a busy resolver, seen from its upstream side: our questions to 200 servers."""
    for ts in net.poisson(0, seconds, rate):
        draw = net.rng.random()
        yield from exchange(
            net, ts, net.host.address, net.far(6000 + net.rng.randrange(200)), site(net),
            kind=net.rng.choice((A, AAAA, A, DNSKEY)), size=net.rng.choice((0, 0, 400, 1100)),
            rcode=NXDOMAIN if draw < 0.12 else 0, took_us=net.rng.randrange(5_000, 90_000),
            answered=draw < 0.98,
        )  # fmt: skip


def resolver(net: Net, *, seconds: float = 10, rate: float = 400) -> Iterator[Frame]:
    """We are a busy resolver, seen from its clients' side: a tenth NXDOMAIN as everywhere."""
    for ts in net.poisson(0, seconds, rate):
        miss = net.rng.random() < 0.1
        yield from exchange(
            net, ts, net.far(6500 + net.rng.randrange(250)), net.host.address, site(net),
            kind=net.rng.choice((A, AAAA)), rcode=NXDOMAIN if miss else 0,
            took_us=net.rng.choice((80, 120, 30_000)),
        )  # fmt: skip


def authoritative(net: Net, *, seconds: float = 10, rate: float = 200) -> Iterator[Frame]:
    """We serve a signed zone to 500 resolvers: answers of 500 to 1,200 octets, some DNSKEY."""
    for ts in net.poisson(0, seconds, rate):
        kind = net.rng.choices((A, AAAA, DNSKEY, TXT), (60, 30, 6, 4))[0]
        size = {DNSKEY: 1000, TXT: 300}.get(kind, 480)
        name = f"{net.rng.choice(WORDS)}.example.net" if kind in (A, AAAA) else "example.net"
        yield from exchange(
            net, ts, net.far(7000 + net.rng.randrange(500)), net.host.address, name,
            kind=kind, size=size, rcode=NXDOMAIN if net.rng.random() < 0.05 else 0, took_us=90,
        )  # fmt: skip


def old_resolvers(net: Net, *, seconds: float = 10, rate: float = 250) -> Iterator[Frame]:
    """We are authoritative; 800 resolvers ask from port 53, as they did before 2008."""
    for ts in net.poisson(0, seconds, rate):
        yield from exchange(
            net, ts, net.far(7600 + net.rng.randrange(800)), net.host.address,
            f"{net.rng.choice(WORDS)}.example.net", size=220, took_us=90, sport=53,
        )  # fmt: skip


def big_answers(net: Net, *, seconds: float = 15, rate: float = 8) -> Iterator[Frame]:
    """Our questions, answered with 2,500 octets in two fragments."""
    for ts in net.poisson(0, seconds, rate):
        yield from exchange(
            net, ts, net.host.address, net.far(40), site(net), kind=DNSKEY, size=2500,
            took_us=20_000, edns=4096,
        )  # fmt: skip


def long_names(net: Net, *, seconds: float = 30) -> Iterator[Frame]:
    """CDN, antivirus, DNSBL and reverse look-ups: long names, many of them, some NXDOMAIN."""
    rng, resolver_address = net.rng, net.own(53)

    def hexadecimal(size: int) -> str:
        return rng.randbytes(size).hex()

    makers = (
        (2.0, lambda: f"d{rng.randbytes(7).hex()}.cloudfront.net", A, 0),
        (1.5, lambda: f"e{rng.randrange(99999)}.dscb.akamaiedge.net", A, 0),
        (1.5, lambda: f"{hexadecimal(16)}.avqs.mcafee.com", A, 0),
        (1.5, lambda: f"{hexadecimal(16)}.hashserver.cs.trendmicro.com", TXT, 60),
        (
            3.0,
            lambda: ".".join(str(rng.randrange(256)) for _ in range(4)) + ".zen.spamhaus.org",
            A,
            -1,
        ),
        (1.0, lambda: f"_dmarc.site{rng.randrange(500)}.example", TXT, 120),
        (1.0, lambda: f"{rng.choice(WORDS)}._domainkey.site{rng.randrange(500)}.example", TXT, 400),
        (
            1.0,
            lambda: ".".join(str(rng.randrange(256)) for _ in range(4)) + ".in-addr.arpa",
            payloads.PTR,
            30,
        ),
    )
    for rate, make, kind, size in makers:
        for ts in net.poisson(0, seconds, rate):
            yield from exchange(
                net, ts, net.host.address, resolver_address, make(), kind=kind,
                size=max(0, size), rcode=NXDOMAIN if size < 0 and rng.random() < 0.8 else 0,
                took_us=rng.randrange(400, 40_000),
            )  # fmt: skip


def dead_resolver(net: Net, *, seconds: float = 20) -> Iterator[Frame]:
    """Our resolver is down: every question is asked three times, nobody answers."""
    for ts in net.poisson(0, seconds, 4):
        name = site(net)
        for again in range(3):
            yield from exchange(
                net, ts + again * 5000 * MS, net.host.address, net.own(53), name, answered=False
            )
