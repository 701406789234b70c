"""histogram.pxd against the hdrhistogram package: the same slots, hence the same percentiles."""

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from sensor._native import doors_histogram as door

HIGHEST = door.HIGHEST_US
DIGITS = (2, 3)
DURATIONS = st.lists(st.integers(0, 2 * HIGHEST * 1000), min_size=1, max_size=200)


def oracle(digits: int) -> HdrHistogram:
    return HdrHistogram(1, HIGHEST, digits)


def interesting() -> np.ndarray:
    """Every value to 9,000; around every power of two; 20,000 over the whole range."""
    powers = [(1 << i) + d for i in range(26) for d in (-1, 0, 1)] + [HIGHEST - 1, HIGHEST]
    spread = np.random.default_rng(2).integers(0, HIGHEST + 1, 20_000)
    values = np.unique(np.concatenate([np.arange(9_000), powers, spread]))
    return values[(values >= 0) & (values <= HIGHEST)].astype("u8")


@pytest.mark.parametrize("digits", DIGITS)
def test_size_of_the_counts(digits: int) -> None:
    assert door.LENGTHS[digits] == oracle(digits).counts_len


@pytest.mark.parametrize("digits", DIGITS)
def test_index_over_the_whole_range(digits: int) -> None:
    values = interesting()
    theirs = oracle(digits)
    expected = [theirs._counts_index_for(int(value)) for value in values]
    assert np.array_equal(door.index(digits, values), expected)


@pytest.mark.parametrize("digits", DIGITS)
@given(durations_ns=DURATIONS)
def test_same_counts_and_percentiles(digits: int, durations_ns: list[int]) -> None:
    ours = door.record(digits, np.array(durations_ns, "u8"))
    recorded, filled = oracle(digits), oracle(digits)
    for ns in durations_ns:
        recorded.record_value(min((ns + 500) // 1000, HIGHEST))
    assert np.array_equal(ours["counts"], list(recorded.counts))

    for at in np.flatnonzero(ours["counts"]):  # a histogram made of our counts alone
        value = filled.get_value_from_index(int(at))
        filled.record_value(value, ours["counts"][at])
    for percentile in (0.0, 50.0, 90.0, 95.0, 99.0, 99.9, 100.0):
        expected = recorded.get_value_at_percentile(percentile)
        assert filled.get_value_at_percentile(percentile) == expected


@given(durations_ns=DURATIONS)
def test_exact_sums_and_extrema(durations_ns: list[int]) -> None:
    ours = door.record(3, np.array(durations_ns, "u8"))
    assert ours["total"] == len(durations_ns)
    assert ours["sum_ns"] == sum(durations_ns)
    assert (ours["min_ns"], ours["max_ns"]) == (min(durations_ns), max(durations_ns))
    assert ours["clamped"] == sum((ns + 500) // 1000 > HIGHEST for ns in durations_ns)


def test_rounding_is_to_the_nearest_microsecond() -> None:
    counts = door.record(3, np.array([499, 500, 1_499, 1_500], "u8"))["counts"]
    assert counts[:3] == [1, 2, 1]
