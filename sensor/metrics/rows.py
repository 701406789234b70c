"""One window becomes the rows that a store keeps.

A figure that was not measured is None; one that was measured and is nothing is 0. Percentiles are
read from merged histograms. Everything here is a function of the window and the run.
"""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor._native.counters import Counter
from sensor._native.faces import KINDS, LEAVES, Rows, Window
from sensor.metrics.endpoints import labels
from sensor.metrics.geography import by_region, region_of
from sensor.metrics.health import gap_ratio, quality
from sensor.metrics.histograms import Latency
from sensor.metrics.latency import two_way
from sensor.model.application import NAME_SOURCES, RESPONDER, ROLES, SERVICES
from sensor.model.endpoint import OTHER
from sensor.model.rows import (
    AgentRow,
    BandwidthSecond,
    CaptureHealthRow,
    LatencyHistogramRow,
    MetricsRow,
    ProtocolMixRow,
    RegionalRow,
    WindowRows,
)

TOP = 500  # endpoints with a row of their own
TCP = 6  # IP protocol number
When = tuple[str, str, int, int]  # agent_id, boot_id, timestamp, window_s
OCTETS = [Counter.C_BYTES_SENT, Counter.C_BYTES_RECEIVED]

COUNTED = {  # column: counter that every endpoint has
    "packets_sent": Counter.C_PACKETS_SENT,
    "packets_received": Counter.C_PACKETS_RECEIVED,
    "bytes_sent": Counter.C_BYTES_SENT,
    "bytes_received": Counter.C_BYTES_RECEIVED,
    "connections_active": Counter.C_CONNECTIONS_ACTIVE,
    "connections_new": Counter.C_CONNECTIONS_NEW,
    "connections_closed": Counter.C_CONNECTIONS_CLOSED,
    "connections_failed": Counter.C_CONNECTIONS_FAILED,
    "timeout_errors": Counter.C_TIMEOUTS,
    "connection_reset_errors": Counter.C_RESETS,
    "dns_resolution_errors": Counter.C_DNS_ERRORS,
    "ssl_handshake_errors": Counter.C_TLS_ERRORS,
    "http_requests": Counter.C_HTTP_REQUESTS,
    "https_requests": Counter.C_HTTPS_TURNS,
    "websocket_frames": Counter.C_WS_FRAMES,
    "grpc_calls": Counter.C_GRPC_CALLS,
    "http_responses": Counter.C_HTTP_RESPONSES,
    "http_4xx": Counter.C_HTTP_4XX,
    "http_5xx": Counter.C_HTTP_5XX,
    "http2_requests": Counter.C_HTTP2_REQUESTS,
    "tls_client_hellos": Counter.C_TLS_CLIENT_HELLOS,
    "tls_fatal_alerts": Counter.C_TLS_FATAL_ALERTS,
    "dns_queries": Counter.C_DNS_QUERIES,
    "dns_responses": Counter.C_DNS_RESPONSES,
    "dns_nxdomain": Counter.C_DNS_NXDOMAIN,
    "dns_servfail": Counter.C_DNS_SERVFAIL,
    "dns_unanswered": Counter.C_DNS_UNANSWERED,
    "quic_connections": Counter.C_QUIC_CONNECTIONS,
    "rtp_packets": Counter.C_RTP_PACKETS,
    "rtp_lost": Counter.C_RTP_LOST,
    "cache_hits": Counter.C_CACHE_HITS,
    "cache_misses": Counter.C_CACHE_MISSES,
    "cache_bypasses": Counter.C_CACHE_BYPASSES,
}
# Handshakes are not among them: the native floor counts one before it knows the endpoint.
TCP_COUNTED = {  # column: counter that only TCP has
    "packets_retransmitted": Counter.C_RETRANSMISSIONS,
    "spurious_retransmissions": Counter.C_SPURIOUS,
    "out_of_order": Counter.C_OUT_OF_ORDER,
    "zero_windows": Counter.C_ZERO_WINDOWS,
    "capture_gaps": Counter.C_CAPTURE_GAPS,
    "data_segments": Counter.C_DATA_SEGMENTS,
    "acks": Counter.C_ACKS,
}


