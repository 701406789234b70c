"""Data in pings, and large pings."""

from tests.rules.case import Case, benign
from tests.traffic import covert, probes, web

CASES = [
    Case(
        "both ways, 40/s",
        lambda net: covert.icmp_tunnel(net, net.paced(3, 15, 40)),
        lambda net: web.steady(net, seconds=18, rate=3),
        ("icmp_tunnel",),
        victim=None,
        within_s=20,
    ),
    Case(
        "a shell: 4/s, small",
        lambda net: covert.icmp_tunnel(net, net.paced(3, 25, 4), up=90, down=400),
        lambda net: web.steady(net, seconds=28, rate=3),
        ("icmp_tunnel",),
        victim=None,
        within_s=20,
    ),
    benign("ping -s 1400 -i .2", covert.our_pings, quiet=True),
    benign(
        "monitoring pings of 1,000 octets", lambda net: probes.pings(net, size=1000), quiet=True
    ),
]
