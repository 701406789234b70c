"""SYN floods, and everything that also sends many SYNs."""

from tests.rules.case import Case, benign
from tests.traffic import floods, web
from tests.traffic.capture import one_way
from tests.traffic.net import Net

MIRAI = bytes.fromhex("020405b40402080a000a000100000000 01030306")
CLASSES = ("syn_flood",)


def small(net: Net):
    return web.steady(net, rate=3)


CASES = [
    Case(
        "spoofed, 400/s",
        lambda net: floods.syn(net, net.paced(3, 8, 400), net.spoofed),
        small,
        CLASSES,
        spoofed=True,
    ),
    Case(
        "spoofed, 300/s, the server is down and says nothing",
        lambda net: floods.syn(net, net.paced(3, 8, 300), net.spoofed, answered=False),
        small,
        CLASSES,
        spoofed=True,
    ),
    Case(
        "spoofed, a stack's options, 500/s",
        lambda net: floods.syn(net, net.paced(3, 8, 500), net.spoofed, port=443, options=MIRAI),
        small,
        CLASSES,
        spoofed=True,
    ),
    Case(
        "spoofed, 400/s, only what arrives is captured",
        lambda net: floods.syn(net, net.paced(3, 8, 400), net.spoofed),
        small,
        CLASSES,
        spoofed=True,
        view=lambda net: one_way(net.host.address),
    ),
    Case(
        "burst of 5,000 in 100 ms",
        lambda net: floods.syn(net, net.burst(2, 5000, 100), net.spoofed),
        small,
        CLASSES,
        spoofed=True,
    ),
    Case(
        "burst of 2,000 in 20 ms and nothing else",
        lambda net: floods.syn(net, net.burst(0, 2000, 20), net.spoofed, answered=False),
        None,
        CLASSES,
        spoofed=True,
    ),
    Case(
        "one real source, 400/s, its kernel resets",
        lambda net: floods.syn(
            net, net.paced(3, 8, 400), floods.constant(net.far(66)), resets=True
        ),
        small,
        ("syn_flood", "connection_flood"),
        source=lambda net: net.far(66),
    ),
    Case(
        "low rate: 40/s of spoofed sources for 25 s",
        lambda net: floods.syn(net, net.paced(3, 25, 40), net.spoofed),
        lambda net: web.steady(net, seconds=28),
        CLASSES,
        within_s=20,
        spoofed=True,
    ),
    benign("steady web traffic", lambda net: web.steady(net, seconds=40, rate=10), quiet=True),
    benign(
        "flash crowd x20, a third of the SYNs dropped and repeated",
        lambda net: web.crowd(net, dropped=0.33),
    ),
    benign("flash crowd x20 from 60 sources", lambda net: web.crowd(net, sources=60)),
    benign("flash crowd x20 from 600 sources", lambda net: web.crowd(net, sources=600)),
    benign("load balancers' half-open health checks", web.health_checks, quiet=True),
    benign("NAT gateway", web.from_nat, quiet=True),
]
