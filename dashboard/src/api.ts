/**
 * The HTTP contract, typed by hand, and the one client of it. A figure that cannot be known is
 * null; `reasons` says why, by the figure's path. Strings may be an attacker's: they are shown as
 * text only, through `clean()`.
 */

import { ZONE } from "./format";

export type Figure = number | null;
export type Text = string | null;
export type Reasons = Record<string, string>;

export interface Agent {
  agent_id: string;
  workspace_id: Text;
  hostname: Text;
  network_id: Text;
  region: Text;
  version: string;
  source: string;
  first_packet: Text;
  last_packet: Text;
  live: boolean;
}

export const AGENT_STATUSES = ["critical", "degraded", "silent", "healthy"] as const;
export type AgentStatusName = (typeof AGENT_STATUSES)[number];

/** An agent and how it does. */
export interface FleetAgent extends Agent {
  /** One of AGENT_STATUSES; null: cannot be told. */
  status: Text;
  reason: string;
  health: {
    windows: number;
    degraded_windows: number;
    blind_windows: number;
    quality: Text;
    received: Figure;
    dropped: Figure;
    loss_rate: Figure;
  } | null;
  open_events: { total: number; highest: Text; by_severity: Record<string, number> };
  figures: {
    at: Text;
    ingress_mbps: Figure;
    egress_mbps: Figure;
    active_connections: Figure;
    packet_loss_rate: Figure;
    p99_latency_ms: Figure;
  } | null;
  reasons: Reasons;
}

export interface FleetPage {
  agents: FleetAgent[];
  /** How many there are in all. */
  total: number;
}

export interface FleetSummary {
  total: number;
  live: number;
  by_status: Record<string, number>;
  by_version: Record<string, number>;
  open_events: Record<string, number>;
}

export interface LatencyMetrics {
  avg_latency_ms: Figure;
  p50_latency_ms: Figure;
  p95_latency_ms: Figure;
  p99_latency_ms: Figure;
  jitter_ms: Figure;
  packet_loss_rate: Figure;
}

/** Specification 1.1. */
export interface NetworkMetrics {
  agent_id: string;
  network_id: Text;
  measurement_period: Text;
  latency_metrics: LatencyMetrics;
  bandwidth_metrics: {
    ingress_mbps: Figure;
    egress_mbps: Figure;
    peak_ingress_mbps: Figure;
    peak_egress_mbps: Figure;
    bandwidth_utilization: Figure;
    burst_frequency: Figure;
  };
  connection_metrics: {
    active_connections: Figure;
    new_connections_per_sec: Figure;
    closed_connections_per_sec: Figure;
    connection_errors: Figure;
    timeout_count: Figure;
    reset_count: Figure;
  };
  protocol_distribution: Record<string, Figure>;
}

export interface Series {
  step_s: number;
  bucket: number[];
  p50_ms: Figure[];
  p95_ms: Figure[];
  p99_ms: Figure[];
  jitter_ms: Figure[];
  packet_loss_rate: Figure[];
  ingress_mbps: Figure[];
  egress_mbps: Figure[];
  peak_ingress_mbps: Figure[];
  active_connections: Figure[];
  new_connections: Figure[];
  closed_connections: Figure[];
  failed_connections: Figure[];
}

export interface Endpoint {
  endpoint: string;
  region: Text;
  bytes: number;
  p50_ms: Figure;
  p95_ms: Figure;
  p99_ms: Figure;
  connections: Figure;
  errors: Figure;
}

export interface Health {
  received?: Figure;
  dropped?: Figure;
  interface_dropped?: Figure;
  windows?: Figure;
  degraded_windows?: Figure;
  blind_windows?: Figure;
  quality?: Text;
  [name: string]: Figure | Text | undefined;
}

export interface Percentiles {
  count: number;
  p50_ms: Figure;
  p95_ms: Figure;
  p99_ms: Figure;
}

export interface Performance extends NetworkMetrics {
  timeframe: string;
  since: Text;
  until: Text;
  quality: Text;
  sample_count: number;
  coverage: number;
  latency_kinds: Record<string, Percentiles>;
  series: Series;
  endpoints: Endpoint[];
  protocol_bytes: Record<string, number>;
  health: Health;
  reasons: Reasons;
}

export interface Histogram extends Percentiles {
  since: string;
  until: string;
  /** Samples above `from_ms` and up to `to_ms`, ascending. */
  bins: { from_ms: number; to_ms: number; count: number }[];
}

export interface Connections {
  connection_lifecycle: {
    avg_connection_duration_ms: Figure;
    connection_establishment_time_ms: Figure;
    successful_connections: Figure;
    failed_connections: Figure;
    churn_rate: Figure;
    reuse_rate: Figure;
  };
  pool: { active: Figure; idle: Figure; failed: Figure; basis?: string };
  optimizations: { type: string; recommendation?: string }[];
  reasons: Reasons;
}

export interface Bandwidth {
  usage_patterns: {
    avg_bandwidth_mbps: Figure;
    peak_bandwidth_mbps: Figure;
    burst_frequency: Figure;
    burst_duration_avg_ms: Figure;
    sustained_throughput_mbps: Figure;
  };
  congestion_analysis: { congestion_events: Figure };
  reasons: Reasons;
}

