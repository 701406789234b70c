"""How bad it is now, 0..100, and who says so (definitions 1.5, methods 4.1).

Sum of harm x confidence over the detections, at most 100. What goes on counts whole; what is over
counts half after 15 minutes, a quarter after 30. Findings that are no attack are named beside the
score, not added: nobody knows how many points a full link is worth.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sensor.analytics.figures import time_text
from sensor.detect.risk import severity_score
from sensor.model.rows import SecurityEventRow
from sensor.store.events import EventFilter
from sensor.store.reading import ReadingStore, Scope

HALF_LIFE_S = 15 * 60
HALF_LIVES = 20  # after which nothing is left of it
HIGHEST = 100.0
LEVELS = ((85, "critical"), (60, "high"), (30, "medium"), (1, "low"))
NO_THREAT = frozenset({"sensor"})  # events about the sensor itself
MOST_EVENTS, MOST_NAMED = 1000, 20
SOON_DAYS = 30


def weight(row: SecurityEventRow, at: int) -> float:
    """1 while it goes on; halved every 15 minutes after."""
    if row.resolved_at is None:
        return 1.0
    ages = max(0.0, (at - row.resolved_at) / 1e6 / HALF_LIFE_S)
    return 0.0 if ages > HALF_LIVES else float(0.5**ages)


def points(row: SecurityEventRow, at: int) -> float:
    return severity_score(row) * (row.confidence_score or 0.0) * weight(row, at)


def score_of(rows: Iterable[SecurityEventRow], at: int) -> float:
    total = sum((points(row, at) for row in rows if row.event_type not in NO_THREAT), 0.0)
    return round(min(total, HIGHEST), 1)


def level_of(score: float) -> str:
    return next((name for least, name in LEVELS if score >= least), "none")


def analyse(
    store: ReadingStore,
    scope: Scope,
    agent_ids: tuple[str, ...],
    *,
    bottlenecks: Sequence[dict[str, Any]] = (),
    capacity: dict[str, Any] | None = None,
    anomalies: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """`risk_assessment` as of the end of the scope."""
    which = EventFilter(
        since=scope.until - HALF_LIVES * HALF_LIFE_S * 1_000_000,
        until=scope.until,
        agent_ids=agent_ids,
    )
    rows = [
        row
        for _, row in store.events(which, MOST_EVENTS)
        if row.event_type not in NO_THREAT and points(row, scope.until) >= 0.05
    ]
    rows.sort(key=lambda row: -points(row, scope.until))
    score = score_of(rows, scope.until)
    return {
        "risk_score": score,
        "level": level_of(score),
        "as_of": time_text(scope.until),
        "half_life_s": HALF_LIFE_S,
        "contributors": [contributor(row, scope.until) for row in rows[:MOST_NAMED]],
        "operational": operational(bottlenecks, capacity, anomalies),
    }


def contributor(row: SecurityEventRow, at: int) -> dict[str, Any]:
    return {
        "event_id": row.id,
        "agent_id": row.agent_id,
        "attack_class": row.attack_class or row.event_type,
        "title": row.title,
        "status": row.status,
        "severity_score": severity_score(row),
        "confidence": row.confidence_score,
        "weight": round(weight(row, at), 4),
        "points": round(points(row, at), 1),
        "detected_at": time_text(row.detected_at),
        "resolved_at": time_text(row.resolved_at),
    }


def operational(
    bottlenecks: Sequence[dict[str, Any]],
    capacity: dict[str, Any] | None,
    anomalies: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """What endangers the service without being an attack; not part of the score."""
    made: list[dict[str, Any]] = [
        {"kind": "bottleneck", "cause": one["cause"], "where": one["endpoint"] or one["agent_id"]}
        for one in bottlenecks[:MOST_NAMED]
    ]
    days = None if capacity is None else capacity["days_until_80_percent"]
    if days is not None and days <= SOON_DAYS:
        made.append({"kind": "capacity", "days_until_80_percent": days})
    if anomalies:
        made.append({"kind": "anomalies", "count": len(anomalies), "newest": anomalies[0]["start"]})
    return made
