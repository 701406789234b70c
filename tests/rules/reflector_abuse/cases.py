"""We are the amplifier, and servers whose answers are large by nature."""

from tests.rules.case import Case, benign
from tests.traffic import names, reflection, web
from tests.traffic.net import Net
from tests.traffic.reflection import BY_NAME

CLASSES = ("reflector_abuse",)


def victim(net: Net) -> bytes:
    return net.far(66)


def abuse(name: str, rate: float, size: int) -> Case:
    return Case(
        f"{name}, {rate:g}/s, {size} octets each",
        lambda net: reflection.abused(
            net, net.paced(3, 8, rate), BY_NAME[name], victim(net), size=size
        ),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        also=("amplification",),
        victim=victim,
    )


CASES = [
    abuse("DNS", 150, 3200),
    abuse("NTP monlist", 250, 468),
    abuse("memcached", 200, 1400),
    abuse("SNMP", 200, 1200),
    abuse("CLDAP", 200, 1450),
    benign("authoritative for a signed zone, 200/s", names.authoritative, quiet=True),
    benign("a busy resolver's clients", names.resolver, quiet=True),
]
