"""The specification's view of detection: how bad it is now, what was found, what to do about it."""

import json
from collections.abc import Iterable
from typing import TypedDict

from sensor.detect.rule import SEVERITIES
from sensor.model.rows import SecurityEventRow
from sensor.model.time import rfc3339

MOST = 100.0
# The middle of each level, for an event whose evidence does not carry its score.
_MIDDLE = {"info": 0.0, "low": 15.0, "medium": 45.0, "high": 72.0, "critical": 92.0}
_NO_THREAT = frozenset({"sensor"})  # events about the sensor itself


class DetectedAttack(TypedDict):
    type: str
    confidence: float | None
    affected_period: str  # RFC 3339 interval; open at its end while the attack goes on
    mitigation: str | None


class Assessment(TypedDict):
    """DDoS detection of the specification, section 2.1."""

    risk_score: float  # 0..100, over what is going on now
    detected_attacks: list[DetectedAttack]
    recommended_actions: list[str]


def severity_score(row: SecurityEventRow) -> float:
    """Harm, 0..100."""
    try:
        score = json.loads(row.evidence or "{}").get("severity_score")
    except (ValueError, AttributeError):
        score = None
    return float(score) if isinstance(score, int | float) else _MIDDLE.get(row.severity, 0.0)


def risk_score(rows: Iterable[SecurityEventRow]) -> float:
    """min(100, sum of severity x confidence) over the open events."""
    total = sum(
        severity_score(row) * (row.confidence_score or 0.0)
        for row in rows
        if row.status == "open" and row.event_type not in _NO_THREAT
    )
    return round(min(total, MOST), 1)


def assess(rows: Iterable[SecurityEventRow]) -> Assessment:
    """All events of a period as one answer, the worst first."""
    threats = [row for row in rows if row.event_type not in _NO_THREAT]
    threats.sort(key=_urgency)
    return Assessment(
        risk_score=risk_score(threats),
        detected_attacks=[_attack(row) for row in threats],
        recommended_actions=response_plan(threats),
    )


def response_plan(rows: Iterable[SecurityEventRow]) -> list[str]:
    """What to do, in order: of each attack going on, the worst first; each step once."""
    steps: dict[str, None] = {}
    for row in sorted(rows, key=_urgency):
        if row.status != "open":
            continue
        target = row.destination_ip or row.source_ip or "this network"
        for line in (row.mitigation or "").splitlines():
            if text := line.removeprefix("- ").strip():
                steps.setdefault(f"{row.attack_class or row.event_type} ({target}): {text}", None)
    return list(steps)


def _urgency(row: SecurityEventRow) -> tuple[bool, int, float, int]:
    level = SEVERITIES.index(row.severity) if row.severity in SEVERITIES else -1
    harm = severity_score(row) * (row.confidence_score or 0.0)
    return row.status != "open", -level, -harm, row.detected_at


def _attack(row: SecurityEventRow) -> DetectedAttack:
    start = rfc3339((row.started_at or row.detected_at) * 1000)
    end = ".." if row.resolved_at is None else rfc3339(row.resolved_at * 1000)
    return DetectedAttack(
        type=row.attack_class or row.event_type,
        confidence=row.confidence_score,
        affected_period=f"{start}/{end}",
        mitigation=row.mitigation,
    )
