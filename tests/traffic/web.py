"""Visitors of a web server: what is harmless however much of it there is."""

from collections.abc import Iterable, Iterator
from random import Random

from tests.traffic import payloads
from tests.traffic.floods import handshake
from tests.traffic.net import MS, Frame, Host, Net
from tests.traffic.talk import DOWN, UP, Talk

PAGES = ["/", "/news", "/shop", "/about", "/login", *(f"/item/{n}" for n in range(40))]
ASSETS = ["/style.css", "/app.js", "/logo.png", "/font.woff2"]


def body(net: Net, median: int = 6000) -> bytes:
    return net.octets(min(60_000, int(net.rng.lognormvariate(0, 0.8) * median)))


def page(rng: Random) -> str:
    """A page as people choose: a few are much liked."""
    return PAGES[min(len(PAGES) - 1, int(rng.paretovariate(1.1)) - 1)]


def visit(
    net: Net,
    ts: int,
    client: Host,
    *,
    tls: bool,
    requests: int = 3,
    median: int = 6000,
    loss: float = 0,
    dropped: bool = False,
) -> list[Frame]:
    """A page and what belongs to it over one connection, with pauses; then FIN."""
    rng = net.rng
    talk = Talk(net, ts, client, net.host, 443 if tls else 80, loss=loss)
    talk.open(dropped=dropped)
    if tls:
        handshake(net, talk)
    for number in range(requests):
        path = rng.choice(ASSETS) if number else page(rng)
        status = 200 if rng.random() > 0.02 else 404
        asked = payloads.request(path, agent=payloads.AGENTS[client.clock % 3])
        told = payloads.response(status, body(net, median))
        if tls:
            asked = payloads.application_data(rng, len(asked))
            told = payloads.application_data(rng, min(len(told), 16_000))
        talk.send(UP, asked).wait(rng.lognormvariate(1.5, 0.6))
        talk.send(DOWN, told).settle().wait(rng.expovariate(1 / 150))
    return talk.close().out


def steady(
    net: Net,
    *,
    at_s: float = 0,
    seconds: float = 12,
    rate: float = 4,
    clients: int = 40,
    loss: float = 0,
) -> Iterator[Frame]:
    """Independent visitors, half of them over TLS."""
    known = net.clients(clients)
    for ts in net.poisson(at_s, seconds, rate):
        tls = net.rng.random() < 0.5
        client = net.rng.choice(known)
        yield from visit(net, ts, client, tls=tls, requests=2, median=3000, loss=loss)


def crowd(
    net: Net,
    *,
    before_s: float = 15,
    seconds: float = 12,
    rate: float = 4,
    factor: float = 20,
    sources: int = 300,
    dropped: float = 0,
) -> Iterator[Frame]:
    """Slashdot: after a quiet time `factor` times the visitors, each a few connections."""
    yield from steady(net, seconds=before_s, rate=rate)
    yield from rush(net, before_s, seconds, rate * factor, sources=sources, dropped=dropped)


def rush(
    net: Net, at_s: float, seconds: float, rate: float, *, sources: int, dropped: float
) -> Iterator[Frame]:
    """Visitors of `sources` addresses; of their SYNs the full queue drops the share `dropped`.

    Dropped ones are repeated after 1 s, and then mostly answered.
    """
    visitors = net.clients(sources, 200)
    for ts in net.poisson(at_s, seconds, rate):
        client = net.rng.choice(visitors)
        tls = net.rng.random() < 0.5
        full = net.rng.random() < dropped
        if full and net.rng.random() < dropped:
            yield from Talk(net, ts, client, net.host, 443 if tls else 80).unanswered().out
        else:
            yield from visit(net, ts, client, tls=tls, requests=2, median=3000, dropped=full)


def crawl(net: Net, *, at_s: float = 2, files: int = 400, per_connection: int = 100) -> list[Frame]:
    """wget -r: one source, every file once, one after the other on keep-alive connections."""
    client, out, now = net.client(7), [], net.at(at_s)
    for first in range(0, files, per_connection):
        talk = Talk(net, now, client, net.host, 80, rtt_ms=6).open()
        for number in range(first, min(files, first + per_connection)):
            told = payloads.response(200, body(net, 4000))
            talk.send(UP, payloads.request(f"/tree/{number}.html", agent=b"Wget/1.21.4")).wait(1)
            talk.send(DOWN, told).settle().wait(1)
        out += talk.close().out
        now = talk.now + 2 * MS
    return out


def preconnects(net: Net, *, browsers: int = 60, seconds: float = 20) -> Iterator[Frame]:
    """Browsers open two spare connections a page (TLS or not) and close them unused."""
    for ts in net.poisson(0, seconds, browsers / seconds):
        client = net.client(net.rng.randrange(1, 500))
        yield from visit(net, ts, client, tls=True, requests=3)
        for spare in range(2):
            talk = Talk(net, ts + (20 + spare) * MS, client, net.host, 443).open()
            if spare:
                handshake(net, talk)
            yield from talk.wait(net.rng.uniform(8_000, 30_000)).close().out


def idle_pool(
    net: Net, *, connections: int = 120, seconds: float = 40, every_s: float = 15
) -> Iterator[Frame]:
    """Keep-alive pools of a few API clients: a request now and then, idle in between."""
    pool = net.clients(4, 50)
    for number, ts in enumerate(net.paced(0, 5, connections / 5)):
        talk = Talk(net, ts, pool[number % 4], net.host, 80, rtt_ms=3).open()
        while talk.now < net.at(seconds):
            talk.send(UP, payloads.request("/api/state", agent=b"okhttp/4.12")).wait(4)
            talk.send(DOWN, payloads.response(200, net.octets(400), b"application/json"))
            talk.settle().wait(net.rng.uniform(0.5, 1.5) * every_s * 1000)
        yield from talk.out


