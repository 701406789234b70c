"""Answers to floods in our name, and half a capture."""

from tests.rules.case import Case, benign
from tests.traffic import peers, reflection, services, web
from tests.traffic.capture import merged, one_way
from tests.traffic.frames import ACK, RST, SYN
from tests.traffic.net import Net

CLASSES = ("backscatter",)


def back(name: str, flags: int, rate: float, servers: int) -> Case:
    return Case(
        f"{name}, {rate:g}/s of {servers} servers",
        lambda net: reflection.unsolicited_replies(
            net, net.paced(3, 8, rate), servers=servers, flags=flags
        ),
        lambda net: web.steady(net, rate=3),
        (*CLASSES, "tcp_flag_flood") if rate >= 250 else CLASSES,
        severity="low",
    )


def both_roles(net: Net):
    """Our host as server and as client."""
    return merged(web.steady(net, seconds=25, rate=6), services.crawler(net))


CASES = [
    back("SYN-ACK", SYN | ACK, 100, 12),
    back("SYN-ACK", SYN | ACK, 300, 200),
    back("RST", RST | ACK, 120, 20),
    benign("only what arrives is captured", both_roles, view=lambda net: one_way(net.host.address)),
    benign("P2P over uTP and TCP", peers.bittorrent),
    benign("a crawler of ours", services.crawler, quiet=True),
]
