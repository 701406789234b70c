"""How many connections were needed at a time (definitions 1.3), from the finished ones.

When a connection carried nothing is not kept, so one whose packets were more than 10 s apart on
average counts as idle, all of it: an estimate. Those still open are not among them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.store.reading import Columns

IDLE_GAP_US = 10_000_000
SPARE = 1.2  # a recommended pool's size over the busy connections' 95th percentile
MOST_ENDPOINTS = 10
FEWEST = 5  # connections to an endpoint, to say anything of a pool
BASIS = "finished TCP connections; idle: packets more than 10 s apart on average"
Mask = NDArray[np.bool_]


def is_idle(rows: Columns) -> Mask:
    """Connections with a mean gap between packets of over 10 s."""
    packets = np.maximum(rows["orig_packets"] + rows["resp_packets"] - 1, 1)
    return np.asarray(rows["duration_us"] / packets > IDLE_GAP_US)


def pooling(rows: Columns, established: Mask) -> dict[str, Any]:
    """`pooling_efficiency`, over the rows' own time."""
    idle = is_idle(rows) & established
    durations = rows["duration_us"]
    open_us, idle_us = float(durations[established].sum()), float(durations[idle].sum())
    span_us = span(rows, established)
    names, counts = np.unique(rows["endpoint"][established].astype(str), return_counts=True)
    busiest = names[np.argsort(-counts, kind="stable")][:MOST_ENDPOINTS].tolist()
    pools = [
        made
        for name in busiest
        if (made := pool(rows, established & (rows["endpoint"] == name), idle)) is not None
    ]
    return {
        "idle_connection_ratio": round(idle_us / open_us, 6) if open_us else None,
        "avg_open_connections": round(open_us / span_us, 3) if span_us else None,
        "avg_busy_connections": round((open_us - idle_us) / span_us, 3) if span_us else None,
        "recommended_pool_size": sum(one["recommended_pool_size"] for one in pools) or None,
        "pools": pools,
        "estimated": True,
        "basis": BASIS,
    }


def pool(rows: Columns, mine: Mask, idle: Mask) -> dict[str, Any] | None:
    """One endpoint's pool; None with too few connections to it."""
    n = int(mine.sum())
    if n < FEWEST:
        return None
    busy = mine & ~idle
    levels, weights = concurrency(rows["started_at"][busy], rows["ended_at"][busy])
    p95 = weighted_percentile(levels, weights, 0.95)
    seconds = span(rows, mine) / 1e6
    mean_s = float(rows["duration_us"][busy].mean()) / 1e6 if busy.any() else 0.0
    return {
        "endpoint": str(rows["endpoint"][mine][0]),
        "connections": n,
        "busy_p95": p95,
        "busy_max": int(levels.max(initial=0)),
        "recommended_pool_size": max(1, int(np.ceil(p95 * SPARE))),
        # Little's law, as a check: arrivals per second times seconds in the system.
        "mean_busy_by_littles_law": round(float(busy.sum()) / seconds * mean_s, 3)
        if seconds
        else None,
    }


def span(rows: Columns, chosen: Mask) -> float:
    """From the first start to the last end, us."""
    if not chosen.any():
        return 0.0
    return float(rows["ended_at"][chosen].max() - rows["started_at"][chosen].min())


def concurrency(
    started: NDArray[np.int64], ended: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many were open between one start or end and the next, and how long that was, us."""
    at = np.concatenate((started, ended))
    change = np.concatenate((np.ones(len(started), np.int64), -np.ones(len(ended), np.int64)))
    order = np.lexsort((-change, at))  # at the same time, starts first: a point is open, too
    return np.cumsum(change[order]), np.diff(at[order], append=at[order][-1:])


def weighted_percentile(values: NDArray[np.int64], weights: NDArray[np.int64], share: float) -> int:
    """The least value that holds for `share` of the weight; the largest without weight."""
    if not weights.sum():
        return int(values.max(initial=0))
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(weights[order])
    return int(values[order][np.searchsorted(upto, share * upto[-1])])
