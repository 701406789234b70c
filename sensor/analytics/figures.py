"""Small sums that every analysis needs. Unknown is None, here and in every answer."""

from collections.abc import Iterable
from math import isfinite
from typing import Any

from sensor.model.time import rfc3339
from sensor.store.reading import Columns, Latency
from sensor.store.slots import added as added_slots

MEGABIT = 1e6


def known(value: Any) -> float | None:
    """A number of a column; None for NaN."""
    return float(value) if value is not None and isfinite(value) else None


def count(value: Any) -> int | None:
    """The same, of things that are counted."""
    found = known(value)
    return None if found is None else round(found)


def first(columns: Columns, name: str) -> float | None:
    """A figure of the one row that a question over the whole scope has; None without it."""
    return known(columns[name][0]) if len(columns[name]) else None


def added(*parts: float | None) -> float | None:
    """Sum; None as soon as one part is unknown."""
    total = 0.0
    for part in parts:
        if part is None:
            return None
        total += part
    return total


def ratio(part: float | None, whole: float | None, digits: int = 9) -> float | None:
    """part / whole; None where one is unknown or there is nothing to divide by."""
    return None if part is None or not whole else round(float(part) / float(whole), digits)


def milliseconds(us: float | None) -> float | None:
    return None if us is None else round(us / 1000, 6)


def mbps(octets: float | None, seconds: float) -> float | None:
    """Decimal megabits per second; None without time to divide by."""
    return None if octets is None or seconds <= 0 else round(octets * 8 / MEGABIT / seconds, 6)


def time_text(us: int | None) -> str | None:
    return None if us is None else rfc3339(us * 1000)


def percentiles_ms(latency: Latency | None, *wanted: int) -> list[float | None]:
    """Percentiles of merged samples in ms, held within the exact extrema; None without samples."""
    if latency is None or not latency.slots:
        return [None] * len(wanted)
    low = 0 if latency.min_us is None else latency.min_us
    high = max(latency.slots) if latency.max_us is None else latency.max_us
    return [milliseconds(min(max(us, low), high)) for us in latency.percentiles_us(*wanted)]


def mean_ms(latency: Latency | None) -> float | None:
    """Exact mean in ms."""
    return milliseconds(latency.sum_us / latency.count) if latency and latency.count else None


def jitter_ms(latency: Latency | None) -> float | None:
    """Mean of |RTT(i) - RTT(i-1)| within one flow, ms."""
    if latency is None or not latency.jitter_count:
        return None
    return milliseconds(latency.jitter_sum_us / latency.jitter_count)


def merged(parts: Iterable[Latency]) -> Latency:
    """All samples of all parts; the bucket and key are the first one's."""
    found = list(parts)
    if not found:
        return Latency(0, ())
    if len(found) == 1:
        return found[0]
    into = Latency(found[0].bucket, found[0].key)
    for part in found:
        into.count += part.count
        into.sum_us += part.sum_us
        into.min_us = least(into.min_us, part.min_us)
        into.max_us = most(into.max_us, part.max_us)
        into.jitter_count += part.jitter_count
        into.jitter_sum_us += part.jitter_sum_us
    into.slots = added_slots([part.slots for part in found])
    return into


def least(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def most(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else max(a, b)
