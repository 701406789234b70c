"""The hourly rows: every window is added to its hour, in the window's own transaction.

Latency is merged slot by slot, which is exact, so the percentiles of an hour are the hour's own.
"""

import sqlite3
from collections.abc import Iterable

from sensor.model.rows import MetricsRow
from sensor.store.slots import Slots, add_slots, from_json, percentiles, slots_of, to_json

HOUR_US = 3_600_000_000
KEPT = 2048  # endpoint hours whose histogram is kept decoded

Key = tuple[str, str, int, str]  # the primary key of metrics_hourly

SUMS = (
    "packets_sent", "packets_received", "packets_retransmitted", "bytes_sent", "bytes_received",
    "connections_new", "connections_closed", "connections_failed", "timeout_errors",
    "connection_reset_errors", "dns_resolution_errors", "ssl_handshake_errors",
    "latency_count", "jitter_count", "jitter_sum_us", "latency_sum_us",
)  # fmt: skip
LOSS = ("packets_lost", "data_segments")  # together, where loss is known
ADDED = ("windows", *SUMS, *LOSS)
SET = ("latency_p50_us", "latency_p95_us", "latency_p99_us", "latency_slots")
COLUMNS = (
    "agent_id", "endpoint", "hour", "boot_id", *ADDED, "latency_min_us", "latency_max_us", *SET,
)  # fmt: skip
UPSERT = f"""
    INSERT INTO metrics_hourly ({", ".join(COLUMNS)}) VALUES ({", ".join("?" * len(COLUMNS))})
    ON CONFLICT (agent_id, endpoint, hour, boot_id) DO UPDATE SET
        {", ".join(f"{c} = {c} + excluded.{c}" for c in ADDED)},
        {", ".join(f"{c} = excluded.{c}" for c in SET)},
        latency_min_us = coalesce(min(latency_min_us, excluded.latency_min_us),
                                  latency_min_us, excluded.latency_min_us),
        latency_max_us = coalesce(max(latency_max_us, excluded.latency_max_us),
                                  latency_max_us, excluded.latency_max_us)
"""  # noqa: S608 - names are ours
FIND = """
    SELECT latency_slots FROM metrics_hourly
    WHERE agent_id = ? AND endpoint = ? AND hour = ? AND boot_id = ?
"""


class Hours:
    """Adds windows to `metrics_hourly`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._slots: dict[Key, Slots] = {}

    def add(self, rows: Iterable[MetricsRow]) -> None:
        """Within the transaction that inserts the rows."""
        for row in rows:
            key = (row.agent_id, row.endpoint, row.timestamp // HOUR_US * HOUR_US, row.boot_id)
            slots = self._of(key)
            if row.latency_hist is not None:
                add_slots(slots, slots_of(row.latency_hist))
            sums = [getattr(row, name) or 0 for name in SUMS]
            # Segments count only where losses are known: the two make a rate.
            loss = [0, 0] if row.packets_lost is None else [row.packets_lost, row.data_segments or 0]
            shortest, longest = row.latency_min_us, row.latency_max_us
            shown = [within(us, shortest, longest) for us in percentiles(slots, 50, 95, 99)]
            values = (*key, 1, *sums, *loss, shortest, longest, *shown, to_json(slots))
            self._db.execute(UPSERT, values)

    def forget(self) -> None:
        """After a rollback: what is in memory is no longer what is in the table."""
        self._slots.clear()

    def _of(self, key: Key) -> Slots:
        slots = self._slots.get(key)
        if slots is None:
            if len(self._slots) >= KEPT:
                self._slots.clear()
            found = self._db.execute(FIND, key).fetchone()
            slots = self._slots[key] = from_json(found[0]) if found else {}
        return slots
