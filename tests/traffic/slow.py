"""Attacks by being slow: requests, bodies and answers that never end."""

from collections.abc import Iterator

from tests.traffic import payloads
from tests.traffic.floods import handshake
from tests.traffic.frames import ACK, PSH
from tests.traffic.net import Frame, Host, Net
from tests.traffic.talk import DOWN, UP, Talk

HEAD = (
    b"GET / HTTP/1.1\r\nHost: www.example.net\r\nUser-Agent: Mozilla/4.0 (compatible; MSIE 8.0)\r\n"
)


def opened(
    net: Net, clients: list[Host], count: int, at_s: float, rate: float, port: int
) -> Iterator[Talk]:
    """`count` connections, `rate` a second, of `clients` in turn."""
    for number, ts in enumerate(net.paced(at_s, count / rate, rate)):
        yield Talk(net, ts, clients[number % len(clients)], net.host, port, rtt_ms=15).open()


def headers(
    net: Net,
    clients: list[Host],
    *,
    count: int = 200,
    at_s: float = 3,
    seconds: float = 35,
    every_s: float = 5,
    tls: bool = False,
) -> Iterator[Frame]:
    """slowloris: a header line now and then, the empty line never."""
    for talk in opened(net, clients, count, at_s, 50, 443 if tls else 80):
        if tls:
            handshake(net, talk)
        line = HEAD
        while talk.now < net.at(at_s + seconds):
            talk.send(UP, payloads.application_data(net.rng, len(line) + 17) if tls else line)
            talk.wait(net.rng.uniform(0.8, 1.2) * every_s * 1000)
            line = b"X-%x: %x\r\n" % (net.rng.getrandbits(20), net.rng.getrandbits(20))
        yield from talk.out


def silent(
    net: Net,
    clients: list[Host],
    *,
    count: int = 200,
    at_s: float = 3,
    port: int = 443,
    hello: bool = False,
) -> Iterator[Frame]:
    """Connections to TLS that say nothing (or a third of a ClientHello) and stay."""
    for talk in opened(net, clients, count, at_s, 50, port):
        if hello:
            talk.send(UP, payloads.client_hello(net.rng)[:70])
        yield from talk.out


def bodies(
    net: Net,
    clients: list[Host],
    *,
    count: int = 150,
    at_s: float = 3,
    seconds: float = 35,
    every_s: float = 3,
    tls: bool = False,
) -> Iterator[Frame]:
    """R.U.D.Y.: a whole header that promises 8,192 octets, then ten at a time."""
    head = payloads.request("/api/up", method="POST", promised=8192)
    for talk in opened(net, clients, count, at_s, 50, 443 if tls else 80):
        if tls:
            handshake(net, talk)
        piece = head
        while talk.now < net.at(at_s + seconds):
            talk.send(UP, payloads.application_data(net.rng, len(piece) + 17) if tls else piece)
            talk.wait(net.rng.uniform(0.8, 1.2) * every_s * 1000)
            piece = b"%010x" % net.rng.getrandbits(40)
        yield from talk.out


def readers(
    net: Net,
    clients: list[Host],
    *,
    count: int = 150,
    at_s: float = 3,
    seconds: float = 35,
    tls: bool = False,
) -> Iterator[Frame]:
    """slowhttptest -X: asks for something large and then has no room for it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n"
    for talk in opened(net, clients, count, at_s, 50, 443 if tls else 80):
        if tls:
            handshake(net, talk)
        asked, told = payloads.request("/big.bin"), head + net.octets(1200)
        if tls:
            asked = payloads.application_data(net.rng, len(asked))
            told = payloads.application_data(net.rng, len(told))
        talk.send(UP, asked).wait(1).send(DOWN, told, acked=False)
        while talk.now < net.at(at_s + seconds):
            talk.say(UP, ACK, window=0)
            talk.wait(net.rng.uniform(3_000, 5_000))
            talk.say(DOWN, ACK, seq=talk.seq[DOWN] - 1)  # a zero-window probe
            if net.rng.random() < 0.3:
                talk.say(UP, ACK, window=1)
                talk.say(DOWN, ACK | PSH, net.octets(32))
        yield from talk.out


def paused(net: Net, *, players: int = 8, seconds: float = 40) -> Iterator[Frame]:
    """Films that somebody paused: the player's buffer is full, its window closed."""
    yield from readers(net, net.clients(players, 900), count=players, at_s=0, seconds=seconds)
