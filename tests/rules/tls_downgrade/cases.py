"""A server's own word that somebody talked it down, and old versions without that."""

from tests.rules.case import Case, benign
from tests.traffic import hellos, web

CASES = [
    Case(
        "TLS 1.3 was offered, TLS 1.2 with the sentinel came back",
        lambda net: hellos.chosen(net, net.paced(3, 5, 1), offered=0x0304, sentinel=True),
        lambda net: web.steady(net, rate=3),
        ("tls_downgrade",),
        victim=None,
    ),
    benign(
        "clients that only know TLS 1.2, and a server with the sentinel",
        lambda net: hellos.chosen(net, net.paced(1, 20, 2), offered=0x0303, sentinel=True),
        quiet=True,
    ),
    benign(
        "a server that only knows TLS 1.2",
        lambda net: hellos.chosen(net, net.paced(1, 20, 2), offered=0x0304, sentinel=False),
    ),
    benign("TLS 1.3", lambda net: web.steady(net, seconds=30), quiet=True),
]
