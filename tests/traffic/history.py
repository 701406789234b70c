"""Sixty days of a host as its SQLite file has them, with planted truth.

    python -m tests.traffic.history FILE [--noise]

Written through the store: hours of 60 days, minutes of the newest 14, seconds of the
newest 6 hours. `PLAIN` is the same host with nothing planted. All is seeded.
"""

import argparse
import json
from dataclasses import dataclass
from functools import cache

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

from sensor.model.rows import (
    AgentRow,
    BandwidthSecond,
    CaptureHealthRow,
    LatencyHistogramRow,
    MetricsRow,
    ProtocolMixRow,
    RegionalRow,
    SecurityEventRow,
    WindowRows,
)
from sensor.store.retention import Limits
from sensor.store.sqlite import SqliteStore

US = 1_000_000
MINUTE, HOUR, DAY = 60 * US, 3600 * US, 86_400 * US
DAYS, MINUTE_DAYS, SECOND_HOURS = 60, 14, 6
START = 1_759_708_800 * US  # Monday 2025-10-06 00:00 UTC
END = START + DAYS * DAY
MINUTES_FROM = END - MINUTE_DAYS * DAY
AGENT = "7a2f3f0e-0b5d-4c57-9b58-3f4f0a3f9d11"
BOOT = "c0ffee00-0000-4000-8000-0000000000aa"
WORKSPACE = "history"
WEB, QUEUED, STORAGE = "web.example:443/tcp", "files.example:443/tcp", "nas.example:2049/tcp"
ENDPOINTS = {WEB: 0.6, QUEUED: 0.3, STORAGE: 0.1}  # shares of the octets
NOISE = 0.06
CAPACITY_MBPS = 150.0
RECEIVED = 0.7  # of the octets
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Planted:
    """What is in the traffic; times in us since 1970, rates in Mbps. 0 or () is nothing."""

    level: float = 20.0
    daily: float = 0.45  # amplitude, of the level; the top at 14:00 UTC
    weekend: float = 0.45  # times the working days' traffic; 1: as these
    growth: float = 0.25  # Mbps per day
    season_days: float = 20.0
    season: float = 0.12  # amplitude, of the level
    bursts: tuple[tuple[int, int], ...] = ()  # start, minutes: 4 times the rate
    anomalies: tuple[tuple[int, int, float], ...] = ()  # start, minutes, factor
    shift: int = 0  # QUIC takes 25 points of HTTPS from then on
    bottlenecks: bool = False
    gap: tuple[int, int] = (0, 0)  # nobody looked
    full: tuple[int, int] = (0, 0)  # start, minutes: the link is full
    events: bool = False


def day(n: int, hour: int = 0, minute: int = 0) -> int:
    return START + n * DAY + hour * HOUR + minute * MINUTE


TRUTH = Planted(
    bursts=(
        *((day(n, 2, 30), 4) for n in range(DAYS - MINUTE_DAYS, DAYS)),
        (day(49, 9, 12), 5),
        (day(53, 20, 41), 6),
    ),
    anomalies=(
        (day(25, 10), 120, 2.2),  # known by hour only
        (day(50, 11, 7), 40, 1.7),
        (day(52, 15, 3), 30, 0.2),
    ),
    shift=day(53),
    bottlenecks=True,
    gap=(day(31, 6), day(31, 18)),
    full=(END - 3 * HOUR, 60),
    events=True,
)
PLAIN = Planted(daily=0, weekend=1, growth=0, season=0)


def rates(planted: Planted, times: NDArray[np.int64], seed: int) -> Values:
    """Mbps at each minute."""
    rng = np.random.default_rng(seed)
    days = (times - START) / DAY
    hour = days % 1 * 24
    level = planted.level + planted.growth * days
    level = level + planted.season * planted.level * np.sin(
        2 * np.pi * days / max(planted.season_days, 1)
    )
    made = level * (1 + planted.daily * np.cos(2 * np.pi * (hour - 14) / 24))
    made = np.where(days % 7 >= 5, planted.weekend * made, made)
    made = made * np.exp(NOISE * rng.standard_normal(len(times)))
    for start, minutes in planted.bursts:
        made[(times >= start) & (times < start + minutes * MINUTE)] *= 4
    for start, minutes, factor in planted.anomalies:
        made[(times >= start) & (times < start + minutes * MINUTE)] *= factor
    start, minutes = planted.full
    made[(times >= start) & (times < start + minutes * MINUTE)] = 0.9 * CAPACITY_MBPS / RECEIVED
    return made


