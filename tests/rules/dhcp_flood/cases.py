"""Address pools eaten up, and a building after a power cut."""

from tests.rules.case import Case, benign
from tests.traffic import floods, segment, web

CASES = [
    Case(
        "discovers of random cards, 300/s",
        lambda net: floods.discovers(net, net.paced(3, 8, 300)),
        lambda net: web.steady(net, rate=3),
        ("dhcp_flood",),
        victim=None,
    ),
    Case(
        "burst of 2,000 in 100 ms",
        lambda net: floods.discovers(net, net.burst(2, 2000, 100)),
        lambda net: web.steady(net, rate=3),
        ("dhcp_flood",),
        victim=None,
    ),
    benign("60 machines after a power cut, and renewals", segment.renewals, quiet=True),
]
