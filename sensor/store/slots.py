"""HDR histograms as sparse slots, {largest us of the slot: samples}: what SQL can add up."""

import json
from bisect import bisect_left
from functools import lru_cache
from itertools import accumulate

import numpy as np
from hdrh.histogram import HdrHistogram

Slots = dict[int, int]


@lru_cache(maxsize=32768)
def slot_value(half_bits: int, index: int) -> int:
    """Largest value that is counted at `index` (Gil Tene's layout, unit 1)."""
    half = 1 << half_bits
    bucket = max((index >> half_bits) - 1, 0)
    slot = index - (bucket << half_bits)
    return ((slot + 1) << bucket) - 1 if slot >= half else slot


def slots_of(blob: bytes) -> Slots:
    """The slots in use of an encoded histogram (V2, compressed, base64)."""
    histogram = HdrHistogram.decode(blob)
    counts = np.ctypeslib.as_array(histogram.counts)
    used = np.flatnonzero(counts)
    half_bits = histogram.sub_bucket_half_count_magnitude
    return {
        slot_value(half_bits, at): n
        for at, n in zip(used.tolist(), counts[used].tolist(), strict=True)
    }


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


def from_json(text: str) -> Slots:
    return {int(us): n for us, n in json.loads(text).items()}
