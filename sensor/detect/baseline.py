"""What is normal for a feature: exponentially weighted mean and dispersion per key, and CUSUM.

Arrays are indexed by the key's slot. Windows are summed up as they come and folded into the mean
in blocks (of at most 16 windows, slots.py; at once when an expression asks), each block as a whole
with its exact weight; windows without a row are windows of 0 and folded in closed form. Until a
baseline has seen `warmup` it is only as sharp as its prior (mean at least `floor_mean`, dispersion
at least 4), and CUSUM rests.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sensor.detect.expression import Values
from sensor.detect.rule import Baseline
from sensor.detect.statistics import (
    anscombe_score,
    log_binomial_tail,
    log_negbin_tail,
    log_poisson_tail,
)

Slots = NDArray[np.intp]

PRIOR_DISPERSION = 4.0
LEAST_DISPERSION = 1.2  # what an estimate may fall to: real counts are never that even
MOST_DISPERSION = 1e4
UNCLIPPED = 10  # windows: before, there is no sigma to clip by
MOST_SCORE = 8.0  # one window's share of a CUSUM
COLUMNS = ("mean", "scale", "variance", "seen", "cusum")


@dataclass(slots=True)
class Look:
    """A feature's values in one window beside what was normal before it."""

    model: str
    value: Values
    scale: Values  # trials; 1 where the baseline has no scale
    mean: Values
    dispersion: Values
    seen: Values  # windows
    cusum: Values
    _log_tail: Values | None = field(default=None)

    def log_tail(self) -> Values:
        """ln P(a benign window is as high as this one); 0 up to the mean."""
        if self._log_tail is None:
            tail = np.zeros(len(self.value))
            (above,) = np.nonzero(self.value > self.mean)
            if above.size:
                x, m = self.value[above], self.mean[above]
                if self.model == "negbin":
                    tail[above] = log_negbin_tail(x, m, self.dispersion[above])
                elif self.model == "poisson":
                    tail[above] = log_poisson_tail(x, m)
                else:
                    trials = np.maximum(self.scale[above], 1.0)
                    tail[above] = log_binomial_tail(x, trials, m / trials)
            self._log_tail = tail
        return self._log_tail

    def statistic(self, function: str) -> Values:
        """p_tail, z, cusum, mean or n_seen."""
        match function:
            case "p_tail":
                return np.asarray(np.exp(self.log_tail()))
            case "z":
                spread = np.sqrt(self.dispersion * self.mean + 1)
                return np.asarray((self.value - self.mean) / spread)
            case "cusum":
                return self.cusum
            case "mean":
                return self.mean
        return self.seen


