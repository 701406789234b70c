"""HDR counts against the hdrhistogram package and against the raw samples."""

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from sensor.metrics.histograms import (
    COUNTS_LEN,
    HALF_BITS,
    HIGHEST_US,
    Latency,
    decode,
    encode,
    percentiles,
    value_range,
)
from tests.unit.windows import index_of


def samples(seed: int, n: int) -> list[int]:
    """Latencies over five orders of size, with the edges of the range among them."""
    drawn = np.random.default_rng(seed).lognormal(8, 2.5, n)
    return [1, 127, 128, 255, 256, 2047, 2048, HIGHEST_US, *drawn.clip(1, HIGHEST_US).astype(int)]


def counted(values: list[int], digits: int) -> np.ndarray:
    counts = np.zeros(COUNTS_LEN[digits], np.uint32)
    for v in values:
        counts[index_of(int(v), HALF_BITS[digits])] += 1
    return counts


def recorded(values: list[int], digits: int) -> HdrHistogram:
    histogram = HdrHistogram(1, HIGHEST_US, digits)
    for v in values:
        histogram.record_value(int(v))
    return histogram


@pytest.mark.parametrize("digits", [2, 3])
def test_same_slots_and_values_as_hdrhistogram(digits: int) -> None:
    oracle = HdrHistogram(1, HIGHEST_US, digits)
    assert oracle.counts_len == COUNTS_LEN[digits]
    last = index_of(HIGHEST_US, HALF_BITS[digits])
    for index in (*range(0, last, 37), last):
        low, high = value_range(index, digits)
        assert low == oracle.get_value_from_index(index)
        assert high == oracle.get_highest_equivalent_value(low)
        assert index_of(low, HALF_BITS[digits]) == index_of(high, HALF_BITS[digits]) == index


@pytest.mark.parametrize("digits", [2, 3])
@pytest.mark.parametrize("n", [0, 1, 50, 5000])
def test_encodes_the_very_octets_of_hdrhistogram(digits: int, n: int) -> None:
    values = samples(n, n)
    blob = encode(counted(values, digits))
    assert blob == recorded(values, digits).encode()
    assert (decode(blob) == counted(values, digits)).all()


def test_nothing_recorded_has_no_blob_and_no_percentiles() -> None:
    empty = np.zeros(COUNTS_LEN[2], np.uint32)
    assert encode(empty) is None
    assert percentiles(empty, (50, 99)) == [None, None]


def test_another_range_is_refused() -> None:
    other = HdrHistogram(1, 3_600_000_000, 3)
    other.record_value(5)
    with pytest.raises(ValueError, match="range"):
        decode(other.encode())


@pytest.mark.parametrize("n", [1, 2, 3, 10, 21, 40, 160, 999, 4000])
def test_percentile_is_the_nearest_rank_of_the_raw_samples(n: int) -> None:
    values = sorted(samples(n + 7, n))
    counts = counted(values, 3)
    for p in (0.1, 50, 90, 95, 99, 99.9, 100):
        exact = np.percentile(values, p, method="inverted_cdf")
        low, high = value_range(index_of(int(exact), 10), 3)
        assert percentiles(counts, (p,)) == [high]
        assert (high - low) / max(low, 1) <= 0.001


@pytest.mark.parametrize("digits", [2, 3])
def test_merging_is_adding(digits: int) -> None:
    parts = [samples(seed, 400) for seed in (1, 2, 3)]
    merged, oracle = Latency(digits), HdrHistogram(1, HIGHEST_US, digits)
    for part in parts:
        ns = [v * 1000 for v in part]
        merged.add(counted(part, digits), len(part), sum(ns), min(ns), max(ns))
        oracle.decode_and_add(recorded(part, digits).encode())
    every = [v for part in parts for v in part]
    assert merged.encode() == recorded(every, digits).encode()
    assert merged.count == oracle.get_total_count() == len(every)
    assert merged.mean_us == pytest.approx(sum(every) / len(every))
    # 1224 samples: the ranks of these are the same, rounded or not
    for p, ours in zip((50, 75, 100), merged.percentiles_us(50, 75, 100), strict=True):
        assert ours == min(oracle.get_value_at_percentile(p), max(every))


def test_percentiles_stay_within_the_exact_extrema() -> None:
    one = Latency(2)
    one.add(counted([2489], 2), 1, 2_489_123, 2_489_123, 2_489_123)
    assert one.percentiles_us(50, 99) == [2489.123, 2489.123]
