"""Somebody else's address, and addresses that move for good reasons (IPv6: neighbour discovery)."""

from tests.rules.case import Case, benign
from tests.traffic import segment
from tests.traffic.capture import merged

CLASSES = ("arp_spoof",)

CASES = [
    Case(
        "the router's address and ours, once a second",
        segment.poisoned,
        segment.neighbours,
        CLASSES,
        victim=None,
    ),
    Case(
        "only the router's, every 2 s",
        lambda net: segment.poisoned(net, every_s=2, both=False),
        segment.neighbours,
        CLASSES,
        victim=None,
        within_s=20,
    ),
    benign(
        "VRRP fail-over",
        lambda net: merged(segment.neighbours(net), segment.fail_over(net, virtual=True)),
        quiet=True,
    ),
    benign(
        "keepalived moves the address to another card and back",
        lambda net: merged(segment.neighbours(net), segment.fail_over(net, virtual=False)),
    ),
    benign(
        "25 machines start",
        lambda net: merged(segment.neighbours(net), segment.boots(net)),
        quiet=True,
    ),
    benign(
        "addresses go to other machines",
        lambda net: merged(segment.neighbours(net), segment.reassigned(net)),
        quiet=True,
    ),
    benign(
        "a router with proxy ARP",
        lambda net: merged(segment.neighbours(net), segment.proxy_router(net)),
    ),
]
