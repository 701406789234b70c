"""DDoS analysis (specification 2.1) of what the rules found: nothing is detected here anew."""

from collections.abc import Iterable
from typing import Any

from sensor.analytics import risk
from sensor.analytics.figures import time_text
from sensor.detect.risk import response_plan, severity_score
from sensor.model.event import steps_of
from sensor.model.rows import SecurityEventRow
from sensor.store.events import EventFilter
from sensor.store.reading import ReadingStore, Scope

# The specification's indicators, by the classes of attack that each is made of.
INDICATORS = {
    "syn_flood": ("syn_flood",),
    "udp_flood": ("udp_flood",),
    "http_flood": ("http_flood",),
    "amplification": ("amplification",),
    "slowloris": ("slowloris", "slow_post", "slow_read"),
}
EVENT_TYPE = "dos_attack"
MOST_EVENTS = 1000
MOST_ACTIONS = 50


def analyse(store: ReadingStore, scope: Scope, agent_ids: tuple[str, ...]) -> dict[str, Any]:
    """`ddos_detection` of the attacks that went on in the scope, the newest 1000."""
    which = EventFilter(
        event_type=EVENT_TYPE, since=scope.since, until=scope.until, agent_ids=agent_ids
    )
    total = store.count_events(which)
    rows = [row for _, row in store.events(which, MOST_EVENTS)]
    kinds = by_kind(rows)
    indicators = {name: indicator(kinds.get(name, []), scope) for name in INDICATORS}
    others = {name: indicator(found, scope) for name, found in sorted(kinds.items())
              if name not in INDICATORS}  # fmt: skip
    found = {name: one for name, one in {**indicators, **others}.items() if one["detected"]}
    worst = sorted(found, key=lambda name: (found[name]["status"] != "open",
                                            -found[name]["severity_score"], name))  # fmt: skip
    return {
        "risk_score": risk.score_of(rows, scope.until),
        "indicators": indicators,
        "other_indicators": others,
        "detected_attacks": [attack(name, found[name]) for name in worst],
        "recommended_actions": response_plan(rows)[:MOST_ACTIONS],
        "events": total,
        "weighed_events": len(rows),
    }


def kind_of(row: SecurityEventRow) -> str:
    """The indicator of an event; its own class where the specification has none."""
    name = row.attack_class or row.event_type
    return next((kind for kind, classes in INDICATORS.items() if name in classes), name)


def by_kind(rows: Iterable[SecurityEventRow]) -> dict[str, list[SecurityEventRow]]:
    made: dict[str, list[SecurityEventRow]] = {}
    for row in rows:
        made.setdefault(kind_of(row), []).append(row)
    return made


def indicator(rows: list[SecurityEventRow], scope: Scope) -> dict[str, Any]:
    """What all events of one kind say together; the mitigation is that of the worst one's rule."""
    if not rows:
        return {"detected": False, "status": None, "severity_score": 0.0, "confidence": None,
                "time_window": None, "events": 0, "open_events": 0, "targets": [],
                "mitigation": None}  # fmt: skip
    worst = max(rows, key=lambda row: (severity_score(row), row.confidence_score or 0.0))
    begins = [row.detected_at if row.started_at is None else row.started_at for row in rows]
    ongoing = [row for row in rows if row.status == "open"]
    ends = [row.resolved_at for row in rows if row.resolved_at is not None]
    targets = dict.fromkeys(row.destination_ip for row in rows if row.destination_ip)
    confidences = [row.confidence_score for row in rows if row.confidence_score is not None]
    return {
        "detected": True,
        "status": "open" if ongoing else "resolved",
        "severity_score": severity_score(worst),
        "confidence": max(confidences, default=None),
        "time_window": {
            "start": time_text(min(begins)),
            "end": None if ongoing else time_text(max(ends, default=scope.until)),
        },
        "events": len(rows),
        "open_events": len(ongoing),
        "targets": list(targets)[:10],
        "mitigation": steps_of(worst) or None,
    }


def attack(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """One entry of `detected_attacks`, in the specification's words."""
    return {
        "type": name,
        "confidence": found["confidence"],
        "severity_score": found["severity_score"],
        "affected_period": found["time_window"],
        "mitigation": found["mitigation"],
    }
