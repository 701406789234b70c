"""Names that do not exist, by the thousand; and busy name servers."""

from tests.rules.case import Case, benign
from tests.traffic import floods, names

CLASSES = ("dns_flood",)

CASES = [
    Case(
        "random subdomains, 4 sources, 400/s",
        lambda net: floods.names(net, net.paced(3, 8, 400), net.clients(4, 2000)),
        lambda net: names.resolver(net, seconds=12, rate=20),
        CLASSES,
    ),
    Case(
        "random subdomains through 300 resolvers, 300/s",
        lambda net: floods.names(net, net.paced(3, 8, 300), net.clients(300, 2000)),
        lambda net: names.authoritative(net, seconds=12, rate=30),
        CLASSES,
    ),
    Case(
        "burst of 3,000 in 200 ms",
        lambda net: floods.names(net, net.burst(2, 3000, 200), net.clients(50, 2000)),
        None,
        CLASSES,
    ),
    benign("a busy resolver's clients, 450/s", lambda net: names.resolver(net, rate=450)),
    benign("authoritative, 400/s", lambda net: names.authoritative(net, rate=400)),
]
