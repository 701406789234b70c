"""Data in names, and long names of honest services."""

from tests.rules.case import Case, benign
from tests.traffic import covert, names
from tests.traffic.payloads import A

CLASSES = ("dns_tunnel",)


CASES = [
    Case(
        "TXT, 20/s, 110 octets a name",
        lambda net: covert.dns_tunnel(net, net.paced(3, 20, 20)),
        names.long_names,
        CLASSES,
        victim=None,
        source=lambda net: net.host.address,
        within_s=20,
    ),
    Case(
        "exfiltration in A questions, 8/s, 70 octets a name",
        lambda net: covert.dns_tunnel(net, net.paced(3, 25, 8), octets=70, kind=A, down=0),
        names.long_names,
        CLASSES,
        victim=None,
        source=lambda net: net.host.address,
        within_s=20,
    ),
    benign("CDN, antivirus, DNSBL, reverse look-ups", names.long_names, quiet=True),
    benign("our resolver asks 200 servers", names.looked_up, quiet=True),
    benign("authoritative for a signed zone", names.authoritative, quiet=True),
]
