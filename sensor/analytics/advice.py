"""Recommendations out of findings (definitions 1.5): each names the figure that made it.

What a change would bring is not measured, so no benefit is promised.
"""

from typing import Any

NOT_ESTIMABLE = "not estimable from passive measurement"
REMEDIES = {
    "link_saturated": "Add capacity, or move bulk transfers out of these hours",
    "loss_congestion": "Shape or move what fills the path in busy hours; ask for its capacity",
    "lossy_path": "Find and mend the lossy link: it loses without load, too",
    "queueing": "Use a queue that keeps delay short (fq_codel, CAKE), or shape below the rate",
    "receiver_limited": "Let the receiver read faster or give it larger buffers",
    "server_slow": "Look at the server: the network answers fast, it does not",
    "sensor": "Give the sensor more room (ring_mib, CPU): figures of these windows are too low",
}
FULL_SOON_DAYS = 90
CONCENTRATED = 0.5  # variation coefficient of the day
MOST = 50


def optimizations(analysis: dict[str, Any], capacity: dict[str, Any]) -> list[dict[str, Any]]:
    """`optimizations` of the specification, what is about most of the traffic first."""
    made = [
        one(
            f"bottleneck:{found['cause']}", found["cause"], REMEDIES[found["cause"]],
            found["evidence"], found["threshold"], found["endpoint"], found["agent_id"],
        )
        for found in analysis["bottleneck_analysis"]["bottlenecks"]
    ]  # fmt: skip
    days = capacity["days_until_80_percent"]
    if days is not None and days <= FULL_SOON_DAYS:
        made.append(
            one("capacity:days_until_80_percent", "capacity", "Plan more capacity",
                {"days_until_80_percent": days, "days_interval": capacity["days_interval"]},
                {"days": FULL_SOON_DAYS}, None, capacity["agent_id"])
        )  # fmt: skip
    for again in analysis["burst_analysis"]["recurring"]:
        made.append(
            one("burst:recurring", "recurring_burst",
                f"Spread what starts at {again['at']} over more time, or pace it",
                again, {"days": 3}, None, None)
        )  # fmt: skip
    daily = [p for p in analysis["traffic_patterns"] if p["type"] == "daily"]
    for pattern in daily:
        variation = pattern["variation_coefficient"]
        if pattern["status"] == "found" and variation is not None and variation > CONCENTRATED:
            made.append(
                one("pattern:daily", "uneven_day",
                    "Move what can wait (backups, batches) to the off-peak hours",
                    {"variation_coefficient": variation, "peak_hours": pattern["peak_hours"],
                     "off_peak_hours": pattern["off_peak_hours"]},
                    {"variation_coefficient": CONCENTRATED}, None, None)
            )  # fmt: skip
    return made[:MOST]


def one(
    finding: str,
    kind: str,
    recommendation: str,
    evidence: dict[str, Any],
    threshold: dict[str, Any],
    endpoint: str | None,
    agent: str | None,
) -> dict[str, Any]:
    return {
        "finding": finding,
        "type": kind,
        "recommendation": recommendation,
        "agent_id": agent,
        "endpoint": endpoint,
        "evidence": evidence,
        "threshold": threshold,
        "expected_effect": None,
        "reason": NOT_ESTIMABLE,
    }
