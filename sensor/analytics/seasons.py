"""Daily, weekly and seasonal patterns out of a decomposition (specification 2.1).

A pattern is `found` when chance would hardly make it (p_value) and it explains enough (strength);
with too few cycles it is `insufficient_data`, which is not the same as `not_found`.
"""

from typing import Any

import numpy as np

from sensor.analytics.decomposition import (
    DAY,
    SEED,
    WEEK,
    Cycle,
    Decomposition,
    cycle_of,
    running_median,
)
from sensor.analytics.figures import ratio
from sensor.analytics.series import DAY_S, DAYS, WEEKEND, Series, Values, Whole
from sensor.analytics.trend import Line, neighbours, theil_sen

MOST_CHANCE = 0.01
LEAST_STRENGTH = 0.1
NEEDED_DAYS = {"daily": 3, "weekly": 14, "seasonal": 30}
HIGH, LOW = 75, 25  # percentiles of the day's profile: peak and off-peak
NEARLY = 0.95  # of the busiest day: a peak day, too
LEAST_KNOWN = 0.5  # of a day's hours
LEAST_CHANGE = 0.05  # of the level over the period: a smaller trend is flat
TREND_CONFIDENCE = 0.99
SHORTEST_SEASON, SURROGATES = 9, 499  # days: a week's own harmonics are shorter
SEASON_SHARE = 0.4  # of the days' variance


def insufficient(name: str, have_days: float, fields: tuple[str, ...]) -> dict[str, Any]:
    need = NEEDED_DAYS[name]
    return {
        "type": name,
        "status": "insufficient_data",
        "have_days": round(have_days, 2),
        "need_days": need,
        "reason": f"{need} days of hours are needed, {have_days:.1f} are known",
        **dict.fromkeys(fields),
    }


def status_of(cycle: Cycle) -> str:
    is_found = cycle.p_value <= MOST_CHANCE and cycle.strength >= LEAST_STRENGTH
    return "found" if is_found else "not_found"


def head(name: str, cycle: Cycle) -> dict[str, Any]:
    return {
        "type": name,
        "status": status_of(cycle),
        "strength": round(cycle.strength, 4),
        "p_value": round(cycle.p_value, 4),
        "cycles": cycle.cycles,
    }


def daily(hours: Series, parts: Decomposition | None) -> dict[str, Any]:
    """Hours that are busy every day, in the series' time zone."""
    fields = ("peak_hours", "off_peak_hours", "variation_coefficient", "profile_mbps")
    if parts is None or hours.known_days < NEEDED_DAYS["daily"]:
        return insufficient("daily", hours.known_days, fields)
    hour, _, _ = hours.local()
    # With the mean level, so that the coefficient of variation is one of Mbps.
    level = float(parts.trend.mean())
    profile = np.array([parts.daily[hour == h].mean() for h in range(24)]) + level
    top, bottom = np.percentile(profile, [HIGH, LOW])
    found = head("daily", cycle_of(parts.detrended, hours.known, DAY))
    is_found = found["status"] == "found"
    mean = float(profile.mean())
    return {
        **found,
        "peak_hours": np.flatnonzero(profile >= top).tolist() if is_found else [],
        "off_peak_hours": np.flatnonzero(profile <= bottom).tolist() if is_found else [],
        "variation_coefficient": ratio(float(profile.std()), mean if mean > 0 else None, 6),
        "profile_mbps": [round(v, 6) for v in profile.tolist()],
        "timezone": hours.zone.key,
        "method": parts.method,
    }


