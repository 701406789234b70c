"""One agent's NetworkMetrics over a period (specification 1.1), with what they rest on.

The definitions are those of `sensor.metrics.registry`: a replay's figures and these agree.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from sensor.analytics.figures import (
    added,
    count,
    first,
    jitter_ms,
    known,
    mbps,
    mean_ms,
    merged,
    percentiles_ms,
    ratio,
    time_text,
)
from sensor.analytics.microbursts import bursts
from sensor.analytics.timeframe import Period, observed, observed_seconds, runs_of
from sensor.analytics.timeline import coarser, timeline
from sensor.model.rows import AgentRow
from sensor.store.reading import Closed, Columns, Latency, ReadingStore, Scope

WINDOW_S = 60
DAY_S = 86_400
SECOND_US = 1_000_000
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
ENDPOINT_SUMS = (
    "bytes_sent", "bytes_received", "connections_new", "connections_failed",
    "connection_reset_errors", "timeout_errors",
)  # fmt: skip
MOST_ENDPOINTS = 50
TCP_LEAVES = ("http", "https", "websocket", "grpc", "other_tcp")
UDP_LEAVES = ("quic", "other_udp")
PIE = ("http", "https", "websocket", "grpc")
OK, DEGRADED, BLIND = "ok", "degraded", "blind"
EXPIRED = "older than what is kept at this resolution"


def analyse(
    store: ReadingStore,
    agent_id: str,
    period: Period,
    *,
    include_geographic: bool = True,
    capacity_mbps: float | None = None,
) -> dict[str, Any]:
    """The answer of GET performance. Figures without samples are None, never 0."""
    scope = period.scope(agent_id)
    # As fine as windows where that is not too much; steps and totals are sums of these.
    fine = store.metrics(scope, WINDOW_S if period.seconds <= DAY_S else period.step_s)
    places = store.metrics(recent(scope), None, ("endpoint", "region", "app"))
    runs = runs_of(store, scope)
    spans = observed(runs, period.since, period.until)
    steps = coarser(fine, period.step_s)
    latency = store.latency(scope, None, ("endpoint",))
    seconds = store.bandwidth(scope, period.step_s)
    return {
        **network_metrics(
            store,
            scope,
            fine,
            places,
            merged(latency),
            seconds,
            include_geographic=include_geographic,
            capacity_mbps=capacity_mbps,
        ),
        "timeframe": period.timeframe,
        "since": time_text(period.since),
        "until": time_text(period.until),
        "coverage": coverage(spans, period),
        "latency_kinds": latency_kinds(store, scope),
        "series": timeline(
            store,
            scope,
            period.step_s,
            local_known=is_local_known(runs),
            steps=steps,
            seconds=seconds,
        ),
        "endpoints": endpoints(store, scope, places, latency),
    }


def network_metrics(
    store: ReadingStore,
    scope: Scope,
    windows: Columns,
    places: Columns,
    latency: Latency,
    traffic: Columns,
    *,
    include_geographic: bool = True,
    capacity_mbps: float | None = None,
) -> dict[str, Any]:
    """NetworkMetrics of the scope's one agent, `quality`, `sample_count`, `protocol_bytes`,
    `health` and `reasons`.

    windows: its metrics by window (or step), all endpoints together; places: by endpoint, region
    and app; traffic: its seconds, by any step.
    """
    runs = runs_of(store, scope)
    spans = observed(runs, scope.since, scope.until)
    seconds = observed_seconds(spans)
    newest = runs[-1] if runs else None
    health = health_of(store, scope)
    mix = protocol_bytes(store, scope)
    reasons: dict[str, str] = {}
    return {
        "agent_id": scope.agent_ids[0],
        "network_id": newest.network_id if newest else None,
        "measurement_period": (
            f"{time_text(spans[0][0])}/{time_text(spans[-1][1])}" if spans else None
        ),
        "latency_metrics": latency_metrics(latency, windows, health["quality"], reasons),
        "bandwidth_metrics": bandwidth_metrics(
            store, scope, windows, traffic, seconds, is_local_known(runs), capacity_mbps, reasons
        ),
        "connection_metrics": connection_metrics(windows, seconds, reasons),
        "protocol_distribution": protocol_distribution(mix, places),
        "geographic_distribution": (
            geographic_distribution(store, scope, newest) if include_geographic else None
        ),
        "quality": health["quality"],
        "sample_count": latency.count,
        "protocol_bytes": mix,
        "health": health,
        "reasons": reasons,
    }


def window_metrics(
    store: ReadingStore, closed: Closed, *, capacity_mbps: float | None = None
) -> dict[str, Any]:
    """network_metrics() of one window, whatever its length."""
    until = closed.timestamp + closed.window_s * SECOND_US
    scope = Scope(closed.timestamp, until, (closed.agent_id,), None, closed.window_s)
    windows = store.metrics(scope, None)
    places = store.metrics(scope, None, ("endpoint", "region", "app"))
    latency = merged(store.latency(scope, None))
    traffic = store.bandwidth(scope, closed.window_s)
    return network_metrics(
        store, scope, windows, places, latency, traffic, capacity_mbps=capacity_mbps
    )


def is_local_known(runs: list[AgentRow]) -> bool:
    """Whether the newest run knows which side is its own, and so has directions."""
    return bool(runs) and runs[-1].local_source != "unknown"


def recent(scope: Scope) -> Scope:
    """Its newest day: what needs windows is not asked of more."""
    return newest_of(scope, DAY_US)


def newest_hour(scope: Scope) -> Scope:
    return newest_of(scope, HOUR_US)


def newest_of(scope: Scope, length_us: int) -> Scope:
    since = max(scope.since, scope.until - length_us)
    return replace(scope, since=since)


def coverage(spans: list[tuple[int, int]], period: Period) -> float:
    """Share of the period that lies between a run's first and last packet, 0..1."""
    return round(sum(end - begin for begin, end in spans) / (period.until - period.since), 6)


