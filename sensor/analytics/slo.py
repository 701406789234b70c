"""The specification's success metrics as objectives, each with its error budget (definitions 1.10).

An objective that passive measurement cannot tell is null and says why.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from sensor.analytics.figures import added, merged, percentiles_ms, ratio, time_text
from sensor.analytics.series import DAY_US, WINDOW_S, WINDOWS_KEPT_US
from sensor.analytics.timeframe import SECOND_US, runs_of
from sensor.store.events import EventFilter
from sensor.store.reading import Latency, ReadingStore, Scope

P99_MS, LOSS, AVAILABILITY, SAVED, DETECTED = 50.0, 0.0001, 0.9999, 0.30, 1.0
SLOWER = 0.01  # of the samples may be: that is what a 99th percentile says
FEWEST_SAMPLES, FEWEST_SEGMENTS = 100, 10_000
FEWEST_ATTEMPTS, FEWEST_ENDPOINTS = 3, 2
PRIVATE = "private"


def analyse(
    store: ReadingStore,
    scope: Scope,
    *,
    cost: float | None = None,
    baseline_cost: float | None = None,
) -> dict[str, Any]:
    """The answer of GET slo. cost, baseline_cost: of a month, now and before the optimizations."""
    return {
        "since": time_text(scope.since),
        "until": time_text(scope.until),
        "objectives": [
            latency(store, scope),
            loss(store, scope),
            availability(store, scope),
            savings(cost, baseline_cost),
            detection(store, scope),
        ],
    }


def objective(
    name: str,
    target: float,
    unit: str,
    value: float | None,
    met: bool | None,
    reason: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    return {"name": name, "target": target, "unit": unit, "value": value, "met": met,
            "reason": reason, "error_budget": None, **more}  # fmt: skip


def budget(bad: float, whole: float, allowed_share: float, what: str) -> dict[str, Any]:
    """How much of what may go wrong did; `remaining` below 0 is overspent."""
    allowed = whole * allowed_share
    consumed = bad / allowed if allowed > 0 else None
    return {
        "unit": what,
        "allowed": round(allowed, 6),
        "spent": round(bad, 6),
        "consumed": None if consumed is None else round(consumed, 6),
        "remaining": None if consumed is None else round(1 - consumed, 6),
    }


def latency(store: ReadingStore, scope: Scope) -> dict[str, Any]:
    """p99 of the endpoints in the agent's own region, and on private addresses."""
    found = regional(store, scope)
    name = "regional_latency_p99"
    if found.count < FEWEST_SAMPLES:
        why = f"fewer than {FEWEST_SAMPLES} samples of endpoints in the agents' own regions"
        return objective(name, P99_MS, "ms", None, None, why, samples=found.count)
    (p99,) = percentiles_ms(found, 99)
    slower = sum(n for us, n in found.slots.items() if us > P99_MS * 1000)
    is_met = None if p99 is None else p99 < P99_MS
    spent = budget(slower, found.count, SLOWER, "samples over the target")
    return objective(name, P99_MS, "ms", p99, is_met, samples=found.count) | {"error_budget": spent}


def regional(store: ReadingStore, scope: Scope) -> Latency:
    """Which endpoints are regional is known from the windows of the newest 14 days."""
    homes: dict[str, set[str | None]] = {}
    for run in runs_of(store, scope):
        homes.setdefault(run.agent_id, {PRIVATE}).add(run.region)
    recent = replace(scope, since=max(scope.since, scope.until - DAY_US))
    rows = store.metrics(recent, None, ("agent_id", "endpoint", "region"))
    columns = (rows[name].tolist() for name in ("agent_id", "endpoint", "region"))
    near = {
        (agent, endpoint)
        for agent, endpoint, region in zip(*columns, strict=True)
        if region is not None and region in homes.get(agent, ())
    }
    groups = store.latency(scope, None, ("agent_id", "endpoint"))
    return merged(group for group in groups if group.key in near)


