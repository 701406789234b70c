"""What is normal for a feature: exponentially weighted mean and dispersion per key, and CUSUM.

Arrays are indexed by the key's slot. A window without a row is a window of 0; they are made up for
in closed form when the key shows again. Until a baseline has seen `warmup` it is only as sharp as
its prior (mean at least `floor_mean`, dispersion at least 4), and CUSUM rests.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sensor.detect.expression import Truths, Values
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

    def grow(self, size: int) -> None:
        """Room for slots below `size`."""
        grown = np.zeros((len(COLUMNS), size))
        grown[:, : self._table.shape[1]] = self._table
        self._table = grown

    def reset(self, slots: Slots) -> None:
        """The slots go to other keys."""
        self._table[:, slots] = 0

    def rest(self, slots: Slots) -> None:
        """After an event: CUSUM starts again."""
        self._table[4, slots] = 0

    def get(self, slot: int) -> list[float]:
        """What was learned, in the order of COLUMNS."""
        return [float(value) for value in self._table[:, slot]]

    def put(self, slot: int, values: list[float]) -> None:
        """What `get` gave."""
        self._table[:, slot] = values

    def skip(self, slots: Slots, gaps: Values) -> None:
        """So many windows of 0 passed. A share learns nothing from no trials."""
        if self.spec.scale_by is not None:
            return
        mean, _, variance, seen, _ = self._table[:, slots]
        averaging = np.clip(np.floor(1 / self._gain) - seen, 0, gaps)
        parts = np.maximum(seen + averaging, 1)
        kept = np.where(averaging > 0, seen / parts, 1.0) * (1 - self._gain) ** (gaps - averaging)
        if self._cusum is not None:
            m, d = self._normal(mean, variance, seen)
            score = anscombe_score(np.zeros(len(m)), m, d) - self._cusum[0]
            self._table[4, slots] = np.maximum(self._table[4, slots] + gaps * score, 0)
        self._table[0, slots] = mean * kept
        self._table[2, slots] = kept * (variance + (1 - kept) * mean * mean)
        self._table[3, slots] = seen + gaps

    def _normal(self, mean: Values, variance: Values, seen: Values) -> tuple[Values, Values]:
        """Mean and dispersion to judge one more window by.

        Both are estimates of `n` windows. The dispersion is widened by the mean's variance and by
        one standard error of its own, (excess kurtosis + 2) / n: else heavy-tailed counts exceed
        their tail several times too often (measured: 3.5 times at mean 5, dispersion 20).
        """
        floor = np.maximum(mean, self.spec.floor_mean)
        least = np.where(seen < self._warm, PRIOR_DISPERSION, LEAST_DISPERSION)
        d = np.divide(variance, mean, out=np.zeros(len(mean)), where=mean > 0)
        d = np.minimum(np.maximum(d, 1.0), MOST_DISPERSION)
        n = np.maximum(np.minimum(seen, 2 / self._gain), 1)
        error = np.sqrt((2 + 6 * (d - 1) / floor + 1 / (d * floor)) / n)
        return floor, np.maximum(d * (1 + 1 / n) * (1 + error), least)

    def look(self, slots: Slots, value: Values, scale: Values) -> Look:
        """Hold one window's values against what was normal; CUSUM takes them in."""
        mean, weight, variance, seen, cusum = self._table[:, slots]
        floor, dispersion = self._normal(mean, variance, seen)
        if self.spec.scale_by is not None:
            rate = np.divide(mean, weight, out=np.zeros(len(mean)), where=weight > 0)
            floor = np.maximum(rate * scale, self.spec.floor_mean)
        if self._cusum is not None:
            k, h = self._cusum
            score = np.minimum(anscombe_score(value, floor, dispersion), MOST_SCORE)
            risen = np.clip(cusum + score - k, 0, 2 * h)
            cusum = np.where((seen >= self._warm) & np.isfinite(risen), risen, 0.0)
            self._table[4, slots] = cusum
        return Look(self.spec.model, value, scale, floor, dispersion, seen, cusum)

    def learn(self, slots: Slots, look: Look, mask: Truths) -> None:
        """Take in the window of the keys under `mask`, clipped at `clip_sigma`."""
        mask = mask & np.isfinite(look.value)
        if self.spec.scale_by is not None:
            mask = mask & (look.scale > 0)
        slots, x = slots[mask], look.value[mask]
        mean, weight, variance, seen, _ = self._table[:, slots]
        most = look.mean[mask]
        most = most + self.spec.clip_sigma * np.sqrt(look.dispersion[mask] * most) + 6
        x = np.where(seen >= UNCLIPPED, np.minimum(x, most), x)
        gain = np.maximum(self._gain, 1 / (seen + 1))
        expected = mean
        if self.spec.scale_by is not None:
            s = look.scale[mask]
            expected = s * np.divide(mean, weight, out=x / s, where=weight > 0)
            self._table[1, slots] = weight + gain * (s - weight)
        off = x - expected
        self._table[0, slots] = mean + gain * (x - mean)
        self._table[2, slots] = (1 - gain) * (variance + gain * off * off)
        self._table[3, slots] = seen + 1