def weekly(hours: Series, parts: Decomposition | None) -> dict[str, Any]:
    """Days that are busy every week."""
    fields = ("peak_days", "weekend_pattern", "profile_mbps")
    if parts is None or parts.weekly is None or hours.known_days < NEEDED_DAYS["weekly"]:
        return insufficient("weekly", hours.known_days, fields)
    _, day, _ = hours.local()
    level = float(parts.trend.mean())
    profile = np.array([parts.weekly[day == d].mean() for d in range(7)]) + level
    found = head("weekly", cycle_of(parts.detrended - parts.daily, hours.known, WEEK))
    is_found = found["status"] == "found"
    busy = np.flatnonzero(profile >= NEARLY * profile.max()).tolist() if is_found else []
    weekend = float(profile[list(WEEKEND)].mean())
    work = float(profile[:5].mean())
    share = ratio(weekend, work if work > 0 else None, 6)
    return {
        **found,
        "peak_days": [DAYS[d] for d in busy],
        "weekend_pattern": {
            "weekend_to_weekday_ratio": share,
            "kind": weekend_kind(share) if is_found else "same",
        },
        "profile_mbps": dict(zip(DAYS, (round(v, 6) for v in profile.tolist()), strict=True)),
        "timezone": hours.zone.key,
        "method": parts.method,
    }


def weekend_kind(share: float | None) -> str:
    if share is None:
        return "same"
    return "quieter" if share < 0.9 else "busier" if share > 1.1 else "same"


def seasonal(hours: Series, parts: Decomposition | None) -> dict[str, Any]:
    """The trend, and a cycle longer than a week, over at least 30 days."""
    fields = ("trend", "seasonality_strength", "period_days")
    if parts is None or hours.known_days < NEEDED_DAYS["seasonal"]:
        return insufficient("seasonal", hours.known_days, fields)
    numbers, levels = day_levels(hours)
    if len(numbers) < NEEDED_DAYS["seasonal"]:  # hours here and there are no days
        return insufficient("seasonal", len(numbers), fields)
    season = longest_season(numbers, levels)
    without = levels if season is None else levels - season["component"]
    line = theil_sen(numbers - numbers[0], without, TREND_CONFIDENCE)
    # What all the cycles together explain of the series without its trend.
    whole = float(parts.detrended.var())
    strength = ratio(max(0.0, whole - float(parts.residual.var())), whole, 4)
    is_found = season is not None or direction(line, numbers) != "flat"
    return {
        "type": "seasonal",
        "status": "found" if is_found else "not_found",
        "trend": trend_of(line, numbers),
        "seasonality_strength": strength,
        "period_days": None if season is None else season["period_days"],
        "amplitude_mbps": None if season is None else season["amplitude_mbps"],
        "p_value": None if season is None else season["p_value"],
        "cycles": None if season is None else season["cycles"],
        "reason": None
        if season is not None
        else f"no cycle of {SHORTEST_SEASON} days to half of the period stands out",
        "method": parts.method,
    }  # fmt: skip


def day_levels(hours: Series) -> tuple[Values, Values]:
    """Mean Mbps of each day that is half known, without what its day of the week usually adds."""
    _, _, day = hours.local()
    known = hours.known
    numbers, at = np.unique(day[known], return_inverse=True)
    counts = np.bincount(at)
    means = np.bincount(at, hours.values[known]) / np.maximum(counts, 1)
    enough = counts >= LEAST_KNOWN * DAY_S / hours.step_s
    return numbers[enough].astype(np.float64), without_weekdays(numbers[enough], means[enough])


def without_weekdays(numbers: Whole, values: Values) -> Values:
    """Over the share of the level that the same day of the week usually has."""
    made: Values = values / weekday_factors(numbers, values)[(numbers + 3) % 7]
    return made


def weekday_factors(numbers: Whole, values: Values) -> Values:
    """What each day of the week (Monday 0) has of the week's mean; 1 with under two weeks."""
    factors = np.ones(7)
    level = running_median(values, 7)
    weekday = (numbers + 3) % 7
    if len(values) >= NEEDED_DAYS["weekly"]:
        for day in range(7):
            some = (weekday == day) & (level > 0)
            if some.any():
                factors[day] = np.median(values[some] / level[some])
    if not (factors > 0).all():
        return np.ones(7)  # a day of the week without traffic has nothing to be divided by
    made: Values = factors / factors.mean()
    return made


