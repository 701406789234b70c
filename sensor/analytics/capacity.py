"""When a link will be full (definitions 1.5): the trend of its busy hours.

Of each day the 95th percentile of the hourly means of the busier direction, without what the day
of the week adds; a Theil-Sen line through these, and when it and the busiest day of the week reach
80 % of the capacity. Hours hide the peaks of minutes.
"""

from math import ceil
from typing import Any

import numpy as np

from sensor.analytics.seasons import weekday_factors, without_weekdays
from sensor.analytics.series import HOUR_S, Series, Values, Whole
from sensor.analytics.trend import Line, theil_sen

NEEDED_DAYS = 14
FULL = 0.8
CONFIDENCE = 0.9
BUSY = 95  # percentile of a day's hours
LEAST_HOURS = 12  # of a day, to have one
FARTHEST_DAYS = 1825  # a line through weeks says nothing of later years
HORIZONS = (30, 60, 90)


def busy_hours(hours: Series) -> tuple[Whole, Values]:
    """Days since 1970, and the 95th percentile of each one's hours, Mbps."""
    _, _, day = hours.local()
    known = hours.known
    numbers, at, counts = np.unique(day[known], return_inverse=True, return_counts=True)
    values = hours.values[known]
    busy = np.array([np.percentile(values[at == n], BUSY) for n in range(len(numbers))])
    enough = counts >= LEAST_HOURS * HOUR_S / hours.step_s
    return numbers[enough], busy[enough]


def plan(hours: Series, capacity_mbps: float | None) -> dict[str, Any]:
    """`capacity_planning` of one link; `hours` are Mbps of its busier direction."""
    numbers, busy = busy_hours(hours)
    base: dict[str, Any] = {
        "capacity_mbps": capacity_mbps,
        "threshold": FULL,
        "observed_days": len(numbers),
        "busy_hour_mbps": None,
        "utilization": None,
        "growth_mbps_per_day": None,
        "growth_interval_mbps_per_day": None,
        "confidence": CONFIDENCE,
        "days_until_80_percent": None,
        "days_interval": None,
        "forecast": [],
        "resolution_s": hours.step_s,
    }
    if len(numbers) < NEEDED_DAYS:
        reason = f"{NEEDED_DAYS} days are needed, {len(numbers)} are known"
        return {**base, "status": "insufficient_data", "reason": reason}
    x = (numbers - numbers[-1]).astype(np.float64)  # 0 is the last day
    line = theil_sen(x, without_weekdays(numbers, busy), CONFIDENCE)
    if line is None:
        return {**base, "status": "insufficient_data", "reason": "the days are too few"}
    line = line.times(float(weekday_factors(numbers, busy).max()))  # of the busiest day
    now = line.level
    base |= {
        "busy_hour_mbps": round(now, 6),
        "growth_mbps_per_day": round(line.slope, 6),
        "growth_interval_mbps_per_day": [round(line.low, 6), round(line.high, 6)],
        "forecast": [forecast(line, x, days) for days in HORIZONS],
    }
    if capacity_mbps is None:
        return {**base, "status": "unknown", "reason": "the link's capacity is not known"}
    base["utilization"] = round(now / capacity_mbps, 6)
    return {**base, **until_full(line, x, FULL * capacity_mbps)}


def middle_of(x: Values) -> float:
    return float(np.median(x))


def bounds(line: Line, x: Values, days: float) -> tuple[float, float]:
    """The line turned about the middle of the days, by the interval of its slope."""
    middle = middle_of(x)
    pivot = line.at(middle)
    return pivot + line.low * (days - middle), pivot + line.high * (days - middle)


def forecast(line: Line, x: Values, days: int) -> dict[str, Any]:
    low, high = bounds(line, x, days)
    return {
        "days": days,
        "busy_hour_mbps": round(max(line.at(days), 0.0), 6),
        "interval_mbps": [round(max(v, 0.0), 6) for v in (low, high)],
    }


def until_full(line: Line, x: Values, full_mbps: float) -> dict[str, Any]:
    room = full_mbps - line.level
    if room <= 0:
        return {"status": "full", "days_until_80_percent": 0, "days_interval": [0, 0],
                "reason": "the busy hours are there already"}  # fmt: skip
    if line.low <= 0:
        why = "is falling" if line.high < 0 else "has no certain growth"
        return {"status": "no_growth", "reason": f"the traffic of the busy hours {why}"}
    middle = middle_of(x)
    pivot = line.at(middle)
    soonest, latest = (max(0.0, middle + (full_mbps - pivot) / s) for s in (line.high, line.low))
    days = room / line.slope
    if days > FARTHEST_DAYS:
        return {"status": "stable", "reason": "more than five years away at this growth"}
    return {
        "status": "growing",
        "days_until_80_percent": ceil(days),
        "days_interval": [int(soonest), ceil(latest) if latest <= FARTHEST_DAYS else None],
        "reason": None,
    }
