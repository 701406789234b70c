"""The words of SqliteReading: columns, sums and buckets in SQLite's SQL."""

import json
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.model.rows import MetricsRow
from sensor.store.dialect import Ask, Words
from sensor.store.hours import LOSS as HOUR_LOSS
from sensor.store.hours import SUMS as HOUR_SUMS
from sensor.store.reading import KEYS, Columns, Latency
from sensor.store.slots import added

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
LOSS_SUM = "sum(CASE WHEN packets_lost IS NOT NULL THEN data_segments END)"
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
OF_HOURS = """
    FROM metrics_hourly WHERE agent_id = :agent AND hour >= :since AND hour < :until
"""
TEXT = frozenset((
    *KEYS, "boot_id", "leaf", "node", "ip", "mac", "name", "evidence", "source", "target", "kind",
    "provider", "edge_location", "cache_status", "host", "community_id", "protocol", "orig_ip",
    "resp_ip", "service", "conn_state", "history", "end_reason", "server_name", "name_source",
))  # fmt: skip
EXACT = frozenset(("bucket", "timestamp", "started_at", "ended_at", "first_seen", "last_seen"))

BRACKETS = str.maketrans("", "", "[]")


def window_sums(present: Container[str]) -> str:
    """Of the COUNTERS; NULL for those that a database of an older sensor does not have."""
    sums = (f"sum({name})" if name in present else "NULL" for name in COUNTERS)
    return ", ".join((*sums, LOSS_SUM))


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
    if len(parts) == 1 and not maxima:
        return parts[0]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if len(parts) > 1 and list(keys) == ["bucket"] and (np.diff(joined["bucket"]) > 0).all():
        return joined  # one after the other
    made, group = grouped(joined, keys)
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    for names, add, none in (
        ([n for n in joined if n not in keys and n not in maxima], np.add, 0.0),
        ([n for n in joined if n in maxima], np.maximum, -np.inf),
    ):
        if not names or not len(first):
            made.update({name: joined[name] for name in names})
            continue
        values = np.stack([joined[name] for name in names])[:, order]
        unknown = np.isnan(values)
        sums = add.reduceat(np.where(unknown, none, values), first, axis=1)
        sums[np.logical_and.reduceat(unknown, first, axis=1)] = np.nan
        made.update(zip(names, sums, strict=True))
    return {name: made[name] for name in joined}


def grouped(rows: Columns, keys: Sequence[str]) -> tuple[Columns, NDArray[np.int64]]:
    """The different keys in their order, and which of them each row has."""
    if len(keys) == 1 and keys[0] in EXACT:
        values, group = np.unique(rows[keys[0]], return_inverse=True)
        return {keys[0]: values}, group
    found = list(zip(*(rows[name].tolist() for name in keys), strict=True))
    try:
        ordered = sorted(set(found))
    except TypeError:  # some are None
        ordered = sorted(set(found), key=lambda key: [(part is not None, part) for part in key])
    numbers = {key: n for n, key in enumerate(ordered)}
    return columns_of(ordered, keys), np.array([numbers[row] for row in found], np.int64)


def merge_groups(parts: Sequence[Groups]) -> Groups:
    """The sum of the parts, which stay as they are."""
    found: dict[tuple[int, Key], list[Latency]] = {}
    for part in parts:
        for at, group in part.items():
            found.setdefault(at, []).append(group)
    made: Groups = {}
    for at, groups in found.items():
        if len(groups) == 1:
            made[at] = groups[0]
            continue
        into = made[at] = Latency(*at)
        for group in groups:
            add_figures(
                into, group.count, group.sum_us, group.min_us, group.max_us, group.jitter_count,
                group.jitter_sum_us,
            )  # fmt: skip
        into.slots = added([group.slots for group in groups])
    return made


def tens(texts: Sequence[str]) -> NDArray[np.int64]:
    """JSON arrays of ten numbers as one array."""
    joined = ",".join(texts).translate(BRACKETS)
    return np.fromstring(joined, np.int64, sep=",").reshape(-1, 10)


class SqliteAsk(Ask):
    def mark(self, name: str, kind: str) -> str:
        return f":{name}"

    def value(self, value: Any, kind: str) -> object:
        return json.dumps(value) if isinstance(value, list) else value


class SqliteWords(Words):
    ask = SqliteAsk

    def table(self, name: str) -> str:
        return f"{name} AS t"

    def column(self, name: str, kind: str) -> str:
        return name

    def micros(self, time: str) -> str:
        return time

    def real(self, number: str) -> str:
        return number

    def text(self, column: str) -> str:
        return column

    def among(self, column: str, mark: str) -> str:
        return f"{column} IN (SELECT value FROM json_each({mark}))"  # noqa: S608 - a mark

    def within(self, column: str, query: str) -> str:
        return f"{column} IN ({query})"

    def pairs(self, agents: str, times: str) -> str:
        return (
            "SELECT a.value AS agent_id, b.value AS newest"  # noqa: S608 - likewise
            f" FROM json_each({agents}) AS a JOIN json_each({times}) AS b ON b.key = a.key"
        )

    def newest(self, table: str, who: str, seconds: int) -> str:
        # CROSS JOIN: agents first, then the index.
        return (
            f"({who}) AS w CROSS JOIN {table} AS t ON t.agent_id = w.agent_id"
            f" AND t.timestamp <= w.newest AND t.timestamp > w.newest - {seconds * SECOND_US}"
            " WHERE 1"
        )
