"""Concurrency, pools and states against a simple count."""

import random
from typing import Any

import numpy as np
import pytest

from sensor.analytics.lifecycle import patterns, transitions
from sensor.analytics.pooling import concurrency, pooling, weighted_percentile
from sensor.model.rows import ConnectionRow
from sensor.store.reading import Columns
from sensor.store.sqlite_words import columns_of
from tests.unit.store.made import T0, US, connection


def rows_of(*rows: tuple[Any, ...]) -> Columns:
    return columns_of(rows, ConnectionRow._fields)


def lasting(start_s: float, seconds: float, packets: int = 100, **more: object) -> tuple[Any, ...]:
    at, us = T0 + int(start_s * US), int(seconds * US)
    return connection(
        at, ended_at=at + us, duration_us=us, orig_packets=packets, resp_packets=0, **more
    )


def test_concurrency_by_counting() -> None:
    rng = random.Random(3)
    spans = [(start := rng.randrange(100), start + rng.randrange(1, 30)) for _ in range(50)]
    levels, weights = concurrency(*(np.array(c, np.int64) for c in zip(*spans, strict=True)))
    seen: dict[int, int] = {}
    for level, weight in zip(levels.tolist(), weights.tolist(), strict=True):
        seen[level] = seen.get(level, 0) + weight
    counted: dict[int, int] = {}
    for tick in range(min(a for a, _ in spans), max(b for _, b in spans)):
        level = sum(a <= tick < b for a, b in spans)
        counted[level] = counted.get(level, 0) + 1
    assert {k: n for k, n in seen.items() if n} == counted


def test_weighted_percentile() -> None:
    values, weights = np.array([1, 5, 9]), np.array([90, 5, 5])
    assert [weighted_percentile(values, weights, p) for p in (0.5, 0.9, 0.95, 0.96)] == [1, 1, 5, 9]


def test_idle_connections_and_pools() -> None:
    """Six busy ones at a time over 100 s, and two that hardly ever say anything."""
    busy = [lasting(10 * n, 60, endpoint="a:1/tcp") for n in range(100)]
    idle = [lasting(0, 1050, packets=10, endpoint="a:1/tcp") for _ in range(2)]
    rows = rows_of(*busy, *idle)
    found = pooling(rows, np.ones(102, bool))
    assert found["idle_connection_ratio"] == pytest.approx(2100 / (6000 + 2100))
    (pool,) = found["pools"]
    assert pool["busy_p95"] == 6
    assert pool["recommended_pool_size"] == 8
    assert pool["mean_busy_by_littles_law"] == pytest.approx(6000 / 1050, rel=0.01)


def test_nothing_is_not_zero() -> None:
    found = pooling(rows_of(), np.zeros(0, bool))
    assert found["idle_connection_ratio"] is None
    assert found["recommended_pool_size"] is None
    assert patterns(rows_of(), np.zeros(0, bool)) == []
    assert transitions(rows_of()) == {}


def test_transitions_once_a_connection() -> None:
    rows = rows_of(
        *(lasting(n, 1, history="ShADadAFf") for n in range(3)),
        lasting(9, 1, history="Sr", conn_state="REJ"),
        lasting(9, 1, history="Dd", protocol="udp"),
    )
    assert transitions(rows) == {
        "start": {"syn_sent": 4},
        "syn_sent": {"reset": 1, "syn_answered": 3},
        "syn_answered": {"established": 3},
        "established": {"closing": 3, "transferring": 3},
        "transferring": {"established": 3},
        "closing": {"SF": 3},
        "reset": {"REJ": 1},
    }


def test_planted_patterns_and_no_others() -> None:
    rng = random.Random(1)
    steady = [lasting(60 * n + rng.random(), 0.1, endpoint="poll:80/tcp") for n in range(40)]
    random_ = [lasting(rng.uniform(0, 2400), 0.1, endpoint="web:80/tcp") for _ in range(40)]
    rows = rows_of(*steady, *random_)
    found = {one["type"]: one for one in patterns(rows, np.zeros(80, bool))}
    assert set(found) == {"short_lived", "periodic"}
    assert found["periodic"]["endpoint"] == "poll:80/tcp"
    assert found["periodic"]["interval_ms"] == pytest.approx(60_000, rel=0.01)
