/** Answers of the API's shapes, small and made up; figures are told apart by their values. */
import type { Agent, Connections, FleetAgent, FleetSummary, Performance, SecurityEvent, Threats, WindowMessage } from "../src/api";

export const AGENT: Agent = {
  agent_id: "4743acf1-39d0-526f-8b1f-766912eda886",
  workspace_id: "default",
  hostname: "web-1",
  network_id: "n",
  region: "DE",
  version: "1",
  source: "live",
  first_packet: "2026-01-05T10:00:00.000000001Z",
  last_packet: "2026-01-05T12:10:00.000000001Z",
  live: true,
};
export const OTHER: Agent = { ...AGENT, agent_id: "00000000-0000-4000-8000-000000000002", hostname: "db-1" };

export const T0 = Date.parse("2026-01-05T12:00:00Z");

export function performance(over: Partial<Performance> = {}): Performance {
  const bucket = [0, 1, 2, 3].map((n) => T0 + n * 60_000);
  return {
    agent_id: AGENT.agent_id,
    network_id: "n",
    measurement_period: null,
    latency_metrics: {
      avg_latency_ms: 45.3,
      p50_latency_ms: 27.391,
      p95_latency_ms: 119.295,
      p99_latency_ms: 211.967,
      jitter_ms: 0.817,
      packet_loss_rate: 0.004261,
    },
    bandwidth_metrics: {
      ingress_mbps: 0.096,
      egress_mbps: 0.898,
      peak_ingress_mbps: 0.891,
      peak_egress_mbps: 3.123,
      bandwidth_utilization: null,
      burst_frequency: 6.2,
    },
    connection_metrics: {
      active_connections: 2146,
      new_connections_per_sec: 71.8,
      closed_connections_per_sec: 71.8,
      connection_errors: 1000,
      timeout_count: 0,
      reset_count: 3,
    },
    protocol_distribution: {},
    timeframe: "1h",
    since: "2026-01-05T12:00:00.000000000Z",
    until: "2026-01-05T12:04:00.000000000Z",
    quality: "ok",
    sample_count: 13_367,
    coverage: 0.66,
    latency_kinds: {},
    series: {
      step_s: 60,
      bucket,
      p50_ms: [27, null, 29, 30],
      p95_ms: [110, null, 120, 121],
      p99_ms: [200, null, 210, 211],
      jitter_ms: [1, null, 1, 1],
      packet_loss_rate: [0, null, 0.01, 0],
      ingress_mbps: [0.1, null, 0.2, 0.1],
      egress_mbps: [0.9, null, 0.8, 0.9],
      peak_ingress_mbps: [0.3, null, 0.4, 0.3],
      active_connections: [10, null, 12, 11],
      new_connections: [5, null, 6, 7],
      closed_connections: [5, null, 6, 7],
      failed_connections: [0, null, 1, 0],
    },
    endpoints: [
      { endpoint: "www.example:443/tcp", region: "DE", bytes: 9000, p50_ms: 20, p95_ms: 90, p99_ms: 99, connections: 7, errors: 0 },
      { endpoint: "db.example:5432/tcp", region: null, bytes: 12_000, p50_ms: null, p95_ms: null, p99_ms: null, connections: 2, errors: 1 },
    ],
    protocol_bytes: { https: 600, dns: 100, other_tcp: 300 },
    health: { received: 219_460, dropped: null, interface_dropped: null, windows: 10, degraded_windows: 0, blind_windows: 0, malformed: 4 },
    reasons: { "bandwidth_metrics.bandwidth_utilization": "the link's capacity is not known" },
    ...over,
  };
}

export function event(over: Partial<SecurityEvent> = {}): SecurityEvent {
  return {
    id: "e1",
    agent_id: AGENT.agent_id,
    event_type: "dos_attack",
    severity: "critical",
    source_ip: null,
    destination_ip: "10.20.0.10",
    source_port: null,
    destination_port: 443,
    protocol: "tcp",
    packets_count: 30_050,
    bytes_transferred: null,
    duration_ms: 22_000,
    detection_method: "nb_tail",
    confidence_score: 0.9999,
    false_positive_probability: 0.00065,
    action_taken: "none",
    blocked: false,
    detected_at: "2026-01-05T12:01:01.000000000Z",
    resolved_at: null,
    attack_class: "syn_flood",
    rule_id: "syn_flood",
    title: "SYN flood against a TCP service",
    status: "open",
    evidence: { spoofed: true, feature: "silent", value: 1126, threshold: 20, window_s: 1 },
    mitigation: "Answer with SYN cookies.\n- Confirm: does it answer?\n- Recover: watch it fall",
    ...over,
  };
}

export function threats(events: SecurityEvent[] = [event()]): Threats {
  return {
    risk_score: 83.5,
    threats: events,
    total: events.length,
    next_offset: null,
    recommended_actions: [],
    by_severity: { critical: events.length },
    by_type: {},
  };
}

export function connections(): Connections {
  return {
    connection_lifecycle: {
      avg_connection_duration_ms: 667.6,
      connection_establishment_time_ms: 51.4,
      successful_connections: 41_727,
      failed_connections: 997,
      churn_rate: 0.852,
      reuse_rate: null,
    },
    pool: { active: 48, idle: 16, failed: 997, basis: "time averages" },
    optimizations: [],
    reasons: { "connection_lifecycle.reuse_rate": "no requests were seen" },
  };
}

export function windowOf(over: Partial<WindowMessage> = {}): WindowMessage {
  const { latency_metrics, bandwidth_metrics, connection_metrics } = performance();
  return {
    type: "window",
    agent_id: AGENT.agent_id,
    timestamp: T0,
    window_s: 10,
    packet_loss_rate: 0,
    latency_p99: 20,
    security_threat_detected: false,
    threats: [],
    metrics: {
      agent_id: AGENT.agent_id,
      network_id: null,
      measurement_period: null,
      latency_metrics,
      bandwidth_metrics,
      connection_metrics,
      protocol_distribution: {},
    },
    protocol_bytes: {},
    capacity_mbps: null,
    health: {},
    dropped_messages: 0,
    ...over,
  };
}

/** Strings as attackers write them into SNI, Host and names. */
export const HOSTILE = [
  "<img src=x onerror=alert(1)>",
  "</script><script>alert(1)</script>",
  "{{7*7}}",
  "=HYPERLINK(\"http://evil\")",
  "a\r\nb\u001b[2J",
  "\u202Egpj.exe",
  "x".repeat(65_536),
];

export function fleetAgent(over: Partial<FleetAgent> = {}): FleetAgent {
  return {
    ...AGENT,
    status: "healthy",
    reason: "15 whole windows, nothing serious open",
    health: { windows: 15, degraded_windows: 0, blind_windows: 0, quality: "ok", received: 1000, dropped: 0, loss_rate: 0.0021 },
    open_events: { total: 0, highest: null, by_severity: {} },
    figures: { at: AGENT.last_packet, ingress_mbps: 12.5, egress_mbps: 3, active_connections: 7, packet_loss_rate: 0, p99_latency_ms: 48.1 },
    reasons: {},
    ...over,
  };
}

export function fleetSummary(over: Partial<FleetSummary> = {}): FleetSummary {
  return {
    total: 2,
    live: 1,
    by_status: { critical: 1, degraded: 0, silent: 0, healthy: 1, unknown: 0 },
    by_version: { "0.1.0": 1, "0.2.0": 1 },
    open_events: { critical: 1 },
    ...over,
  };
}
