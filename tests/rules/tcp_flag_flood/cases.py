"""Segments of no connection."""

from tests.rules.case import Case, benign
from tests.traffic import floods, media, web
from tests.traffic.capture import loses, merged
from tests.traffic.floods import XMAS
from tests.traffic.frames import ACK, FIN, PSH, RST, SYN
from tests.traffic.net import Net

CLASSES = ("tcp_flag_flood",)


def flood(name: str, bits: int) -> Case:
    return Case(
        f"{name} from spoofed sources, 400/s",
        lambda net: floods.flags(net, net.paced(3, 8, 400), net.spoofed, bits),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        spoofed=True,
    )


def mid_stream(net: Net):
    """The sensor starts in the middle of downloads, pools and visits."""
    streams = (
        web.downloads(net),
        web.idle_pool(net, connections=60, every_s=5),
        web.steady(net, seconds=40),
        media.speed_test(net, up=True, seconds=20, megabits=3),
    )
    return [frame for frame in merged(*streams) if frame[0] > net.at(14)]


CASES = [
    flood("ACK", ACK),
    flood("RST", RST),
    flood("Xmas", XMAS),
    flood("null", 0),
    flood("SYN+FIN", SYN | FIN),
    flood("PSH+ACK", PSH | ACK),
    Case(
        "ACK from one source, 350/s",
        lambda net: floods.flags(net, net.paced(3, 8, 350), floods.constant(net.far(66)), ACK),
        lambda net: web.steady(net, rate=3),
        CLASSES,
        source=lambda net: net.far(66),
    ),
    Case(
        "burst of 8,000 ACK in 200 ms",
        lambda net: floods.flags(net, net.burst(2, 8000, 200), net.spoofed, ACK, answered=False),
        None,
        CLASSES,
        spoofed=True,
    ),
    benign("the sensor starts mid-stream", mid_stream, quiet=True),
    benign(
        "a tenth of the frames is not captured",
        lambda net: web.steady(net, seconds=25, rate=15),
        view=lambda net: loses(0.1),
    ),
    benign(
        "1 % of the frames is not captured",
        lambda net: web.steady(net, seconds=25, rate=15),
        view=lambda net: loses(0.01),
        quiet=True,
    ),
]
