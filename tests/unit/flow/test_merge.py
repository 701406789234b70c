"""Engines that each get a share of the packets, put together, against one that gets all of them."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from sensor._native.doors_engine import Frames
from sensor._native.engine import Engine
from sensor._native.faces import Features, Part, Rows, Window
from sensor._native.merge import Merger
from sensor.flow.gather import MOST_SECONDS, Ended, Gather
from sensor.flow.merge import Standing, merge_windows
from sensor.flow.meter import Meter
from sensor.model.address import pack_prefix
from tests.traffic import floods, scans
from tests.traffic.capture import merged
from tests.traffic.net import Net
from tests.traffic.web import steady

SECRET = bytes(range(40))
TICK_NS, WINDOW_NS, PAUSE_NS = 10**8, 10**10, 35 * 10**9
# Who is most frequent is an estimate where there are many, connections at work are counted at each
# engine's own moments, and rows are numbered as they come.
SKETCHED = (
    "top_address", "top_count", "top_port", "conn_active", "conn_idle", "slot", "generation",
)  # fmt: skip
ENDPOINT_KEY = ("name", "address", "port", "protocol", "role")


class Taken:
    """What came out, of one engine or of several."""

    def __init__(self) -> None:
        self.windows: list[Window] = []
        self.seconds: list[Features] = []
        self.flows_seen = 0

    def window(self, window: Window) -> None:
        self.windows.append(window)

    def flows(self, rows: Rows, names: bytes) -> None:
        self.flows_seen += len(rows)

    def features(self, features: Features) -> None:
        self.seconds.append(features)

    def finish(self) -> None:
        pass


class Sharing:
    """As in the daemon, without its threads."""

    def __init__(self, gather: Gather[None], share: int) -> None:
        self.share, self.gather = share, gather

    def window(self, window: Window) -> None:
        self.gather.window(self.share, window, None)

    def flows(self, rows: Rows, names: bytes) -> None:
        self.gather.flows(self.share, rows, names)

    def part(self, part: Part) -> None:
        self.gather.part(self.share, part)


def share_of(frame: bytes, shares: int) -> int:
    """By hosts and ports of an IPv4 packet, whichever way it goes."""
    return sum(frame[26:38]) % shares if frame[12:14] == b"\x08\x00" else 0


def replayed(frames: Sequence[tuple[int, bytes]], shares: int) -> Taken:
    out = Taken()
    merger = Merger(SECRET)

    def window(whole: Sequence[Ended[None]], others: Sequence[Standing]) -> None:
        out.window(merge_windows([ended.window for ended in whole], others))

    def second(parts: list[Part]) -> None:
        out.features(merger.merge(parts))

    gather: Gather[None] = Gather(shares, window, out.flows, second)
    local = [pack_prefix("192.0.2.0/24")]
    meters: list[Meter] = []
    first: Engine | None = None
    for share in range(shares):
        engine = Engine(
            local=local,
            secret=SECRET,
            features=True,
            window_ns=WINDOW_NS,
            names_of=first,
            in_step=shares > 1,
        )
        first = first or engine
        sharing = Sharing(gather, share)
        meters.append(
            Meter(engine, (out,), out) if shares == 1 else Meter(engine, (sharing,), None, sharing)
        )
    by_tick = {
        tick: list(group) for tick, group in groupby(frames, key=lambda frame: frame[0] // TICK_NS)
    }
    for tick in range(min(by_tick), max(by_tick) + 1):
        together = by_tick.get(tick, [])
        for share, meter in enumerate(meters):
            mine = [(ts, f, len(f), 1) for ts, f in together if share_of(f, shares) == share]
            feed(meter, Frames(mine))
            meter.idle((tick + 1) * TICK_NS)
            gather.reached(share, (tick + 1) * TICK_NS)
    for meter in meters:
        meter.finish()
    gather.finish()
    return out


def feed(meter: Meter, source: Any) -> None:
    while meter.read(source):
        meter.feed(source)


def row_names(second: Features, table: str) -> tuple[str, ...]:
    return second["tables"][table].dtype.names or ()


def by_key(rows: Rows, names: Iterable[str]) -> dict[bytes, Any]:
    return {b"".join(row[name].tobytes() for name in names): row for row in rows}


@pytest.fixture(scope="module")
def frames() -> list[tuple[int, bytes]]:
    """Visitors of a site, a flood at it from many addresses, and somebody who looks for ports; then
    nothing for windows, and some visitors again."""
    net = Net(4, "merge")
    busy = merged(
        steady(net),
        floods.syn(net, net.poisson(3, 4, 300), floods.among(net, 90)),
        scans.connect(net, net.poisson(2, 8, 20), net.client(900), 150),
    )
    again_ns = busy[-1][0] - busy[0][0] + PAUSE_NS
    return [*busy, *((ts + again_ns, frame) for ts, frame in busy[:40])]


@pytest.fixture(scope="module")
def whole(frames: list[tuple[int, bytes]]) -> Taken:
    return replayed(frames, 1)


@pytest.mark.parametrize("shares", [2, 5])
def test_windows_are_those_of_one_engine(
    frames: list[tuple[int, bytes]], whole: Taken, shares: int
) -> None:
    made = replayed(frames, shares)
    assert made.flows_seen == whole.flows_seen > 1000
    assert len(made.windows) == len(whole.windows) > 1
    for mine, theirs in zip(made.windows, whole.windows, strict=True):
        assert set(mine) == set(theirs)
        for name, value in theirs.items():
            if name in ("endpoints", "latency_counts", "peers"):
                continue
            assert np.array_equal(mine[name], value), name  # type: ignore[literal-required]
        for rows, keys in (("peers", ("prefix",)), ("endpoints", ENDPOINT_KEY)):
            found = by_key(mine[rows], keys)  # type: ignore[literal-required]
            assert found == by_key(theirs[rows], keys)  # type: ignore[literal-required]
            assert len(found) == len(mine[rows]) > 2  # type: ignore[literal-required]
        latencies = (
            by_key(mine["endpoints"], ENDPOINT_KEY),
            by_key(theirs["endpoints"], ENDPOINT_KEY),
        )
        assert latencies[0] == latencies[1]
        assert np.array_equal(
            mine["latency_counts"].sum(axis=0), theirs["latency_counts"].sum(axis=0)
        )
        for row, counts in zip(mine["endpoints"], mine["latency_counts"], strict=True):
            assert counts.sum() == row["latency_count"]


@pytest.mark.parametrize("shares", [2, 5])
def test_what_detection_sees_is_that_of_one_engine(
    frames: list[tuple[int, bytes]], whole: Taken, shares: int
) -> None:
    made = replayed(frames, shares)
    assert [s["start_ns"] for s in made.seconds] == [s["start_ns"] for s in whole.seconds]
    compared = 0
    for mine, theirs in zip(made.seconds, whole.seconds, strict=True):
        for table in ("service", "host", "source", "reflection"):
            rows, others = (
                by_key(each["tables"][table], ("address", "port", "protocol"))
                for each in (mine, theirs)
            )
            assert set(rows) == set(others)
            names = [n for n in row_names(mine, table) if not n.startswith((*SKETCHED, "address"))]
            for key, row in rows.items():
                for name in names:
                    near = 0.2 if name.startswith("scan_") else 1e-6  # contacts are a sketch
                    assert row[name] == pytest.approx(others[key][name], rel=near), (table, name)
                    compared += 1
        of_all = [each["tables"]["sensor"].copy() for each in (mine, theirs)]
        shares_of_one_way = [float(rows["one_way_share"][0]) for rows in of_all]  # fades in each
        assert shares_of_one_way[0] == pytest.approx(shares_of_one_way[1], abs=0.05, nan_ok=True)
        for sensor_rows in of_all:
            sensor_rows["one_way_share"] = 0
        assert of_all[0].tobytes() == of_all[1].tobytes()
    assert compared > 1000


def test_keys_keep_their_row_over_the_seconds(frames: list[tuple[int, bytes]]) -> None:
    """By its number and generation detection knows a key again."""
    seen: dict[bytes, set[bytes]] = {}
    for second in replayed(frames, 3).seconds:
        for row in second["tables"]["service"]:
            key = row["address"].tobytes() + row["port"].tobytes()
            seen.setdefault(key, set()).add(row["slot"].tobytes() + row["generation"].tobytes())
    assert max(map(len, seen.values())) == 1
    assert len({number for numbers in seen.values() for number in numbers}) == len(seen)


def test_who_is_behind_does_not_hold_up_the_others_for_ever() -> None:
    given: list[int] = []
    gather: Gather[None] = Gather(
        2, lambda *_: None, lambda *_: None, lambda parts: given.append(parts[0]["start_ns"])
    )
    for second in range(200):
        gather.part(0, {"start_ns": second * 10**9})  # type: ignore[typeddict-item]
    assert given == [second * 10**9 for second in range(200 - MOST_SECONDS)]