class Learned:
    """The baseline of one feature for all keys of a table."""

    def __init__(self, spec: Baseline, window_s: int, cusum: tuple[float, float] | None) -> None:
        """`cusum`: reference value k and decision level h, None when no expression asks."""
        self.spec = spec
        self._gain = 1 - 2 ** (-window_s / spec.half_life_s)
        self._warm = spec.warmup_s / window_s
        self._cusum = cusum
        self._table = np.zeros((len(COLUMNS), 0))
        # Of the block that is not folded yet: value, scale, their squares, product, and number.
        self._sums = np.zeros((6, 0))
        self._judge = np.zeros((3, 0))  # rate and dispersion at the last fold; 1: clip by them
        self._most = np.zeros(0)  # what a window counts at most, without a scale
        self._last = np.zeros(0, np.int64)  # tick of the last CUSUM step

    def grow(self, size: int) -> None:
        """Room for slots below `size`."""
        more = size - len(self._last)
        self._table = np.concatenate([self._table, np.zeros((len(COLUMNS), more))], axis=1)
        self._sums = np.concatenate([self._sums, np.zeros((6, more))], axis=1)
        self._judge = np.concatenate([self._judge, np.zeros((3, more))], axis=1)
        self._most = np.concatenate([self._most, np.zeros(more)])
        self._last = np.concatenate([self._last, np.zeros(more, np.int64)])

    def reset(self, slots: Slots, tick: int) -> None:
        """The slots go to other keys."""
        self._table[:, slots] = 0
        self._sums[:, slots] = 0
        self._judged(slots)
        self._last[slots] = tick - 1

    def rest(self, slots: Slots) -> None:
        """After an event: CUSUM starts again."""
        self._table[4, slots] = 0

    def get(self, slot: int) -> list[float]:
        """What was learned, in the order of COLUMNS."""
        return [float(value) for value in self._table[:, slot]]

    def put(self, slot: int, values: list[float]) -> None:
        """What `get` gave."""
        self._table[:, slot] = values
        self._judged(np.array([slot]))

    def add(self, slots: Slots, value: Values, scale: Values) -> None:
        """One window of these keys, clipped at `clip_sigma`."""
        sums = self._sums
        if self.spec.scale_by is None:
            x = np.minimum(value, self._most[slots])
            if not np.isfinite(x).all():  # unknown: as it always was
                x = np.where(np.isfinite(x), x, self._judge[0, slots])
            sums[0, slots] += x
            sums[2, slots] += x * x
            return
        most = self._limit(scale, *self._judge[:, slots])
        known = (scale > 0) & np.isfinite(value)  # of no trials nothing is learned
        x, s = np.where(known, np.minimum(value, most), 0.0), np.where(known, scale, 0.0)
        for row, amount in enumerate((x, s, x * x, x * s, s * s, known)):
            sums[row, slots] += amount

    def _limit(self, scale: Values, rate: Values, dispersion: Values, clip: Values) -> Values:
        """What a window counts at most: mean + clip_sigma standard deviations, and a few."""
        mean = np.maximum(rate * scale, self.spec.floor_mean)
        most = mean + self.spec.clip_sigma * np.sqrt(dispersion * mean) + 6
        return np.where(clip > 0, most, np.inf)

    def fold(self, slots: Slots, windows: Values, zeros: Values) -> None:
        """End of a block of so many windows, rows or not, and of so many more without a row."""
        mean, weight, variance, seen, _ = self._table[:, slots]
        x, s, xx, xs, ss, count = self._sums[:, slots]
        self._sums[:, slots] = 0
        if self.spec.scale_by is None:  # windows without a row are zeros
            count, s, xs, ss = windows, windows, x, windows
        n = np.maximum(count, 1)
        kept = self._kept(seen, count)
        new = 1 - kept
        rate = np.divide(x, s, out=np.zeros(len(x)), where=s > 0)
        rate = np.divide(mean, weight, out=rate, where=weight > 0)
        off = (xx - 2 * rate * xs + rate * rate * ss) / n
        moved = (x - rate * s) / n
        mean = kept * mean + new * x / n
        weight = kept * weight + new * s / n
        variance = kept * variance + new * np.maximum(off - new * moved * moved, 0)
        seen = seen + count
        if self.spec.scale_by is None and zeros.any():
            kept = self._kept(seen, zeros)
            variance = kept * (variance + (1 - kept) * mean * mean)
            mean = kept * mean
            weight = np.ones(len(mean))
            seen = seen + zeros
        self._table[:4, slots] = mean, weight, variance, seen
        self._judged(slots)

    def _kept(self, seen: Values, windows: Values) -> Values:
        """The old mean's weight after so many more windows: a plain average until 1 / gain."""
        averaging = np.clip(np.floor(1 / self._gain) - seen, 0, windows)
        parts = np.maximum(seen + averaging, 1)
        plain = np.where(averaging > 0, seen / parts, 1.0)
        return np.asarray(plain * (1 - self._gain) ** (windows - averaging))

    def _judged(self, slots: Slots) -> None:
        mean, weight, variance, seen, _ = self._table[:, slots]
        rate = np.divide(mean, weight, out=np.zeros(len(mean)), where=weight > 0)
        dispersion = self._dispersion(mean, variance, seen)
        clip = (seen >= UNCLIPPED).astype(np.float64)
        self._judge[:, slots] = rate, dispersion, clip
        self._most[slots] = self._limit(np.ones(len(rate)), rate, dispersion, clip)

    def _dispersion(self, mean: Values, variance: Values, seen: Values) -> Values:
        """The dispersion to judge one more window by.

        It and the mean are estimates of `n` windows. It is widened by the mean's variance and by
        one standard error of its own, (excess kurtosis + 2) / n: else heavy-tailed counts exceed
        their tail several times too often (measured: 3.5 times at mean 5, dispersion 20).
        """
        floor = np.maximum(mean, self.spec.floor_mean)
        least = np.where(seen < self._warm, PRIOR_DISPERSION, LEAST_DISPERSION)
        d = np.divide(variance, mean, out=np.zeros(len(mean)), where=mean > 0)
        d = np.minimum(np.maximum(d, 1.0), MOST_DISPERSION)
        n = np.maximum(np.minimum(seen, 2 / self._gain), 1)
        error = np.sqrt((2 + 6 * (d - 1) / floor + 1 / (d * floor)) / n)
        return np.asarray(np.maximum(d * (1 + 1 / n) * (1 + error), least))

    def step(self, slots: Slots, value: Values, scale: Values, tick: int) -> None:
        """CUSUM takes in window `tick`, where an expression asks for it."""
        if self._cusum is None:
            return
        k, h = self._cusum
        rate, dispersion, _ = self._judge[:, slots]
        total, seen = self._table[4, slots], self._table[3, slots]
        mean = np.maximum(rate * scale, self.spec.floor_mean)
        gaps = tick - 1 - self._last[slots]
        if self.spec.scale_by is None and gaps.any():
            fall = anscombe_score(np.zeros(len(mean)), mean, dispersion) - k
            total = np.maximum(total + gaps * fall, 0)
        score = np.minimum(anscombe_score(value, mean, dispersion), MOST_SCORE)
        total = np.clip(total + score - k, 0, 2 * h)
        warm = (seen >= self._warm) & np.isfinite(total)
        self._table[4, slots] = np.where(warm, total, 0.0)
        self._last[slots] = tick

    def look(self, slots: Slots, value: Values, scale: Values) -> Look:
        """Hold one window's values against what was normal before it."""
        rate, dispersion, _ = self._judge[:, slots]
        mean = np.maximum(rate * scale, self.spec.floor_mean)
        seen, cusum = self._table[3, slots], self._table[4, slots]
        return Look(self.spec.model, value, scale, mean, dispersion, seen, cusum)
