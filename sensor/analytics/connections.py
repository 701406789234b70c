"""Connection lifecycle, pooling, keep-alive, errors (specification 5.1, definitions 1.3).

Rates come from the windows' counters; durations, states and pools from the finished connections
that are still kept (a day of them), at most the newest 50,000.
"""

from collections import Counter
from typing import Any

import numpy as np

from sensor.analytics.figures import added, count, first, known, ratio
from sensor.analytics.lifecycle import patterns, transitions
from sensor.analytics.pooling import Mask, pooling
from sensor.analytics.timeframe import Period
from sensor.store.reading import Columns, ReadingStore, Scope

MOST = 50_000
FAILED = ("S0", "REJ", "RSTOS0", "SH")  # Zeek's states of TCP that came to nothing
REFUSED = ("REJ", "RSTOS0")
SHORT_US = 1_000_000
CHURN, IDLE, TIMEOUTS = 0.5, 0.4, 0.01  # above which there is advice, the specification's
LEAST_TIMEOUT_MS = 1000  # RFC 6298's first retransmission
NOT_ESTIMABLE = "not estimable from passive measurement"
NO_ROWS = "no finished connections are kept of this period"


def analyse(store: ReadingStore, agent_id: str, period: Period) -> dict[str, Any]:
    """The answer of GET connections."""
    scope = period.scope(agent_id)
    rows = store.connections(scope, MOST)
    totals = store.metrics(scope, None)
    is_tcp = np.asarray(rows["protocol"] == "tcp")
    failed = is_tcp & np.isin(rows["conn_state"].astype(str), FAILED)
    carried = ~np.isnan(rows["handshake_us"]) | (rows["orig_bytes"] + rows["resp_bytes"] > 0)
    established = is_tcp & ~failed & carried
    lifecycle = lifecycle_of(store, scope, rows, failed)
    pools = pooling(rows, established)
    errors = errors_of(rows, totals, failed)
    reasons: dict[str, str] = {}
    if not len(rows["ended_at"]):
        reasons["connection_lifecycle"] = reasons["pooling_efficiency"] = NO_ROWS
    return {
        "connection_lifecycle": lifecycle,
        "pooling_efficiency": pools,
        "keep_alive_effectiveness": keep_alive(store, scope),
        "connection_errors": errors,
        "optimizations": optimizations(lifecycle, pools, errors, rows),
        "pool": {
            "active": pools["avg_busy_connections"],
            "idle": (
                None
                if pools["avg_open_connections"] is None
                else round(pools["avg_open_connections"] - pools["avg_busy_connections"], 3)
            ),
            "failed": errors["failed"],
            "basis": "time averages of " + pools["basis"],
        },
        "agent_id": agent_id,
        "timeframe": period.timeframe,
        "connections_looked_at": len(rows["ended_at"]),
        "reasons": reasons,
    }


def mean_of(values: Any, scale: float = 1000) -> float | None:
    """Mean of what is known; None without."""
    found = values[~np.isnan(values)]
    return round(float(found.mean()) / scale, 6) if found.size else None


def lifecycle_of(store: ReadingStore, scope: Scope, rows: Columns, failed: Mask) -> dict[str, Any]:
    n = len(rows["ended_at"])
    churn, churning = churn_of(store, scope)
    reuse, estimated = reuse_of(store, scope)
    return {
        "avg_connection_duration_ms": mean_of(rows["duration_us"]),
        "connection_establishment_time_ms": mean_of(rows["handshake_us"]),
        "successful_connections": n - int(failed.sum()) if n else None,
        "failed_connections": int(failed.sum()) if n else None,
        "churn_rate": churn,
        "reuse_rate": reuse,
        "reuse_rate_estimated": estimated,
        "state_transitions": transitions(rows),
        "patterns": patterns(rows, failed),
        "short_lived_share": ratio(int((rows["duration_us"] < SHORT_US).sum()), n),
        "churning_endpoints": churning,
    }


def churn_of(store: ReadingStore, scope: Scope) -> tuple[float | None, list[dict[str, Any]]]:
    """Share of a window's connections that were new in it, 0..1; and the endpoints with most."""
    found = store.metrics(scope, None, ("endpoint",))
    new = np.nan_to_num(found["connections_new"])
    # An attempt without an answer is new, but never active.
    whole = np.maximum(np.nan_to_num(found["connections_active"]), new)
    if np.isnan(found["connections_active"]).all():
        return None, []
    order = np.argsort(-new, kind="stable")[:5].tolist()
    endpoints = [
        {"endpoint": found["endpoint"][at], "new_connections": round(new[at]),
         "churn_rate": ratio(new[at], whole[at], 6)}
        for at in order if new[at]
    ]  # fmt: skip
    return ratio(float(new.sum()), float(whole.sum()), 6), endpoints


