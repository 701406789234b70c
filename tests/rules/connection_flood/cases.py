"""Connections for their own sake, and the harmless ones that stay empty."""

from tests.rules.case import Case, benign
from tests.traffic import floods, web

CASES = [
    Case(
        "one source, 250 handshakes/s, closed at once",
        lambda net: floods.connections(net, net.paced(3, 8, 250), [net.client(66)], hold_ms=5),
        lambda net: web.steady(net, rate=3),
        ("connection_flood",),
        source=lambda net: net.far(66),
    ),
    Case(
        "40 sources, 300/s, never closed",
        lambda net: floods.connections(net, net.paced(3, 8, 300), net.clients(40, 2000)),
        lambda net: web.steady(net, rate=3),
        ("connection_flood",),
    ),
    Case(
        "burst of 2,000 in 300 ms",
        lambda net: floods.connections(net, net.burst(2, 2000, 300), net.clients(10, 2000)),
        None,
        ("connection_flood",),
    ),
    benign("browser preconnects", web.preconnects, quiet=True),
    benign(
        "load balancers' whole empty connections",
        lambda net: web.health_checks(net, half_open=False),
        quiet=True,
    ),
    benign("idle keep-alive pools", web.idle_pool, quiet=True),
]
