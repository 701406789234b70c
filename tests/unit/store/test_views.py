# ruff: noqa: S608 - names are ours
"""The views and named questions answer with figures worked out by hand."""

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sensor.model.rows import (
    BandwidthSecond,
    CaptureHealthRow,
    LatencyHistogramRow,
    ProtocolMixRow,
    RegionalRow,
    WindowRows,
)
from sensor.store.queries import open_reader
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import AGENT, BOOT, HOUR, T0, US, agent, connection, histogram, metrics

FAST, SLOW = "fast:443/tcp", "slow:80/tcp"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three windows: two in one hour, one in the next."""
    made = str(tmp_path_factory.mktemp("store") / "s.db")
    first = WindowRows(
        agent(T0 + 60 * US),
        [
            # 100 samples of 1 ms; 9 of 10 ms and later 1 of 700 ms
            metrics(FAST, T0, [1000] * 50, region="CH"),
            metrics(SLOW, T0, [10_000] * 9, packets_lost=3, data_segments=97, connections_failed=2),
        ],
        [
            connection(T0),
            connection(T0 + 1, "S0", "192.0.2.9", service=None, resp_bytes=0),
            connection(T0 + 2, "S0", "192.0.2.9", service=None, resp_bytes=0, orig_ip="10.0.0.2"),
            connection(T0 + 3, "REJ", "192.0.2.9", service=None, resp_bytes=0),
            connection(T0 + 4, "S0", "239.1.1.1", protocol="udp", service="ssdp", orig_bytes=9,
                       resp_bytes=0),
        ],
        [
            BandwidthSecond(AGENT, BOOT, T0, 125_000, 250_000, 0, 1, 2, 0,
                            json.dumps([25_000] + [0] * 8 + [100_000]), json.dumps([25_000] * 10),
                            json.dumps([0] * 10)),
            BandwidthSecond(AGENT, BOOT, T0, 125_000, 0, 0, 1, 0, 0,
                            json.dumps([125_000] + [0] * 9), json.dumps([0] * 10),
                            json.dumps([0] * 10)),
        ],
        [
            ProtocolMixRow(AGENT, BOOT, T0, 60, "https", 600, 6, 1),
            ProtocolMixRow(AGENT, BOOT, T0, 60, "dns", 100, 2, 1),
        ],
        [LatencyHistogramRow(AGENT, BOOT, T0, 60, "tcp_rtt", 1, 5, 5, 5, 5, 5, 5, histogram([5]))],
        [
            RegionalRow(AGENT, BOOT, T0, 60, "CH", 500, 5, 2, 1, 1000, 3),
            RegionalRow(AGENT, BOOT, T0 + 60 * US, 60, "CH", 500, 5, 2, 0, 5000, 1),
        ],
        [
            CaptureHealthRow(AGENT, BOOT, T0, 60, "degraded", 9, None, None, 0, 1, 0, 0, 0, 0, 0, 0,
                             0.02, '{"ip_bad_length": 1}'),
            CaptureHealthRow(AGENT, BOOT, T0 + 60 * US, 60, "ok", 9, None, None, 0, 0, 0, 0, 0, 0,
                             0, 0, None, "{}"),
        ],
    )  # fmt: skip
    second = WindowRows(
        agent(T0 + 120 * US),
        [
            metrics(FAST, T0 + 60 * US, [1000] * 50, region="US", packets_lost=None),
            metrics(SLOW, T0 + 60 * US, jitter_sum_us=90_000, jitter_count=3),
        ],
        protocols=[ProtocolMixRow(AGENT, BOOT, T0 + 60 * US, 60, "https", 300, 3, 0)],
    )
    third = WindowRows(agent(T0 + HOUR), [metrics(SLOW, T0 + HOUR, [700_000])])
    # A look at what the windows above have counted: kept, but in no sum.
    glance = WindowRows(agent(), [metrics(FAST, T0, [9_000_000], window_s=10)], snapshot=True)
    with SqliteStore(made) as store:
        for rows in (first, second, third, glance):
            store.write_window(rows)
    return made


def rows(path: str, view: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT * FROM {view}")]


def test_slowest_endpoints(path: str) -> None:
    slow, fast = rows(path, "slowest_endpoints")
    # Ten samples: 9 x 10 ms, 1 x 700 ms. p95 is the tenth, p50 the fifth (slots of 2 digits).
    assert (slow["endpoint"], slow["samples"]) == (SLOW, 10)
    assert slow["avg_ms"] == pytest.approx((90 + 700) / 10)
    assert slow["p50_ms"] == pytest.approx(10, rel=0.01)
    assert (slow["p95_ms"], slow["p99_ms"]) == (700, 700)
    assert (slow["min_ms"], slow["max_ms"]) == (10, 700)
    assert slow["loss_rate"] == pytest.approx(3 / (3 + 97 + 30 + 30))
    assert (fast["endpoint"], fast["samples"], fast["p99_ms"]) == (FAST, 100, 1)
    assert fast["loss_rate"] == 0  # of the window where it is known


def test_latency_by_hour(path: str) -> None:
    first, second = rows(path, "latency_by_hour")
    assert (first["time"], first["samples"]) == ("2023-11-14T22:00:00Z", 109)
    # Rank 104 of 109 is among the nine of 10 ms, rank 55 among the hundred of 1 ms.
    assert first["p50_ms"] == pytest.approx(1, rel=0.01)
    assert first["p95_ms"] == pytest.approx(10, rel=0.01)
    assert (second["samples"], second["p50_ms"], second["max_ms"]) == (1, 700, 700)


def test_top_talkers_and_protocol_shares(path: str) -> None:
    slow, fast = rows(path, "top_talkers")
    assert (slow["endpoint"], slow["bytes"], slow["packets"]) == (SLOW, 12_000, 90)
    assert (fast["endpoint"], fast["bytes"], fast["connections"]) == (FAST, 8_000, 2)
    shares = [(r["leaf"], r["bytes"], r["percent"]) for r in rows(path, "protocol_shares")]
    assert shares == [("https", 900, 90.0), ("dns", 100, 10.0)]


def test_connections(path: str) -> None:
    failed = [tuple(r.values())[1:5] for r in rows(path, "failed_connections")]
    assert failed == [("192.0.2.9:443/tcp", "S0", 2, 2), ("192.0.2.9:443/tcp", "REJ", 1, 1)]
    pairs = [(r["orig_ip"], r["resp_ip"], r["connections"]) for r in rows(path, "conversations")]
    assert pairs == [
        ("10.0.0.1", "192.0.2.80", 1),
        ("10.0.0.1", "192.0.2.9", 2),
        ("10.0.0.2", "192.0.2.9", 1),
        ("10.0.0.1", "239.1.1.1", 1),
    ]
    assert [tuple(r.values()) for r in rows(path, "services")] == [
        ("ssl", 1, 700, 5000),
        ("tcp", 3, 2100, 0),
        ("ssdp", 1, 9, 0),
    ]
    readable = rows(path, "connections_readable")[0]
    assert readable["started"] == "2023-11-14T22:00:00.000000Z"
    assert (readable["duration_s"], readable["handshake_ms"]) == (1.0, 0.9)


def test_bandwidth_regions_and_quality(path: str) -> None:
    [second] = rows(path, "bandwidth_by_second")  # two rows of the same second add up
    assert (second["in_mbps"], second["out_mbps"], second["other_mbps"]) == (2, 2, 0)
    assert (second["peak_in_mbps"], second["peak_out_mbps"]) == (12, 2)
    [region] = rows(path, "regions")
    assert (region["bytes"], region["errors"]) == (1000, 1)
    assert region["latency_avg_ms"] == pytest.approx((3 * 1 + 5) / 4)
    [poor] = rows(path, "capture_quality")
    assert (poor["quality"], poor["malformed"]) == ("degraded", 1)


def test_metrics_readable_shows_all_rows(path: str) -> None:
    shown = rows(path, "metrics_readable")
    assert len(shown) == 6
    assert shown[0]["time"] == "2023-11-14T22:00:00.000000Z"
    assert [r["window_s"] for r in shown if r["endpoint"] == FAST] == [60, 10, 60]


def test_the_specifications_opportunities(path: str) -> None:
    slow, fast = rows(path, "latency_optimization_opportunities")
    assert list(slow) == [
        "agent_id", "endpoint", "avg_p50_ms", "avg_p95_ms", "avg_p99_ms", "max_p99_ms",
        "avg_jitter_ms", "latency_status", "jitter_status", "regional_latencies",
        "optimization_recommendations", "high_latency_hours",
    ]  # fmt: skip
    assert slow["endpoint"] == SLOW
    assert (slow["avg_p99_ms"], slow["max_p99_ms"]) == (700, 700)
    assert slow["latency_status"] == "critical_latency"
    assert (slow["avg_jitter_ms"], slow["jitter_status"]) == (30, "moderate_jitter")
    assert json.loads(slow["optimization_recommendations"])[0] == "Add CDN"
    assert json.loads(slow["regional_latencies"]) == []
    assert slow["high_latency_hours"] == 1
    assert (fast["latency_status"], fast["jitter_status"]) == ("acceptable", None)
    regional = json.loads(fast["regional_latencies"])
    assert sorted(r["region"] for r in regional) == ["CH", "US"]
    assert all(r["latency_ms"] == 1 for r in regional)
    assert json.loads(fast["optimization_recommendations"]) == ["Monitor continuously"]


def test_a_days_percentiles_are_those_of_all_its_samples(tmp_path: Path) -> None:
    """Unlike the percentile of averages, which is far off for such a tail."""
    path = str(tmp_path / "s.db")
    rng = random.Random(4)
    samples: list[int] = []
    with SqliteStore(path) as store:
        for n in range(24 * 4):
            some = [min(int(rng.lognormvariate(9, 1.2)) + 1, 60_000_000) for _ in range(40)]
            samples += some
            at = T0 + n * 15 * 60 * US
            store.write_window(WindowRows(agent(at), [metrics(SLOW, at, some)]))
    samples.sort()
    [found] = rows(path, "latency_optimization_opportunities")
    for p in (50, 95, 99):
        exact = samples[-(-len(samples) * p // 100) - 1] / 1000
        assert found[f"avg_p{p}_ms"] == pytest.approx(exact, rel=0.01)


def test_named_questions(path: str) -> None:
    with open_reader(path) as ask:
        assert ask.period() == (T0, T0 + HOUR)
        assert ask.protocols() == [("tcp", 4), ("udp", 1)]
        assert ask.states() == [("S0", 3), ("REJ", 1), ("SF", 1)]
        assert [(m.leaf, m.percent) for m in ask.mix()] == [("https", 90.0), ("dns", 10.0)]
        assert [s.endpoint for s in ask.slowest(1)] == [SLOW]
        assert [(t.endpoint, t.bytes) for t in ask.talkers(5)] == [(SLOW, 12_000), (FAST, 8_000)]
        assert ask.failures(5) == [(SLOW, 2, 0, 0, 3)]
        assert [(k.kind, k.histogram) for k in ask.kinds()] == [("tcp_rtt", histogram([5]))]
        assert ask.anomalies() == [("ip_bad_length", 1)]
        assert ask.failed_hosts(9) == [("192.0.2.9", "S0", 2, 1), ("192.0.2.9", "REJ", 1, 1)]
        assert ask.losses() == (0, 1, 0, None, None, 0, 0, 0, 0)
        assert ask.quality() == [("degraded", 1), ("ok", 1)]