def rows_of(
    window: Window,
    agent: AgentRow,
    connections: Iterable[tuple[object, ...]],
    risen: dict[str, int],
    anomalies: dict[str, int],
) -> WindowRows:
    """All rows of one window.

    risen, anomalies: what the engine's counters and anomalies rose by since the window before.
    """
    seen: Window = window.copy()
    seen["health"] = {**risen, **window["health"]}
    flag = quality(seen)
    when: When = (agent.agent_id, agent.boot_id, window["start_ns"] // 1000, window_seconds(window))
    metrics, folded = metrics_rows(window, agent, flag)
    return WindowRows(
        agent=agent,
        metrics=metrics,
        connections=connections,
        bandwidth=bandwidth_rows(window, agent),
        protocols=[
            ProtocolMixRow(*when, *row)
            for row in zip(
                LEAVES,
                window["leaf_bytes"].tolist(),
                window["leaf_packets"].tolist(),
                window["leaf_connections"].tolist(),
                strict=True,
            )
            if any(row[1:])
        ],
        latency=list(latency_rows(window, when)),
        regions=[
            RegionalRow(
                *when,
                name,
                r.bytes,
                r.packets,
                r.connections,
                r.errors,
                microseconds(r.latency_sum_ns / r.latency_count) if r.latency_count else None,
                r.latency_count,
            )
            for name, r in sorted(by_region(window).items())
        ],
        health=[health_row(seen, when, flag, folded, anomalies)],
    )


def window_seconds(window: Window) -> int:
    return (window["end_ns"] - window["start_ns"]) // 10**9


def microseconds(ns: float) -> int:
    """Rounded to the nearest."""
    return int((ns + 500) // 1000)


def metrics_rows(window: Window, agent: AgentRow, flag: str) -> tuple[list[MetricsRow], int]:
    """One row per label, the busiest first; and how many connections were folded into `__other__`.

    Native rows of one label (a name with several addresses, or roles) are merged.
    """
    rows = window["endpoints"]
    groups: dict[str, list[int]] = {}
    for at, label in enumerate([OTHER, *labels(rows[1:])]):
        groups.setdefault(label, []).append(at)
    octets = rows["counters"][:, OCTETS].sum(axis=1)
    rest = groups.pop(OTHER)
    ordered = sorted(groups, key=lambda label: (-int(octets[groups[label]].sum()), label))
    beyond = [at for label in ordered[TOP:] for at in groups[label]]
    made = [metrics_row(window, agent, flag, label, groups[label]) for label in ordered[:TOP]]
    rest += beyond
    if rows["counters"][rest].any():
        made.append(metrics_row(window, agent, flag, OTHER, rest))
    folded = rows["counters"][beyond][:, [Counter.C_CONNECTIONS_ACTIVE, Counter.C_CONNECTIONS_NEW]]
    return made, int(folded.max(axis=1, initial=0).sum())  # an attempt is new, but not yet active


def metrics_row(
    window: Window, agent: AgentRow, flag: str, label: str, at: list[int]
) -> MetricsRow:
    rows = window["endpoints"][at]
    counters = rows["counters"].sum(axis=0, dtype=np.uint64)
    is_other = label == OTHER
    is_tcp = is_other or bool((rows["protocol"] == TCP).any())
    latency = latency_of(window, at)
    p50, p95, p99 = latency.percentiles_us(50, 95, 99)
    jitter_count, jitter_sum = int(rows["jitter_count"].sum()), int(rows["jitter_sum_ns"].sum())
    upstream, downstream = lost(rows)
    busiest = rows[int(rows["counters"][:, OCTETS].sum(axis=1).argmax())]
    role = int(busiest["role"])
    return MetricsRow(
        agent_id=agent.agent_id,
        boot_id=agent.boot_id,
        network_id=agent.network_id,
        workspace_id=agent.workspace_id,
        endpoint=label,
        timestamp=window["start_ns"] // 1000,
        created_at=window["end_ns"] // 1000,
        window_s=window_seconds(window),
        quality=flag,
        region=None if is_other or role == RESPONDER else region_of(bytes(busiest["address"])),
        role=None if is_other else named(role, ROLES),
        app=None if is_other else named(int(busiest["app"]), SERVICES),
        name_source=None if is_other else named(int(busiest["name_source"]), NAME_SOURCES),
        latency_avg_us=rounded(latency.mean_us),
        latency_p50_us=rounded(p50),
        latency_p95_us=rounded(p95),
        latency_p99_us=rounded(p99),
        latency_hist=latency.encode(),
        latency_count=latency.count,
        latency_sum_us=microseconds(latency.sum_ns) if latency.count else None,
        latency_min_us=None if latency.min_ns is None else microseconds(latency.min_ns),
        latency_max_us=None if latency.max_ns is None else microseconds(latency.max_ns),
        jitter_us=microseconds(jitter_sum / jitter_count) if jitter_count else None,
        jitter_count=jitter_count,
        jitter_sum_us=microseconds(jitter_sum) if jitter_count else None,
        packets_lost=None if upstream is None or downstream is None else upstream + downstream,
        packets_lost_upstream=upstream,
        packets_lost_downstream=downstream,
        connections_one_way=int(rows["one_way"].sum()) if is_tcp else None,
        bandwidth_usage_percent=None,
        **counted(counters, COUNTED),
        **(counted(counters, TCP_COUNTED) if is_tcp else dict.fromkeys(TCP_COUNTED)),
    )


def counted(counters: NDArray[np.uint64], columns: dict[str, Counter]) -> dict[str, Any]:
    return {column: int(counters[counter]) for column, counter in columns.items()}


def rounded(us: float | None) -> int | None:
    return None if us is None else int(us + 0.5)


def named(number: int, table: tuple[str | None, ...]) -> str | None:
    return table[number] if number < len(table) else None


def latency_of(window: Window, at: list[int]) -> Latency:
    """Merged network latency of some endpoint rows."""
    merged = Latency(2)
    for i in at:
        row = window["endpoints"][i]
        if row["latency_count"]:
            scalars = (row[f"latency_{name}"] for name in ("count", "sum_ns", "min_ns", "max_ns"))
            merged.add(window["latency_counts"][i], *map(int, scalars))
    return merged


def lost(rows: Rows) -> tuple[int | None, int | None]:
    """TCP segments lost before and behind the capture point.

    None without data, and where one direction only was seen: half of the losses leave no trace.
    """
    seen: NDArray[np.uint64] = rows["counters"][two_way(rows)].sum(axis=0, dtype=np.uint64)
    upstream = int(seen[Counter.C_LOST_UPSTREAM])
    downstream = int(seen[Counter.C_LOST_DOWNSTREAM])
    if not int(seen[Counter.C_DATA_SEGMENTS]) + upstream + downstream:
        return None, None
    return upstream, downstream


SIDES = ("in", "out", "other")


def bandwidth_rows(window: Window, agent: AgentRow) -> list[BandwidthSecond]:
    rows = window["seconds"][window["seconds"]["second"].argsort(kind="stable")]
    columns = [rows[f"{what}_{side}"].tolist() for what in ("bytes", "packets") for side in SIDES]
    bins = [map(compact, rows[f"bins_{side}"].tolist()) for side in SIDES]
    times = (second * 1_000_000 for second in rows["second"].tolist())
    return [
        BandwidthSecond(agent.agent_id, agent.boot_id, *row)
        for row in zip(times, *columns, *bins, strict=True)
    ]


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def latency_rows(window: Window, when: When) -> Iterable[LatencyHistogramRow]:
    """One row per kind of latency that has samples."""
    for kind, counts, stats in zip(KINDS, window["kinds"], window["kind_stats"], strict=True):
        latency = Latency(3)
        count, sum_ns, min_ns, max_ns = (int(n) for n in stats[:4])
        latency.add(counts, count, sum_ns, min_ns, max_ns)
        blob = latency.encode()
        if blob is None:
            continue
        p50, p95, p99 = map(rounded, latency.percentiles_us(50, 95, 99))
        yield LatencyHistogramRow(
            *when,
            kind,
            count,
            microseconds(min_ns),
            latency.mean_us,
            p50,
            p95,
            p99,
            microseconds(max_ns),
            blob,
        )


def health_row(
    seen: Window, when: When, flag: str, folded: int, anomalies: dict[str, int]
) -> CaptureHealthRow:
    health, totals = seen["health"], seen["totals"]
    return CaptureHealthRow(
        *when,
        flag,
        received=health.get("frames", 0),
        dropped=health.get("kernel_drops"),
        interface_dropped=health.get("interface_drops"),
        truncated=with_prefix(anomalies, "truncated_"),
        malformed=with_prefix(anomalies, "malformed_"),
        unsupported=with_prefix(anomalies, "unsupported_"),
        flows_evicted=health.get("flows_evicted", 0),
        flows_refused=health.get("flows_refused", 0),
        half_open_evicted=health.get("half_open_evicted", 0),
        endpoints_folded=health.get("endpoints_folded", 0) + folded,
        rows_lost=health.get("rows_lost", 0),
        ack_gap_ratio=gap_ratio(int(totals[Counter.C_CAPTURE_GAPS]), int(totals[Counter.C_ACKS])),
        anomalies=compact(anomalies),
        ring_freezes=health.get("ring_freezes"),
        interface_gaps=health.get("interface_gaps"),
        gap_ms=health.get("gap_ms"),
        windows_lost=health.get("windows_lost"),
        batches_lost=health.get("batches_lost"),
        clock_step_ms=health.get("clock_step_ms"),
    )


def with_prefix(counts: dict[str, int], prefix: str) -> int:
    return sum(n for name, n in counts.items() if name.startswith(prefix))