def loss(store: ReadingStore, scope: Scope) -> dict[str, Any]:
    """TCP segments lost, of all with data; UDP's losses cannot be seen."""
    rows = store.metrics(scope, None)
    lost, segments = (
        float(np.nansum(rows[n])) if len(rows[n]) and not np.isnan(rows[n]).all() else None
        for n in ("packets_lost", "loss_segments")
    )
    whole = added(lost, segments)
    name = "packet_loss_rate"
    if lost is None or whole is None or whole < FEWEST_SEGMENTS:
        why = f"fewer than {FEWEST_SEGMENTS} TCP segments whose loss is known"
        return objective(name, LOSS, "fraction", None, None, why, segments=whole)
    rate = ratio(lost, whole)
    is_met = None if rate is None else rate < LOSS
    spent = budget(lost, whole, LOSS, "segments lost")
    return objective(name, LOSS, "fraction", rate, is_met, segments=int(whole)) | {
        "error_budget": spent
    }


def availability(store: ReadingStore, scope: Scope) -> dict[str, Any]:
    """Share of the observed minutes in which not every attempt to connect failed.

    A minute is down when at least 3 connections were tried, to at least 2 endpoints, and all came
    to nothing. Minutes without attempts say nothing against the network; minutes that nobody saw
    are left out. Minutes are kept for 14 days.
    """
    since = max(scope.since, scope.until - WINDOWS_KEPT_US)
    # From a whole hour on, whose windows are all still there.
    recent = replace(scope, since=-(-since // (3600 * SECOND_US)) * 3600 * SECOND_US)
    name = "network_availability"
    health = store.health(recent, WINDOW_S)
    observed = int(health["windows"].sum()) if len(health["windows"]) else 0
    minutes = len(health["bucket"])
    if not minutes:
        why = "no windows are kept of this period"
        return objective(name, AVAILABILITY, "fraction", None, None, why)
    down = down_minutes(store, recent)
    value = 1 - down / minutes
    spent = budget(down, minutes, 1 - AVAILABILITY, "minutes down")
    return objective(
        name, AVAILABILITY, "fraction", round(value, 9), value >= AVAILABILITY,
        since=time_text(recent.since), observed_minutes=minutes, observed_windows=observed,
    ) | {"error_budget": spent}  # fmt: skip


def down_minutes(store: ReadingStore, scope: Scope) -> int:
    """Minutes in which nothing that was tried worked."""
    whole = store.metrics(scope, WINDOW_S)
    new, failed = (np.nan_to_num(whole[n]) for n in ("connections_new", "connections_failed"))
    packets = np.nan_to_num(whole["handshakes"])
    suspects = whole["bucket"][(failed >= FEWEST_ATTEMPTS) & (failed >= new) & (packets == 0)]
    down = 0
    for at in suspects.tolist():
        minute = replace(scope, since=at, until=at + WINDOW_S * SECOND_US)
        rows = store.metrics(minute, None, ("agent_id", "endpoint"))
        failing = np.nan_to_num(rows["connections_failed"]) > 0
        down += int(failing.sum()) >= FEWEST_ENDPOINTS
    return down


def savings(cost: float | None, baseline_cost: float | None) -> dict[str, Any]:
    name, unit = "bandwidth_cost_reduction", "fraction"
    if cost is None or not baseline_cost:
        why = "no cost of a month before the optimizations is configured to compare with"
        return objective(name, SAVED, unit, None, None, why)
    value = round(1 - cost / baseline_cost, 6)
    return objective(name, SAVED, unit, value, value >= SAVED)


def detection(store: ReadingStore, scope: Scope) -> dict[str, Any]:
    """Live traffic has no labels: what was missed is not known. A corpus has (docs/accuracy.md)."""
    who = tuple(sorted({run.agent_id for run in runs_of(store, scope)}))
    which = EventFilter(
        event_type="dos_attack", since=scope.since, until=scope.until, agent_ids=who
    )
    return objective(
        "ddos_detection_rate", DETECTED, "fraction", None, None,
        "what was missed in live traffic is not known; docs/accuracy.md has the rate on a corpus",
        detected=store.count_events(which),
    )  # fmt: skip
