"""More visitors than the server can take: no attack, and said so; and as many that it can take."""

from tests.rules.case import Case, benign
from tests.traffic import media, services, web
from tests.traffic.net import Net


def quiet_before(net: Net):
    return web.steady(net, seconds=15, rate=4)


CASES = [
    Case(
        "half of the SYNs find a full queue",
        lambda net: web.rush(net, 15, 12, 100, sources=400, dropped=0.5),
        quiet_before,
        ("service_overload",),
        within_s=20,
        severity="info",
    ),
    benign(
        "flash crowd x20, a tenth of the SYNs dropped and repeated",
        lambda net: web.crowd(net, dropped=0.1),
    ),
    benign("TCP speed test, down", lambda net: media.speed_test(net, up=False), quiet=True),
    benign("TCP speed test, up", lambda net: media.speed_test(net, up=True), quiet=True),
    benign("a backup", services.backup, quiet=True),
]
