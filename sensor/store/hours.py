"""The hourly rows: every window is added to its hour, in the window's own transaction.

Latency is merged slot by slot, which is exact, so the percentiles of an hour are the hour's own.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

from sensor.model.rows import MetricsRow
from sensor.store.slots import Slots, add_slots, from_json, percentiles, slots_of, to_json

HOUR_US = 3_600_000_000
KEPT = 2048  # endpoint hours whose histogram is kept decoded

Key = tuple[str, str, int, str]  # the primary key of metrics_hourly

KEY = ("agent_id", "endpoint", "hour", "boot_id")
SUMS = (
    "packets_sent", "packets_received", "packets_retransmitted", "bytes_sent", "bytes_received",
    "connections_new", "connections_closed", "connections_failed", "timeout_errors",
    "connection_reset_errors", "dns_resolution_errors", "ssl_handshake_errors",
    "latency_count", "latency_sum_us", "jitter_count", "jitter_sum_us",
)  # fmt: skip
LOSS = ("packets_lost", "data_segments")  # together, where loss is known
ADDED = ("windows", *SUMS, *LOSS)
SHAPE = (
    "latency_min_us", "latency_p50_us", "latency_p95_us", "latency_p99_us", "latency_max_us",
    "latency_slots",
)  # fmt: skip
COLUMNS = (*KEY, *ADDED, *SHAPE)
UPSERT = f"""
    INSERT INTO metrics_hourly ({", ".join(COLUMNS)}) VALUES ({", ".join("?" * len(COLUMNS))})
    ON CONFLICT ({", ".join(KEY)}) DO UPDATE SET
        {", ".join(f"{c} = {c} + excluded.{c}" for c in ADDED)},
        {", ".join(f"{c} = excluded.{c}" for c in SHAPE)}
"""  # noqa: S608 - names are ours
FIND = f"""
    SELECT latency_slots, latency_min_us, latency_max_us FROM metrics_hourly
    WHERE {" AND ".join(f"{c} = ?" for c in KEY)}
"""  # noqa: S608 - names are ours


@dataclass(slots=True)
class Merged:
    """Latency of one endpoint in one hour so far."""

    slots: Slots = field(default_factory=dict)
    shortest: int | None = None
    longest: int | None = None

    def add(self, row: MetricsRow) -> None:
        if row.latency_hist is None or row.latency_min_us is None or row.latency_max_us is None:
            return
        add_slots(self.slots, slots_of(row.latency_hist))
        low, high = row.latency_min_us, row.latency_max_us
        self.shortest = low if self.shortest is None else min(self.shortest, low)
        self.longest = high if self.longest is None else max(self.longest, high)

    def shape(self) -> tuple[object, ...]:
        """In the order of SHAPE; percentiles held within the exact extrema."""
        if self.shortest is None or self.longest is None:
            return (None,) * 5 + ("{}",)
        low, high = self.shortest, self.longest
        found = percentiles(self.slots, 50, 95, 99)
        return (low, *(min(max(us, low), high) for us in found), high, to_json(self.slots))


class Hours:
    """Adds windows to `metrics_hourly`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._merged: dict[Key, Merged] = {}

    def add(self, rows: Iterable[MetricsRow]) -> None:
        """Within the transaction that inserts the rows."""
        for row in rows:
            key = (row.agent_id, row.endpoint, row.timestamp // HOUR_US * HOUR_US, row.boot_id)
            merged = self._of(key)
            merged.add(row)
            sums = [getattr(row, name) or 0 for name in SUMS]
            # Segments count only where losses are known: the two make a rate.
            lost = row.packets_lost
            loss = (0, 0) if lost is None else (lost, row.data_segments or 0)
            self._db.execute(UPSERT, (*key, 1, *sums, *loss, *merged.shape()))

    def forget(self) -> None:
        """After a rollback: what is in memory is no longer what is in the table."""
        self._merged.clear()

    def _of(self, key: Key) -> Merged:
        merged = self._merged.get(key)
        if merged is None:
            if len(self._merged) >= KEPT:
                self._merged.clear()
            found = self._db.execute(FIND, key).fetchone()
            merged = Merged(from_json(found[0]), *found[1:]) if found else Merged()
            self._merged[key] = merged
        return merged
