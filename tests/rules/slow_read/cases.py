"""Answers that nobody reads, and those read slowly."""

from tests.rules.case import Case, benign
from tests.traffic import slow, web

CASES = [
    Case(
        "150 closed windows of one source",
        lambda net: slow.readers(net, [net.client(66)]),
        lambda net: web.steady(net, seconds=40, rate=2),
        ("slow_read",),
        source=lambda net: net.far(66),
        within_s=20,
    ),
    Case(
        "120 closed windows of 40 sources",
        lambda net: slow.readers(net, net.clients(40, 2000), count=120),
        lambda net: web.steady(net, seconds=40, rate=2),
        ("slow_read",),
        within_s=20,
    ),
    Case(
        "over TLS",
        lambda net: slow.readers(net, [net.client(66)], tls=True),
        lambda net: web.steady(net, seconds=40, rate=2),
        ("slow_read", "slowloris"),
        also=("tls_flood", "connection_flood"),
        within_s=20,
    ),
    benign("30 slow downloads", web.downloads, quiet=True),
    benign(
        "8 paused films among visitors",
        lambda net: [*slow.paused(net), *web.steady(net, seconds=40)],
    ),
]
