"""Hourly traffic = trend + daily + weekly + residual, and whether a cycle is more than chance.

STL and MSTL (Cleveland 1990, Bandara 2021) by statsmodels; without it medians by hour of the day
and of the week, which are as robust but know no change of a cycle over time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.analytics.series import Values, Whole

DAY, WEEK = 24, 168  # hours
SHUFFLES = 499
SEED = 1
LEAST_KNOWN = 0.8  # of a cycle's hours
CLIP = 6.0  # robust standard deviations: one burst is no cycle
MAD = 1.4826  # of normal data, to a standard deviation


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Parts by hour, gaps filled; `weekly` is None with less than two weeks."""

    filled: Values
    trend: Values
    daily: Values
    weekly: Values | None
    residual: Values
    method: str  # mstl, stl or medians

    @property
    def detrended(self) -> Values:
        return self.filled - self.trend


def decompose(values: Values) -> Decomposition:
    """At least two days by hour, NaN for gaps."""
    filled = fill(values)
    has_weeks = len(filled) >= 2 * WEEK
    try:
        # Here, because importing it takes seconds: only who asks for patterns waits.
        from statsmodels.tsa.seasonal import MSTL, STL  # noqa: PLC0415
    except ImportError:
        return by_medians(filled, has_weeks)
    if not has_weeks:
        found = STL(filled, period=DAY, seasonal=odd(10 * len(filled) // DAY), robust=True).fit()
        return Decomposition(
            filled, found.trend, found.seasonal, None, np.asarray(found.resid), "stl"
        )
    # Outliers are held back before: MSTL's own robust weights take twenty times as long.
    first = by_medians(filled, has_weeks)
    calm = filled - first.residual + clipped(first.residual)
    # A period must be shorter than half of the series.
    padded = np.append(calm, calm[-WEEK]) if len(calm) == 2 * WEEK else calm
    windows = tuple(odd(10 * len(padded) // period) for period in (DAY, WEEK))
    both = MSTL(padded, periods=(DAY, WEEK), windows=windows).fit()
    n = len(filled)
    trend, seasons = np.asarray(both.trend)[:n], np.asarray(both.seasonal)[:n]
    residual = filled - trend - seasons.sum(axis=1)
    return Decomposition(filled, trend, seasons[:, 0], seasons[:, 1], residual, "mstl")


def odd(n: int) -> int:
    return max(n, 7) | 1


def by_medians(filled: Values, has_weeks: bool) -> Decomposition:
    """Trend = centred running median of a cycle; then the median of each hour of the cycle."""
    trend = running_median(filled, WEEK if has_weeks else DAY)
    rest = filled - trend
    daily = periodic(rest, DAY)
    rest = rest - daily
    weekly = periodic(rest, WEEK) if has_weeks else None
    residual = rest if weekly is None else rest - weekly
    return Decomposition(filled, trend, daily, weekly, residual, "medians")


def running_median(values: Values, width: int) -> Values:
    """Centred; narrower at the ends."""
    if not len(values):
        return values
    half = width // 2
    padded = np.concatenate((np.full(half, np.nan), values, np.full(half, np.nan)))
    made: Values = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), 1)
    return made


def periodic(values: Values, period: int) -> Values:
    """The median of each hour of the cycle, centred, all along."""
    at = np.arange(len(values)) % period
    profile = np.array([np.median(values[at == n]) for n in range(period)])
    made: Values = (profile - profile.mean())[at]
    return made


def fill(values: Values) -> Values:
    """Gaps as the same hour of other weeks or days was, at the level around them."""
    known = ~np.isnan(values)
    if known.all() or not known.any():
        return values.copy()
    level = day_means(values, known)
    made = values.copy()
    for period in (WEEK, DAY):
        ratio = np.full(period, np.nan)
        phase = np.arange(len(values)) % period
        for n in range(period):
            same = known & (phase == n) & (level > 0)
            if same.any():
                ratio[n] = np.median(values[same] / level[same])
        missing = np.isnan(made)
        made[missing] = level[missing] * ratio[phase[missing]]
    missing = np.isnan(made)
    made[missing] = level[missing]
    return made


def day_means(values: Values, known: NDArray[np.bool_]) -> Values:
    """Mean of the day around each hour, in proportion between days that are known well enough."""
    kernel = np.ones(DAY)
    sums = np.convolve(np.where(known, values, 0.0), kernel, "same")[: len(values)]
    counts = np.convolve(known.astype(np.float64), kernel, "same")[: len(values)]
    enough = counts >= LEAST_KNOWN * DAY
    if not enough.any():
        return np.full(len(values), float(values[known].mean()))
    at = np.arange(len(values))
    made: Values = np.interp(at, at[enough], sums[enough] / counts[enough])
    return made


@dataclass(frozen=True, slots=True)
class Cycle:
    """How much a cycle explains, and whether chance would."""

    strength: float  # 0..1
    p_value: float
    cycles: int


def cycle_of(values: Values, known: NDArray[np.bool_], period: int) -> Cycle:
    """Of a series without trend and without shorter cycles; cycles with gaps do not count.

    strength: 1 - Var(residual) / Var(series) (Wang, Smith and Hyndman 2006) of the mean profile,
    less what the mean of as many unrelated cycles would explain. p_value: turn each cycle by a
    random number of hours, which leaves what neighbouring hours share; how often are the turned
    ones as much alike?
    """
    n = len(values) // period * period
    whole_ones = known[:n].reshape(-1, period).mean(axis=1) >= LEAST_KNOWN
    table = clipped(values[:n]).reshape(-1, period)[whole_ones]
    cycles = len(table)
    if cycles < 2:
        return Cycle(0.0, 1.0, cycles)
    table = table - table.mean(axis=1, keepdims=True)  # a quiet Sunday says nothing of hours
    whole = float(table.var())
    if whole <= 0:
        return Cycle(0.0, 1.0, cycles)
    likeness = float(table.mean(axis=0).var())
    rng = np.random.default_rng(SEED)
    turned = rng.integers(0, period, (SHUFFLES, cycles, 1))
    at: Whole = (np.arange(period) + turned) % period
    chance = np.empty(SHUFFLES)
    for n in range(SHUFFLES):
        chance[n] = np.take_along_axis(table, at[n], axis=1).mean(axis=0).var()
    p_value = (1 + int((chance >= likeness * (1 - 1e-9)).sum())) / (1 + SHUFFLES)
    share = likeness / whole
    return Cycle(max(0.0, (share - 1 / cycles) / (1 - 1 / cycles)), p_value, cycles)


def clipped(values: Values) -> Values:
    """Held within 6 robust standard deviations of the median."""
    middle, spread = robust(values)
    if spread <= 0:
        return values
    return np.clip(values, middle - CLIP * spread, middle + CLIP * spread)


def robust(values: Values) -> tuple[float, float]:
    """Median, and the standard deviation by the median absolute deviation; NaN is left out."""
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), 0.0
    middle = float(np.median(known))
    return middle, MAD * float(np.median(np.abs(known - middle)))