@cache
def histogram(low_us: int, high_us: int, digits: int = 2) -> tuple[bytes, int, int, int, int]:
    """200 round trips between the two: blob, count, sum, shortest, longest."""
    made = HdrHistogram(1, 60_000_000, digits)
    samples = np.linspace(low_us, high_us, 200).astype(int).tolist()
    for us in samples:
        made.record_value(us)
    return made.encode(), len(samples), sum(samples), samples[0], samples[-1]


def row_of(
    endpoint: str, at: int, window_s: int, octets: float, busy: float, planted: Planted
) -> MetricsRow:
    """One endpoint's window; `busy` 0..1 is how busy the link is.

    Only the last window of an hour has latency: merging histograms is what takes long.
    """
    segments = max(int(octets / 1400), 1)
    is_queued = planted.bottlenecks and endpoint == QUEUED
    lossy = 0.03 if is_queued and busy > 0.5 else 0.001
    sent = int(octets * (1 - RECEIVED))
    zero = 3 if planted.bottlenecks and endpoint == STORAGE else 0
    made = MetricsRow(
        AGENT, endpoint, at, None, None, None, None, None,
        segments // 2, segments, segments // 40_000, int(segments * lossy), sent,
        int(octets) - sent, None, 5, 10, 10, 0, 0, 0, 0, 0, 0, 4, 0, 0, at + window_s * US, BOOT,
        None, WORKSPACE, "CH", window_s, "ok", "originator", "ssl",
        data_segments=segments, handshakes=10, zero_windows=zero,
    )  # fmt: skip
    if (at + window_s * US) % HOUR:
        return made
    longest = 8_000 + (int(busy * 20) * 6_000 if is_queued else 0)
    blob, n, total, shortest, highest = histogram(4_000, longest)
    return made._replace(
        latency_avg_us=total // n, latency_hist=blob, latency_count=n, latency_sum_us=total,
        latency_min_us=shortest, latency_max_us=highest,
    )  # fmt: skip


def mix_of(at: int, window_s: int, octets: float, planted: Planted) -> list[ProtocolMixRow]:
    moved = 0.25 if planted.shift and at >= planted.shift else 0.0
    shares = {"https": 0.8 - moved, "quic": 0.15 + moved, "dns": 0.05}
    return [
        ProtocolMixRow(AGENT, BOOT, at, window_s, leaf, int(octets * share), 100, 5)
        for leaf, share in shares.items()
    ]


def health_of(at: int, window_s: int, n: int) -> CaptureHealthRow:
    return CaptureHealthRow(
        AGENT, BOOT, at, window_s, "ok", n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, "{}"
    )


def window_rows(planted: Planted, times: list[int], mbps: list[float], window_s: int) -> WindowRows:
    """Many windows as one transaction."""
    top = 2.2 * planted.level
    metrics, protocols, regions, health, latency = [], [], [], [], []
    waiting = dict.fromkeys(ENDPOINTS, 0.0)
    for at, rate in zip(times, mbps, strict=True):
        octets = rate * 1e6 / 8 * window_s
        busy = min(rate / top, 1.0)
        for name, share in ENDPOINTS.items():
            # The others write every five minutes: fewer rows to make.
            waiting[name] += octets * share
            if name == WEB or window_s > 60 or (at + MINUTE) % (5 * MINUTE) == 0:
                metrics.append(row_of(name, at, window_s, waiting[name], busy, planted))
                waiting[name] = 0.0
        protocols += mix_of(at, window_s, octets, planted)
        regions += [
            RegionalRow(AGENT, BOOT, at, window_s, region, int(octets * share), 9, 5, 0, 6000, 9)
            for region, share in (("CH", 0.7), ("DE", 0.3))
        ]
        health.append(health_of(at, window_s, 1000))
    return WindowRows(
        agent_row(times[-1] + window_s * US - 1), metrics, (), [], protocols, latency, regions,
        health, [],
    )  # fmt: skip


def agent_row(last: int) -> AgentRow:
    return AgentRow(
        AGENT, BOOT, "live", WORKSPACE, "n1", "CH", "host", "0.1.0", '["10.0.0.0/8"]', "given",
        START, last,
    )  # fmt: skip


