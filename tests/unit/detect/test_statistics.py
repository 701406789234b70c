"""Tails against scipy's and against published tables."""

import numpy as np
import pytest
from scipy import special, stats

from sensor.detect.special import log_gamma, trigamma
from sensor.detect.statistics import (
    anscombe_score,
    log_binomial_tail,
    log_negbin_tail,
    log_poisson_tail,
    wilson_upper,
)

RNG = np.random.default_rng(20260101)
MEAN = 10 ** RNG.uniform(-1, 5, 2000)
DISPERSION = 1 + 10 ** RNG.uniform(-2, 2, 2000)


def close(ours, theirs):
    """Relative error of p below 1e-6, wherever scipy has a number (to about 1e-300)."""
    known = np.isfinite(theirs) & (theirs > -650)
    assert known.mean() > 0.5
    np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-8, atol=1e-6)


def test_gamma_functions():
    z = np.logspace(-6, 9, 500)
    np.testing.assert_allclose(log_gamma(z), special.gammaln(z), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(trigamma(z), special.polygamma(1, z), rtol=1e-10)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:scipy")
def test_negative_binomial_tail():
    x = np.maximum(np.ceil(MEAN + RNG.uniform(-3, 40, 2000) * np.sqrt(MEAN * DISPERSION)), 0)
    theirs = stats.nbinom.logsf(x - 1, MEAN / (DISPERSION - 1), 1 / DISPERSION)
    close(log_negbin_tail(x, MEAN, DISPERSION), theirs)


def test_poisson_tail():
    x = np.maximum(np.ceil(MEAN + RNG.uniform(-3, 20, 2000) * np.sqrt(MEAN)), 0)
    theirs = stats.poisson.logsf(x - 1, MEAN)
    close(log_poisson_tail(x, MEAN), theirs)
    close(log_negbin_tail(x, MEAN, 1.0), theirs)


def test_binomial_tail():
    n = np.ceil(MEAN) + 1
    p = RNG.uniform(1e-4, 1, 2000) ** 2
    k = np.clip(np.ceil(n * p + RNG.uniform(-3, 10, 2000) * np.sqrt(n * p)), 0, n)
    close(log_binomial_tail(k, n, p), stats.binom.logsf(k - 1, n, p))


def test_published_tables():
    # Poisson and binomial tables of any textbook; Newcombe 1998, table I, Wilson without correction
    assert np.exp(log_poisson_tail(10, 5.0)) == pytest.approx(1 - 0.9682, abs=5e-5)
    assert np.exp(log_binomial_tail(8, 10, 0.5)) == pytest.approx(56 / 1024)
    assert wilson_upper(81, 263) == pytest.approx(0.3662, abs=5e-5)
    assert wilson_upper(15, 148) == pytest.approx(0.1605, abs=5e-5)
    assert wilson_upper(0, 20) == pytest.approx(0.1611, abs=5e-5)
    assert wilson_upper(1, 29) == pytest.approx(0.1718, abs=5e-5)


def test_far_tails_stay_finite_and_fall():
    x = np.array([1e2, 1e3, 1e4, 1e6, 1e9])
    for tail in (log_negbin_tail(x, 1.0, 4.0), log_poisson_tail(x, 1.0)):
        assert np.isfinite(tail).all()
        assert (np.diff(tail) < 0).all()
    assert log_negbin_tail(0, 5.0, 2.0) == 0
    assert (log_binomial_tail([7, 8], [5, 5], 0.5) <= 0).all()  # more successes than trials


@pytest.mark.parametrize(("mean", "dispersion"), [(5, 2), (50, 5), (200, 20)])
def test_the_score_has_unit_variance(mean, dispersion):
    rng = np.random.default_rng(3)
    x = rng.negative_binomial(mean / (dispersion - 1), 1 / dispersion, 200_000)
    score = anscombe_score(x, float(mean), float(dispersion))
    assert score.std() == pytest.approx(1, abs=0.1)
    assert -0.3 < score.mean() < 0.05  # of a concave curve: low, so that drifts are understated


@pytest.mark.parametrize(("mean", "dispersion"), [(5, 5), (50, 5), (2, 2)])
def test_cusum_of_benign_counts_alarms_less_than_once_in_a_million_windows(mean, dispersion):
    # methods: k = 1, h = 12 has an average run length far above 1e6 once scores are stabilised
    rng = np.random.default_rng(4)
    total = np.zeros(10_000)
    alarms = 0
    for _ in range(100):
        x = rng.negative_binomial(mean / (dispersion - 1), 1 / dispersion, 10_000)
        score = np.minimum(anscombe_score(x, float(mean), float(dispersion)), 8)
        total = np.maximum(total + score - 1, 0)
        alarms += int((total > 12).sum())
    assert alarms <= 1
