"""Runs of 100-ms bins that stand out (definitions 1.2: burst_frequency, burst_duration_avg_ms).

The same rule as `sensor.metrics.bandwidth.BurstMeter`, which streams; this one takes whole days.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import rank_filter

from sensor.metrics.bandwidth import (
    BINS_PER_SECOND,
    CAPACITY_SHARE,
    FLOOR_MBPS,
    MIN_TRAILING_BINS,
    TRAILING_BINS,
)

SECOND_US = 1_000_000
BIN_MS = 1000 // BINS_PER_SECOND
Bins = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bursts:
    """What a stretch of time held."""

    runs: int = 0
    burst_bins: int = 0
    judged_bins: int = 0

    @property
    def per_hour(self) -> float | None:
        """Runs per hour of judged time; None with less than 10 s of history."""
        hours = self.judged_bins / BINS_PER_SECOND / 3600
        return round(self.runs / hours, 3) if hours else None

    @property
    def mean_ms(self) -> float | None:
        """Mean length of a run; None without one."""
        return round(self.burst_bins * BIN_MS / self.runs, 3) if self.runs else None


def dense(times: NDArray[np.int64], bins: Bins) -> tuple[Bins, int]:
    """Every 100 ms from the first second to the last; and how many empty bins were left out.

    A pause longer than the trailing 60 s is cut to that: nothing in it is a burst.
    """
    seconds = times // SECOND_US
    pause = np.diff(seconds, prepend=seconds[:1] - 1) - 1
    shown = np.minimum(pause, TRAILING_BINS // BINS_PER_SECOND)
    at = np.cumsum(shown + 1) - 1
    made = np.zeros((int(at[-1]) + 1, BINS_PER_SECOND), np.int64)
    made[at] = bins
    return made.ravel(), int((pause - shown).sum()) * BINS_PER_SECOND


def bursts(times: NDArray[np.int64], bins: Bins, capacity_mbps: float | None = None) -> Bursts:
    """`times`: starts of seconds with traffic, us, ascending; `bins`: octets, shape (n, 10)."""
    if not len(times):
        return Bursts()
    octets, left_out = dense(times, bins)
    if len(octets) <= MIN_TRAILING_BINS:
        return Bursts()
    floor = FLOOR_MBPS if capacity_mbps is None else CAPACITY_SHARE * capacity_mbps
    high = octets > floor * 1e6 / 8 / BINS_PER_SECOND
    high[:MIN_TRAILING_BINS] = False
    if high.any():
        high &= octets > 2 * trailing_medians(octets)
    runs = int(high[0]) + int((high[1:] & ~high[:-1]).sum())
    return Bursts(runs, int(high.sum()), len(octets) - MIN_TRAILING_BINS + left_out)


def trailing_medians(octets: Bins) -> Bins:
    """The (upper) median of the up to 600 bins before each; 0 before the first."""
    made = np.zeros(len(octets), np.int64)
    for at in range(1, min(len(octets), TRAILING_BINS)):
        before = octets[:at]
        made[at] = np.partition(before, at // 2)[at // 2]
    if len(octets) > TRAILING_BINS:
        # The window of `x[i]` is x[i - 600] .. x[i - 1]; mode and origin put it there.
        ranked = rank_filter(octets.astype(np.float64), rank=TRAILING_BINS // 2, size=TRAILING_BINS)
        # size 600 is x[i - 300] .. x[i + 299]: that of `i` stands at i - 300
        made[TRAILING_BINS:] = ranked[TRAILING_BINS // 2 : -(TRAILING_BINS // 2)].astype(np.int64)
    return made
