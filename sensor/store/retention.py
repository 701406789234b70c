"""How long rows stay, and how large the file may grow.

Ages count from the newest packet, so an old capture's rows stay: a replay's from the newest of that
replay, live rows from the newest of the agent over all its runs. Over the size cap, the rows that
were written first go first, whatever their table; hours and events only when nothing else is left.
What was deleted is counted in `store_counters`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sensor.model.rows import AgentRow
from sensor.store.deletions import log_deleted

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
LONG_WINDOW_S = 60  # shorter windows are kept for `short_windows` only
SWEEP_EVERY_US = HOUR_US  # of packet time
SHRINK_TO = 0.9  # of the cap: so that not every window has to delete
STEPS = 10  # parts of the rows that are deleted at a time to make room

WINDOWED = (
    "network_performance_metrics", "protocol_mix", "latency_histograms", "regional_metrics",
    "capture_health",
)  # fmt: skip
NUMBERED = ("connections", "bandwidth_seconds", *WINDOWED, "cdn_requests")
LAST_TO_GO = (("metrics_hourly", "hour"), ("network_security_events", "detected_at"))
NEWEST = """
    SELECT max(last_packet) FROM agents
    WHERE agent_id = ? AND (boot_id = ? OR ? = 'live' AND source = 'live')
"""
OF_RUN = """agent_id = ? AND (boot_id = ? OR ? = 'live' AND boot_id IN
    (SELECT boot_id FROM agents WHERE agent_id = ? AND source = 'live'))"""


@dataclass(frozen=True, slots=True)
class Limits:
    """DESIGN.md 4.3, in microseconds of packet time and octets of the file."""

    connections: int = DAY_US
    short_windows: int = 2 * DAY_US
    windows: int = 14 * DAY_US
    hours: int = 400 * DAY_US
    events: int = 400 * DAY_US
    size: int = 1 << 30

    def by_table(self) -> Iterator[tuple[str, str, str, int]]:
        """Table, its time column, further condition, age."""
        yield "connections", "ended_at", "", self.connections
        short = f"AND window_s < {LONG_WINDOW_S}"
        for table in WINDOWED:
            yield table, "timestamp", short, self.short_windows
            yield table, "timestamp", "", self.windows
        yield "bandwidth_seconds", "timestamp", "", self.short_windows
        yield "metrics_hourly", "hour", "", self.hours
        yield "network_security_events", "detected_at", "", self.events


class Retention:
    """Called by the writer after each window, outside its transaction."""

    def __init__(self, db: sqlite3.Connection, limits: Limits) -> None:
        self._db = db
        self._limits = limits
        self._swept: dict[tuple[str, str], int] = {}  # run: newest packet at its last sweep

    def wrote(self, agent: AgentRow) -> None:
        """Sweeps now and then: once per hour of packet time, and when the file is too large.

        The window is safe already: a sweep that fails (the disk is full) is tried again later.
        """
        with suppress(sqlite3.OperationalError):
            newest = agent.last_packet
            if newest is not None:
                last = self._swept.setdefault((agent.agent_id, agent.boot_id), newest)
                if newest - last >= SWEEP_EVERY_US:
                    self.expire(agent)
                    self._swept[agent.agent_id, agent.boot_id] = newest
            self.shrink()

    def expire(self, agent: AgentRow) -> int:
        """Delete what is too old for this agent's run; how many rows."""
        who = agent.agent_id, agent.boot_id, agent.source
        newest = self._db.execute(NEWEST, who).fetchone()[0]
        if newest is None:
            return 0
        gone = 0
        with self._transaction():
            for table, time, condition, age in self._limits.by_table():
                where = f"{time} < ? {condition} AND {OF_RUN}"
                gone += self._delete(table, where, (newest - age, *who, agent.agent_id), "age")
            before = newest - self._limits.hours
            gone += self._topology(agent.agent_id, before)
            gone += self._delete(
                "cdn_requests", "agent_id = ? AND timestamp < ?", (agent.agent_id, before), "age"
            )
            self._count("rows_expired", gone)
        self._give_back()
        return gone

    def shrink(self) -> int:
        """Delete what was written first until the file fits; how many rows."""
        if self.size() <= self._limits.size:
            return 0
        target = int(self._limits.size * SHRINK_TO)
        gone = 0
        while self.size() > target:
            with self._transaction():
                deleted = self._oldest() or self._last_resort()
                self._count("rows_evicted", deleted)
            gone += deleted
            if not deleted:
                break  # nothing left but the schema: the cap is smaller than an empty database
        self._give_back()
        return gone

    def size(self) -> int:
        """Octets in use: pages that are free already will be given back."""
        pages, free, octets = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * octets

    def _oldest(self) -> int:
        bounds = [
            self._db.execute(f"SELECT min(seq), max(seq) FROM {table}").fetchone()  # noqa: S608
            for table in NUMBERED
        ]
        known = [(low, high) for low, high in bounds if low is not None]
        if not known:
            return 0
        low, high = min(b[0] for b in known), max(b[1] for b in known)
        cut = low + (high - low) // STEPS + 1
        return sum(self._delete(table, "seq < ?", (cut,), "size") for table in NUMBERED)

    def _last_resort(self) -> int:
        """The oldest tenth of the hours, then of the events."""
        for table, time in LAST_TO_GO:
            low, high = self._db.execute(f"SELECT min({time}), max({time}) FROM {table}").fetchone()  # noqa: S608
            if low is not None:
                cut = low + (high - low) // STEPS + 1
                return self._delete(table, f"{time} < ?", (cut,), "size")
        return 0

    def _topology(self, agent_id: str, before: int) -> int:
        """Nodes and links not seen since; they have no numbers."""
        return sum(
            self._db.execute(
                f"DELETE FROM {table} WHERE agent_id = ? AND last_seen < ?",  # noqa: S608
                (agent_id, before),
            ).rowcount
            for table in ("topology_links", "topology_nodes")
        )

    def _delete(self, table: str, where: str, bound: tuple[object, ...], reason: str) -> int:
        """How many rows went; their numbers are kept for whoever ships."""
        if table != "metrics_hourly":  # has no numbers: its windows have
            log_deleted(self._db, table, where, bound, reason)
        return self._db.execute(f"DELETE FROM {table} WHERE {where}", bound).rowcount  # noqa: S608

    def _give_back(self) -> None:
        """Return free pages to the file system; a reader in the way only puts it off."""
        with suppress(sqlite3.OperationalError):
            # execute() would step this pragma once, which frees one page.
            self._db.executescript("PRAGMA incremental_vacuum")
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _count(self, name: str, rows: int) -> None:
        self._db.execute(
            "INSERT INTO store_counters VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (name, rows),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.rollback()
            raise
        self._db.execute("COMMIT")
