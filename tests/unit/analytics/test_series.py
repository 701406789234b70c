"""The arithmetic of the analyses over arrays: against counting, scipy, and seeded noise."""

import builtins
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from scipy import stats

from sensor.analytics import anomalies, bursts, seasons
from sensor.analytics.bottlenecks import rank_correlation
from sensor.analytics.capacity import plan
from sensor.analytics.cost import Billing, charged, month_of, p95, price
from sensor.analytics.decomposition import decompose, fill, running_median
from sensor.analytics.protocols import changes
from sensor.analytics.series import DAY_US, HOUR_US, Series, covered_s, local_parts, runs_where
from sensor.analytics.trend import theil_sen
from tests.traffic.history import START

UTC = ZoneInfo("UTC")
HOURS = 60 * 24


def series(values: Any, step_s: int = 3600) -> Series:
    return Series(START, step_s, np.asarray(values, np.float64), UTC)


def noise(kind: str, seed: int, n: int = HOURS) -> np.ndarray[Any, Any]:
    """About 20 Mbps: white, lognormal, or noise that remembers the hour before."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal(n)
    if kind == "white":
        return 20 + white
    if kind == "lognormal":
        return 20 * np.exp(0.5 * white)
    for at in range(1, n):
        white[at] = 0.9 * white[at - 1] + 0.436 * white[at]
    return 20 + 2 * white


@pytest.mark.parametrize("kind", ["white", "lognormal", "red"])
@pytest.mark.parametrize("days", [3, 14, 40])
def test_noise_is_no_pattern(kind: str, days: int) -> None:
    """The planned share of false alarms is 1 %, before strength is asked for."""
    alarms = []
    for seed in range({3: 20, 14: 10, 40: 4}[days]):
        hours = series(noise(kind, seed, days * 24))
        parts = decompose(hours.values)
        rows = [make(hours, parts) for make in (seasons.daily, seasons.weekly, seasons.seasonal)]
        alarms += [row["type"] for row in rows if row["status"] == "found"]
    assert len(alarms) <= 1, alarms


@pytest.mark.parametrize("missing", [False, True])
def test_three_days_are_enough_for_a_day(missing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With statsmodels and without."""
    if missing:
        without_extra(monkeypatch)
    at = np.arange(4 * 24)
    hours = series(20 + 8 * np.cos(2 * np.pi * (at % 24 - 19.5) / 24) + 0.5 * noise("white", 1, 96))
    parts = decompose(hours.values)
    daily = seasons.daily(hours, parts)
    assert parts.method == ("medians" if missing else "stl")
    assert daily["status"] == "found"
    assert daily["peak_hours"] == [17, 18, 19, 20, 21, 22]
    assert daily["off_peak_hours"] == [5, 6, 7, 8, 9, 10]


