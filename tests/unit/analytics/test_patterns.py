"""Sixty days with planted truth: every planted thing is found, and nothing else."""

import json
import sqlite3
import sys
from contextlib import closing
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from sensor.analytics import cost, patterns, slo
from sensor.analytics.cost import Billing
from sensor.store.reading import Scope
from sensor.store.sqlite_reading import SqliteReading
from tests.traffic.history import (
    AGENT,
    CAPACITY_MBPS,
    DAY,
    DAYS,
    END,
    HOUR,
    MINUTE,
    MINUTE_DAYS,
    MINUTES_FROM,
    QUEUED,
    RECEIVED,
    START,
    STORAGE,
    TRUTH,
    WORKSPACE,
    day,
    rates,
)
from tests.unit.analytics.extra import without_extra

SCOPE = Scope(START, END, (), WORKSPACE)
Span = tuple[int, int]


@pytest.fixture(scope="module")
def found(history: SqliteReading) -> dict[str, Any]:
    return patterns.analyse(
        history, SCOPE, pattern_types=patterns.TYPES, capacity_mbps=CAPACITY_MBPS
    )


@pytest.fixture(scope="module")
def nothing(plain: SqliteReading) -> dict[str, Any]:
    return patterns.analyse(plain, SCOPE, pattern_types=patterns.TYPES, capacity_mbps=CAPACITY_MBPS)


def pattern(answer: dict[str, Any], kind: str) -> dict[str, Any]:
    (one,) = [p for p in answer["analysis"]["traffic_patterns"] if p["type"] == kind]
    return one


def microseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def spans(rows: list[dict[str, Any]]) -> list[Span]:
    return [(microseconds(row["start"]), microseconds(row["end"])) for row in rows]


def planted(*kinds: tuple[tuple[Any, ...], ...]) -> list[Span]:
    return [(start, start + minutes * MINUTE) for kind in kinds for start, minutes, *_ in kind]


def overlaps(one: Span, others: list[Span]) -> bool:
    return any(one[0] < end and begin < one[1] for begin, end in others)


def assert_these_and_only_these(seen: list[Span], truth: list[Span]) -> None:
    assert [one for one in truth if not overlaps(one, seen)] == []
    assert [one for one in seen if not overlaps(one, truth)] == []


def test_daily(found: dict[str, Any]) -> None:
    """A cosine whose top is at 14:00."""
    daily = pattern(found, "daily")
    assert daily["status"] == "found"
    assert daily["peak_hours"] == [11, 12, 13, 14, 15, 16]
    assert daily["off_peak_hours"] == [0, 1, 2, 3, 4, 23]
    assert daily["variation_coefficient"] == pytest.approx(TRUTH.daily / 2**0.5, rel=0.05)
    assert daily["strength"] > 0.7


def test_weekly(found: dict[str, Any]) -> None:
    weekly = pattern(found, "weekly")
    assert weekly["status"] == "found"
    assert weekly["peak_days"] == ["Mon", "Tue", "Wed", "Thu", "Fri"]
    assert weekly["weekend_pattern"]["kind"] == "quieter"
    ratio = weekly["weekend_pattern"]["weekend_to_weekday_ratio"]
    assert ratio == pytest.approx(TRUTH.weekend, rel=0.03)


def test_seasonal(found: dict[str, Any]) -> None:
    """Growth and a wave of 20 days, both of the mean over the week."""
    seasonal = pattern(found, "seasonal")
    mean_share = (5 + 2 * TRUTH.weekend) / 7
    assert seasonal["status"] == "found"
    assert seasonal["period_days"] == pytest.approx(TRUTH.season_days, rel=0.05)
    amplitude = TRUTH.season * TRUTH.level * mean_share
    assert seasonal["amplitude_mbps"] == pytest.approx(amplitude, rel=0.15)
    trend = seasonal["trend"]
    assert trend["direction"] == "rising"
    assert trend["mbps_per_day"] == pytest.approx(TRUTH.growth * mean_share, rel=0.05)
    assert 0.5 < seasonal["seasonality_strength"] <= 1


def test_bursts(found: dict[str, Any]) -> None:
    analysis = found["analysis"]["burst_analysis"]
    truth = planted(TRUTH.bursts)  # an hour at the link's limit is none
    assert_these_and_only_these(spans(analysis["largest"]), truth)
    assert analysis["bursts"] == len(truth) == 2 + MINUTE_DAYS
    (every_night,) = analysis["recurring"]
    assert every_night["at"] == "02:30"
    assert every_night["days"] == MINUTE_DAYS
    assert pattern(found, "burst")["recurring"] == analysis["recurring"]


