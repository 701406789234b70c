"""The series of a period: one value per step, None where there were no samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.analytics.figures import MEGABIT, jitter_ms, percentiles_ms
from sensor.store.reading import Columns, ReadingStore, Scope

SECOND_US = 1_000_000
Values = NDArray[np.float64]
COUNTED = ("connections_new", "connections_closed", "connections_failed")


def buckets_of(scope: Scope, step_s: int) -> NDArray[np.int64]:
    """Starts of all steps that the scope touches, us; steps are counted from 1970."""
    step = step_s * SECOND_US
    return np.arange(scope.since // step * step, scope.until, step, dtype=np.int64)


def spread(buckets: NDArray[np.int64], found: Columns, values: Any) -> Values:
    """The values at their buckets, NaN elsewhere."""
    made = np.full(len(buckets), np.nan)
    at = np.searchsorted(buckets, found["bucket"])
    inside = at < len(buckets)
    made[at[inside]] = np.asarray(values, np.float64)[inside]
    return made


def listed(values: Values, digits: int = 6) -> list[float | None]:
    return [None if v != v else round(v, digits) for v in values.tolist()]


def counted(values: Values) -> list[int | None]:
    return [None if v != v else round(v) for v in values.tolist()]


def coarser(steps: Columns, step_s: int) -> Columns:
    """Steps added up to longer ones; NaN stays where all parts are unknown."""
    if not len(steps["bucket"]):
        return steps
    step = step_s * SECOND_US
    buckets, first = np.unique(steps["bucket"] // step * step, return_index=True)
    if len(first) == len(steps["bucket"]):
        return {**steps, "bucket": buckets}
    names = [name for name in steps if name != "bucket"]
    values = np.stack([steps[name] for name in names])
    unknown = np.isnan(values)
    sums = np.add.reduceat(np.where(unknown, 0, values), first, axis=1)
    sums[np.logical_and.reduceat(unknown, first, axis=1)] = np.nan
    return {"bucket": buckets, **dict(zip(names, sums, strict=True))}


def timeline(
    store: ReadingStore,
    scope: Scope,
    step_s: int,
    *,
    local_known: bool,
    steps: Columns,
    seconds: Columns,
) -> dict[str, Any]:
    """`series` of the HTTP contract; `steps` are the scope's metrics by `step_s`,
    `seconds` its traffic by `step_s`.

    active_connections is the mean of the step's windows. Octets come from the seconds as long as
    these are kept, else from the endpoints' windows.
    """
    buckets = buckets_of(scope, step_s)
    latency = {group.bucket: group for group in store.latency(scope, step_s)}
    shape = [
        (*percentiles_ms(group, 50, 95, 99), jitter_ms(group))
        for group in map(latency.get, buckets.tolist())
    ]
    p50, p95, p99, jitter = (list(column) for column in zip(*shape, strict=True))
    seen = np.minimum(buckets + step_s * SECOND_US, scope.until) - np.maximum(buckets, scope.since)
    rate = 8 / MEGABIT / (seen / SECOND_US)
    octets_in, octets_out = (
        np.where(np.isnan(exact), coarse, exact)
        for exact, coarse in (
            (spread(buckets, seconds, seconds[one]), spread(buckets, steps, steps[other]))
            for one, other in (("bytes_in", "bytes_received"), ("bytes_out", "bytes_sent"))
        )
    )
    lost, segments = (spread(buckets, steps, steps[n]) for n in ("packets_lost", "loss_segments"))
    with np.errstate(invalid="ignore", divide="ignore"):
        loss = np.where(lost + segments > 0, lost / (lost + segments), np.nan)
        active = spread(buckets, steps, steps["connections_active"] / steps["windows"])
    unknown: Values = np.full(len(buckets), np.nan)
    peak = spread(buckets, seconds, seconds["peak_in"]) * 8 / MEGABIT
    return {
        "step_s": step_s,
        "bucket": (buckets // 1000).tolist(),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "jitter_ms": jitter,
        "packet_loss_rate": listed(loss, 9),
        "ingress_mbps": listed(octets_in * rate if local_known else unknown),
        "egress_mbps": listed(octets_out * rate if local_known else unknown),
        "peak_ingress_mbps": listed(peak if local_known else unknown),
        "active_connections": listed(active, 3),
        **{
            f"{name.removeprefix('connections_')}_connections": counted(
                spread(buckets, steps, steps[name])
            )
            for name in COUNTED
        },
    }