export const SEVERITIES = ["info", "low", "medium", "high", "critical"] as const;
export type Severity = (typeof SEVERITIES)[number];
export const THREAT_TYPES = ["ddos", "intrusion", "scan"] as const;
export type ThreatType = (typeof THREAT_TYPES)[number];

/** Specification 6.1, and what explains it. */
export interface SecurityEvent {
  id: string;
  agent_id: string;
  event_type: Text;
  severity: Text;
  source_ip: Text;
  destination_ip: Text;
  source_port: Figure;
  destination_port: Figure;
  protocol: Text;
  packets_count: Figure;
  bytes_transferred: Figure;
  duration_ms: Figure;
  detection_method: Text;
  confidence_score: Figure;
  false_positive_probability: Figure;
  action_taken: Text;
  blocked: boolean | null;
  detected_at: Text;
  resolved_at: Text;
  attack_class: Text;
  rule_id: Text;
  title: Text;
  status: Text;
  evidence: Record<string, unknown> | null;
  mitigation: Text;
}

export interface Threats {
  risk_score: number;
  threats: SecurityEvent[];
  total: number;
  next_offset: Figure;
  recommended_actions: string[];
  by_severity: Record<string, number>;
  by_type: Record<string, number>;
}

export interface Heatmap {
  hours: number[];
  days: string[];
  mbps: Figure[][];
  /** Time zone of hours and days; UTC when it is not said. */
  timezone?: string;
}

export interface Patterns {
  analysis: Record<string, unknown>;
  heatmap: Heatmap | null;
  reasons?: Reasons;
  reason?: Text;
}

export interface TopologyNode {
  id: string;
  name: Text;
  role: Text;
  ip: Text;
  mac: Text;
  vlan: Figure;
  hops: Figure;
  /** Subnet or VLAN; `external` for what is not ours. */
  segment: Text;
  evidence: string[];
  confidence: Figure;
  is_spof: boolean;
}

export interface TopologyEdge {
  source: string;
  target: string;
  kind: Text;
  bytes: Figure;
  connections: Figure;
  errors: Figure;
  latency_avg_ms: Figure;
  evidence: string[];
  confidence: Figure;
  is_critical: boolean;
}

export interface Topology {
  nodes: TopologyNode[];
  edges: TopologyEdge[];
  reason?: Text;
}

export interface EdgeLocation {
  edge_location: string;
  requests_served: Figure;
  avg_response_time_ms: Figure;
  error_rate: Figure;
  bandwidth_served_gb: Figure;
}

/** Specification 7.1. */
export interface Cdn {
  available: boolean;
  reason: Text;
  cdn_provider: Text;
  cache_performance: {
    cache_hit_ratio: Figure;
    cache_miss_ratio: Figure;
    cache_bypass_ratio: Figure;
    origin_shield_hit_ratio: Figure;
  } | null;
  edge_metrics: EdgeLocation[] | null;
  origin_offload: {
    requests_to_origin: Figure;
    requests_served_from_edge: Figure;
    offload_percentage: Figure;
    bandwidth_savings_gb: Figure;
  } | null;
}

export interface Region {
  region: string;
  name: Text;
  lat: Figure;
  lon: Figure;
  avg_ms: Figure;
  p50_ms: Figure;
  p95_ms: Figure;
  bytes: Figure;
  error_rate: Figure;
  best_agent_id: Text;
}

/** What the SLO endpoint says of one objective. */
export interface Objective {
  name: string;
  target: Figure;
  value: Figure;
  unit?: Text;
  met: boolean | null;
  reason?: Text;
}

export interface Slo {
  timeframe: string;
  objectives: Objective[];
}

export interface ThreatNews {
  id: string;
  severity: Text;
  attack_class: Text;
  title: Text;
  status: Text;
}

/** A message of the WebSocket: one window of one agent. */
export interface WindowMessage {
  type: "window";
  agent_id: string;
  timestamp: number;
  window_s: number;
  packet_loss_rate: Figure;
  latency_p99: Figure;
  security_threat_detected: boolean;
  threats: ThreatNews[];
  metrics: NetworkMetrics;
  protocol_bytes: Record<string, number>;
  capacity_mbps: Figure;
  health: Health;
  dropped_messages: number;
}

export interface ThreatQuery {
  severity: Severity;
  types: readonly ThreatType[];
  status: "open" | "resolved" | null;
  agentId: string | null;
  timeframe: string;
  limit: number;
}

export interface FleetQuery {
  workspace: string | null;
  search: string;
  states: readonly AgentStatusName[];
  sort: string;
  limit: number;
}

