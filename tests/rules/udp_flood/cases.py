"""UDP that nobody asked for, and streams that look one-sided."""

from tests.rules.case import Case, benign
from tests.traffic import floods, media, web

CLASSES = ("udp_flood",)

CASES = [
    Case(
        "one port, one source, 400/s",
        lambda net: floods.datagrams(net, net.paced(3, 8, 400), floods.constant(net.far(66))),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        source=lambda net: net.far(66),
    ),
    Case(
        "one port, spoofed, 400/s",
        lambda net: floods.datagrams(net, net.paced(3, 8, 400), net.spoofed, size=512),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        spoofed=True,
    ),
    Case(
        "random ports, closed, 300/s",
        lambda net: floods.datagrams(
            net, net.paced(3, 8, 300), floods.constant(net.far(66)), port=None, closed=True
        ),
        lambda net: web.steady(net, rate=3),
        ("udp_flood", "port_scan"),  # one source, a packet a port: it is both
        also=("udp_flood", "port_scan"),
    ),
    Case(
        "burst of 10,000 in 400 ms",
        lambda net: floods.datagrams(net, net.burst(2, 10_000, 400), net.spoofed, port=53),
        None,
        CLASSES,
        spoofed=True,
    ),
    Case(
        "burst of 2,000 of 1,400 octets in 20 ms, 96 of each captured",
        lambda net: floods.datagrams(net, net.burst(1, 2000, 20), floods.among(net, 20), size=1400),
        None,
        CLASSES,
        snaplen=96,
    ),
    benign("iperf, UDP, 3 Mbit/s one way", media.iperf_udp),
    benign("VoIP calls, both ways", media.calls, quiet=True),
    benign("VoIP on hold: music one way", lambda net: media.calls(net, hold=True), quiet=True),
    benign("QUIC download", media.quic_download, quiet=True),
    benign("WireGuard, a backup through it", media.vpn, quiet=True),
    benign("a game server, 30 players", media.game, quiet=True),
    benign("syslog, one way", media.syslog, quiet=True),
]
