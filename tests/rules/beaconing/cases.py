"""Somebody asks for orders on the minute, and machines that are punctual for other reasons."""

from tests.rules.case import Case, benign
from tests.traffic import covert, web

CASES = [
    Case(
        "every 60 s, 3 % jitter, for 72 minutes",
        covert.beacons,
        lambda net: covert.surfing(net),
        ("beaconing",),
        victim=lambda net: net.far(666),
        source=lambda net: net.host.address,
        within_s=70 * 60,
        severity="low",
    ),
    benign("NTP every 64 s", covert.clocks),
    benign("a person surfs", covert.surfing, quiet=True),
    benign("health checks of a balancer every 5 s", covert.balancer_pings, quiet=True),
    benign("idle keep-alive pools", lambda net: web.idle_pool(net, connections=20, seconds=300)),
]
