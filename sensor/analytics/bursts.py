"""Bursts: minutes that stand out of the hours around them, and 100-ms ones (definitions 1.2).

What lasts over half an hour is another level and no burst.
"""

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from sensor.analytics.decomposition import robust
from sensor.analytics.series import DAY_S, HOUR_S, Series, Values, runs_where, span_of
from sensor.metrics.bandwidth import CAPACITY_SHARE, FLOOR_MBPS
from sensor.store.reading import ReadingStore, Scope

TRAILING_S = HOUR_S
FEWEST_TRAILING = 10  # steps: with less history nothing is called a burst
OVER_MEDIAN = 2.0
SIGMAS = 6.0
NORMAL_90 = 1.2816  # 90th percentile of the normal distribution
MOST = 50  # bursts answered, the largest first
SLOT_S = 1800  # of the day, for bursts at the same time every day
SAME_TIME_DAYS, SAME_TIME_CHANCE = 3, 1e-4


@dataclass(frozen=True, slots=True)
class Found:
    """Steps `begin` to `end` (excluded)."""

    begin: int
    end: int
    peak: float
    usual: float  # the larger median of the hours before and after


def find(series: Series, capacity_mbps: float | None = None) -> list[Found]:
    """Runs over the floor and over twice the median of the hour before and of the hour after.

    Over more than twice where traffic varies that much: 6 robust deviations of its ratio to these.
    """
    values = series.values
    if len(values) <= FEWEST_TRAILING:
        return []
    floor = FLOOR_MBPS if capacity_mbps is None else CAPACITY_SHARE * capacity_mbps
    width = max(TRAILING_S // series.step_s, FEWEST_TRAILING)
    # And of the hour after: what stays is no burst but another level.
    usual = np.fmax(trailing_medians(values, width), trailing_medians(values[::-1], width)[::-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        times = np.where(usual > 0, values / usual, np.nan)
        least = max(OVER_MEDIAN, 1 + SIGMAS * upward(times - 1))
        high = (values > floor) & (values > least * usual)
    return [
        Found(begin, end, float(np.nanmax(values[begin:end])), float(usual[begin]))
        for begin, end in runs_where(high, gap=1)
    ]


def trailing_medians(values: Values, width: int) -> Values:
    """Of up to `width` steps before each; NaN with fewer than 10 known."""
    padded = np.concatenate((np.full(width, np.nan), values[:-1]))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    known = (~np.isnan(windows)).sum(axis=1)
    ordered = np.sort(windows, axis=1)  # NaN last
    middle = np.maximum(known // 2, 0)
    made: Values = np.take_along_axis(ordered, np.minimum(middle, width - 1)[:, None], 1)[:, 0]
    made[known < FEWEST_TRAILING] = np.nan
    return made


def upward(rest: Values) -> float:
    """Robust deviation about 0, by the upper side where that reaches further, as traffic's mostly does.

    By the 90th percentile: bursts may take up to a tenth of the time.
    """
    known = rest[~np.isnan(rest)]
    if not len(known):
        return 0.0
    return max(robust(known)[1], float(np.percentile(known, 90)) / NORMAL_90)


def recurring(series: Series, found: list[Found]) -> list[dict[str, Any]]:
    """Half hours of the day in which bursts begin on more days than chance would have them."""
    if not found:
        return []
    _, _, days = series.local()
    offset = series.times - days * DAY_S * 1_000_000  # of the day in UTC, off by the zone
    hour, _, _ = series.local()
    second = hour * HOUR_S + offset // 1_000_000 % HOUR_S
    observed = len(np.unique(days[series.known]))
    begins = np.array([one.begin for one in found])
    made = []
    slots = second[begins] // SLOT_S
    # Chance: every burst in any slot of its day.
    rate = min(1.0, len(found) / max(observed, 1) * SLOT_S / DAY_S)
    for slot in np.unique(slots).tolist():
        on = np.unique(days[begins[slots == slot]])
        chance = tail(observed, len(on), rate)
        if len(on) >= SAME_TIME_DAYS and chance < SAME_TIME_CHANCE:
            minutes = slot * SLOT_S // 60
            made.append(
                {
                    "at": f"{minutes // 60:02d}:{minutes % 60:02d}",
                    "within_minutes": SLOT_S // 60,
                    "days": len(on),
                    "observed_days": observed,
                    "chance": float(f"{chance:.3g}"),
                }
            )
    return made


def tail(n: int, k: int, p: float) -> float:
    """P(at least k of n)."""
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def analyse(
    store: ReadingStore, scope: Scope, series: Series, capacity_mbps: float | None = None
) -> dict[str, Any]:
    """`burst_analysis`: of minutes over the newest 14 days, of 100 ms over the newest day."""
    found = find(series, capacity_mbps)
    days = series.known_days
    lengths = [(one.end - one.begin) * series.step_s for one in found]
    largest = sorted(found, key=lambda one: one.usual - one.peak)[:MOST]
    return {
        "bursts": len(found) if days else None,
        "bursts_per_day": round(len(found) / days, 4) if days else None,
        "burst_duration_avg_s": round(sum(lengths) / len(lengths), 3) if lengths else None,
        "longest_s": max(lengths, default=None),
        "recurring": recurring(series, found),
        "largest": [
            {
                **span_of(series, one.begin, one.end),
                "peak_mbps": round(one.peak, 6),
                "usual_mbps": round(one.usual, 6),
            }
            for one in largest
        ],
        "observed_days": round(days, 3),
        "step_s": series.step_s,
        "microbursts": microbursts(store, scope, capacity_mbps),
        "reason": None if days else "no windows are kept of this period",
    }


def microbursts(store: ReadingStore, scope: Scope, capacity_mbps: float | None) -> dict[str, Any]:
    """Runs of 100 ms above twice the median of the 60 s before them, over the newest day."""
    try:
        # Here, because it needs scipy, which only the extra `server` brings.
        from sensor.analytics.microbursts import bursts  # noqa: PLC0415
    except ImportError:
        nothing = {"per_hour": None, "duration_avg_ms": None}
        return {**nothing, "reason": "needs shadower-sensor[server]"}
    since = max(scope.since, scope.until - DAY_S * 1_000_000)
    bins = store.bins(Scope(since, scope.until, scope.agent_ids, scope.workspace_id))
    octets = bins["bins_in"] + bins["bins_out"] + bins["bins_other"]
    made = bursts(bins["timestamp"], octets, capacity_mbps)
    return {
        "per_hour": made.per_hour,
        "duration_avg_ms": made.mean_ms,
        "reason": None if made.per_hour is not None else "no seconds are kept of this period",
    }


def pattern(analysis: dict[str, Any]) -> dict[str, Any]:
    """The `burst` entry of the traffic patterns."""
    days = analysis["observed_days"]
    if not days:
        return {"type": "burst", "status": "insufficient_data", "reason": analysis["reason"]}
    return {
        "type": "burst",
        "status": "found" if analysis["bursts"] else "not_found",
        "bursts": analysis["bursts"],
        "bursts_per_day": analysis["bursts_per_day"],
        "burst_duration_avg_s": analysis["burst_duration_avg_s"],
        "recurring": analysis["recurring"],
    }
