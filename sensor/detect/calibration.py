"""From the computed posterior to the observed share of true events, as a piecewise-linear curve.

(computed, observed), both ascending from (0, 0) to (1, 1). Written by `python -m
tests.bench.calibrate --write`; docs/detection.md says from which traffic, and how good it is.
"""

TABLE: tuple[tuple[float, float], ...] = (
    (0.0, 0.0),
    (0.02, 0.02),
    (0.9478, 0.9773),
    (0.9998, 0.9911),
    (1.0, 1.0),
)
