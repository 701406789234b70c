"""Traffic patterns (specification 2.1): what GET traffic-patterns answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sensor.analytics import (
    anomalies,
    bottlenecks,
    bursts,
    capacity,
    ddos,
    protocols,
    risk,
    seasons,
)
from sensor.analytics.advice import optimizations
from sensor.analytics.decomposition import DAY, decompose
from sensor.analytics.series import (
    Series,
    Traffic,
    heatmap,
    hourly,
    minutely,
    span_of,
    trimmed,
    zone_of,
)
from sensor.analytics.timeframe import runs_of
from sensor.store.reading import ReadingStore, Scope

TYPES = ("daily", "weekly", "seasonal", "burst")
DEFAULT = ("daily", "weekly", "burst")
MOST_PEAKS, MOST_LINKS = 10, 50
DECOMPOSED_DAYS = 2


class BadPatternType(ValueError):
    """Not a kind of pattern."""


def analyse(
    store: ReadingStore,
    scope: Scope,
    *,
    pattern_types: Sequence[str] = DEFAULT,
    timezone: str = "UTC",
    capacity_mbps: float | None = None,
) -> dict[str, Any]:
    """The whole analysis of the scope's agents together.

    capacity_mbps: of each agent's link. BadPatternType; BadTimezone.
    """
    if unknown := sorted(set(pattern_types) - set(TYPES)):
        raise BadPatternType(f"no such pattern: {', '.join(unknown)}; there are {', '.join(TYPES)}")
    zone = zone_of(timezone)
    agents = tuple(sorted({run.agent_id for run in runs_of(store, scope)}))
    traffic = hourly(store, scope, zone)
    minutes = minutely(store, scope, zone)
    total_capacity = None if capacity_mbps is None else capacity_mbps * max(len(agents), 1)
    burst_analysis = bursts.analyse(store, scope, minutes, total_capacity)
    unusual, basis = anomalies.analyse(traffic.total, minutes)
    narrow = bottlenecks.analyse(store, scope, traffic, capacity_mbps)
    plans = capacity_planning(traffic, capacity_mbps)
    analysis = {
        "traffic_patterns": traffic_patterns(traffic.total, pattern_types, burst_analysis),
        "anomalies": unusual,
        "peak_patterns": peaks(traffic.total, minutes),
        "protocol_analysis": protocols.analyse(store, scope),
        "geographic_patterns": protocols.geographic(store, scope),
        "burst_analysis": burst_analysis,
        "ddos_detection": ddos.analyse(store, scope, agents),
        "bottleneck_analysis": narrow,
        "anomaly_baseline": basis,
    }
    return {
        "analysis": analysis,
        "optimizations": optimizations(analysis, plans),
        "risk_assessment": risk.analyse(
            store, scope, agents,
            bottlenecks=narrow["bottlenecks"], capacity=plans, anomalies=unusual,
        ),
        "capacity_planning": plans,
        "heatmap": heatmap(traffic.total),
        "coverage": coverage(traffic.total),
    }  # fmt: skip


def traffic_patterns(
    hours: Series, pattern_types: Sequence[str], burst_analysis: dict[str, Any]
) -> list[dict[str, Any]]:
    """One entry per kind that is asked for, in the specification's order."""
    wanted = set(pattern_types)
    known = trimmed(hours)
    parts = None
    if wanted - {"burst"} and len(known.values) >= DECOMPOSED_DAYS * DAY:
        parts = decompose(known.values)
    made = [
        make(known, parts)
        for name, make in (
            ("daily", seasons.daily),
            ("weekly", seasons.weekly),
            ("seasonal", seasons.seasonal),
        )
        if name in wanted
    ]
    return [*made, bursts.pattern(burst_analysis)] if "burst" in wanted else made


def peaks(hours: Series, minutes: Series) -> dict[str, Any]:
    """When it is busiest, and how far the peaks are above the mean."""
    known = hours.values[hours.known]
    if not len(known):
        return {"peak_mbps": None, "reason": "nothing is kept of this period"}
    mean = float(known.mean())
    p95, p99 = (float(p) for p in np.percentile(known, [95, 99]))
    filled = np.where(hours.known, hours.values, -1.0)
    order = np.argsort(-filled, kind="stable")[:MOST_PEAKS]
    hour, _, day = hours.local()
    busiest = [int(hour[at][filled[at].argmax()]) for at in (day == d for d in np.unique(day))
               if (filled[at] >= 0).sum() >= DAY // 2]  # fmt: skip
    usual = np.bincount(busiest, minlength=24) if busiest else np.zeros(24, np.int64)
    finest = minutes.values[minutes.known]
    return {
        "mean_mbps": round(mean, 6),
        "peak_mbps": round(float(known.max()), 6),
        "p95_mbps": round(p95, 6),
        "p99_mbps": round(p99, 6),
        "peak_to_mean_ratio": round(float(known.max()) / mean, 6) if mean > 0 else None,
        "peak_minute_mbps": round(float(finest.max()), 6) if len(finest) else None,
        "busiest_hours": [
            {**span_of(hours, int(at), int(at) + 1), "mbps": round(float(filled[at]), 6)}
            for at in order
            if filled[at] >= 0
        ],
        "usual_peak_hour": int(usual.argmax()) if busiest else None,
        "usual_peak_hour_share": round(float(usual.max()) / len(busiest), 4) if busiest else None,
        "timezone": hours.zone.key,
        "resolution_s": hours.step_s,
        "reason": None,
    }


def capacity_planning(traffic: Traffic, capacity_mbps: float | None) -> dict[str, Any]:
    """The plan of the link that is full first; `agents` has all (each agent is a link)."""
    plans = []
    for agent, sides in traffic.by_agent.items():
        busier = traffic.total.with_values(np.fmax(*sides))
        plans.append({"agent_id": agent, **capacity.plan(busier, capacity_mbps)})
    if not plans:
        return {"agent_id": None, **capacity.plan(traffic.busier, capacity_mbps), "agents": []}
    plans.sort(key=soonest)
    return {**plans[0], "agents": plans[:MOST_LINKS]}


def soonest(plan: dict[str, Any]) -> tuple[float, float]:
    days = plan["days_until_80_percent"]
    return (float("inf") if days is None else days), -(plan["busy_hour_mbps"] or 0.0)


def coverage(hours: Series) -> dict[str, Any]:
    known = int(hours.known.sum())
    return {
        "known_hours": known,
        "hours": len(hours.values),
        "share": round(known / len(hours.values), 6) if len(hours.values) else 0.0,
    }
