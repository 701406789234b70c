"""TLS handshakes for their own sake, and the harmless ones that fail."""

from tests.rules.case import Case, benign
from tests.traffic import floods, web

CLASSES = ("tls_flood",)

CASES = [
    Case(
        "one source, 100 handshakes/s, reset after the server's work",
        lambda net: floods.handshakes(net, net.paced(3, 8, 100), [net.client(66)]),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        also=("connection_flood",),
        source=lambda net: net.far(66),
    ),
    Case(
        "30 sources, 80 whole handshakes/s, no data",
        lambda net: floods.handshakes(
            net, net.paced(3, 8, 80), net.clients(30, 2000), finished=True
        ),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        also=("connection_flood",),
    ),
    Case(
        "burst of 2,000 in 400 ms",
        lambda net: floods.handshakes(net, net.burst(2, 2000, 400), net.clients(10, 2000)),
        None,
        CLASSES,
        also=("connection_flood",),
    ),
    benign(
        "self-signed: a tenth of the visitors goes away",
        lambda net: [*web.steady(net, seconds=40), *web.failing_tls(net, net.poisson(0, 40, 0.5))],
        quiet=True,
    ),
]
