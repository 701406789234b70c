"""Requests in bulk, and visitors in bulk."""

from tests.rules.case import Case, benign
from tests.traffic import floods, web
from tests.traffic.net import Net

CLASSES = ("http_flood",)


def small(net: Net):
    return web.steady(net, rate=3)


def random_query(net: Net):
    return lambda number: f"/?{net.rng.getrandbits(32):x}={net.rng.getrandbits(32):x}"


def random_agent(net: Net):
    return lambda number: b"Moz/%d" % net.rng.randrange(32768)


CASES = [
    Case(
        "GET of one path, one source, 120/s, a connection each",
        lambda net: floods.requests(net, net.paced(3, 8, 120), [net.client(66)]),
        small,
        CLASSES,
        also=("connection_flood",),
        source=lambda net: net.far(66),
    ),
    Case(
        "GET of one path, 8 keep-alive connections of 8 sources, 300/s",
        lambda net: floods.requests(
            net, net.burst(3, 8, 100), net.clients(8, 2000), per_connection=300, pause_ms=22
        ),
        small,
        CLASSES,
    ),
    Case(
        "GET of random queries and agents, 20 sources, 150/s",
        lambda net: floods.requests(
            net,
            net.paced(3, 8, 150),
            net.clients(20, 2000),
            path=random_query(net),
            agent=random_agent(net),
        ),
        small,
        CLASSES,
        also=("connection_flood",),
    ),
    Case(
        "POST, 20 sources, 120/s",
        lambda net: floods.requests(
            net,
            net.paced(3, 8, 120),
            net.clients(20, 2000),
            path=lambda number: "/login",
            method="POST",
        ),
        small,
        CLASSES,
        also=("connection_flood",),
    ),
    Case(
        "over TLS, 10 keep-alive connections of 2 sources, 150/s",
        lambda net: floods.encrypted_requests(
            net, net.burst(3, 10, 100), net.clients(2, 2000), per_connection=120, pause_ms=62
        ),
        small,
        CLASSES,
    ),
    Case(
        "burst of 2,000 requests in 400 ms",
        lambda net: floods.requests(
            net, net.burst(2, 50, 300), net.clients(25, 2000), per_connection=40
        ),
        None,
        CLASSES,
    ),
    benign("wget -r", web.crawl),
    benign("flash crowd x20", lambda net: web.crowd(net, sources=400)),
    benign("NAT gateway, 100 systems", lambda net: web.from_nat(net, systems=100)),
    benign("keep-alive pools of API clients", lambda net: web.idle_pool(net, every_s=2)),
]
