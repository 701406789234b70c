"""The words of SqliteReading: columns, sums and buckets in SQLite's SQL."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sensor.model.rows import MetricsRow
from sensor.store.hours import LOSS as HOUR_LOSS
from sensor.store.hours import SUMS as HOUR_SUMS
from sensor.store.reading import KEYS, Columns, Latency
from sensor.store.slots import add_slots

SECOND_US = 1_000_000
NOT_COUNTERS = frozenset((
    "agent_id", "endpoint", "timestamp", "created_at", "boot_id", "network_id", "workspace_id",
    "region", "window_s", "quality", "role", "app", "name_source", "latency_hist", "latency_avg_us",
    "latency_p50_us", "latency_p95_us", "latency_p99_us", "latency_min_us", "latency_max_us",
    "jitter_us", "bandwidth_usage_percent", "https_requests_estimated",
))  # fmt: skip
COUNTERS = tuple(name for name in MetricsRow._fields if name not in NOT_COUNTERS)
# Segments of the rows whose losses are known: lost / (lost + these) is the loss rate.
LOSS_SEGMENTS = "loss_segments"
WINDOW_SUMS = ", ".join(f"sum({name})" for name in COUNTERS) + (
    ", sum(CASE WHEN packets_lost IS NOT NULL THEN data_segments END)"
)
IN_HOURS = tuple(name for name in COUNTERS if name in (*HOUR_SUMS, *HOUR_LOSS))
INNER_HOURLY = ", ".join(f"sum({name}) AS {name}" for name in IN_HOURS)
OUTER_HOURLY = ", ".join(
    f"sum({name})" if name in IN_HOURS else "NULL" for name in (*COUNTERS, "data_segments")
)
HEALTH = (
    "received", "dropped", "interface_dropped", "truncated", "malformed", "unsupported",
    "flows_evicted", "flows_refused", "half_open_evicted", "endpoints_folded", "rows_lost",
    "ring_freezes", "interface_gaps", "gap_ms", "windows_lost", "batches_lost",
)  # fmt: skip
HEALTH_SUMS = ", ".join(f"sum({name})" for name in HEALTH)
CDN_KEYS = {
    "provider": "provider",
    "edge_location": "edge_location",
    "region": "region",
    "cache_status": "cache_status",
    "host": "host",
    "bucket": "timestamp / 300000000 * 300000000",
}
# The endpoints of one agent by their index: (agent_id, endpoint, hour) has no index by hour.
ENDPOINTS = """
    WITH RECURSIVE known(name) AS (
        SELECT min(endpoint) FROM metrics_hourly WHERE agent_id = :agent
        UNION ALL
        SELECT (SELECT min(endpoint) FROM metrics_hourly
                WHERE agent_id = :agent AND endpoint > known.name)
        FROM known WHERE known.name IS NOT NULL
    )
"""
OF_HOURS = """
    FROM known CROSS JOIN metrics_hourly ON agent_id = :agent AND endpoint = known.name
    AND hour >= :since AND hour < :until
"""
TEXT = frozenset((
    *KEYS, "boot_id", "leaf", "node", "ip", "mac", "name", "evidence", "source", "target", "kind",
    "provider", "edge_location", "cache_status", "host", "community_id", "protocol", "orig_ip",
    "resp_ip", "service", "conn_state", "history", "end_reason", "server_name", "name_source",
))  # fmt: skip
EXACT = frozenset(("bucket", "timestamp", "started_at", "ended_at", "first_seen", "last_seen"))

BRACKETS = str.maketrans("", "", "[]")


def columns_of(rows: Sequence[Sequence[object]], names: Sequence[str]) -> Columns:
    """Rows as arrays: text as objects, times exact, everything else as float with NaN."""
    found = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return {
        name: np.array(
            column, object if name in TEXT else np.int64 if name in EXACT else np.float64
        )
        for name, column in zip(names, found, strict=True)
    }


def step_of(time: str, step_s: int | None) -> str:
    """The start of a row's bucket, in SQL: steps are counted from 1970; 0 for one step of all."""
    step = (step_s or 0) * SECOND_US
    return f"{time} / {step} * {step}" if step else "0"


Key = tuple[str | None, ...]
Groups = dict[tuple[int, Key], Latency]


def group_of(groups: Groups, bucket: int, key: Sequence[str | None]) -> Latency:
    """The group of a bucket and key; made when it is new."""
    at = bucket, tuple(key)
    found = groups.get(at)
    if found is None:
        found = groups[at] = Latency(*at)
    return found


def add_figures(
    into: Latency,
    count: int,
    sum_us: int | None,
    min_us: int | None,
    max_us: int | None,
    jitter_count: int,
    jitter_sum_us: int | None,
) -> None:
    """Everything but the histogram."""
    into.count += count
    into.sum_us += sum_us or 0
    if min_us is not None:
        into.min_us = min_us if into.min_us is None else min(into.min_us, min_us)
    if max_us is not None:
        into.max_us = max_us if into.max_us is None else max(into.max_us, max_us)
    into.jitter_count += jitter_count
    into.jitter_sum_us += jitter_sum_us or 0


def folded(parts: Sequence[Columns], keys: Sequence[str], maxima: Sequence[str] = ()) -> Columns:
    """Rows of equal keys added up, in the order of the keys; NaN stays where all are NaN."""
    names = list(parts[0])
    if len(parts) == 1 and not maxima:
        return parts[0]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
    rows = list(zip(*(joined[name].tolist() for name in keys), strict=True))
    try:
        ordered = sorted(set(rows))
    except TypeError:  # some are None
        ordered = sorted(set(rows), key=lambda key: [(part is not None, part) for part in key])
    numbers = {key: n for n, key in enumerate(ordered)}
    group = np.array([numbers[row] for row in rows], np.int64)
    made = columns_of(ordered, keys)
    for name in names:
        if name in made:
            continue
        values = joined[name]
        is_known = ~np.isnan(values)
        if name in maxima:
            sums = np.full(len(ordered), -np.inf)
            np.maximum.at(sums, group[is_known], values[is_known])
        else:
            sums = np.bincount(group[is_known], values[is_known], len(ordered))
        some = np.bincount(group[is_known], minlength=len(ordered))
        made[name] = np.where(some > 0, sums, np.nan)
    return {name: made[name] for name in names}


def merge_groups(parts: Sequence[Groups]) -> Groups:
    """The sum of the parts, which stay as they are."""
    made: Groups = {}
    shared: set[tuple[int, Key]] = set()  # groups that are still some part's own
    for part in parts:
        for at, group in part.items():
            found = made.get(at)
            if found is None:
                made[at] = group
                shared.add(at)
                continue
            if at in shared:
                shared.remove(at)
                found = made[at] = replace(found, slots=dict(found.slots), ranks={})
            add_figures(
                found, group.count, group.sum_us, group.min_us, group.max_us, group.jitter_count,
                group.jitter_sum_us,
            )  # fmt: skip
            add_slots(found.slots, group.slots)
    return made


def tens(texts: Sequence[str]) -> NDArray[np.int64]:
    """JSON arrays of ten numbers as one array."""
    joined = ",".join(texts).translate(BRACKETS)
    return np.fromstring(joined, np.int64, sep=",").reshape(-1, 10)
