"""What is learned, and that alarms come as rarely as they say."""

import numpy as np
import pytest

from sensor.detect.baseline import Learned
from sensor.detect.evaluate import Runner
from sensor.detect.rule import Baseline
from sensor.detect.window import Span, View
from tests.unit.detect import demo
from tests.unit.detect.tables import NS, SLOT, START_NS

KEYS = 2000


def spec(**more):
    return Baseline(
        **{
            "feature": "x",
            "model": "negbin",
            "scale_by": None,
            "half_life_s": 600,
            "warmup_s": 120,
            "clip_sigma": 6.0,
            "floor_mean": 0.3,
            **more,
        }
    )


def learned(windows, cusum=None, **more):
    """A baseline of one key after these values, each (value, trials) or a value."""
    found = Learned(spec(**more), 1, cusum)
    found.grow(64)
    slots, everyone = np.array([0]), np.array([True])
    for window in windows:
        value, scale = window if isinstance(window, tuple) else (window, 1)
        look = found.look(slots, np.array([float(value)]), np.array([float(scale)]))
        found.learn(slots, look, everyone)
    return found


def look(found, value, scale=1.0):
    return found.look(np.array([0]), np.array([float(value)]), np.array([float(scale)]))


def draw(rng, mean, dispersion, size):
    if dispersion == 1:
        return rng.poisson(mean, size)
    return rng.negative_binomial(mean / (dispersion - 1), 1 / dispersion, size)


@pytest.mark.parametrize("dispersion", [1, 2, 5, 20])
def test_a_million_benign_windows_hit_no_more_than_twice_as_often_as_they_should(dispersion):
    # through the real evaluation, with what it learned itself; alpha 1e-4 makes hits countable
    rule = demo.rule(
        ("syn_new > 0", "syn_new >= 0"),
        ("x >= floor", "n_seen(x) >= 120 and p_tail(x) < 1e-4"),
    )
    runner, rng = Runner(rule, SLOT), np.random.default_rng(7)
    table = np.zeros(KEYS, SLOT)
    table["slot"], table["generation"] = np.arange(KEYS), 1
    hits = tested = 0
    for window in range(620):
        table["syn_new"] = draw(rng, 5.0, dispersion, KEYS)
        start_ns = START_NS + window * NS
        runner.window(View(table), Span(start_ns, start_ns + NS), None, 0)
        if window >= 120:
            hits += int((runner.memory.history[0] & 1).sum())
            tested += KEYS
    assert tested == 1_000_000
    assert hits <= 2 * 1e-4 * tested
    assert dispersion == 1 or hits >= 1e-5 * tested  # nor by never firing at all


@pytest.mark.parametrize(("mean", "dispersion"), [(3, 1), (50, 5), (200, 20)])
def test_learns_mean_and_dispersion(mean, dispersion):
    rng = np.random.default_rng(1)
    found = look(learned(draw(rng, mean, dispersion, 4000).tolist()), mean)
    assert found.mean[0] == pytest.approx(mean, rel=0.15)
    assert dispersion * 0.8 <= found.dispersion[0] <= max(dispersion * 1.6, 1.3)
    assert found.seen[0] == 4000


def test_before_anything_is_learned_the_prior_judges():
    found = look(learned([]), 40)
    assert (found.mean[0], found.seen[0]) == (0.3, 0)
    assert found.dispersion[0] >= 4
    assert found.statistic("p_tail")[0] < 1e-3  # a static floor decides, but it may
    assert look(learned([]), 0).statistic("p_tail")[0] == 1


def test_a_share_is_learned_per_trial():
    found = learned([(2, 100), (4, 200), (0, 0), (6, 300)] * 100, scale_by="y")
    assert look(found, 20, 1000).mean[0] == pytest.approx(20, rel=0.01)
    assert look(found, 20, 0).mean[0] == 0.3
    binomial = learned([(2, 100)] * 200, scale_by="y", model="binomial")
    assert look(binomial, 2, 100).statistic("p_tail")[0] == 1
    assert look(binomial, 60, 100).statistic("p_tail")[0] < 1e-30


def test_an_outlier_moves_the_mean_no_further_than_its_clip():
    calm = learned([10] * 300)
    wild = learned([10] * 300 + [1_000_000])
    assert look(wild, 0).mean[0] < look(calm, 0).mean[0] * 1.1


@pytest.mark.parametrize("before", [1, 5, 300, 3000])
def test_skipped_windows_are_windows_of_zero(before):
    rng = np.random.default_rng(2)
    values = rng.poisson(20, before).tolist()
    skipped, walked = learned(values), learned(values + [0] * 40)
    skipped.skip(np.array([0]), np.array([40.0]))
    assert skipped.get(0)[:4] == pytest.approx(walked.get(0)[:4], rel=1e-6)


def test_cusum_finds_a_drift_that_no_single_window_shows():
    rng = np.random.default_rng(5)
    calm = rng.poisson(20, 400).tolist()
    found = learned(calm, cusum=(1.0, 12.0))
    assert look(found, 20).cusum[0] < 12
    for _ in range(12):  # 2.5 standard deviations up, and not learned
        last = look(found, 33)
    assert last.cusum[0] > 12
    assert last.statistic("p_tail")[0] > 1e-4
    found.skip(np.array([0]), np.array([100.0]))
    assert found.get(0)[4] == 0
    assert look(learned([31] * 60, cusum=(1.0, 12.0)), 31).cusum[0] == 0  # not while it warms up


def test_a_window_that_hits_is_not_learned():
    rule = demo.rule()
    runner = Runner(rule, SLOT)
    for at in range(200):
        rows = demo.busy(at, 10 if at < 150 else 5000)["tables"]["service"]
        runner.window(View(rows), Span(START_NS + at * NS, START_NS + (at + 1) * NS), None, 9)
    assert runner.memory.learned["x"].get(0)[0] == pytest.approx(10, rel=0.01)
    assert runner.memory.learned["x"].get(0)[3] == 150
