"""Bursts of whole days are those that the streaming meter finds, bin by bin."""

import numpy as np
import pytest

from sensor.analytics.microbursts import Bursts, bursts, trailing_medians
from sensor.metrics.bandwidth import BurstMeter


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("seconds", [1, 11, 59, 61, 400, 2000])
@pytest.mark.parametrize("capacity", [None, 100.0])
def test_the_same_as_the_meter(seed: int, seconds: int, capacity: float | None) -> None:
    rng = np.random.default_rng(seed)
    starts = np.cumsum(rng.choice([1, 1, 1, 2, 5, 90], seconds)).astype(np.int64)
    bins = rng.lognormal(10, 1.5, (seconds, 10)).astype(np.int64)
    meter = BurstMeter(capacity)
    for second, row in zip(starts.tolist(), bins.tolist(), strict=True):
        meter.second(second, row)
    found = bursts(starts * 1_000_000, bins, capacity)
    assert found == Bursts(meter.runs, meter.burst_bins, meter.judged_bins)
    assert found.per_hour == meter.per_hour


def test_medians_by_brute_force() -> None:
    octets = np.random.default_rng(1).integers(0, 1000, 1500)
    found = trailing_medians(octets)
    for at in (1, 2, 599, 600, 601, 1000, 1499):
        before = sorted(octets[max(at - 600, 0) : at].tolist())
        assert found[at] == before[len(before) // 2]


def test_nothing() -> None:
    assert bursts(np.zeros(0, np.int64), np.zeros((0, 10), np.int64)).per_hour is None
