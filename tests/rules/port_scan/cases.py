"""Ports tried one after the other, and those who fail for other reasons."""

from tests.rules.case import Case, benign
from tests.traffic import peers, probes, scans, web
from tests.traffic.floods import XMAS
from tests.traffic.frames import FIN
from tests.traffic.net import Net

CLASSES = ("port_scan",)


def scanner(net: Net) -> bytes:
    return net.far(66)


def small(net: Net):
    return web.steady(net, rate=3)


def syn(net: Net, rate: float, seconds: float, *, silent: bool = False):
    count = int(rate * seconds)
    targets = [(net.host.address, port) for port in scans.ports(net, count)]
    return scans.syn(net, net.paced(3, seconds, rate), scanner(net), targets, silent=silent)


def odd(name: str, bits: int) -> Case:
    return Case(
        f"{name} scan of 100 ports in 4 s",
        lambda net: scans.odd(net, net.paced(3, 4, 25), scanner(net), bits, 100),
        small,
        CLASSES,
        source=scanner,
        within_s=20,
        severity="low",
    )


CASES = [
    Case(
        "SYN scan of 1,000 ports in 400 ms",
        lambda net: syn(net, 2500, 0.4),
        small,
        CLASSES,
        source=scanner,
        within_s=20,
        severity="low",
    ),
    Case(
        "SYN scan, 25/s, 8 s, a firewall drops",
        lambda net: syn(net, 25, 8, silent=True),
        small,
        CLASSES,
        source=scanner,
        within_s=20,
        severity="low",
    ),
    Case(
        "slow SYN scan: 2/s for 40 s",
        lambda net: syn(net, 2, 40),
        lambda net: web.steady(net, seconds=43),
        CLASSES,
        source=scanner,
        within_s=20,
        severity="low",
    ),
    Case(
        "connect scan of 100 ports",
        lambda net: scans.connect(net, net.paced(3, 0.5, 200), net.client(66), 100),
        small,
        CLASSES,
        source=scanner,
        within_s=20,
        severity="low",
    ),
    Case(
        "UDP scan of 60 ports",
        lambda net: scans.udp(net, net.paced(3, 3, 20), scanner(net), 60),
        small,
        CLASSES,
        source=scanner,
        within_s=20,
        severity="low",
    ),
    odd("FIN", FIN),
    odd("null", 0),
    odd("Xmas", XMAS),
    benign("monitoring probes of 9 ports", probes.ports, quiet=True),
    benign("P2P after a restart: hundreds of dead peers", peers.bittorrent),
    benign("P2P is asked on its old port", peers.asked_in_vain),
]
