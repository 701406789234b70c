"""From the computed posterior to the observed share of true events, as a piecewise-linear curve.

(computed, observed), both ascending from (0, 0) to (1, 1). The identity is what stands here until
a fit on labelled captures replaces it; docs/detection.md says from which captures.
"""

TABLE: tuple[tuple[float, float], ...] = ((0.0, 0.0), (1.0, 1.0))
