"""Traffic unlike the same hour of other weeks (definitions 1.5).

Robust z = (x - expected) / deviation. Expected is the level of the days around times the median
share of it that the same hour of the week has; the deviation is that of the same hour of the day on
working days or weekends, by the median absolute deviation, with a floor.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.analytics.decomposition import WEEK, robust, running_median
from sensor.analytics.seasons import day_levels
from sensor.analytics.series import (
    DAY_S,
    HOUR_S,
    WEEKEND,
    Series,
    Values,
    Whole,
    runs_where,
    span_of,
)

NEEDED_DAYS, WEEKLY_DAYS = 7, 21  # warm-up; from when on hours of the week are compared
FAR = 6.0
LEAST_S = 180
GAP = 2  # steps between two that are one
FLOOR_SHARE, FLOOR_GLOBAL, FLOOR_MBPS = 0.02, 0.5, 0.001
MOST = 100


class Baseline:
    """What the hours of a series say is usual."""

    def __init__(self, hours: Series) -> None:
        self._hours = hours
        numbers, levels = day_levels(hours)
        self._noon = (numbers + 0.5) * DAY_S
        self._levels = running_median(levels, 7)
        self.by_week = hours.known_days >= WEEKLY_DAYS
        # Of the level, not beside it: where there is twice the traffic, a busy hour has twice more.
        level = self._level(hours)
        rest = np.divide(hours.values, level, out=np.full_like(level, np.nan), where=level > 0)
        group = self._group(hours)
        self._factors = np.array(
            [
                np.median(known) if len(known := some[~np.isnan(some)]) else np.nan
                for some in (rest[group == g] for g in range(WEEK if self.by_week else 48))
            ]
        )

    def _level(self, series: Series) -> Values:
        hour, _, day = series.local()
        made: Values = np.interp(day * DAY_S + hour * HOUR_S, self._noon, self._levels)
        return made

    def _group(self, series: Series) -> Whole:
        hour, day, _ = series.local()
        return day * 24 + hour if self.by_week else kinds(hour, day)

    def expected(self, series: Series) -> tuple[Values, Values]:
        """Least and most that is usual for each step.

        For shorter steps than hours: between what is usual for its hour, and that in proportion to
        the middles of this and the next hour; a day that begins at midnight is as usual as a slope.
        """
        hours = self._hours
        usual = self._level(hours) * self._factors[self._group(hours)]
        if series.step_s == hours.step_s:
            return usual, usual
        known = ~np.isnan(usual)
        if not known.any():
            nothing = np.full(len(series.values), np.nan)
            return nothing, nothing
        middle = series.times + series.step_us // 2
        slope = np.interp(middle, hours.times[known] + hours.step_us // 2, usual[known])
        at = np.clip((series.times - hours.start) // hours.step_us, 0, len(usual) - 1)
        step = np.where(known[at], usual[at], slope)
        return np.minimum(slope, step), np.maximum(slope, step)


def kinds(hour: Whole, day: Whole) -> Whole:
    """Hour of the day, of working days and of weekends apart: 0..47."""
    return hour + 24 * np.isin(day, WEEKEND)


def scores(series: Series, low: Values, high: Values) -> Values:
    """Robust z of each step outside what is usual; NaN for gaps."""
    rest = series.values - np.clip(series.values, low, high)
    off = series.values - (low + high) / 2
    hour, day, _ = series.local()
    group = kinds(hour, day)
    _, everywhere = robust(off)
    spread = np.array([robust(off[group == g])[1] for g in range(48)])[group]
    floor = np.maximum(FLOOR_SHARE * np.abs(high), FLOOR_MBPS)
    deviation = np.maximum.reduce([spread, np.full_like(spread, FLOOR_GLOBAL * everywhere), floor])
    made: Values = rest / deviation
    return made


def find(series: Series, baseline: Baseline) -> list[dict[str, Any]]:
    """Runs of at least 3 minutes beyond 6 deviations, on one side."""
    if not len(series.values):
        return []
    low, high = baseline.expected(series)
    z = scores(series, low, high)
    least = max(1, LEAST_S // series.step_s)
    made = []
    for direction, sign in (("above", 1), ("below", -1)):
        with np.errstate(invalid="ignore"):
            far = sign * z > FAR
        for begin, end in runs_where(far, gap=GAP if series.step_s < HOUR_S else 0):
            if int(far[begin:end].sum()) >= least:
                made.append(anomaly(series, (low + high) / 2, z, begin, end, direction))
    return made


def anomaly(
    series: Series, expected: Values, z: Values, begin: int, end: int, direction: str
) -> dict[str, Any]:
    worst = begin + int(np.nanargmax(np.abs(z[begin:end])))
    return {
        "metric": "traffic_mbps",
        **span_of(series, begin, end),
        "direction": direction,
        "z": round(float(z[worst]), 2),
        "observed_mbps": round(float(np.nanmean(series.values[begin:end])), 6),
        "expected_mbps": round(float(np.mean(expected[begin:end])), 6),
        "resolution_s": series.step_s,
    }


def analyse(hours: Series, minutes: Series) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Anomalies, the newest first, and what the baseline rests on.

    Minutes where they are kept, hours before.
    """
    days = min(hours.known_days, len(day_levels(hours)[0]))
    if days < NEEDED_DAYS:
        return [], {
            "status": "insufficient_data",
            "have_days": round(days, 2),
            "need_days": NEEDED_DAYS,
            "reason": f"{NEEDED_DAYS} days of hours are needed, {days:.1f} are known",
        }
    baseline = Baseline(hours)
    found = find(minutes, baseline)
    before = without_after(hours, minutes)
    found += find(before, baseline)
    found.sort(key=lambda one: one["start"], reverse=True)
    return found[:MOST], {
        "status": "ok",
        "have_days": round(days, 2),
        "compared_with": "hour_of_week" if baseline.by_week else "hour_of_day_by_kind_of_day",
        "found": len(found),
        "threshold_z": FAR,
    }


def without_after(hours: Series, minutes: Series) -> Series:
    """The hours before the first minute."""
    if not len(minutes.values):
        return hours
    values = hours.values.copy()
    covered: NDArray[np.bool_] = hours.times + hours.step_us > minutes.start
    values[covered] = np.nan
    return hours.with_values(values)
