"""Peer to peer: many partners on random high ports, a good part of them gone."""

from collections.abc import Iterator

from tests.traffic import frames, payloads
from tests.traffic.net import MS, US, Frame, Host, Net
from tests.traffic.talk import DOWN, UP, Talk

HANDSHAKE = b"\x13BitTorrent protocol" + bytes(8)
SYN_KIND, DATA_KIND, STATE_KIND = 4, 0, 2


def bittorrent(net: Net, *, peers: int = 300, seconds: float = 25) -> Iterator[Frame]:
    """Our client after a restart: a third answers, a third refuses, a third is gone; and uTP."""
    me = Host(net.host.address, clock=3)
    for number, ts in enumerate(net.poisson(0.5, seconds, peers / seconds)):
        peer = net.client(3000 + number)
        port = net.rng.randrange(10_000, 65_000)
        fate = net.rng.random()
        talk = Talk(net, ts, me, peer, port, near=UP)
        if fate < 0.35:
            talk.open().send(UP, HANDSHAKE + net.octets(40))
            talk.send(DOWN, HANDSHAKE + net.octets(40)).send(DOWN, net.octets(9000))
            talk.settle().wait(2000).close()
        elif fate < 0.65:
            talk.refused()
        else:
            talk.unanswered((1.0, 3.0))
        yield from talk.out
        yield from utp(net, ts + 30 * MS, peer.address, port, answered=fate < 0.4)


def utp(net: Net, ts: int, peer: bytes, port: int, *, answered: bool) -> Iterator[Frame]:
    """The same peer over uTP."""
    host, ident = net.host.address, net.rng.getrandbits(16)
    for again in range(1 if answered else 3):
        packet = payloads.utp(SYN_KIND, ident, 1)
        yield ts + again * 3000 * MS, frames.udp(host, peer, 6881, port, packet)
    if answered:
        yield ts + 40 * MS, frames.udp(peer, host, port, 6881, payloads.utp(STATE_KIND, ident, 1))
        for n in range(10):
            now = ts + (60 + 5 * n) * MS
            data = payloads.utp(DATA_KIND, ident, 2 + n, net.octets(1200))
            yield now, frames.udp(peer, host, port, 6881, data)
            state = payloads.utp(STATE_KIND, ident, 2 + n)
            yield now + 80 * US, frames.udp(host, peer, 6881, port, state)


def asked_in_vain(net: Net, *, peers: int = 250, seconds: float = 25) -> Iterator[Frame]:
    """Peers that knew us before the restart try the old ports: TCP refused, UDP unreachable."""
    for number, ts in enumerate(net.poisson(0.5, seconds, peers / seconds)):
        peer = net.client(5000 + number)
        yield from Talk(net, ts, peer, net.host, 51_413).refused().out
        probe = frames.udp(peer.address, net.host.address, 6881, 51_413, payloads.utp(4, 9, 1), 50)
        yield ts + 90 * MS, probe
        if number % 3 == 0:
            yield ts + 91 * MS, frames.error(net.host.address, peer.address, probe)
