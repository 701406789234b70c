"""Reads events out of a store: filtered, by id, and as they change.

An event belongs to a period when it went on in it, so one that began before and still goes on is
not missed.
"""

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from sensor.model.rows import SEVERITIES, SecurityEventRow

COLUMNS = ", ".join(SecurityEventRow._fields)
# Newest packet that any event knows of: what an age given by the user counts back from.
NEWEST = """
    SELECT max(max(detected_at, coalesce(updated_at, detected_at),
                   coalesce(resolved_at, detected_at)))
    FROM network_security_events
"""
ID_CHARACTERS = frozenset("0123456789abcdef-")


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; None is any. Times are us since 1970 UTC, packet time, `until` excluded."""

    severity: str | None = None  # this one or worse
    event_type: str | None = None
    attack_class: str | None = None
    since: int | None = None
    until: int | None = None
    status: str | None = None  # open or resolved
    agent_id: str | None = None
    agent_ids: tuple[str, ...] | None = None  # any of these
    event_types: tuple[str, ...] | None = None  # any of these

    def where(self) -> tuple[str, list[object]]:
        """An SQL condition, and what to bind to it."""
        parts, bound = ["1"], list[object]()
        if self.severity is not None:
            worse = SEVERITIES[SEVERITIES.index(self.severity) :]
            parts.append(f"severity IN ({', '.join('?' * len(worse))})")
            bound += worse
        for condition, value in (
            ("event_type = ?", self.event_type),
            ("attack_class = ?", self.attack_class),
            ("status = ?", self.status),
            ("agent_id = ?", self.agent_id),
            ("(resolved_at IS NULL OR resolved_at >= ?)", self.since),
            ("coalesce(started_at, detected_at) < ?", self.until),
        ):
            if value is not None:
                parts.append(condition)
                bound.append(value)
        for name, values in (("agent_id", self.agent_ids), ("event_type", self.event_types)):
            if values is not None:
                parts.append(f"{name} IN ({', '.join('?' * len(values))})")
                bound += values
        return " AND ".join(parts), bound


class Stored(NamedTuple):
    """The number of an event's last change, and the event as it is now."""

    seq: int
    event: SecurityEventRow


class Events:
    """The questions about events, over an open database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def newest(self) -> int | None:
        """Newest packet time that any event knows of, us; None without events."""
        found: int | None = self._db.execute(NEWEST).fetchone()[0]
        return found

    def matching(self, which: EventFilter, limit: int, offset: int = 0) -> list[Stored]:
        """The newest `limit` of them after the first `offset`, newest first."""
        where, bound = which.where()
        # Of the same time, the one that was found later: an upsert leaves the rowid.
        condition = f"{where} ORDER BY detected_at DESC, rowid DESC LIMIT ? OFFSET ?"
        return self._stored(condition, *bound, limit, offset)

    def count(self, which: EventFilter) -> int:
        where, bound = which.where()
        sql = f"SELECT count(*) FROM network_security_events WHERE {where}"  # noqa: S608
        return int(self._db.execute(sql, bound).fetchone()[0])

    def last_seq(self) -> int:
        """Number of the newest change; 0 without events."""
        sql = "SELECT coalesce(max(seq), 0) FROM network_security_events"
        return int(self._db.execute(sql).fetchone()[0])

    def changed(self, which: EventFilter, after: int, upto: int, limit: int) -> list[Stored]:
        """Those whose last change is numbered over `after` and at most `upto`, in that order."""
        where, bound = which.where()
        condition = f"seq > ? AND seq <= ? AND {where} ORDER BY seq LIMIT ?"
        return self._stored(condition, after, upto, *bound, limit)

    def by_id(self, prefix: str, limit: int) -> list[Stored]:
        """Events whose id begins with `prefix` (case does not matter), at most `limit`."""
        wanted = prefix.lower()
        if not wanted or not ID_CHARACTERS.issuperset(wanted):
            return []
        # A range, not LIKE: the key's index answers it. `g` sorts after all that an id is made of.
        return self._stored("id >= ? AND id < ? ORDER BY id LIMIT ?", wanted, wanted + "g", limit)

    def _stored(self, condition: str, *bound: object) -> list[Stored]:
        sql = f"SELECT seq, {COLUMNS} FROM network_security_events WHERE {condition}"  # noqa: S608
        rows = self._db.execute(sql, bound)
        return [Stored(seq, SecurityEventRow._make(row)) for seq, *row in rows]
