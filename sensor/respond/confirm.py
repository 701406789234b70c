"""Whether finished connections bear out that an event's source did it (docs/response.md).

An event names the address behind most of what was counted at a service, SYNs included, and those
can be forged: a flood of SYNs in the name of a third party, beside an attack over real connections,
would have the third party named. Nobody completes a handshake in another's name without seeing the
answers (RFC 6528), so only connections whose three-way handshake was captured count here.
"""

import sqlite3
from dataclasses import dataclass

from sensor.model.event import evidence_of
from sensor.model.rows import SecurityEventRow

BEFORE_US = 60_000_000  # a connection that ended so long before the first hit still belongs to it
HELD_US = 5_000_000  # what the slow attacks' rules call slow
LOOKED_AT = 100_000  # newest connections of a busy agent
ENOUGH = 5000  # packets or held connections that leave no doubt, however large the attack is
SLOW = frozenset({"slowloris", "slow_post", "slow_read"})
SHARES = f"""
    SELECT coalesce(sum(orig_ip = :source), 0), count(*),
           coalesce(sum(CASE WHEN orig_ip = :source THEN orig_packets END), 0),
           coalesce(sum(orig_packets), 0),
           coalesce(sum(orig_ip = :source AND duration_us >= {HELD_US}), 0)
    FROM (
        SELECT orig_ip, orig_packets, duration_us FROM connections
        WHERE agent_id = :agent AND ended_at >= :since AND protocol = 'tcp'
          AND handshake_us IS NOT NULL AND midstream = 0
          AND (:destination IS NULL OR resp_ip = :destination)
          AND (:port IS NULL OR resp_port = :port)
        ORDER BY ended_at DESC LIMIT {LOOKED_AT}
    )
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Handshakes:
    """Finished connections with a whole handshake to whom the event is against, since it began."""

    connections: int  # of the source
    all_connections: int
    packets: int  # by the source as originator
    all_packets: int
    held: int  # connections of the source that took HELD_US or longer


def handshakes(db: sqlite3.Connection, event: SecurityEventRow) -> Handshakes:
    """Those that the store has of the event's source so far."""
    began = event.started_at if event.started_at is not None else event.detected_at
    row = db.execute(
        SHARES,
        {
            "source": event.source_ip,
            "agent": event.agent_id,
            "since": began - BEFORE_US,
            "destination": event.destination_ip,
            "port": event.destination_port,
        },
    ).fetchone()
    return Handshakes(*row)


def doubt(event: SecurityEventRow, seen: Handshakes) -> str | None:
    """Why the source is not confirmed; None when it is."""
    if not seen.connections:
        return "no finished connection confirms the source yet"
    if not keyed(event) and (
        2 * seen.connections <= seen.all_connections or 2 * seen.packets <= seen.all_packets
    ):
        return "finished connections do not show the source as the main one"
    evidence = evidence_of(event)
    if event.attack_class in SLOW:
        value, done, what = evidence.get("value"), seen.held, "held connections"
    else:
        value, done, what = event.packets_count, seen.packets, "packets in finished connections"
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return "the event does not say how much happened"
    if 2 * done <= min(value, 2 * ENOUGH):
        return f"too few {what} of the source to account for the event"
    return None


def keyed(event: SecurityEventRow) -> bool:
    """Whether the event is about the source itself, and not about whoever was counted most."""
    parts = evidence_of(event).get("key_parts")
    return isinstance(parts, dict) and parts.get("address") == event.source_ip
