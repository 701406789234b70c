# ruff: noqa: E501, S608 - a view and its meaning are one piece; all text is ours
"""Views that answer the common questions, in plain SQLite: no function of ours is needed.

Percentiles come from merged histograms: `latency_slots` of an hour is JSON {us: samples}, the
slots of any set of hours add up, and the value at the nearest rank is read from the sum. (The
percentile of percentiles is wrong by up to 81 %.) The comments are the reference, as in tables.py.
"""

# Readable times: microseconds since 1970 as RFC 3339 in UTC.
TIME = (
    "strftime('%Y-%m-%dT%H:%M:%S', {0} / 1000000, 'unixepoch') || printf('.%06dZ', {0} % 1000000)"
)
SECOND = "strftime('%Y-%m-%dT%H:%M:%SZ', {0} / 1000000, 'unixepoch')"


def merged(name: str, key: str, where: str = "") -> str:
    """Common table expressions that end in `name`(key, samples, p50, p95, p99 in us)."""
    return f"""
    slots AS (
        SELECT {key}, CAST(slot.key AS INTEGER) AS us, sum(slot.value) AS n
        FROM metrics_hourly, json_each(metrics_hourly.latency_slots) AS slot {where}
        GROUP BY {key}, us
    ),
    ranked AS (
        SELECT {key}, us, sum(n) OVER (PARTITION BY {key} ORDER BY us) AS upto,
               sum(n) OVER (PARTITION BY {key}) AS samples
        FROM slots
    ),
    {name} AS (
        SELECT {key}, max(samples) AS samples,
               min(us) FILTER (WHERE upto * 100 >= samples * 50) AS p50,
               min(us) FILTER (WHERE upto * 100 >= samples * 95) AS p95,
               min(us) FILTER (WHERE upto * 100 >= samples * 99) AS p99
        FROM ranked GROUP BY {key}
    )"""


LAST_DAY = """
    JOIN (SELECT agent_id, max(hour) AS newest FROM metrics_hourly GROUP BY agent_id)
    USING (agent_id) WHERE hour > newest - 86400000000"""

