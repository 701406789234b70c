"""Where latency can be won (specification 3.1, definitions 1.7).

Percentiles are those of merged histograms. A recommendation follows from a measured cause: a CDN
helps against distance, not against a queue or a slow server. What a change would bring cannot be
measured passively, so no benefit is promised.
"""

from collections.abc import Sequence
from typing import Any

from sensor.analytics.figures import (
    added,
    jitter_ms,
    known,
    mean_ms,
    merged,
    milliseconds,
    percentiles_ms,
    ratio,
)
from sensor.store.reading import Latency, ReadingStore, Scope

CRITICAL_MS, HIGH_MS, MODERATE_MS = 500, 200, 100  # p99, the specification's
HIGH_JITTER_MS, MODERATE_JITTER_MS = 50, 20
FEWEST = 100  # samples, with fewer a 99th percentile is the maximum
MOST = 200  # endpoints answered, the slowest first
DISTANT_MS = 50.0  # even the shortest round trip is this long
STEADY = 1.5  # and half of them are not much longer
QUEUE = 3.0  # the 95th percentile is this many times the shortest
QUEUE_MS = 20.0
LOSSY = 0.01
NOT_ESTIMABLE = "not estimable from passive measurement"
MONITOR = "Monitor continuously"
REMEDIES = {
    "distance": ("Add CDN", "Consider edge deployment", "Optimize routing"),
    "queueing": ("Implement QoS", "Traffic shaping"),
    "loss": ("Find and mend the lossy link", "Optimize routing"),
    "mixed_clients": ("Compare clients by region",),
    "jitter": ("Implement QoS", "Use dedicated bandwidth", "Traffic shaping"),
}
# Parts of a request's time and the kind of latency that measures each.
PARTS = {
    "connect": "tcp_handshake",
    "tls": "tls_handshake",
    "network_rtt": "tcp_rtt",
    "server_turnaround": "http_response",
}


def analyse(store: ReadingStore, scope: Scope) -> list[dict[str, Any]]:
    """Rows of latency_optimization_opportunities, the slowest first; more columns at the end."""
    hours: dict[tuple[str | None, ...], list[Latency]] = {}
    for group in store.latency(scope, 3600, ("agent_id", "endpoint")):
        hours.setdefault(group.key, []).append(group)
    whole = {key: merged(parts) for key, parts in hours.items()}
    slowest = sorted(whole, key=lambda key: (-(percentiles_ms(whole[key], 99)[0] or 0.0), str(key)))
    losses, (regions, served) = loss_rates(store, scope), places(store, scope)
    return [
        opportunity(
            key, whole[key], hours[key], losses.get(key), regions.get(key, []), key in served
        )
        for key in slowest[:MOST]
    ]


def opportunity(
    key: tuple[str | None, ...],
    latency: Latency,
    hours: Sequence[Latency],
    loss: float | None,
    regions: list[dict[str, Any]],
    served: bool,
) -> dict[str, Any]:
    """One row: the view's columns in its order, then ours."""
    p50, p95, p99 = percentiles_ms(latency, 50, 95, 99)
    worst = [p for hour in hours if (p := percentiles_ms(hour, 99)[0]) is not None]
    jitter = jitter_ms(latency)
    enough = latency.count >= FEWEST
    why = causes(latency, loss, served) if enough else []
    return {
        "agent_id": key[0],
        "endpoint": key[1],
        "avg_p50_ms": p50,
        "avg_p95_ms": p95,
        "avg_p99_ms": p99,
        "max_p99_ms": max(worst, default=None),
        "avg_jitter_ms": jitter,
        "latency_status": latency_status(p99) if enough else "insufficient_data",
        "jitter_status": jitter_status(jitter),
        "regional_latencies": regions,
        "optimization_recommendations": recommendations(why),
        "high_latency_hours": sum(p > MODERATE_MS for p in worst),
        "samples": latency.count,
        "min_ms": milliseconds(latency.min_us),
        "avg_ms": mean_ms(latency),
        "packet_loss_rate": loss,
        "causes": why,
        "reason": None if enough else f"fewer than {FEWEST} samples",
    }


def latency_status(p99_ms: float | None) -> str:
    if p99_ms is None:
        return "insufficient_data"
    for limit, name in (
        (CRITICAL_MS, "critical_latency"),
        (HIGH_MS, "high_latency"),
        (MODERATE_MS, "moderate_latency"),
    ):
        if p99_ms > limit:
            return name
    return "acceptable"


def jitter_status(ms: float | None) -> str:
    if ms is None:
        return "insufficient_data"
    if ms > HIGH_JITTER_MS:
        return "high_jitter"
    return "moderate_jitter" if ms > MODERATE_JITTER_MS else "low_jitter"


def causes(latency: Latency, loss: float | None, served: bool) -> list[dict[str, Any]]:
    """What the shape of the distribution says, each with the figures that say it.

    `served`: the agent is the server, so the round trips are those to many clients: a wide
    distribution says that these differ, not that there is a queue.
    """
    p50, p95, p99 = percentiles_ms(latency, 50, 95, 99)
    shortest, jitter = milliseconds(latency.min_us), jitter_ms(latency)
    if p50 is None or p95 is None or p99 is None or shortest is None:
        return []
    found: list[dict[str, Any]] = []
    if p99 > MODERATE_MS and shortest >= DISTANT_MS and p50 <= STEADY * shortest:
        found.append({"cause": "distance", "evidence": {"min_ms": shortest, "p50_ms": p50}})
    if p99 > MODERATE_MS and p95 > QUEUE * shortest and p95 - shortest > QUEUE_MS:
        found.append(
            {
                "cause": "mixed_clients" if served else "queueing",
                "evidence": {"min_ms": shortest, "p95_ms": p95},
            }
        )
    if loss is not None and loss > LOSSY:
        found.append({"cause": "loss", "evidence": {"packet_loss_rate": loss}})
    if jitter is not None and jitter > HIGH_JITTER_MS:
        found.append({"cause": "jitter", "evidence": {"jitter_ms": jitter}})
    return found