def total(columns: Columns, name: str) -> float | None:
    """Sum over all steps; None when the figure is unknown in all."""
    values = columns[name]
    return None if np.isnan(values).all() else float(np.nansum(values))


def latency_metrics(
    latency: Latency, steps: Columns, quality: str | None, reasons: dict[str, str]
) -> dict[str, Any]:
    lost, segments = total(steps, "packets_lost"), total(steps, "loss_segments")
    loss = ratio(lost, added(lost, segments))
    if loss is not None and quality == BLIND:
        loss = None
        reasons["latency_metrics.packet_loss_rate"] = "the capture itself lost too much"
    elif loss is None:
        reasons["latency_metrics.packet_loss_rate"] = "no TCP data seen in both directions"
    if not latency.count:
        reasons["latency_metrics"] = "no latency was measured"
    p50, p95, p99 = percentiles_ms(latency, 50, 95, 99)
    return {
        "avg_latency_ms": mean_ms(latency),
        "p50_latency_ms": p50,
        "p95_latency_ms": p95,
        "p99_latency_ms": p99,
        "jitter_ms": jitter_ms(latency),
        "packet_loss_rate": loss,
    }


def bandwidth_metrics(
    store: ReadingStore,
    scope: Scope,
    steps: Columns,
    traffic: Columns,
    seconds: float,
    local_known: bool,
    capacity_mbps: float | None,
    reasons: dict[str, str],
) -> dict[str, Any]:
    where = "bandwidth_metrics"
    octets = [float(traffic[name].sum()) for name in ("bytes_in", "bytes_out", "bytes_other")]
    windows = added(total(steps, "bytes_received"), total(steps, "bytes_sent")) or 0.0
    # Seconds are kept for two days: beyond, the endpoints' windows know the octets.
    is_whole = sum(octets) >= 0.98 * windows
    received, sent = (
        (octets[0], octets[1])
        if is_whole
        else (total(steps, "bytes_received"), total(steps, "bytes_sent"))
    )
    ingress, egress = mbps(received, seconds), mbps(sent, seconds)
    peaks = [
        max(mbps(float(traffic[name].max()), 1.0) or 0.0, mean or 0.0)
        if len(traffic[name])
        else None
        for name, mean in (("peak_in", ingress), ("peak_out", egress))
    ]
    newest = store.bins(newest_hour(scope))
    frequency = bursts(
        newest["timestamp"],
        newest["bins_in"] + newest["bins_out"] + newest["bins_other"],
        capacity_mbps,
    ).per_hour
    if frequency is None:
        reasons[f"{where}.burst_frequency"] = "less than 10 s of traffic in the newest hour"
    if not is_whole:
        for name in ("peak_ingress_mbps", "peak_egress_mbps"):
            reasons[f"{where}.{name}"] = (
                "the busiest second of the newest two days, a lower bound"
                if len(traffic["bucket"])
                else EXPIRED
            )
    if not local_known:
        ingress = egress = None
        peaks = [None, None]
        reasons[where] = "the local side is not known: there is no direction"
    if capacity_mbps is None:
        reasons[f"{where}.bandwidth_utilization"] = "the link's capacity is not known"
    busier = max(ingress, egress) if ingress is not None and egress is not None else None
    return {
        "ingress_mbps": ingress,
        "egress_mbps": egress,
        "peak_ingress_mbps": peaks[0],
        "peak_egress_mbps": peaks[1],
        "bandwidth_utilization": ratio(busier, capacity_mbps),
        "burst_frequency": frequency,
    }


