"""HDR histogram counts: merge, percentiles, and the V2 wire form.

The native floor records microseconds from 1 to 60 s, with 3 significant digits per kind of latency
and 2 per endpoint (ext/sensor/_native/histogram.pxd). Histograms merge by adding their counts;
percentiles are only ever read from merged counts, never averaged. The codec is hdrhistogram's.
"""

import ctypes
from dataclasses import dataclass, field

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

HIGHEST_US = 60_000_000
COUNTS_LEN = {3: 17408, 2: 2560}  # counts of 1 us .. 60 s by significant digits
HALF_BITS = {3: 10, 2: 7}  # log2 of half a bucket's slots
DIGITS = {length: digits for digits, length in COUNTS_LEN.items()}

Counts = NDArray[np.uint64]
AnyCounts = NDArray[np.uint32] | NDArray[np.uint64]


def value_range(index: int, digits: int) -> tuple[int, int]:
    """Smallest and largest value (us) that is counted at `index`."""
    half = 1 << HALF_BITS[digits]
    bucket = (index >> HALF_BITS[digits]) - 1
    slot = (index & (half - 1)) + half
    if bucket < 0:
        return slot - half, slot - half
    return slot << bucket, ((slot + 1) << bucket) - 1


def percentiles(counts: AnyCounts, wanted: tuple[float, ...]) -> list[int | None]:
    """Values (us) at the nearest rank: the smallest value with at least p % of samples at or below.

    The largest value of the slot is given, as HdrHistogram does. (The Python package rounds the
    rank to the nearest, the Java one and we take the ceiling.) All None without samples.
    """
    digits = DIGITS[len(counts)]
    used = np.flatnonzero(counts)
    if not used.size:
        return [None] * len(wanted)
    upto = np.cumsum(counts[used], dtype=np.uint64)
    total = int(upto[-1])
    values: list[int | None] = []
    for p in wanted:
        rank = max(1, -(-round(p * 1000) * total // 100_000))
        at = int(np.searchsorted(upto, np.uint64(rank)))
        values.append(value_range(int(used[at]), digits)[1])
    return values


def encode(counts: AnyCounts) -> bytes | None:
    """The V2 blob, compressed and base64; None without samples."""
    used = np.flatnonzero(counts)
    if not used.size:
        return None
    digits = DIGITS[len(counts)]
    histogram = HdrHistogram(1, HIGHEST_US, digits)
    wide = np.ascontiguousarray(counts, dtype=np.uint64)
    ctypes.memmove(histogram.counts, wide.ctypes.data, wide.nbytes)
    histogram.total_count = int(wide.sum())
    histogram.min_value = value_range(int(used[0]), digits)[0]
    histogram.max_value = value_range(int(used[-1]), digits)[1]
    blob: bytes = histogram.encode()
    return blob


def decode(blob: bytes) -> Counts:
    """Counts of a blob made by `encode`; ValueError for another range."""
    histogram = HdrHistogram.decode(blob)
    length = COUNTS_LEN.get(histogram.significant_figures)
    if histogram.highest_trackable_value != HIGHEST_US or length != histogram.counts_len:
        raise ValueError("a histogram of another range than 1 us .. 60 s")
    return np.ctypeslib.as_array(histogram.counts).astype(np.uint64)


@dataclass(slots=True)
class Latency:
    """Merged samples of one kind: counts for percentiles, exact sum and extrema in ns."""

    digits: int
    count: int = 0
    sum_ns: int = 0
    min_ns: int | None = None
    max_ns: int | None = None
    counts: Counts | None = field(default=None, repr=False)  # allocated with the first sample

    def add(self, counts: AnyCounts, count: int, sum_ns: int, min_ns: int, max_ns: int) -> None:
        """Merge what one window saw."""
        if not count:
            return
        if self.counts is None:
            self.counts = np.zeros(COUNTS_LEN[self.digits], np.uint64)
        self.counts += counts
        self.count += count
        self.sum_ns += sum_ns
        self.min_ns = min_ns if self.min_ns is None else min(self.min_ns, min_ns)
        self.max_ns = max_ns if self.max_ns is None else max(self.max_ns, max_ns)

    def merge(self, other: "Latency") -> None:
        """Merge another of the same kind."""
        if other.counts is not None and other.min_ns is not None and other.max_ns is not None:
            self.add(other.counts, other.count, other.sum_ns, other.min_ns, other.max_ns)

    @property
    def mean_us(self) -> float | None:
        """Exact mean; None without samples."""
        return self.sum_ns / self.count / 1000 if self.count else None

    def percentiles_us(self, *wanted: float) -> list[float | None]:
        """Percentiles, held within the exact extrema (a slot may reach beyond them)."""
        if self.counts is None or self.min_ns is None or self.max_ns is None:
            return [None] * len(wanted)
        low, high = self.min_ns / 1000, self.max_ns / 1000
        return [
            None if value is None else min(max(value, low), high)
            for value in percentiles(self.counts, wanted)
        ]

    def encode(self) -> bytes | None:
        """The V2 blob; None without samples."""
        return None if self.counts is None else encode(self.counts)
