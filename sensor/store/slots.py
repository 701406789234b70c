"""HDR histograms as sparse slots, {largest us of the slot: samples}: what SQL can add up."""

import json
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate

import msgspec
import numpy as np
from hdrh.codec import HdrHistogramEncoder
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

Slots = dict[int, int]
EMPTY = "{}"
COMMAS = str.maketrans({"{": None, "}": None, '"': None, ":": ","})


@lru_cache(maxsize=32768)
def slot_value(half_bits: int, index: int) -> int:
    """Largest value that is counted at `index` (Gil Tene's layout, unit 1)."""
    half = 1 << half_bits
    bucket = max((index >> half_bits) - 1, 0)
    slot = index - (bucket << half_bits)
    return ((slot + 1) << bucket) - 1 if slot >= half else slot


@lru_cache(maxsize=16)
def layout(lowest: int, highest: int, digits: int) -> NDArray[np.int64]:
    """Largest value of each slot of such a histogram."""
    made = HdrHistogram(lowest, highest, digits)
    half_bits = made.sub_bucket_half_count_magnitude
    return np.array([slot_value(half_bits, at) for at in range(made.counts_len)])


class Merger:
    """Adds up encoded histograms, whatever their range, in dense counts: 15 us per histogram."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int, int], NDArray[np.uint64]] = {}

    def add(self, blob: bytes) -> None:
        """An encoded histogram (V2, compressed, base64)."""
        read = HdrHistogramEncoder.decode(blob)
        head = read.payload
        shape = (head.lowest_trackable_value, head.highest_trackable_value,
                 head.significant_figures)  # fmt: skip
        length = len(layout(*shape))
        read.init_counts(length)
        counts = np.frombuffer(read.counts, np.uint64)
        into = self._counts.get(shape)
        if into is None:
            self._counts[shape] = counts.copy()
        else:
            into += counts

    def slots(self) -> Slots:
        """The sum, ascending when all histograms were of one range."""
        merged: Slots = {}
        for shape, counts in self._counts.items():
            used = np.flatnonzero(counts)
            values, n = layout(*shape)[used].tolist(), counts[used].tolist()
            add_slots(merged, dict(zip(values, n, strict=True)))
        return merged


def slots_of(blob: bytes) -> Slots:
    """The slots in use of an encoded histogram (V2, compressed, base64)."""
    one = Merger()
    one.add(blob)
    return one.slots()


def add_slots(into: Slots, more: Slots) -> None:
    for us, n in more.items():
        into[us] = into.get(us, 0) + n


def percentiles(slots: Slots, *wanted: int) -> list[int]:
    """Values at the nearest rank of at least one sample."""
    ordered = sorted(slots)
    upto = list(accumulate(map(slots.__getitem__, ordered)))
    return [ordered[bisect_left(upto, -(-upto[-1] * p // 100))] for p in wanted]


def to_json(slots: Slots) -> str:
    """Ascending, so that equal histograms are equal texts."""
    return json.dumps(dict(sorted(slots.items())), separators=(",", ":"))


def add_texts(texts: Iterable[str]) -> Slots:
    """The sum of what to_json() made, ascending; many at once are cheap."""
    joined = ",".join(text for text in texts if text != EMPTY).translate(COMMAS)
    if not joined:
        return {}
    flat = np.fromstring(joined, np.int64, sep=",")
    values, at = np.unique(flat[::2], return_inverse=True)
    counts = np.bincount(at, flat[1::2]).astype(np.int64)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


_decode = msgspec.json.Decoder(Slots).decode


def from_json(text: str) -> Slots:
    return _decode(text)