_DEFINITIONS = {
    "metrics_readable": f"""-- network_performance_metrics with readable times and milliseconds.
    SELECT {TIME.format("timestamp")} AS time, window_s, agent_id, endpoint, role, app, quality,
           latency_count AS samples, latency_avg_us / 1000.0 AS latency_avg_ms,
           latency_p50_us / 1000.0 AS latency_p50_ms, latency_p95_us / 1000.0 AS latency_p95_ms,
           latency_p99_us / 1000.0 AS latency_p99_ms, jitter_us / 1000.0 AS jitter_ms,
           packets_sent, packets_received, packets_lost, packets_retransmitted,
           bytes_sent, bytes_received, connections_active, connections_new, connections_closed,
           connections_failed, timeout_errors, connection_reset_errors, dns_resolution_errors,
           ssl_handshake_errors, http_requests, https_requests, websocket_frames, grpc_calls,
           {TIME.format("created_at")} AS created, seq
    FROM network_performance_metrics ORDER BY timestamp, seq""",
    "connections_readable": f"""-- connections with readable times and milliseconds, in the order of a conn.log.
    SELECT {TIME.format("started_at")} AS started, duration_us / 1e6 AS duration_s, protocol,
           orig_ip, orig_port, resp_ip, resp_port, service, endpoint, conn_state, history,
           orig_packets, orig_bytes, resp_packets, resp_bytes, handshake_us / 1000.0 AS handshake_ms,
           rtt_min_us / 1000.0 AS rtt_min_ms, retransmissions, server_name, end_reason, community_id, seq
    FROM connections ORDER BY started_at, seq""",
    "security_events_readable": f"""-- network_security_events with readable times, newest first.
    SELECT {TIME.format("detected_at")} AS detected, severity, attack_class, event_type, status,
           title, source_ip, source_port, destination_ip, destination_port, protocol,
           packets_count, bytes_transferred, duration_ms / 1000.0 AS duration_s, confidence_score,
           {TIME.format("started_at")} AS started, {TIME.format("resolved_at")} AS resolved,
           agent_id, rule_id, detection_method, evidence, mitigation, id, seq
    FROM network_security_events ORDER BY detected_at DESC, seq DESC""",
    "slowest_endpoints": f"""-- Endpoints by the 95th percentile of network latency over all hours, merged exactly.
    WITH {merged("percentiles", "agent_id, endpoint")},
    sums AS (
        SELECT agent_id, endpoint, sum(latency_sum_us) AS total, sum(latency_count) AS counted,
               min(latency_min_us) AS shortest, max(latency_max_us) AS longest,
               sum(packets_lost) AS lost, sum(data_segments) AS segments
        FROM metrics_hourly WHERE latency_count > 0 GROUP BY agent_id, endpoint
    )
    SELECT agent_id, endpoint, samples, total / 1000.0 / counted AS avg_ms,
           min(max(p50, shortest), longest) / 1000.0 AS p50_ms,
           min(max(p95, shortest), longest) / 1000.0 AS p95_ms,
           min(max(p99, shortest), longest) / 1000.0 AS p99_ms,
           shortest / 1000.0 AS min_ms, longest / 1000.0 AS max_ms,
           lost * 1.0 / nullif(lost + segments, 0) AS loss_rate
    FROM percentiles JOIN sums USING (agent_id, endpoint)
    ORDER BY p95_ms DESC, endpoint""",
    "top_talkers": """-- Endpoints by octets on the wire, both directions, over all hours.
    SELECT agent_id, endpoint, sum(bytes_sent + bytes_received) AS bytes,
           sum(bytes_sent) AS bytes_sent, sum(bytes_received) AS bytes_received,
           sum(packets_sent + packets_received) AS packets, sum(connections_new) AS connections
    FROM metrics_hourly GROUP BY agent_id, endpoint ORDER BY bytes DESC, endpoint""",
    "conversations": f"""-- Who talked to whom: pairs of addresses by payload octets.
    SELECT orig_ip, resp_ip, count(*) AS connections, sum(orig_bytes) AS orig_bytes,
           sum(resp_bytes) AS resp_bytes, sum(orig_packets + resp_packets) AS packets,
           {SECOND.format("min(started_at)")} AS first_seen,
           {SECOND.format("max(ended_at)")} AS last_seen
    FROM connections GROUP BY orig_ip, resp_ip
    ORDER BY sum(orig_bytes + resp_bytes) DESC, orig_ip, resp_ip""",
    "failed_connections": f"""-- TCP connections that came to nothing, by endpoint and conn_state (a datagram without an answer is no failure).
    SELECT agent_id, endpoint, conn_state, count(*) AS connections,
           count(DISTINCT orig_ip) AS originators,
           {SECOND.format("min(started_at)")} AS first_seen,
           {SECOND.format("max(started_at)")} AS last_seen
    FROM connections WHERE protocol = 'tcp' AND conn_state IN ('S0', 'REJ', 'RSTOS0', 'SH')
    GROUP BY agent_id, endpoint, conn_state ORDER BY connections DESC, endpoint, conn_state""",
    "services": """-- Connections and payload by recognised service; the transport where none was.
    SELECT coalesce(service, protocol) AS service, count(*) AS connections,
           sum(orig_bytes) AS orig_bytes, sum(resp_bytes) AS resp_bytes
    FROM connections GROUP BY 1 ORDER BY sum(orig_bytes + resp_bytes) DESC, 1""",
    "protocol_shares": """-- Shares of all octets on the wire by protocol; they add up to 100.
    SELECT agent_id, leaf, sum(bytes) AS bytes,
           sum(bytes) * 100.0 / nullif(sum(sum(bytes)) OVER (PARTITION BY agent_id), 0) AS percent,
           sum(packets) AS packets, sum(connections) AS connections
    FROM protocol_mix GROUP BY agent_id, leaf ORDER BY agent_id, bytes DESC, leaf""",
    "latency_by_hour": f"""-- Network latency of each hour, all endpoints merged exactly.
    WITH {merged("percentiles", "agent_id, hour")},
    sums AS (
        SELECT agent_id, hour, sum(latency_sum_us) AS total, min(latency_min_us) AS shortest,
               max(latency_max_us) AS longest
        FROM metrics_hourly WHERE latency_count > 0 GROUP BY agent_id, hour
    )
    SELECT agent_id, {SECOND.format("hour")} AS time, samples, total / 1000.0 / samples AS avg_ms,
           min(max(p50, shortest), longest) / 1000.0 AS p50_ms,
           min(max(p95, shortest), longest) / 1000.0 AS p95_ms,
           min(max(p99, shortest), longest) / 1000.0 AS p99_ms, longest / 1000.0 AS max_ms
    FROM percentiles JOIN sums USING (agent_id, hour) ORDER BY agent_id, hour""",
    "bandwidth_by_second": f"""-- Megabits per second of each second with traffic, and its busiest 100 ms.
    WITH bins AS (
        SELECT agent_id, timestamp, bin.key, sum(bins_in ->> bin.key) AS bin_in,
               sum(bins_out ->> bin.key) AS bin_out, sum(bins_other ->> bin.key) AS bin_other
        FROM bandwidth_seconds, json_each(bins_in) AS bin GROUP BY agent_id, timestamp, bin.key
    ),
    peaks AS (
        SELECT agent_id, timestamp, max(bin_in) AS peak_in, max(bin_out) AS peak_out,
               max(bin_other) AS peak_other
        FROM bins GROUP BY agent_id, timestamp
    )
    SELECT agent_id, {SECOND.format("timestamp")} AS time,
           sum(bytes_in) * 8 / 1e6 AS in_mbps, sum(bytes_out) * 8 / 1e6 AS out_mbps,
           sum(bytes_other) * 8 / 1e6 AS other_mbps, peak_in * 80 / 1e6 AS peak_in_mbps,
           peak_out * 80 / 1e6 AS peak_out_mbps, peak_other * 80 / 1e6 AS peak_other_mbps
    FROM bandwidth_seconds JOIN peaks USING (agent_id, timestamp)
    GROUP BY agent_id, timestamp ORDER BY agent_id, timestamp""",
    "regions": """-- Traffic, errors and mean latency by region of the remote side.
    SELECT agent_id, region, sum(bytes) AS bytes, sum(packets) AS packets,
           sum(connections) AS connections, sum(errors) AS errors,
           sum(latency_avg_us * latency_count) / 1000.0 / nullif(sum(latency_count), 0)
               AS latency_avg_ms
    FROM regional_metrics GROUP BY agent_id, region ORDER BY agent_id, bytes DESC, region""",
    "capture_quality": f"""-- Windows in which something was missed, and what.
    SELECT agent_id, {TIME.format("timestamp")} AS time, window_s, quality, received, dropped,
           interface_dropped, truncated, malformed, unsupported, flows_evicted, flows_refused,
           half_open_evicted, endpoints_folded, rows_lost, ring_freezes, interface_gaps, gap_ms,
           windows_lost, batches_lost, clock_step_ms, ack_gap_ratio, anomalies
    FROM capture_health
    WHERE quality <> 'ok' OR dropped > 0 OR interface_dropped > 0 OR truncated > 0
          OR malformed > 0 OR unsupported > 0 OR anomalies <> '{{}}'
    ORDER BY timestamp, seq""",
    "latency_optimization_opportunities": f"""-- The specification's view of the newest 24 hours by agent and endpoint. Percentiles are those of the day's merged histogram, max_p99_ms is the worst hour's; jitter is the mean RTT difference.
    WITH {merged("percentiles", "agent_id, endpoint", LAST_DAY)},
    sums AS (
        SELECT agent_id, endpoint, max(latency_p99_us) AS worst_p99,
               sum(jitter_sum_us) / 1000.0 / nullif(sum(jitter_count), 0) AS avg_jitter_ms,
               min(latency_min_us) AS shortest, max(latency_max_us) AS longest,
               count(DISTINCT hour) FILTER (WHERE latency_p99_us > 100000) AS high_latency_hours
        FROM metrics_hourly {LAST_DAY} AND latency_count > 0 GROUP BY agent_id, endpoint
    ),
    latency_analysis AS (
        SELECT agent_id, endpoint, min(max(p50, shortest), longest) / 1000.0 AS avg_p50_ms,
               min(max(p95, shortest), longest) / 1000.0 AS avg_p95_ms,
               min(max(p99, shortest), longest) / 1000.0 AS avg_p99_ms,
               worst_p99 / 1000.0 AS max_p99_ms, avg_jitter_ms, high_latency_hours
        FROM percentiles JOIN sums USING (agent_id, endpoint)
    ),
    regional AS (
        SELECT agent_id, endpoint, region,
               sum(latency_sum_us) / 1000.0 / sum(latency_count) AS latency_ms
        FROM network_performance_metrics
        JOIN (SELECT agent_id, max(hour) AS newest FROM metrics_hourly GROUP BY agent_id)
        USING (agent_id)
        WHERE timestamp >= newest - 82800000000 AND region IS NOT NULL AND latency_count > 0
        GROUP BY agent_id, endpoint, region ORDER BY latency_ms DESC
    )
    SELECT agent_id, endpoint, avg_p50_ms, avg_p95_ms, avg_p99_ms, max_p99_ms, avg_jitter_ms,
           CASE WHEN avg_p99_ms > 500 THEN 'critical_latency'
                WHEN avg_p99_ms > 200 THEN 'high_latency'
                WHEN avg_p99_ms > 100 THEN 'moderate_latency'
                ELSE 'acceptable' END AS latency_status,
           CASE WHEN avg_jitter_ms IS NULL THEN NULL
                WHEN avg_jitter_ms > 50 THEN 'high_jitter'
                WHEN avg_jitter_ms > 20 THEN 'moderate_jitter'
                ELSE 'low_jitter' END AS jitter_status,
           (SELECT json_group_array(json_object('region', region, 'latency_ms', latency_ms))
            FROM regional
            WHERE regional.agent_id = latency_analysis.agent_id
                  AND regional.endpoint = latency_analysis.endpoint) AS regional_latencies,
           CASE WHEN avg_p99_ms > 200
                THEN json_array('Add CDN', 'Optimize routing', 'Consider edge deployment')
                WHEN avg_jitter_ms > 50
                THEN json_array('Implement QoS', 'Use dedicated bandwidth', 'Traffic shaping')
                ELSE json_array('Monitor continuously') END AS optimization_recommendations,
           high_latency_hours
    FROM latency_analysis ORDER BY avg_p99_ms DESC, endpoint""",
}

VIEWS = {name: f"CREATE VIEW {name} AS {body}" for name, body in _DEFINITIONS.items()}
