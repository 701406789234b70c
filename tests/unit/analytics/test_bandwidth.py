"""Classes, congestion, shaping and sustained throughput, each with planted truth."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensor.analytics import bandwidth
from sensor.analytics.congestion import congestion
from sensor.analytics.timeframe import period_of
from sensor.analytics.traffic_classes import allocation, classify
from sensor.model.rows import WindowRows
from sensor.store.opening import open_reading
from sensor.store.reading import Scope
from sensor.store.sqlite import SqliteStore
from tests.unit.analytics.test_pooling import rows_of
from tests.unit.store.made import AGENT, HOUR, T0, US, agent, connection, metrics

MINUTE = 60 * US


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("bulk", {"resp_bytes": 5_000_000, "resp_packets": 4000}),
        ("real_time", {"protocol": "udp", "service": "rtp", "orig_bytes": 160, "resp_bytes": 160}),
        ("real_time", {"protocol": "udp", "service": None, "orig_packets": 500,
                       "duration_us": 10 * US, "orig_bytes": 80_000}),
        ("background", {"protocol": "udp", "service": "dns", "orig_packets": 500,
                        "duration_us": 10 * US, "orig_bytes": 80_000, "resp_bytes": 0}),
        ("interactive", {"orig_packets": 50, "resp_packets": 50, "orig_bytes": 2000,
                         "resp_bytes": 4000, "duration_us": 60 * US}),
        ("background", {"orig_packets": 3, "resp_packets": 3, "duration_us": 60 * US}),
    ],
)  # fmt: skip
def test_classes(name: str, fields: dict[str, Any]) -> None:
    assert classify(rows_of(connection(T0, **fields))).tolist() == [name]


def test_allocation_adds_up() -> None:
    found = allocation({"real_time": 0.001, "interactive": 0.0, "background": 0.1, "bulk": 0.899})
    assert sum(filter(None, found.values())) == pytest.approx(100, abs=0.01)
    assert found["interactive"] == 0
    assert found["real_time"] == pytest.approx(5 / 1.049, rel=1e-3)
    assert allocation(dict.fromkeys(("bulk",))) == {"bulk": None}


def test_shaping_and_sustained() -> None:
    """One bin of ten times the others: at five times theirs it is gone within 100 ms."""
    octets = np.full((120, 10), 10_000)
    octets[60, 5] = 100_000
    bins = {"timestamp": np.arange(120) * US}
    found = bandwidth.shaping_benefit(bins, octets)
    assert found == pytest.approx((10 - 5) * 0.8, rel=0.01)
    assert bandwidth.sustained(bins, octets) == pytest.approx(609 * 0.08 / 60)
    assert bandwidth.shaping_benefit({"timestamp": np.zeros(0)}, np.zeros((0, 10))) is None


def store_with(tmp_path: Path, bad: dict[int, tuple[bool, bool]]) -> str:
    """An hour of two endpoints; `bad`: minute to whether it lost packets and was slow."""
    path = str(tmp_path / "s.db")
    with SqliteStore(path) as store:
        for minute in range(60):
            lossy, slow = bad.get(minute, (False, False))
            rows = [
                metrics(
                    name, T0 + minute * MINUTE, [20_000 if slow else 10_000] * 20 + [9000],
                    packets_retransmitted=30 if lossy else 0, packets_lost=20 if lossy else 0,
                    data_segments=980, bytes_sent=5000 if slow else 10_000, bytes_received=0,
                )
                for name in ("a:443/tcp", "b:443/tcp")
            ]  # fmt: skip
            store.write_window(WindowRows(agent(T0 + minute * MINUTE), rows))
    return path


@pytest.mark.parametrize(
    ("bad", "events", "length_s"),
    [
        ({}, 0, None),
        ({7: (True, False), 8: (True, False)}, 0, None),  # loss alone is none
        ({7: (False, True)}, 0, None),  # neither is delay
        ({7: (True, True), 8: (True, True), 30: (True, True)}, 2, 90),
    ],
)
def test_congestion_is_loss_and_delay(
    tmp_path: Path, bad: dict[int, tuple[bool, bool]], events: int, length_s: float | None
) -> None:
    reading = open_reading(store_with(tmp_path, bad))
    found, reasons = congestion(reading, Scope(T0, T0 + HOUR, (AGENT,)))
    assert found["congestion_events"] == events
    if length_s is None:
        assert found["throughput_degradation"] is None
        assert reasons["throughput_degradation"] == "there was no congestion"
    else:
        assert found["avg_congestion_duration_ms"] == length_s * 1000
        assert found["packet_loss_during_congestion"] == pytest.approx(20 / 1000)
        assert found["throughput_degradation"] == pytest.approx(0.5)
    reading.close()


def test_nothing_is_null_with_a_reason(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(T0)))
    reading = open_reading(path)
    found = bandwidth.analyse(reading, AGENT, period_of("1h", T0, T0))
    assert found["usage_patterns"]["peak_bandwidth_mbps"] is None
    assert set(found["traffic_classification"].values()) == {None}
    assert set(found["cost_analysis"].values()) == {None}
    assert {"usage_patterns", "traffic_classification", "cost_analysis"} <= set(found["reasons"])
    reading.close()