def requests_of(store: ReadingStore, scope: Scope) -> dict[str, tuple[float, float]]:
    """Requests and connections: of cleartext HTTP (counted) and of TLS (turns: an estimate)."""
    day = Scope(max(scope.since, scope.until - 86_400_000_000), scope.until, scope.agent_ids)
    found = store.metrics(day, None, ("app",))
    made = {}
    for name, column in (("http", "http_requests"), ("https", "https_requests")):
        counted = np.nan_to_num(found[column])
        opened = np.nan_to_num(found["connections_new"])[counted > 0]
        made[name] = float(counted.sum()), float(opened.sum())
    return made


def reuse_of(store: ReadingStore, scope: Scope) -> tuple[float | None, bool]:
    """1 - connections / requests over the newest day; whether TLS's estimate is in it."""
    found = requests_of(store, scope)
    requests, opened = (sum(pair[at] for pair in found.values()) for at in (0, 1))
    if not requests:
        return None, False
    return round(max(0.0, 1 - opened / requests), 6), found["https"][0] > 0


def keep_alive(store: ReadingStore, scope: Scope) -> dict[str, Any]:
    found = requests_of(store, scope)
    made: dict[str, Any] = {}
    for name, (requests, opened) in found.items():
        made[f"{name}_requests_per_connection"] = ratio(requests, opened, 3)
        made[f"{name}_reuse_rate"] = round(max(0.0, 1 - opened / requests), 6) if requests else None
    return {
        **made,
        "https_estimated": True,
        "reason": None if any(r for r, _ in found.values()) else "no requests were seen",
    }


def errors_of(rows: Columns, totals: Columns, failed: Mask) -> dict[str, Any]:
    opened = first(totals, "connections_new")
    sums = {
        name: first(totals, column)
        for name, column in (
            ("failed", "connections_failed"),
            ("timeouts", "timeout_errors"),
            ("resets", "connection_reset_errors"),
            ("dns_errors", "dns_resolution_errors"),
            ("tls_errors", "ssl_handshake_errors"),
        )
    }
    states = Counter(rows["conn_state"][failed].tolist())
    return {
        "total_errors": count(added(sums["failed"], sums["timeouts"], sums["resets"])),
        "error_rate": ratio(sums["failed"], opened, 6),
        "timeout_rate": ratio(sums["timeouts"], opened, 6),
        "reset_rate": ratio(sums["resets"], opened, 6),
        **{name: count(value) for name, value in sums.items()},
        "refused": sum(states[state] for state in REFUSED),
        "unanswered": states["S0"] + states["SH"],
        "by_state": dict(sorted(states.items())),
    }


def optimizations(
    lifecycle: dict[str, Any], pools: dict[str, Any], errors: dict[str, Any], rows: Columns
) -> list[dict[str, Any]]:
    """The specification's three, where its thresholds are passed; only measured benefits."""
    made: list[dict[str, Any]] = []
    churn = lifecycle["churn_rate"]
    if churn is not None and churn > CHURN:
        spared = sum(max(one["connections"] - one["recommended_pool_size"], 0)
                     for one in pools["pools"])  # fmt: skip
        made.append(
            {
                "type": "reduce_connection_churn",
                "current_churn_rate": churn,
                "recommendation": "Implement connection pooling",
                "endpoints": lifecycle["churning_endpoints"],
                "expected_improvement": None,
                "avoidable_connections_at_most": spared if pools["pools"] else None,
                "reason": "connections beyond the recommended pools, if all of them were reusable",
            }
        )
    idle = pools["idle_connection_ratio"]
    if idle is not None and idle > IDLE:
        made.append(
            {
                "type": "optimize_pool_size",
                "current_idle_ratio": idle,
                "recommended_pool_size": pools["recommended_pool_size"],
                "expected_savings": None,
                "reason": NOT_ESTIMABLE,
            }
        )
    timeouts = errors["timeout_rate"]
    if timeouts is not None and timeouts > TIMEOUTS:
        made.append(
            {
                "type": "adjust_timeouts",
                "current_timeout_rate": timeouts,
                "recommended_settings": timeout_settings(rows),
                "expected_improvement": None,
                "reason": NOT_ESTIMABLE,
            }
        )
    return made


def timeout_settings(rows: Columns) -> dict[str, Any]:
    """A connect timeout that would not have given up on a handshake that was seen to succeed."""
    seen = rows["handshake_us"][~np.isnan(rows["handshake_us"])]
    if not seen.size:
        return {"connect_timeout_ms": None, "reason": "no handshake was seen whole"}
    p99 = known(np.percentile(seen, 99, method="inverted_cdf")) or 0.0
    return {
        "connect_timeout_ms": max(LEAST_TIMEOUT_MS, round(p99 * 4 / 1000)),
        "handshake_p99_ms": round(p99 / 1000, 3),
        "reason": None,
    }