def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra `server` was not installed."""
    real = builtins.__import__

    def fake(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] in {"statsmodels", "ruptures", "scipy"}:
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", fake)


def test_both_decompositions_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """On eight weeks with a day, a quiet weekend and growth."""
    at = np.arange(56 * 24)
    weekend = at // 24 % 7 >= 5
    truth = (20 + at / 200) + 6 * np.cos(2 * np.pi * (at % 24 - 13.5) / 24) - 8.0 * weekend
    hours = series(truth + 0.5 * noise("white", 3, len(at)) - 10)
    found = {}
    for name in ("mstl", "medians"):
        if name == "medians":
            without_extra(monkeypatch)
        parts = decompose(hours.values)
        assert parts.method == name
        found[name] = (seasons.daily(hours, parts), seasons.weekly(hours, parts))
    for daily, weekly in found.values():
        assert daily["peak_hours"] == [11, 12, 13, 14, 15, 16]
        assert weekly["peak_days"] == ["Mon", "Tue", "Wed", "Thu", "Fri"]
    ratios = [weekly["weekend_pattern"]["weekend_to_weekday_ratio"] for _, weekly in found.values()]
    assert ratios[0] == pytest.approx(ratios[1], rel=0.1)


def test_without_the_extra_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    without_extra(monkeypatch)
    moved, reason = changes(np.ones((10, 1)), np.arange(10), ["https"])
    assert (moved, reason) == ([], "change points need shadower-sensor[server]")


def test_a_gap_is_no_cycle() -> None:
    """What fills a gap of two weeks repeats itself; it proves nothing."""
    values = noise("red", 5)
    values[40:-40] = np.nan
    hours = series(values)
    parts = decompose(hours.values)
    assert not np.isnan(parts.filled).any()
    assert seasons.daily(hours, parts)["status"] != "found"


def test_fill_follows_the_cycle() -> None:
    at = np.arange(28 * 24)
    truth = 20 + 10 * np.cos(2 * np.pi * at / 24)
    holed = truth.copy()
    holed[300:330] = np.nan
    assert fill(holed)[300:330] == pytest.approx(truth[300:330], rel=0.1)


def test_theil_sen_is_scipys() -> None:
    rng = np.random.default_rng(2)
    x = np.arange(40.0)
    y = 3 + 0.5 * x + rng.standard_normal(40)
    line = theil_sen(x, y, 0.9)
    assert line is not None
    truth = stats.theilslopes(y, x, 0.9)
    assert line.slope == pytest.approx(truth.slope)
    # Ours is wider by what neighbours share, here next to nothing.
    assert line.low == pytest.approx(truth.low_slope, rel=0.05)
    assert line.high == pytest.approx(truth.high_slope, rel=0.05)
    assert theil_sen(x[:2], y[:2], 0.9) is None


def test_interval_of_a_trend_covers_it() -> None:
    """90 % intervals over days that are like the day before: of 200 at least 80 % do."""
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rest = rng.standard_normal(60)
        for at in range(1, 60):
            rest[at] += 0.5 * rest[at - 1]
        line = theil_sen(np.arange(60.0), 0.1 * np.arange(60.0) + rest, 0.9)
        assert line is not None
        covered += line.low <= 0.1 <= line.high
    assert 0.8 * 200 <= covered <= 200


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 9, 50).astype(np.float64)
    b = a + rng.integers(0, 9, 50)
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert rank_correlation(a, np.ones(50)) == 0


def test_running_median_by_hand() -> None:
    assert running_median(np.array([1.0, 9, 2, 8, 3]), 3).tolist() == [5, 2, 8, 3, 5.5]


def test_covered_seconds_by_counting() -> None:
    rng = np.random.default_rng(9)
    edges = np.sort(rng.choice(np.arange(0, 5 * HOUR_US, 1_000_000), 12, replace=False))
    spans = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    buckets = np.arange(0, 5 * HOUR_US, HOUR_US)
    truth = [
        sum(a <= s < b for a, b in spans for s in range(t, t + HOUR_US, 1_000_000))
        for t in buckets.tolist()
    ]
    assert covered_s(spans, buckets, HOUR_US).tolist() == pytest.approx(truth)
    assert covered_s([], buckets, HOUR_US).tolist() == [0] * 5


def test_local_hours_over_a_clock_change() -> None:
    """Zurich goes back from 3:00 to 2:00 on 26 October 2025, at 1:00 UTC."""
    at = 1_761_436_800_000_000  # 2025-10-26 00:00 UTC
    hour, day, _ = local_parts(at + np.arange(4) * HOUR_US, ZoneInfo("Europe/Zurich"))
    assert hour.tolist() == [2, 2, 3, 4]
    assert day.tolist() == [6] * 4


def test_runs() -> None:
    mask = np.array([1, 1, 0, 1, 0, 0, 1], np.bool_)
    assert runs_where(mask) == [(0, 2), (3, 4), (6, 7)]
    assert runs_where(mask, gap=1) == [(0, 4), (6, 7)]


def test_lognormal_minutes_are_no_bursts() -> None:
    """Of 140 days of noise at most one minute; and three minutes that are bursts."""
    alarms = 0
    for seed in range(10):
        values = 20 * np.exp(0.2 * np.random.default_rng(seed).standard_normal(14 * 1440))
        alarms += len(bursts.find(series(values, 60)))
    assert alarms <= 1
    values[5000:5003] *= 5
    assert [(b.begin, b.end) for b in bursts.find(series(values, 60))] == [(5000, 5003)]
    # Twice the traffic from then on is another level.
    values[9000:] *= 3
    assert len(bursts.find(series(values, 60))) == 1
    assert bursts.find(series(values / 1000, 60)) == []  # under 1 Mbps


def test_recurring_needs_the_same_time() -> None:
    day = 1440
    every_night = [bursts.Found(n * day + 150, n * day + 154, 9, 1) for n in range(10)]
    rng = np.random.default_rng(3)
    any_time = [bursts.Found(int(at), int(at) + 4, 9, 1) for at in rng.integers(0, 10 * day, 10)]
    minutes = series(np.ones(10 * day), 60)
    assert [one["at"] for one in bursts.recurring(minutes, every_night)] == ["02:30"]
    assert bursts.recurring(minutes, any_time) == []


def test_one_outage_of_an_hour() -> None:
    """Three weeks of minutes with a weekend: one hour at nothing, and one hour unseen."""
    at = np.arange(28 * 1440)
    level = np.where(at // 1440 % 7 >= 5, 10.0, 30.0)
    level *= 1 + 0.4 * np.cos(2 * np.pi * (at % 1440 - 840) / 1440)
    values = level * np.exp(0.05 * np.random.default_rng(1).standard_normal(len(at)))
    values[20_000:20_060] = 0
    values[30_000:30_060] = np.nan
    minutes = series(values, 60)
    hours = series(values.reshape(-1, 60).mean(axis=1))
    found, basis = anomalies.analyse(hours, minutes)
    assert basis["compared_with"] == "hour_of_week"
    assert [(one["direction"], one["duration_s"]) for one in found] == [("below", 3600)]
    found, basis = anomalies.analyse(series(hours.values[: 6 * 24]), minutes)
    assert found == []
    assert basis["status"] == "insufficient_data"


def test_a_full_link_and_a_shrinking_one() -> None:
    at = np.arange(20 * 24)
    growing, shrinking = series(10 + at / 24), series(40 - at / 24)
    assert plan(growing, 100)["days_until_80_percent"] == pytest.approx(51, abs=1)
    assert plan(growing, 30)["status"] == "full"
    assert plan(shrinking, 100)["status"] == "no_growth"
    assert plan(growing, None)["reason"] == "the link's capacity is not known"
    assert plan(series(growing.values[: 13 * 24]), 100)["status"] == "insufficient_data"


def test_share_moves_in_ruptures() -> None:
    rng = np.random.default_rng(4)
    first = np.where(np.arange(14) < 8, 0.2, 0.5) + 0.01 * rng.standard_normal(14)
    shares = np.column_stack((first, 1 - first))
    starts = START + np.arange(14) * DAY_US
    moved, reason = changes(shares, starts, ["quic", "https"])
    assert reason is None
    assert [one["moved"].keys() for one in moved] == [{"quic", "https"}]
    assert moved[0]["at"].startswith("2025-10-14")
    assert changes(shares[:8], starts[:8], ["quic", "https"]) == ([], None)


def test_ninety_fifth_percentile_as_billed() -> None:
    """Of a month of 8640 samples the highest 432 are free (providers' own words)."""
    samples = np.arange(8640.0)
    np.random.default_rng(1).shuffle(samples)
    assert p95(samples) == 8640 - 432 - 1
    assert p95(np.empty(0)) is None
    assert charged(3, 5, "max") == 5
    assert charged(3, 5, "sum") == 8
    billing = Billing("p95", 2, "EUR", commit=10)
    assert (price(billing, 4), price(billing, 40)) == (20, 80)
    assert price(Billing("flat", 99, "EUR"), None) == 99
    with pytest.raises(ValueError, match="from 0"):
        Billing("p95", float("nan"), "EUR")
    until = 1_761_955_200_000_000  # 2025-11-01 00:00 UTC, excluded: October
    assert month_of(until, "UTC") == until - 31 * DAY_US