def connection_metrics(steps: Columns, seconds: float, reasons: dict[str, str]) -> dict[str, Any]:
    failed, resets, timeouts = (
        count(total(steps, name))
        for name in ("connections_failed", "connection_reset_errors", "timeout_errors")
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        active = steps["connections_active"] / steps["windows"]
    if not len(active):
        reasons["connection_metrics"] = "nothing was seen"
    elif np.isnan(active).all():
        reasons["connection_metrics.active_connections"] = EXPIRED
    return {
        "active_connections": None if np.isnan(active).all() else round(float(np.nanmax(active))),
        "new_connections_per_sec": ratio(total(steps, "connections_new"), seconds, 6),
        "closed_connections_per_sec": ratio(total(steps, "connections_closed"), seconds, 6),
        "connection_errors": count(added(failed, resets, timeouts)),
        "timeout_count": timeouts,
        "reset_count": resets,
    }


def protocol_bytes(store: ReadingStore, scope: Scope) -> dict[str, int]:
    """Octets by leaf, a partition; the largest first."""
    mix = store.protocols(scope, None)
    pairs = zip(mix["leaf"].tolist(), mix["bytes"].tolist(), strict=True)
    return {leaf: round(octets) for leaf, octets in sorted(pairs, key=lambda p: (-p[1], p[0]))}


def protocol_distribution(mix: dict[str, int], places: Columns) -> dict[str, float | None]:
    """Percent of all octets. DNS is split by the transports that its endpoints had of late."""
    whole = sum(mix.values())
    names = ("http", "https", "websocket", "grpc", "tcp", "udp")
    if not whole:
        return {f"{name}_percentage": None for name in names}
    dns = mix.get("dns", 0)
    by_tcp = dns * dns_over_tcp(places)
    octets = {leaf: float(mix.get(leaf, 0)) for leaf in PIE}
    octets["tcp"] = sum(mix.get(leaf, 0) for leaf in TCP_LEAVES) + by_tcp
    octets["udp"] = sum(mix.get(leaf, 0) for leaf in UDP_LEAVES) + dns - by_tcp
    return {f"{name}_percentage": round(octets[name] * 100 / whole, 6) for name in names}


def dns_over_tcp(places: Columns) -> float:
    """Share of DNS's octets that went over TCP, 0..1."""
    octets = places["bytes_sent"] + places["bytes_received"]
    is_dns = places["app"] == "dns"
    is_tcp = np.array([name.endswith("/tcp") for name in places["endpoint"]], bool)
    whole = float(octets[is_dns].sum())
    return float(octets[is_dns & is_tcp].sum()) / whole if whole else 0.0


def geographic_distribution(
    store: ReadingStore, scope: Scope, newest: AgentRow | None
) -> dict[str, Any]:
    found = store.regions(scope, None)
    rows = list(
        zip(
            found["region"].tolist(),
            found["bytes"].tolist(),
            found["connections"].tolist(),
            found["errors"].tolist(),
            found["latency_sum_us"].tolist(),
            found["latency_count"].tolist(),
            strict=True,
        )
    )
    latency = {name: ratio(known(sum_us), n) for name, _, _, _, sum_us, n in rows}
    return {
        "region": newest.region if newest else None,
        "latency_by_region": {
            name: None if us is None else round(us / 1000, 6) for name, us in latency.items()
        },
        "traffic_by_region": {name: round(octets) for name, octets, *_ in rows},
        "error_rate_by_region": {name: ratio(errors, n) for name, _, n, errors, *_ in rows},
    }


def latency_kinds(store: ReadingStore, scope: Scope) -> dict[str, Any]:
    """Every kind of latency with samples in the newest hour of the scope, by name."""
    newest = newest_hour(scope)
    made: dict[str, Any] = {}
    for kind in store.kinds(newest):
        found = merged(store.latency(newest, None, kind=kind))
        p50, p95, p99 = percentiles_ms(found, 50, 95, 99)
        made[kind] = {"count": found.count, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}
    return made


def endpoints(
    store: ReadingStore, scope: Scope, places: Columns, groups: Iterable[Latency]
) -> list[dict[str, Any]]:
    """The busiest endpoints; percentiles over the scope, region as last seen."""
    regions: dict[str, str | None] = {}
    for name, region in zip(places["endpoint"].tolist(), places["region"].tolist(), strict=True):
        regions[name] = region or regions.get(name)
    is_all = recent(scope) == scope  # `places` is of the newest day
    found = by_endpoint(places) if is_all else store.metrics(scope, None, ("endpoint",))
    octets = found["bytes_sent"] + found["bytes_received"]
    latency = {group.key[0]: group for group in groups}
    made = []
    for at in np.argsort(-octets, kind="stable")[:MOST_ENDPOINTS].tolist():
        name = found["endpoint"][at]
        p50, p95, p99 = percentiles_ms(latency.get(name), 50, 95, 99)
        made.append(
            {
                "endpoint": name,
                "region": regions.get(name),
                "bytes": round(octets[at]),
                "p50_ms": p50,
                "p95_ms": p95,
                "p99_ms": p99,
                "connections": count(found["connections_new"][at]),
                "errors": count(
                    added(
                        known(found["connections_failed"][at]),
                        known(found["connection_reset_errors"][at]),
                        known(found["timeout_errors"][at]),
                    )
                ),
            }
        )
    return made


def by_endpoint(places: Columns) -> Columns:
    """Rows by endpoint and more, added up by endpoint, in its order; NaN where all are."""
    names, group = np.unique(places["endpoint"], return_inverse=True)
    made: Columns = {"endpoint": names}
    for column in ENDPOINT_SUMS:
        told = ~np.isnan(places[column])
        sums = np.bincount(group[told], places[column][told], len(names))
        made[column] = np.where(np.bincount(group[told], minlength=len(names)) > 0, sums, np.nan)
    return made


def health_of(store: ReadingStore, scope: Scope) -> dict[str, Any]:
    """How much of the traffic was seen, and the quality that follows for the whole period."""
    found = store.health(scope, None)
    windows, degraded, blind = (
        count(first(found, name)) or 0 for name in ("windows", "degraded", "blind")
    )
    sums = {name: count(first(found, name)) for name in found if name != "bucket"}
    return {
        **sums,
        "windows": windows,
        "degraded_windows": degraded,
        "blind_windows": blind,
        "quality": quality(windows, degraded, blind),
    }


def quality(windows: int, degraded: int, blind: int) -> str | None:
    """Blind when half of the windows are; None without windows."""
    if not windows:
        return None
    return BLIND if blind * 2 >= windows else DEGRADED if degraded + blind else OK
