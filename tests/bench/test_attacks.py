"""The attacks reach what they aim at: else their costs say nothing."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from sensor._native import counters
from sensor._native.engine import Engine
from sensor.capture.savefile import open_savefile
from sensor.flow.meter import Meter
from sensor.programs.replay import SECRET
from tests.bench.attacks import ATTACKS, frames
from tests.traffic.capture import write

PACKETS = 400


class Heard:
    """A consumer that keeps what was counted, and what the tables gave up."""

    def __init__(self) -> None:
        self.evicted = 0
        self.counted: Counter[str] = Counter()

    def window(self, window: dict) -> None:
        self.evicted += window["health"]["flows_evicted"]
        for counter in counters.Counter:
            if counter.name != "C_COUNT":
                self.counted[counter.name] += int(window["totals"][counter])

    def flows(self, rows: object, names: bytes) -> None:
        pass


def fed(name: str, folder: Path, secret: bytes = SECRET) -> tuple[Engine, Heard]:
    """The engine after the attack, and what came of it."""
    path = folder / f"{name}.pcap"
    assert write(path, frames(name, PACKETS)) == PACKETS
    engine, heard = Engine(secret=secret, features=True), Heard()
    meter = Meter(engine, (heard,))
    with closing(open_savefile(str(path))) as source:
        while meter.read(source):
            meter.feed(source)
    meter.finish()
    return engine, heard


def test_keys_collide_under_the_known_secret_only(tmp_path: Path) -> None:
    assert fed("collide_new", tmp_path)[1].evicted == PACKETS - 8  # a bucket has 8 places
    assert fed("collide_new", tmp_path, bytes(range(40)))[1].evicted == 0
    assert fed("new_flows", tmp_path)[1].evicted == 0


def test_headers_are_read_to_the_end(tmp_path: Path) -> None:
    for name in ("tunnels", "extensions", "padded_options", "tcp_options"):
        engine, _ = fed(name, tmp_path)
        assert engine.connections()["tcp"] == PACKETS, name
        assert not any(engine.anomalies().values()), name


def test_recognisers_are_not_lost(tmp_path: Path) -> None:
    counted = fed("dns", tmp_path)[1].counted
    assert counted["C_DNS_QUERIES"] == counted["C_DNS_RESPONSES"] == PACKETS // 2
    assert counted["C_DNS_UNANSWERED"] == counted["C_DNS_PARSE_ERRORS"] == 0
    for name in ("hpack_indexed", "hpack_huffman", "hpack_growing"):
        assert fed(name, tmp_path)[1].counted["C_HTTP2_REQUESTS"] == PACKETS - 4, name
    assert fed("http1_lines", tmp_path)[1].counted["C_HTTP_REQUESTS"] == PACKETS - 3


@pytest.mark.parametrize("name", ATTACKS)
def test_seeded(name: str) -> None:
    first, again, other = (list(frames(name, 50, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
