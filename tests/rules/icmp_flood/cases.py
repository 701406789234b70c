"""ICMP in bulk, and the pings of people who mean well."""

from tests.rules.case import Case, benign
from tests.traffic import floods, probes, web

CLASSES = ("icmp_flood",)

CASES = [
    Case(
        "ping -f of one source, 250/s",
        lambda net: floods.echoes(net, net.paced(3, 8, 250), floods.constant(net.far(66))),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        source=lambda net: net.far(66),
    ),
    Case(
        "spoofed, 400/s, 1,000 octets",
        lambda net: floods.echoes(net, net.paced(3, 8, 400), net.spoofed, size=1000),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        spoofed=True,
    ),
    Case(
        "BlackNurse, 400/s",
        lambda net: floods.unreachables(net, net.paced(3, 8, 400), floods.constant(net.far(66))),
        lambda net: web.steady(net, rate=3),
        CLASSES,
    ),
    Case(
        "burst of 3,000 in 100 ms",
        lambda net: floods.echoes(net, net.burst(2, 3000, 100), net.spoofed, answered=False),
        None,
        CLASSES,
        spoofed=True,
    ),
    benign("monitoring pings, 20 hosts once a second", probes.pings, quiet=True),
    benign(
        "ping -i .2 of one host", lambda net: probes.pings(net, hosts=1, every_s=0.2), quiet=True
    ),
    benign("traceroutes through and to us", probes.traceroutes, quiet=True),
]