/** What went wrong, in words for the viewer. `status` 0: there was no answer at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly detail: string | null = null,
  ) {
    super(message);
  }
}

type Params = Record<string, string | readonly string[] | null | undefined>;

function query(params: Params): string {
  const made = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (typeof value === "string") made.append(name, value);
    else for (const one of value ?? []) made.append(name, one);
  }
  const text = made.toString();
  return text && `?${text}`;
}

async function problem(response: Response): Promise<ApiError> {
  let said: { error?: unknown; detail?: unknown } = {};
  try {
    said = (await response.json()) as typeof said;
  } catch {
    // Not JSON: a proxy's page. The status says enough.
  }
  const text = typeof said.error === "string" ? said.error : `HTTP ${response.status}`;
  const detail = said.detail ?? null;
  return new ApiError(
    response.status,
    text,
    detail === null || typeof detail === "string" ? detail : JSON.stringify(detail),
  );
}

/** Every question this page asks. Raises ApiError; a question that is given up raises AbortError. */
export class Api {
  constructor(private readonly fetcher: typeof fetch = (...args) => fetch(...args)) {}

  /** The 1000 with the newest packets, newest last; or those whose names have a text in them. */
  async agents(search = "", signal?: AbortSignal): Promise<Agent[]> {
    const params = { include_health: "false", sort: "-last_packet", ...(search && { search }) };
    return (await this.ask<Agent[]>("/agents", params, signal)).reverse();
  }

  async fleet(asked: FleetQuery, signal?: AbortSignal): Promise<FleetPage> {
    const params = {
      workspace_id: asked.workspace,
      search: asked.search || null,
      status: asked.states,
      sort: asked.sort,
      limit: String(asked.limit),
    };
    const response = await this.response("/agents", params, signal);
    const agents = (await response.json()) as FleetAgent[];
    const total = Number(response.headers.get("x-total-count") ?? agents.length);
    return { agents, total };
  }

  fleetSummary(workspaceId: string | null, signal?: AbortSignal): Promise<FleetSummary> {
    return this.ask("/agents/summary", { workspace_id: workspaceId }, signal);
  }

  performance(agentId: string, timeframe: string, signal?: AbortSignal): Promise<Performance> {
    return this.ofAgent(agentId, "performance", { timeframe }, signal);
  }

  histogram(
    agentId: string,
    timeframe: string,
    at: number | null,
    signal?: AbortSignal,
  ): Promise<Histogram> {
    const params = { timeframe, at: at === null ? null : String(at) };
    return this.ofAgent(agentId, "latency-histogram", params, signal);
  }

  connections(agentId: string, timeframe: string, signal?: AbortSignal): Promise<Connections> {
    return this.ofAgent(agentId, "connections", { timeframe }, signal);
  }

  bandwidth(agentId: string, timeframe: string, signal?: AbortSignal): Promise<Bandwidth> {
    return this.ofAgent(agentId, "bandwidth", { timeframe }, signal);
  }

  cdn(agentId: string, timeframe: string, signal?: AbortSignal): Promise<Cdn> {
    return this.ofAgent(agentId, "cdn", { timeframe }, signal);
  }

  threats(workspaceId: string, asked: ThreatQuery, signal?: AbortSignal): Promise<Threats> {
    const params = {
      workspace_id: workspaceId,
      threat_types: asked.types,
      severity_threshold: asked.severity,
      status: asked.status,
      agent_id: asked.agentId,
      timeframe: asked.timeframe,
      limit: String(asked.limit),
    };
    return this.ask(`/analytics/network/security-threats`, params, signal);
  }

  patterns(
    workspaceId: string,
    agentId: string,
    timeframe: string,
    signal?: AbortSignal,
  ): Promise<Patterns> {
    const params = {
      workspace_id: workspaceId,
      agent_id: agentId,
      timeframe,
      timezone: ZONE, // hours and weekdays of the viewer
    };
    return this.ask("/analytics/network/traffic-patterns", params, signal);
  }

  topology(workspaceId: string, timeframe: string, signal?: AbortSignal): Promise<Topology> {
    const params = { workspace_id: workspaceId, timeframe };
    return this.ask("/analytics/network/topology-optimization", params, signal, "POST");
  }

  regions(workspaceId: string, timeframe: string, signal?: AbortSignal): Promise<Region[]> {
    return this.ask("/regions", { workspace_id: workspaceId, timeframe }, signal);
  }

  slo(workspaceId: string, timeframe: string, signal?: AbortSignal): Promise<Slo> {
    return this.ask("/analytics/network/slo", { workspace_id: workspaceId, timeframe }, signal);
  }

  private ofAgent<T>(id: string, what: string, params: Params, signal?: AbortSignal): Promise<T> {
    return this.ask(`/analytics/network/${encodeURIComponent(id)}/${what}`, params, signal);
  }

  private async ask<T>(
    path: string,
    params: Params,
    signal?: AbortSignal,
    method = "GET",
  ): Promise<T> {
    return (await (await this.response(path, params, signal, method)).json()) as T;
  }

  private async response(
    path: string,
    params: Params,
    signal?: AbortSignal,
    method = "GET",
  ): Promise<Response> {
    let response: Response;
    try {
      response = await this.fetcher(path + query(params), {
        method,
        headers: { accept: "application/json" },
        credentials: "same-origin",
        ...(signal && { signal }),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError(0, "the server does not answer");
    }
    if (!response.ok) throw await problem(response);
    return response;
  }
}