def test_anomalies(found: dict[str, Any]) -> None:
    """In minutes where these are kept; in hours before."""
    rows = found["analysis"]["anomalies"]
    truth = planted(TRUTH.anomalies, TRUTH.bursts, (TRUTH.full,))
    assert_these_and_only_these(spans(rows), truth)
    quiet = [row for row in rows if row["direction"] == "below"]
    assert spans(quiet) == planted((TRUTH.anomalies[2],))
    hours = [row for row in rows if row["resolution_s"] == 3600]
    assert spans(hours) == planted((TRUTH.anomalies[0],))
    # The month before it has none: what is not beside a planted one is as expected.
    for row in rows:
        normal = row["observed_mbps"] / row["expected_mbps"]
        assert normal > 1.4 or normal < 0.6


def test_protocol_shift(found: dict[str, Any]) -> None:
    (moved,) = found["analysis"]["protocol_analysis"]["change_points"]
    assert microseconds(moved["at"]) == TRUTH.shift
    assert {name: (m["before_percent"], m["after_percent"]) for name, m in moved["moved"].items()} \
        == {"https": (pytest.approx(80, abs=0.1), pytest.approx(55, abs=0.1)),
            "quic": (pytest.approx(15, abs=0.1), pytest.approx(40, abs=0.1))}  # fmt: skip
    geographic = found["analysis"]["geographic_patterns"]
    assert geographic["change_points"] == []
    assert geographic["shares"]["CH"]["percent"] == pytest.approx(70, abs=0.1)


def test_bottlenecks(found: dict[str, Any]) -> None:
    rows = found["analysis"]["bottleneck_analysis"]["bottlenecks"]
    assert {(row["cause"], row["endpoint"]) for row in rows} == {
        ("link_saturated", None),
        ("loss_congestion", QUEUED),
        ("queueing", QUEUED),
        ("receiver_limited", STORAGE),
        ("server_slow", None),
    }
    (full,) = [row for row in rows if row["cause"] == "link_saturated"]
    assert full["evidence"]["hours"] == 1
    assert microseconds(full["evidence"]["first"]) == TRUTH.full[0]
    assert {o["type"] for o in found["optimizations"]} >= {row["cause"] for row in rows}
    assert all(o["expected_effect"] is None and o["reason"] for o in found["optimizations"])


def test_capacity(found: dict[str, Any]) -> None:
    """The planted growth of the busy hours of working days, received."""
    plan = found["capacity_planning"]
    busy = RECEIVED * (1 + TRUTH.daily * 0.98)
    assert plan["growth_mbps_per_day"] == pytest.approx(TRUTH.growth * busy, rel=0.1)
    low, high = plan["growth_interval_mbps_per_day"]
    assert low < TRUTH.growth * busy < high
    now = (TRUTH.level + TRUTH.growth * DAYS) * busy
    days = (0.8 * CAPACITY_MBPS - now) / (TRUTH.growth * busy)
    assert plan["days_until_80_percent"] == pytest.approx(days, rel=0.1)
    soonest, latest = plan["days_interval"]
    assert soonest < days < latest


def test_attacks_and_risk(found: dict[str, Any]) -> None:
    ddos = found["analysis"]["ddos_detection"]
    assert {n for n, one in ddos["indicators"].items() if one["detected"]} == {
        "syn_flood", "amplification", "slowloris",
    }  # fmt: skip
    assert [attack["type"] for attack in ddos["detected_attacks"]] == [
        "syn_flood", "amplification", "slowloris",
    ]  # fmt: skip
    assert ddos["detected_attacks"][0]["mitigation"][1] == "First syn_flood"
    # 60 x 0.9 while it goes on, 40 x 0.9 half gone after 15 minutes, nothing of last week.
    assert ddos["risk_score"] == pytest.approx(54 + 18)
    assert all(text.startswith("syn_flood (10.0.0.1): ") for text in ddos["recommended_actions"])
    risk = found["risk_assessment"]
    assert risk["risk_score"] == pytest.approx(54 + 18)
    assert risk["level"] == "high"
    assert [one["attack_class"] for one in risk["contributors"]] == ["syn_flood", "slow_post"]


