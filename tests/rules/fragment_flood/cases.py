"""Fragments that make no packet, and large packets that come in pieces."""

from tests.rules.case import Case, benign
from tests.traffic import floods, names, services, web

CLASSES = ("fragment_flood",)

CASES = [
    Case(
        "later fragments without a first, spoofed, 400/s",
        lambda net: floods.pieces(net, net.paced(3, 8, 400), net.spoofed),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        spoofed=True,
    ),
    Case(
        "tiny first fragments, 400/s",
        lambda net: floods.pieces(net, net.paced(3, 8, 400), net.spoofed, tiny=True),
        lambda net: web.steady(net, rate=3),
        CLASSES,
    ),
    Case(
        "burst of 3,000 in 60 ms",
        lambda net: floods.pieces(net, net.burst(2, 3000, 60), net.spoofed),
        None,
        CLASSES,
    ),
    Case(
        "UDP of 4,000 octets, 150/s",
        lambda net: floods.big_datagrams(net, net.paced(3, 8, 150), net.spoofed),
        lambda net: web.steady(net, rate=3),
        ("fragment_flood", "udp_flood"),
        also=("udp_flood",),
    ),
    benign("NFS over UDP", services.nfs, quiet=True),
    benign("answers of a resolver in fragments", names.big_answers, quiet=True),
]
