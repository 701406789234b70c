"""Bodies that drip, and phones on a bad link."""

from tests.rules.case import Case, benign
from tests.traffic import slow, web

CASES = [
    Case(
        "150 bodies from one source",
        lambda net: slow.bodies(net, [net.client(66)]),
        lambda net: web.steady(net, seconds=40, rate=2),
        ("slow_post",),
        source=lambda net: net.far(66),
        within_s=20,
    ),
    Case(
        "120 bodies from 60 sources",
        lambda net: slow.bodies(net, net.clients(60, 2000), count=120),
        lambda net: web.steady(net, seconds=40, rate=2),
        ("slow_post",),
        within_s=20,
    ),
    Case(
        "bodies over TLS",
        lambda net: slow.bodies(net, [net.client(66)], tls=True),
        lambda net: web.steady(net, seconds=40, rate=2),
        ("slow_post", "slowloris"),
        also=("tls_flood", "connection_flood"),
        within_s=20,
    ),
    benign("30 slow uploads", web.uploads, quiet=True),
    benign(
        "1 % packet loss",
        lambda net: web.steady(net, seconds=30, rate=15, loss=0.01),
        quiet=True,
    ),
]