def websockets(
    net: Net, *, connections: int = 80, seconds: float = 45, tls: bool = False
) -> Iterator[Frame]:
    """Upgraded connections with a ping every 20 s and nothing else."""
    upgrade = (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    switched = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )

    def wrap(octets: bytes) -> bytes:
        return payloads.application_data(net.rng, len(octets) + 17) if tls else octets

    for number, ts in enumerate(net.paced(0, 4, connections / 4)):
        client = net.client(100 + number)
        talk = Talk(net, ts, client, net.host, 443 if tls else 80).open()
        if tls:
            handshake(net, talk)
        talk.send(UP, wrap(payloads.request("/chat", more=upgrade))).wait(2)
        talk.send(DOWN, wrap(switched)).settle()
        while True:
            talk.wait(net.rng.uniform(18_000, 22_000))
            if talk.now > net.at(seconds):
                break
            talk.send(DOWN, wrap(b"\x89\x00"))
            talk.send(UP, wrap(b"\x8a\x80" + net.rng.randbytes(4)))
        yield from talk.out


def event_streams(net: Net, *, connections: int = 60, seconds: float = 45) -> Iterator[Frame]:
    """Server-sent events: a whole request, then a response that never ends; half long polls."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for number, ts in enumerate(net.paced(0, 4, connections / 4)):
        talk = Talk(net, ts, net.client(300 + number), net.host, 80).open()
        talk.send(UP, payloads.request("/events")).wait(3)
        if number % 2:
            talk.send(DOWN, head)
        while talk.settle().wait(net.rng.uniform(5_000, 25_000)).now < net.at(seconds):
            if number % 2:
                talk.send(DOWN, b"10\r\ndata: tick 1234\n\n\r\n")
            else:
                talk.send(DOWN, payloads.response(200, b"{}", b"application/json"))
                talk.settle().send(UP, payloads.request("/poll"))
        yield from talk.out


def uploads(net: Net, *, clients: int = 30, seconds: float = 40) -> Iterator[Frame]:
    """Phones on a bad link: 1-3 kB/s of a photograph each, with a loss now and then."""
    for number, ts in enumerate(net.paced(0, 10, clients / 10)):
        talk = Talk(net, ts, net.client(600 + number), net.host, 80, rtt_ms=300).open()
        talk.send(UP, payloads.request("/photo", method="PUT", promised=400_000))
        while talk.now < net.at(seconds):
            before = talk.seq[UP]
            piece = net.octets(net.rng.randrange(700, 1300))
            talk.send(UP, piece)
            if net.rng.random() < 0.03:
                talk.wait(400).say(UP, 24, piece, seq=before)
            talk.settle().wait(net.rng.uniform(300, 700))
        yield from talk.out


def downloads(net: Net, *, clients: int = 30, seconds: float = 40) -> Iterator[Frame]:
    """Slow readers of something large: 2-6 kB/s, the window small but open, zero for a moment."""
    for number, ts in enumerate(net.paced(0, 10, clients / 10)):
        talk = Talk(net, ts, net.client(700 + number), net.host, 80, rtt_ms=250).open()
        talk.send(UP, payloads.request("/film.mkv")).wait(2)
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: video/x-matroska\r\nContent-Length: 90000000\r\n\r\n"
        )
        talk.send(DOWN, head)
        while talk.settle().now < net.at(seconds):
            talk.send(DOWN, net.octets(2800), acked=False)
            if net.rng.random() < 0.1:
                talk.say(UP, 16, window=0)
                talk.wait(net.rng.uniform(200, 1500))
            talk.say(UP, 16, window=40)
            talk.wait(net.rng.uniform(300, 900))
        yield from talk.out


def from_nat(net: Net, *, systems: int = 60, seconds: float = 15, rate: float = 25) -> list[Frame]:
    """A company behind one address: hundreds of connections, as many clocks as systems."""
    inside, out = net.behind_nat(systems), []
    for ts in net.poisson(0, seconds, rate):
        tls = net.rng.random() < 0.6
        out += visit(net, ts, net.rng.choice(inside), tls=tls, requests=2, median=2500)
    return out


def health_checks(
    net: Net, *, balancers: int = 4, seconds: float = 30, port: int = 80, half_open: bool = True
) -> Iterator[Frame]:
    """Load balancers ask every second: SYN, SYN-ACK, RST; or a whole empty connection."""
    for number in range(balancers):
        checker = Host(net.own(200 + number), clock=number * 1_000_003)
        for ts in net.paced(number * 0.13, seconds, 1):
            talk = Talk(net, ts, checker, net.host, port, rtt_ms=0.4)
            if half_open:
                talk.say(UP, 2)
                talk.say(DOWN, 2 | 16)
                yield from talk.reset(ack=False).out
            else:
                yield from talk.open().close().out


def failing_tls(net: Net, times: Iterable[int]) -> Iterator[Frame]:
    """Clients that do not know our self-signed certificate: alert unknown_ca, FIN."""
    for ts in times:
        client = net.client(net.rng.randrange(1, 400))
        talk = Talk(net, ts, client, net.host, 443).open()
        talk.send(UP, payloads.client_hello(net.rng, newest=0x0303)).wait(1)
        talk.send(DOWN, payloads.server_hello(net.rng, 0x0303))
        talk.send(UP, payloads.alert(2, 48))
        yield from talk.close().out
