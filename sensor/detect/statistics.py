"""Tails of counts, bounds of shares, and the score that CUSUM adds up (methods: Anscombe 1948)."""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from sensor.detect.special import Values, log_beta_tail, log_gamma_tail, trigamma

LEAST_DISPERSION = 1.001  # below, a negative binomial is taken for a Poisson distribution
_NORMAL_95 = 1.959963984540054


def _arrays(*values: ArrayLike) -> list[Values]:
    return list(np.broadcast_arrays(*(np.asarray(v, np.float64) for v in values)))


def log_negbin_tail(count: ArrayLike, mean: ArrayLike, dispersion: ArrayLike) -> Values:
    """ln P(X >= count) of a negative binomial X with this mean and variance/mean."""
    x, m, d = _arrays(np.ceil(count), mean, dispersion)
    none = x <= 0
    x, m = np.maximum(x, 1.0), np.maximum(m, 1e-12)
    wide = d >= LEAST_DISPERSION
    tail = np.zeros(x.shape)
    with np.errstate(all="ignore"):
        p = 1 / d[wide]
        tail[wide] = log_beta_tail(1 - p, p, x[wide], m[wide] / (d[wide] - 1))
        tail[~wide] = log_gamma_tail(x[~wide], m[~wide])
    return np.where(none, 0.0, tail)


def log_poisson_tail(count: ArrayLike, mean: ArrayLike) -> Values:
    """ln P(X >= count) of a Poisson X."""
    x, m = _arrays(np.ceil(count), mean)
    with np.errstate(all="ignore"):
        tail = log_gamma_tail(np.maximum(x, 1.0), np.maximum(m, 1e-12))
    return np.where(x <= 0, 0.0, tail)


def log_binomial_tail(count: ArrayLike, trials: ArrayLike, share: ArrayLike) -> Values:
    """ln P(X >= count) of `trials` tries that each succeed with probability `share`."""
    x, n, p = _arrays(np.ceil(count), trials, share)
    n = np.maximum(n, x)  # more than all: the estimate of `trials` came late; all of them, then
    p = np.clip(p, 1e-12, 1 - 1e-12)
    with np.errstate(all="ignore"):
        tail = log_beta_tail(p, 1 - p, np.maximum(x, 1.0), n - np.maximum(x, 1.0) + 1)
    return np.where(x <= 0, 0.0, tail)


def wilson_upper(hits: float, trials: float, z: float = _NORMAL_95) -> float:
    """Upper end of the Wilson score interval of a share (95 % two-sided); 1 without trials."""
    if trials <= 0:
        return 1.0
    p = hits / trials
    middle = p + z * z / (2 * trials)
    spread = z * sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    return min((middle + spread) / (1 + z * z / trials), 1.0)


def anscombe_score(count: ArrayLike, mean: ArrayLike, dispersion: ArrayLike) -> Values:
    """How many standard deviations a negative binomial count lies above its mean, stabilised.

    asinh(sqrt((x + 3/8) / (r - 3/4))) has the variance trigamma(r) / 4 nearly whatever the mean
    is; r below 1 (rare, clustered counts) is taken for 1, which understates the score.
    """
    x, m, d = _arrays(count, mean, dispersion)
    r = np.clip(m / np.maximum(d - 1, 1e-6), 1.0, 1e9)
    scale = 1 / (r - 0.75)
    score = np.arcsinh(np.sqrt((x + 0.375) * scale)) - np.arcsinh(np.sqrt((m + 0.375) * scale))
    return np.asarray(score / np.sqrt(trigamma(r) / 4))
