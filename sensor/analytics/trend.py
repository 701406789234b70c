"""Robust lines: Theil-Sen with Sen's interval, which one burst or outage does not bend."""

from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist

import numpy as np

from sensor.analytics.series import Values

MOST_CORRELATED = 0.9  # beyond, an interval is hardly one


@dataclass(frozen=True, slots=True)
class Line:
    """y = level + slope * x; `low` and `high` bound the slope."""

    slope: float
    level: float
    low: float
    high: float
    correlation: float  # of neighbouring residuals, 0..0.9; the interval is wider for it
    points: int

    def at(self, x: float) -> float:
        return self.level + self.slope * x

    def times(self, factor: float) -> "Line":
        """The line of values that are this many times as large."""
        return replace(
            self,
            slope=self.slope * factor,
            level=self.level * factor,
            low=self.low * factor,
            high=self.high * factor,
        )


def theil_sen(x: Values, y: Values, confidence: float) -> Line | None:
    """Median slope of all pairs (Sen 1968). None with fewer than three points.

    The interval is Sen's, from Kendall's S, its variance widened by (1+r)/(1-r) for the correlation
    r of neighbouring residuals (as Hamed and Rao 1998 do): traffic of today is like yesterday's.
    """
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    n = len(x)
    if n < 3:
        return None
    first, second = np.triu_indices(n, 1)
    apart = x[second] - x[first]
    some = apart != 0
    slopes = np.sort((y[second] - y[first])[some] / apart[some])
    if not len(slopes):
        return None
    slope = float(np.median(slopes))
    level = float(np.median(y - slope * x))
    r = neighbours(y - level - slope * x)
    _, ties = np.unique(y, return_counts=True)
    tied = float((ties * (ties - 1) * (2 * ties + 5)).sum())
    variance = (n * (n - 1) * (2 * n + 5) - tied) / 18 * (1 + r) / (1 - r)
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * sqrt(max(variance, 0.0))
    low = max(round((len(slopes) - reach) / 2), 0)
    high = min(round((len(slopes) + reach) / 2), len(slopes) - 1)
    return Line(slope, level, float(slopes[low]), float(slopes[high]), r, n)


def neighbours(residuals: Values) -> float:
    """Correlation of each residual with the next, 0..0.9."""
    rest = residuals - residuals.mean()
    whole = float((rest**2).sum())
    r = float((rest[1:] * rest[:-1]).sum()) / whole if whole > 0 else 0.0
    return min(max(r, 0.0), MOST_CORRELATED)