def recommendations(why: Sequence[dict[str, Any]]) -> list[str]:
    named = dict.fromkeys(text for cause in why for text in REMEDIES[cause["cause"]])
    return list(named) or [MONITOR]


def loss_rates(store: ReadingStore, scope: Scope) -> dict[tuple[str | None, ...], float | None]:
    found = store.metrics(scope, None, ("agent_id", "endpoint"))
    columns = (found[n].tolist() for n in ("agent_id", "endpoint", "packets_lost", "loss_segments"))
    return {
        (agent, endpoint): ratio(known(lost), added(known(lost), known(segments)))
        for agent, endpoint, lost, segments in zip(*columns, strict=True)
    }


def places(
    store: ReadingStore, scope: Scope
) -> tuple[dict[tuple[str | None, ...], list[dict[str, Any]]], set[tuple[str | None, ...]]]:
    """Over the newest day: mean latency by region of each endpoint, the slowest first; and which
    endpoints the agent serves."""
    since = max(scope.since, scope.until - 86_400_000_000)
    day = Scope(since, scope.until, scope.agent_ids, scope.workspace_id)
    found = store.metrics(day, None, ("agent_id", "endpoint", "region", "role"))
    names = ("agent_id", "endpoint", "region", "role", "latency_sum_us", "latency_count")
    rows = list(zip(*(found[name].tolist() for name in names), strict=True))
    sums: dict[tuple[str | None, ...], dict[str, tuple[float, float]]] = {}
    for agent, endpoint, region, _, sum_us, n in rows:
        if region is not None and n:
            regions = sums.setdefault((agent, endpoint), {})
            before = regions.get(region, (0.0, 0.0))
            regions[region] = before[0] + sum_us, before[1] + n
    made = {
        key: sorted(
            (
                {"region": region, "latency_ms": milliseconds(sum_us / n)}
                for region, (sum_us, n) in regions.items()
            ),
            key=slowest_first,
        )
        for key, regions in sums.items()
    }
    return made, {(agent, endpoint) for agent, endpoint, _, role, *_ in rows if role == "responder"}


def slowest_first(one: dict[str, Any]) -> tuple[float, str]:
    return -(one["latency_ms"] or 0.0), one["region"]


def optimise(
    store: ReadingStore, scope: Scope, target_p99_ms: float, regions: Sequence[str] = ()
) -> dict[str, Any]:
    """The answer of POST optimize-latency.

    `regions`: only endpoints that were seen in one of these; none: all.
    """
    rows = analyse(store, scope)
    wanted = set(regions)
    if wanted:
        rows = [r for r in rows if wanted & {one["region"] for one in r["regional_latencies"]}]
    names = {row["endpoint"] for row in rows}
    groups = store.latency(scope, None, ("endpoint",))
    network = merged(group for group in groups if not wanted or group.key[0] in names)
    p99 = percentiles_ms(network, 99)[0]
    gap = None if p99 is None else round(p99 - target_p99_ms, 6)
    above = [row for row in rows if (row["avg_p99_ms"] or 0.0) > target_p99_ms]
    return {
        "target_p99_ms": target_p99_ms,
        "regions": sorted(wanted),
        "current_p99_ms": p99,
        "gap_ms": gap,
        "target_met": None if gap is None else gap <= 0,
        "sample_count": network.count,
        "gap_explained": explained(store, scope, target_p99_ms),
        "recommendations": [advice(row, target_p99_ms) for row in above if row["causes"]],
        "endpoints": above,
        "opportunities": rows,
        "reason": None if network.count else "no latency was measured",
    }


def explained(store: ReadingStore, scope: Scope, target_ms: float) -> list[dict[str, Any]]:
    """How far each part of a request's time is above the target by itself, and its share of that.

    The parts are measured apart, so they need not add up to the gap of the network's latency. The
    server's turnaround is the response time without the median round trip: an estimate.
    """
    found = {part: merged(store.latency(scope, None, kind=kind)) for part, kind in PARTS.items()}
    rtt = percentiles_ms(found["network_rtt"], 50)[0] or 0.0
    made: list[dict[str, Any]] = []
    for part, latency in found.items():
        p50, p99 = percentiles_ms(latency, 50, 99)
        estimated = part == "server_turnaround"
        if estimated and p50 is not None and p99 is not None:
            p50, p99 = (round(max(ms - rtt, 0.0), 6) for ms in (p50, p99))
        over = None if p99 is None else round(max(p99 - target_ms, 0.0), 6)
        made.append(
            {"part": part, "kind": PARTS[part], "samples": latency.count, "p50_ms": p50,
             "p99_ms": p99, "above_target_ms": over, "estimated": estimated,
             "reason": None if latency.count else "no samples"}
        )  # fmt: skip
    whole = sum(row["above_target_ms"] or 0.0 for row in made)
    for row in made:
        row["share_of_gap"] = ratio(row["above_target_ms"], whole, 6)
    return made


def advice(row: dict[str, Any], target_ms: float) -> dict[str, Any]:
    return {
        "agent_id": row["agent_id"],
        "endpoint": row["endpoint"],
        "gap_ms": round(row["avg_p99_ms"] - target_ms, 6),
        "causes": row["causes"],
        "recommendations": row["optimization_recommendations"],
        "expected_improvement_ms": None,
        "reason": NOT_ESTIMABLE,
    }
