"""One port of many hosts, inwards and outwards, and the hosts that talk to many."""

from tests.rules.case import Case, benign
from tests.traffic import peers, scans, services, web
from tests.traffic.net import Net, text

CLASSES = ("host_scan",)


def scanner(net: Net) -> bytes:
    return net.far(66)


def network(net: Net) -> list[str]:
    return [f"{text(net.own(0))}/{24 if net.version == 4 else 64}"]


def sweep(net: Net, port: int, *, silent: bool):
    targets = scans.sweep_targets(net, port, 120)
    return scans.syn(net, net.paced(3, 6, 20), scanner(net), targets, silent=silent)


def outwards(net: Net):
    targets = [(net.far(5000 + n), 445) for n in range(160)]
    return scans.syn(net, net.paced(3, 8, 20), net.host.address, targets, silent=True)


CASES = [
    Case(
        "port 22 of 120 hosts, most do not exist",
        lambda net: sweep(net, 22, silent=True),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        victim=None,
        source=scanner,
        within_s=20,
        severity="low",
        local=network,
    ),
    Case(
        "port 3389 of 120 hosts, all refuse",
        lambda net: sweep(net, 3389, silent=False),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        victim=None,
        source=scanner,
        within_s=20,
        severity="low",
        local=network,
    ),
    Case(
        "ping sweep of 120 hosts",
        lambda net: scans.pings(net, net.paced(3, 6, 20), scanner(net), 120),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        victim=None,
        source=scanner,
        within_s=20,
        severity="low",
        local=network,
    ),
    Case(
        "our own host looks for port 445 out there",
        outwards,
        lambda net: web.steady(net, rate=3),
        CLASSES,
        victim=None,
        source=lambda net: net.host.address,
        within_s=20,
        severity="medium",
    ),
    benign("a crawler of ours visits 300 web servers", services.crawler, quiet=True),
    benign("P2P: hundreds of peers on high ports, half of them dead", peers.bittorrent),
    benign("a mail server delivers to 80 others, some dead", services.mail_delivery),
]