def direction(line: Line | None, numbers: Values) -> str:
    """A trend is one when the interval leaves out 0 and it changes the level at all."""
    if line is None:
        return "flat"
    days = float(numbers[-1] - numbers[0])
    middle = abs(line.at(days / 2))
    if line.low <= 0 <= line.high or abs(line.slope) * days < LEAST_CHANGE * middle:
        return "flat"
    return "rising" if line.slope > 0 else "falling"


def trend_of(line: Line | None, numbers: Values) -> dict[str, Any] | None:
    if line is None:
        return None
    days = float(numbers[-1] - numbers[0])
    middle = line.at(days / 2)
    return {
        "direction": direction(line, numbers),
        "mbps_per_day": round(line.slope, 6),
        "interval_mbps_per_day": [round(line.low, 6), round(line.high, 6)],
        "confidence": TREND_CONFIDENCE,
        "percent_per_week": ratio(line.slope * 700, middle if middle > 0 else None, 4),
        "days": line.points,
    }


def longest_season(numbers: Values, levels: Values) -> dict[str, Any] | None:
    """The sine of 9 days to half of the period that explains most, if chance would not.

    Chance is noise that remembers its neighbour (AR(1)) as much as the days do without the sine:
    red noise has slow waves, too. The best of all periods is compared with the best of all.
    """
    span = float(numbers[-1] - numbers[0] + 1)
    if len(levels) < NEEDED_DAYS["seasonal"] or span < 2 * SHORTEST_SEASON:
        return None
    x = numbers - numbers[0]
    waves = np.arange(2.0, span / SHORTEST_SEASON + 0.25, 0.25)  # over the whole period
    base = np.column_stack((np.ones(len(x)), x))
    free = np.linalg.qr(base)[0]
    bases = []
    for n in waves:
        turn = 2 * np.pi * n * x / span
        pair = np.column_stack((np.cos(turn), np.sin(turn)))
        bases.append(np.linalg.qr(pair - free @ (free.T @ pair))[0])
    basis = np.array(bases)  # waves, days, 2

    def shares(rows: Values) -> Values:
        rest = rows - (rows @ free) @ free.T
        whole = (rest**2).sum(axis=1)
        explained = (np.einsum("rd,wdk->rwk", rest, basis) ** 2).sum(axis=2)
        made: Values = explained / np.where(whole > 0, whole, 1)[:, None]
        return made

    found = shares(levels[None, :])[0]
    best = int(found.argmax())
    rest = levels - free @ (free.T @ levels)
    noise = rest - basis[best] @ (basis[best].T @ rest)
    rng = np.random.default_rng(SEED)
    surrogates = red_noise(rng, len(levels), neighbours(noise))
    chance = shares(surrogates).max(axis=1)
    p_value = (1 + int((chance >= found[best]).sum())) / (1 + SURROGATES)
    if p_value > MOST_CHANCE or found[best] < SEASON_SHARE:
        return None
    # With the line fitted along: a wave that does not end as it began has a slope of its own.
    turn = 2 * np.pi * float(waves[best]) * x / span
    pair = np.column_stack((np.cos(turn), np.sin(turn)))
    component = pair @ np.linalg.lstsq(np.column_stack((base, pair)), levels)[0][2:]
    return {
        "period_days": round(span / float(waves[best]), 2),
        "amplitude_mbps": round(float(np.abs(component).max()), 6),
        "strength": round(float(found[best]), 4),
        "p_value": round(p_value, 4),
        "cycles": round(float(waves[best]), 2),
        "component": component,
    }


def red_noise(rng: np.random.Generator, n: int, r: float) -> Values:
    """SURROGATES rows of AR(1) noise."""
    made: Values = rng.standard_normal((SURROGATES, n))
    made[:, 1:] *= np.sqrt(1 - r * r)
    for at in range(1, n):
        made[:, at] += r * made[:, at - 1]
    return made