def seconds_of(times: list[int], mbps: list[float]) -> list[BandwidthSecond]:
    """Every second of these minutes."""
    rng = np.random.default_rng(4)
    ten, made = cache(lambda octets: json.dumps([octets // 10] * 10)), []
    for at, rate in zip(times, mbps, strict=True):
        for s, factor in enumerate(rng.uniform(0.97, 1.03, 60).tolist()):
            octets = int(rate * factor * 1e6 / 8) // 4000 * 4000
            received = int(octets * RECEIVED)
            made.append(
                BandwidthSecond(
                    AGENT, BOOT, at + s * US, received, octets - received, 0, 1, 1, 0,
                    ten(received), ten(octets - received), ten(0),
                )
            )  # fmt: skip
    return made


def events_of(planted: Planted) -> list[SecurityEventRow]:
    """A SYN flood that goes on, a slow POST that ended 15 minutes ago, an amplification of last
    week, and a port scan."""
    if not planted.events:
        return []

    def event(n: int, kind: str, name: str, score: float, start: int, end: int | None):  # type: ignore[no-untyped-def]
        return SecurityEventRow(
            id=f"0b0e5a1c-0000-5000-8000-{n:012x}", agent_id=AGENT, event_type=kind,
            severity="high", source_ip=None, destination_ip="10.0.0.1", source_port=None,
            destination_port=443, protocol="tcp", packets_count=1000, bytes_transferred=60_000,
            duration_ms=1000, detection_method="nb_tail", confidence_score=0.9,
            false_positive_probability=None, action_taken="none", blocked=0,
            detected_at=start + 2 * US, resolved_at=end, boot_id=BOOT, attack_class=name,
            rule_id=name, title=name, status="open" if end is None else "resolved",
            started_at=start, updated_at=end or END - US,
            evidence=json.dumps({"severity_score": score}),
            mitigation=f"What to do about {name}.\n- First {name}\n- Then {name}",
        )  # fmt: skip

    return [
        event(1, "dos_attack", "amplification", 70.0, day(52, 4), day(52, 5)),
        event(2, "port_scan", "port_scan", 40.0, day(58, 4), day(58, 5)),
        event(3, "dos_attack", "slow_post", 40.0, END - HOUR, END - 15 * MINUTE),
        event(4, "dos_attack", "syn_flood", 60.0, END - 10 * MINUTE, None),
    ]


def observed(planted: Planted, times: NDArray[np.int64]) -> NDArray[np.bool_]:
    begin, end = planted.gap
    return (times < begin) | (times >= end)


def hours(planted: Planted, seed: int) -> tuple[list[int], list[float]]:
    """Before the newest 14 days: what was seen of each hour is the mean of its minutes."""
    minutes = np.arange(START, MINUTES_FROM, MINUTE, dtype=np.int64)
    means = rates(planted, minutes, seed).reshape(-1, 60).mean(axis=1)
    times = minutes[::60]
    seen = observed(planted, times)
    return times[seen].tolist(), means[seen].tolist()


def write(path: str, planted: Planted = TRUTH, seed: int = 1) -> None:
    """Makes the file; its newest packet is just before END."""
    with SqliteStore(path, Limits(size=1 << 33)) as store:
        store.write_window(window_rows(planted, *hours(planted, seed), 3600))
        minutes = np.arange(MINUTES_FROM, END, MINUTE, dtype=np.int64)
        mbps = rates(planted, minutes, seed + 1)
        for some, values in zip(
            np.split(minutes, MINUTE_DAYS), np.split(mbps, MINUTE_DAYS), strict=True
        ):
            store.write_window(window_rows(planted, some.tolist(), values.tolist(), 60))
        newest = minutes[-SECOND_HOURS * 60 :].tolist()
        seconds = seconds_of(newest, mbps[-SECOND_HOURS * 60 :].tolist())
        whole = histogram(1_000_000, 3_000_000, 3)  # answers of a slow server
        slow = [
            LatencyHistogramRow(AGENT, BOOT, END - MINUTE, 60, "http_response", whole[1], whole[3],
                                whole[2] / whole[1], 0, 0, 0, whole[4], whole[0])
        ] if planted.bottlenecks else []  # fmt: skip
        store.write_window(
            WindowRows(agent_row(END - 1), bandwidth=seconds, latency=slow,
                       events=events_of(planted))
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--noise", action="store_true", help="with nothing planted")
    given = parser.parse_args()
    write(given.file, PLAIN if given.noise else TRUTH)


if __name__ == "__main__":
    main()
