"""Every amplifying protocol towards us, and answers that were asked for."""

from tests.rules.case import Case, benign
from tests.traffic import covert, names, reflection, segment, web
from tests.traffic.net import Net
from tests.traffic.reflection import BY_NAME, Protocol

CLASSES = ("amplification",)


def small(net: Net):
    return web.steady(net, rate=3)


def reflected(protocol: Protocol) -> Case:
    return Case(
        f"{protocol.name}, 250/s",
        lambda net: reflection.answers(net, net.paced(3, 8, 250), protocol),
        small,
        CLASSES,
        spoofed=True,
    )


CASES = [
    *map(reflected, reflection.PROTOCOLS),
    Case(
        "DNS in fragments, 100/s to an ephemeral port",
        lambda net: reflection.answers(
            net, net.paced(3, 8, 100), BY_NAME["DNS"], size=3900, port=40_111
        ),
        small,
        CLASSES,
        also=("fragment_flood",),
        spoofed=True,
    ),
    Case(
        "NTP, 8 reflectors, 60/s of 468 octets to any port",
        lambda net: reflection.answers(
            net, net.paced(3, 10, 60), BY_NAME["NTP monlist"], reflectors=8, port=None
        ),
        small,
        CLASSES,
    ),
    Case(
        "memcached, a burst of 2,500 in 40 ms",
        lambda net: reflection.answers(
            net, net.burst(2, 2500, 40), BY_NAME["memcached"], refused=False
        ),
        None,
        CLASSES,
    ),
    benign("our resolver asks 200 servers, 250/s", names.looked_up, quiet=True),
    benign("mDNS and SSDP chatter", segment.chatter, quiet=True),
    benign("NTP client", lambda net: covert.clocks(net, hours=0.5), quiet=True),
    benign("NTP server of 3,000 clients", covert.clock_server, quiet=True),
    benign("resolvers that ask from port 53", names.old_resolvers, quiet=True),
    benign("our resolver is dead", names.dead_resolver, quiet=True),
]
