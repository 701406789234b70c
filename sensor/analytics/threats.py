"""What the rules found in a period, by the kinds of threat that the specification asks for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sensor.analytics.timeframe import runs_of
from sensor.detect.risk import assess
from sensor.model.event import event_document
from sensor.model.rows import SEVERITIES
from sensor.store.events import EventFilter, Stored
from sensor.store.reading import ReadingStore, Scope

# Kinds of threat: the types of event that each is made of.
TYPES = {
    "ddos": ("dos_attack", "service_overload", "backscatter"),
    "intrusion": (
        "intrusion_attempt", "spoofing", "data_exfiltration", "beaconing", "protocol_downgrade",
    ),
    "scan": ("port_scan",),
}  # fmt: skip
MOST_WEIGHED = 1000  # newest events that the summary is of
MOST_ACTIONS = 20


def analyse(
    store: ReadingStore,
    scope: Scope,
    *,
    threat_types: Sequence[str],
    severity_threshold: str,
    status: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> dict[str, Any]:
    """Events of the scope's agents that went on in the period, and what they add up to.

    threat_types: names of TYPES; severity_threshold: this one and worse.
    """
    which = EventFilter(
        severity=severity_threshold,
        since=scope.since,
        until=scope.until,
        status=status,
        agent_ids=tuple(sorted({run.agent_id for run in runs_of(store, scope)})),
        event_types=tuple(t for name in dict.fromkeys(threat_types) for t in TYPES[name]),
    )
    total = store.count_events(which)
    page = store.events(which, limit, offset)
    weighed = [row for _, row in store.events(which, MOST_WEIGHED)]
    found = assess(weighed)
    return {
        "risk_score": found["risk_score"],
        "threats": [{**event_document(row), "seq": seq} for seq, row in page],
        "total": total,
        "next_offset": offset + len(page) if offset + len(page) < total else None,
        "detected_attacks": found["detected_attacks"],
        "recommended_actions": found["recommended_actions"][:MOST_ACTIONS],
        "by_severity": by_severity(store, which, severity_threshold),
        "by_type": {
            name: n
            for name in which.event_types or ()
            if (n := store.count_events(replace(which, event_types=(name,))))
        },
    }


def by_severity(store: ReadingStore, which: EventFilter, threshold: str) -> dict[str, int]:
    """Events of each severity from the threshold on."""
    levels = SEVERITIES[SEVERITIES.index(threshold) :]
    upward = [store.count_events(replace(which, severity=level)) for level in levels]
    return {
        level: n - worse for level, n, worse in zip(levels, upward, [*upward[1:], 0], strict=True)
    }


def open_threats(store: ReadingStore, agent_id: str, since: int, until: int) -> list[Stored]:
    """Events that went on in a window, worse than informational; the newest 50."""
    which = EventFilter(severity="low", since=since, until=until, agent_ids=(agent_id,))
    return store.events(which, 50)