def test_heatmap_and_gaps(found: dict[str, Any]) -> None:
    """The cells are the means of the planted minutes; twelve hours nobody saw are no zeros."""
    table = found["heatmap"]["mbps"]
    assert [len(row) for row in table] == [24] * 7
    old = np.arange(START, MINUTES_FROM, MINUTE)
    new = np.arange(MINUTES_FROM, END, MINUTE)
    truth = np.concatenate((rates(TRUTH, old, 1), rates(TRUTH, new, 2)))
    times = np.concatenate((old, new))
    seen = (times < TRUTH.gap[0]) | (times >= TRUTH.gap[1])
    for weekday, hour in ((0, 3), (3, 12), (6, 23)):
        at = seen & ((times - START) // DAY % 7 == weekday) & (times % DAY // HOUR == hour)
        assert table[weekday][hour] == pytest.approx(truth[at].mean(), rel=1e-3)
    assert found["coverage"]["known_hours"] == DAYS * 24 - 12


def test_noise_has_nothing(nothing: dict[str, Any]) -> None:
    kinds = {p["type"]: p["status"] for p in nothing["analysis"]["traffic_patterns"]}
    assert kinds == dict.fromkeys(patterns.TYPES, "not_found")
    analysis = nothing["analysis"]
    assert analysis["anomalies"] == []
    assert analysis["burst_analysis"]["bursts"] == 0
    assert analysis["protocol_analysis"]["change_points"] == []
    assert analysis["geographic_patterns"]["change_points"] == []
    assert analysis["bottleneck_analysis"]["bottlenecks"] == []
    assert analysis["ddos_detection"]["detected_attacks"] == []
    assert nothing["optimizations"] == []
    assert nothing["risk_assessment"]["risk_score"] == 0
    assert nothing["risk_assessment"]["operational"] == []
    assert nothing["capacity_planning"]["days_until_80_percent"] is None


def test_all_keys_of_the_specification(found: dict[str, Any]) -> None:
    json.dumps(found, allow_nan=False)
    assert found.keys() >= {
        "analysis", "optimizations", "risk_assessment", "capacity_planning", "heatmap",
    }  # fmt: skip
    assert found["analysis"].keys() >= {
        "traffic_patterns", "anomalies", "peak_patterns", "protocol_analysis",
        "geographic_patterns", "burst_analysis", "ddos_detection", "bottleneck_analysis",
    }  # fmt: skip
    assert found["analysis"]["ddos_detection"].keys() >= {
        "risk_score", "detected_attacks", "recommended_actions",
    }  # fmt: skip
    for one in found["analysis"]["ddos_detection"]["indicators"].values():
        assert one.keys() >= {"detected", "severity_score", "confidence", "time_window"}


def test_the_same_without_the_extra(
    history: SqliteReading, found: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Medians find what MSTL finds; what needs the extra says so."""
    without_extra(monkeypatch)
    monkeypatch.delitem(sys.modules, "sensor.analytics.microbursts", raising=False)
    answer = patterns.analyse(history, SCOPE, pattern_types=patterns.TYPES)
    for kind, figure in (("daily", "peak_hours"), ("weekly", "peak_days")):
        assert pattern(answer, kind)["method"] == "medians"
        assert pattern(answer, kind)[figure] == pattern(found, kind)[figure]
    assert answer["analysis"]["anomalies"] == found["analysis"]["anomalies"]
    assert answer["analysis"]["protocol_analysis"]["change_points"] == []
    assert "[server]" in answer["analysis"]["protocol_analysis"]["reason"]
    assert "[server]" in answer["analysis"]["burst_analysis"]["microbursts"]["reason"]


def test_asked_for(history: SqliteReading) -> None:
    """Two days: too little for anything but bursts, and it says so."""
    scope = Scope(END - 2 * DAY, END, (AGENT,))
    answer = patterns.analyse(history, scope)
    kinds = {p["type"]: p["status"] for p in answer["analysis"]["traffic_patterns"]}
    assert kinds == {
        "daily": "insufficient_data", "weekly": "insufficient_data", "burst": "found",
    }  # fmt: skip
    daily = pattern(answer, "daily")
    assert daily["peak_hours"] is None
    assert (daily["need_days"], daily["have_days"]) == (3, pytest.approx(2))
    assert answer["capacity_planning"]["status"] == "insufficient_data"
    assert answer["analysis"]["anomalies"] == []
    assert answer["analysis"]["anomaly_baseline"]["status"] == "insufficient_data"
    with pytest.raises(patterns.BadPatternType, match="no such pattern: hourly"):
        patterns.analyse(history, scope, pattern_types=("hourly",))


def test_nobody(history: SqliteReading) -> None:
    """An unknown workspace, and a time without traffic."""
    for scope in (Scope(START, END, (), "no such"), Scope(START - 9 * DAY, START, (AGENT,))):
        answer = patterns.analyse(history, scope, pattern_types=patterns.TYPES)
        json.dumps(answer, allow_nan=False)
        assert answer["risk_assessment"]["risk_score"] == 0
        assert answer["analysis"]["peak_patterns"]["peak_mbps"] is None
        assert answer["heatmap"]["mbps"][0][0] is None


def test_local_time(history: SqliteReading) -> None:
    """Ten hours east: the top of the day is at midnight."""
    answer = patterns.analyse(
        history, SCOPE, pattern_types=("daily",), timezone="Australia/Brisbane"
    )
    assert pattern(answer, "daily")["peak_hours"] == [0, 1, 2, 21, 22, 23]
    with pytest.raises(ValueError, match="time zone"):
        patterns.analyse(history, SCOPE, timezone="Mars/Olympus")


def test_cost_of_a_month(history: SqliteReading) -> None:
    """The 95th percentile of 5-minute means against the planted minutes; the month is December."""
    minutes = rates(TRUTH, np.arange(MINUTES_FROM, END, MINUTE), 2)[-4 * 1440 :]
    samples = sorted(minutes.reshape(-1, 5).mean(axis=1).tolist())
    ninety_fifth = samples[len(samples) - 1 - len(samples) // 20] * RECEIVED
    price = Billing("p95", 2.5, "CHF", commit=10, implementation_cost=50.0)
    answer = cost.analyse(history, SCOPE, price, reducible_share=0.2)
    assert microseconds(answer["month_since"]) == day(56)
    assert answer["samples"] == 4 * 288
    assert answer["month_to_date"] is True
    assert answer["p95_in_mbps"] == pytest.approx(ninety_fifth, rel=0.01)
    assert answer["current_bandwidth_cost"] == pytest.approx(2.5 * answer["p95_in_mbps"])
    saved = answer["current_bandwidth_cost"] * 0.2
    assert answer["savings_potential"] == pytest.approx(saved)
    assert answer["roi_months"] == pytest.approx(50 / saved)
    volume = cost.analyse(history, SCOPE, Billing("gb_transfer", 0.08, "USD", direction="sum"))
    gb = minutes.sum() * 60 / 8 / 1000
    assert volume["current_bandwidth_cost"] == pytest.approx(0.08 * gb, rel=1e-3)
    assert volume["optimized_bandwidth_cost"] is None
    assert "not known" in volume["reasons"]["optimized_bandwidth_cost"]
    november = cost.analyse(history, Scope(START, day(56), (), WORKSPACE), price)
    assert november["month_to_date"] is False
    assert november["estimated"] is True
    # Minutes: the newest 14 days of all, so the last ten of November; half a day is missing.
    assert november["hourly_share"] == pytest.approx(19.5 / 29.5, abs=0.002)
    old = rates(TRUTH, np.arange(START, MINUTES_FROM, MINUTE), 1).reshape(-1, 60).mean(axis=1)
    new = rates(TRUTH, np.arange(MINUTES_FROM, END, MINUTE), 2).reshape(-1, 5).mean(axis=1)
    seen = np.r_[26 * 24 : 31 * 24 + 6, 31 * 24 + 18 : 46 * 24]
    november_samples = np.sort(np.r_[np.repeat(old[seen], 12), new[: 10 * 288]])
    top = november_samples[len(november_samples) - 1 - len(november_samples) // 20]
    assert november["p95_in_mbps"] == pytest.approx(top * RECEIVED, rel=0.01)
    free = cost.analyse(history, SCOPE, None)
    assert free["current_bandwidth_cost"] is None
    assert free["reasons"]["cost_analysis"] == cost.NO_PRICE


def test_objectives(history: SqliteReading) -> None:
    answer = slo.analyse(history, SCOPE, cost=60.0, baseline_cost=100.0)
    rows = {one["name"]: one for one in answer["objectives"]}
    assert list(rows) == [
        "regional_latency_p99", "packet_loss_rate", "network_availability",
        "bandwidth_cost_reduction", "ddos_detection_rate",
    ]  # fmt: skip
    with closing(sqlite3.connect(history.path)) as db:
        sums = "SELECT sum(packets_lost), sum(data_segments) FROM metrics_hourly"
        lost, segments = db.execute(sums).fetchone()
    loss = rows["packet_loss_rate"]
    assert loss["value"] == pytest.approx(lost / (lost + segments))
    assert loss["met"] is True
    assert loss["error_budget"]["consumed"] == pytest.approx(loss["value"] / 0.0001, rel=1e-3)
    latency = rows["regional_latency_p99"]
    assert latency["met"] is False  # files.example has a queue
    assert latency["value"] > 50
    assert latency["error_budget"]["remaining"] < 0
    assert rows["network_availability"]["value"] == 1
    assert rows["network_availability"]["observed_minutes"] == MINUTE_DAYS * 1440
    assert rows["bandwidth_cost_reduction"]["value"] == pytest.approx(0.4)
    assert rows["bandwidth_cost_reduction"]["met"] is True
    detection = rows["ddos_detection_rate"]
    assert (detection["value"], detection["met"], detection["detected"]) == (None, None, 3)
    assert detection["reason"]
