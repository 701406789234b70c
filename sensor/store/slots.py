"""HDR histograms as sparse slots, {largest us of the slot: samples}: what SQL can add up."""

import json
from functools import lru_cache

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


def percentiles(slots: Slots, *wanted: int) -> list[int | None]:
    """Values at the nearest rank; None without samples."""
    total = sum(slots.values())
    values: list[int | None] = []
    ordered = sorted(slots.items())
    for p in wanted:
        upto = 0
        value = None
        for us, n in ordered:
            upto += n
            value = us
            if upto * 100 >= total * p:
                break
        values.append(value)
    return values


def to_json(slots: Slots) -> str:
    return json.dumps({str(us): n for us, n in sorted(slots.items())}, separators=(",", ":"))


def from_json(text: str) -> Slots:
    return {int(us): n for us, n in json.loads(text).items()}
