"""Latency, jitter and loss (definitions 1.1)."""

from typing import Any

import numpy as np

from sensor._native.counters import Counter
from sensor._native.faces import KINDS, Rows, Window
from sensor.metrics.histograms import Latency
from sensor.model.metrics import LatencyMetrics


def two_way(endpoints: Rows) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Rows of which at least one connection was seen in both directions.

    With one direction only, what was lost behind the capture point shows no trace.
    """
    active = endpoints["counters"][:, Counter.C_CONNECTIONS_ACTIVE]
    return np.asarray(endpoints["one_way"] < np.maximum(active, 1))


def loss_parts(endpoints: Rows) -> tuple[int, int]:
    """TCP segments lost (before and behind the capture point), and all that were to be seen."""
    seen = endpoints["counters"][two_way(endpoints)].sum(axis=0, dtype=np.uint64)
    lost = int(seen[Counter.C_LOST_UPSTREAM] + seen[Counter.C_LOST_DOWNSTREAM])
    return lost, int(seen[Counter.C_DATA_SEGMENTS]) + lost


class LatencyFigures:
    """Merges windows: every kind with 3 digits, the agent's network latency with 2."""

    def __init__(self) -> None:
        self.kinds = [Latency(3) for _ in KINDS]
        self.network = Latency(2)
        self.jitter_count = 0
        self.jitter_sum_ns = 0
        self.lost = 0
        self.sent = 0

    def add(self, window: Window) -> None:
        stats = window["kind_stats"]
        for i, kind in enumerate(self.kinds):
            count, sum_ns, min_ns, max_ns = (int(stats[i][k]) for k in range(4))
            kind.add(window["kinds"][i], count, sum_ns, min_ns, max_ns)
        rows = window["endpoints"]
        sampled = rows[rows["latency_count"] > 0]
        if sampled.size:
            self.network.add(
                window["latency_counts"][rows["latency_count"] > 0].sum(axis=0, dtype=np.uint64),
                int(sampled["latency_count"].sum()),
                int(sampled["latency_sum_ns"].sum()),
                int(sampled["latency_min_ns"].min()),
                int(sampled["latency_max_ns"].max()),
            )
        self.jitter_count += int(rows["jitter_count"].sum())
        self.jitter_sum_ns += int(rows["jitter_sum_ns"].sum())
        lost, sent = loss_parts(rows)
        self.lost += lost
        self.sent += sent

    @property
    def loss_rate(self) -> float | None:
        """Share of TCP data segments lost, 0..1; None without TCP data seen both ways."""
        return self.lost / self.sent if self.sent else None

    def metrics(self) -> LatencyMetrics:
        p50, p95, p99 = self.network.percentiles_us(50, 95, 99)
        jitter = self.jitter_sum_ns / self.jitter_count / 1e6 if self.jitter_count else None
        return LatencyMetrics(
            avg_latency_ms=milliseconds(self.network.mean_us),
            p50_latency_ms=milliseconds(p50),
            p95_latency_ms=milliseconds(p95),
            p99_latency_ms=milliseconds(p99),
            jitter_ms=None if jitter is None else round(jitter, 6),
            packet_loss_rate=self.loss_rate,
        )

    def document(self) -> dict[str, Any]:
        """`latency_us` of the JSON document."""
        return {name: summary(kind) for name, kind in zip(KINDS, self.kinds, strict=True)}


def milliseconds(us: float | None) -> float | None:
    """Microseconds as milliseconds, to the nanosecond."""
    return None if us is None else round(us / 1000, 6)


def summary(latency: Latency) -> dict[str, Any]:
    """Count, exact extrema and mean, percentiles (all us) and the mergeable histogram."""
    p50, p95, p99 = latency.percentiles_us(50, 95, 99)
    blob = latency.encode()
    return {
        "count": latency.count,
        "min": None if latency.min_ns is None else latency.min_ns / 1000,
        "mean": None if latency.mean_us is None else round(latency.mean_us, 3),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "max": None if latency.max_ns is None else latency.max_ns / 1000,
        "histogram": None if blob is None else blob.decode("ascii"),
    }
