"""What is to be done about events, from the store and this host; nothing is done here."""

import json
import sqlite3
from collections.abc import Container, Iterable
from dataclasses import dataclass

from sensor.model.address import Prefix, pack_prefix
from sensor.model.rows import SecurityEventRow
from sensor.respond.confirm import doubt, handshakes
from sensor.respond.netlink import host_addresses
from sensor.respond.policy import Facts, objection, wanted
from sensor.respond.protected import Protected, parsed, protected, resolvers
from sensor.respond.settings import Settings

LIVE = "SELECT 1 FROM agents WHERE agent_id = ? AND boot_id = ? AND source = 'live'"
LOCAL = "SELECT DISTINCT local_prefixes FROM agents WHERE source = 'live'"
VICTIMS = """
    SELECT DISTINCT destination_ip FROM network_security_events
    WHERE destination_ip IS NOT NULL
    AND max(detected_at, coalesce(updated_at, detected_at), coalesce(resolved_at, detected_at)) >= ?
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wish`: block; refused (wanted, but it must not be); skipped (not asked for)."""

    event: SecurityEventRow
    address: bytes | None
    wish: str
    reason: str


def unblockable(db: sqlite3.Connection, settings: Settings) -> Protected:
    """Whom the settings, this host and the sensor's own agents forbid to block, as of now."""
    return protected(settings, host_addresses(), resolvers(), local_prefixes(db))


def local_prefixes(db: sqlite3.Connection) -> set[Prefix]:
    """What the agents that captured here ever called local."""
    found: set[Prefix] = set()
    for (text,) in db.execute(LOCAL):
        try:
            found.update(pack_prefix(prefix) for prefix in json.loads(text))
        except (ValueError, TypeError):  # the file may be anybody's
            continue
    return found


def judge(
    db: sqlite3.Connection,
    events: Iterable[SecurityEventRow],
    settings: Settings,
    now_us: int,
    undone: Container[str] = (),
) -> list[Verdict]:
    """One verdict per event, in their order; `undone`: ids of those that were taken back.

    SensorError when this host's addresses cannot be known.
    """
    given = list(events)
    if not given:
        return []
    never = unblockable(db, settings)
    since = now_us - settings.max_age_s * 1_000_000
    victims = frozenset(
        address for (text,) in db.execute(VICTIMS, (since,)) if (address := parsed(text))
    )
    made = []
    for event in given:
        address = parsed(event.source_ip)
        reason = wanted(event, settings)
        if reason is not None:
            made.append(Verdict(event, address, "skipped", reason))
            continue
        live = db.execute(LIVE, (event.agent_id, event.boot_id)).fetchone() is not None
        facts = Facts(now_us, live, never, victims, event.id in undone)
        reason = objection(event, settings, facts) or doubt(event, handshakes(db, event))
        if reason is not None:
            made.append(Verdict(event, address, "refused", reason))
        else:
            made.append(Verdict(event, address, "block", ground(event)))
    return made


def ground(event: SecurityEventRow) -> str:
    """Why it is blocked, in one line."""
    against = f" against {event.destination_ip}" if event.destination_ip else ""
    return f"{event.attack_class}{against}, {event.severity}, confidence {event.confidence_score}"
