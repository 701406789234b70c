"""The answers' shapes for OpenAPI; names of the specification's interfaces are exactly its own.

Figures are null where they cannot be known. Answers may have more fields than are listed.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Figure = float | None
Count = int | None
Text = str | None


class Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


class LatencyMetrics(Shape):
    avg_latency_ms: Figure
    p50_latency_ms: Figure
    p95_latency_ms: Figure
    p99_latency_ms: Figure
    jitter_ms: Figure
    packet_loss_rate: Figure = Field(description="fraction 0..1")


class BandwidthMetrics(Shape):
    ingress_mbps: Figure
    egress_mbps: Figure
    peak_ingress_mbps: Figure
    peak_egress_mbps: Figure
    bandwidth_utilization: Figure = Field(description="fraction 0..1 of the link's capacity")
    burst_frequency: Figure = Field(description="bursts per hour")


class ConnectionMetrics(Shape):
    active_connections: Count
    new_connections_per_sec: Figure
    closed_connections_per_sec: Figure
    connection_errors: Count
    timeout_count: Count
    reset_count: Count


class ProtocolDistribution(Shape):
    http_percentage: Figure
    https_percentage: Figure
    websocket_percentage: Figure
    grpc_percentage: Figure
    tcp_percentage: Figure
    udp_percentage: Figure


class GeographicDistribution(Shape):
    region: Text
    latency_by_region: dict[str, Figure]
    traffic_by_region: dict[str, int]
    error_rate_by_region: dict[str, Figure]


class NetworkMetrics(Shape):
    """Specification 1.1."""

    agent_id: str
    network_id: Text
    measurement_period: Text = Field(description="ISO 8601 interval of packet time")
    latency_metrics: LatencyMetrics
    bandwidth_metrics: BandwidthMetrics
    connection_metrics: ConnectionMetrics
    protocol_distribution: ProtocolDistribution
    geographic_distribution: GeographicDistribution | None


class Percentiles(Shape):
    count: int
    p50_ms: Figure
    p95_ms: Figure
    p99_ms: Figure


class Series(Shape):
    step_s: int
    bucket: list[int] = Field(description="starts of the steps, ms since 1970")
    p50_ms: list[Figure]
    p95_ms: list[Figure]
    p99_ms: list[Figure]
    jitter_ms: list[Figure]
    packet_loss_rate: list[Figure]
    ingress_mbps: list[Figure]
    egress_mbps: list[Figure]
    peak_ingress_mbps: list[Figure]
    active_connections: list[Figure]
    new_connections: list[Count]
    closed_connections: list[Count]
    failed_connections: list[Count]


class Endpoint(Shape):
    endpoint: str
    region: Text
    bytes: int
    p50_ms: Figure
    p95_ms: Figure
    p99_ms: Figure
    connections: Count
    errors: Count


class Performance(NetworkMetrics):
    timeframe: str
    since: Text
    until: Text
    quality: Text = Field(description="ok, degraded or blind; null without windows")
    sample_count: int
    coverage: float = Field(description="share of the timeframe that was observed")
    latency_kinds: dict[str, Percentiles]
    series: Series
    endpoints: list[Endpoint]
    protocol_bytes: dict[str, int]
    health: dict[str, Any]
    reasons: dict[str, str] = Field(description="why a figure is null, or of what it is")


class RegionalLatency(Shape):
    region: str
    latency_ms: Figure


class Opportunity(Shape):
    """Specification 3.1."""

    agent_id: str
    endpoint: str
    avg_p50_ms: Figure
    avg_p95_ms: Figure
    avg_p99_ms: Figure
    max_p99_ms: Figure
    avg_jitter_ms: Figure
    latency_status: str
    jitter_status: str
    regional_latencies: list[RegionalLatency]
    optimization_recommendations: list[str]
    high_latency_hours: int
    samples: int
    reason: Text


class Latencies(Shape):
    agent_id: str
    timeframe: str
    opportunities: list[Opportunity]


class Bin(Shape):
    """Samples above `from_ms` and up to `to_ms`."""

    from_ms: float
    to_ms: float
    count: int


class LatencyHistogram(Percentiles):
    agent_id: str
    timeframe: str
    since: str
    until: str
    bins: list[Bin] = Field(description="without a gap, ten a decade (ISO 3, R10)")


class LatencyOptimization(Shape):
    agent_id: str
    timeframe: str
    target_p99_ms: float
    regions: list[str]
    current_p99_ms: Figure
    gap_ms: Figure
    target_met: bool | None
    sample_count: int
    gap_explained: list[dict[str, Any]]
    recommendations: list[dict[str, Any]]
    endpoints: list[Opportunity]
    opportunities: list[Opportunity]
    reason: Text


class UsagePatterns(Shape):
    avg_bandwidth_mbps: Figure
    peak_bandwidth_mbps: Figure
    burst_frequency: Figure
    burst_duration_avg_ms: Figure
    sustained_throughput_mbps: Figure


class TrafficClassification(Shape):
    real_time_traffic: Figure
    bulk_transfer: Figure
    interactive_traffic: Figure
    background_traffic: Figure


class CongestionAnalysis(Shape):
    congestion_events: Count
    avg_congestion_duration_ms: Figure
    packet_loss_during_congestion: Figure
    throughput_degradation: Figure


class QosImplementation(Shape):
    priority_classes: list[str]
    bandwidth_allocation: dict[str, Figure]


class OptimizationStrategies(Shape):
    compression_potential: Figure
    caching_effectiveness: Figure
    traffic_shaping_benefit: Figure
    qos_implementation: QosImplementation


class CostAnalysis(Shape):
    current_bandwidth_cost: Figure
    optimized_bandwidth_cost: Figure
    savings_potential: Figure
    roi_months: Figure


class BandwidthAnalytics(Shape):
    """Specification 4.1."""

    agent_id: str
    usage_patterns: UsagePatterns
    traffic_classification: TrafficClassification
    congestion_analysis: CongestionAnalysis
    optimization_strategies: OptimizationStrategies
    cost_analysis: CostAnalysis
    reasons: dict[str, str]


class ConnectionLifecycle(Shape):
    avg_connection_duration_ms: Figure
    connection_establishment_time_ms: Figure
    successful_connections: Count
    failed_connections: Count
    churn_rate: Figure
    reuse_rate: Figure
    state_transitions: dict[str, dict[str, int]]
    patterns: list[dict[str, Any]]


class PoolingEfficiency(Shape):
    idle_connection_ratio: Figure
    recommended_pool_size: Count


class ConnectionErrors(Shape):
    timeout_rate: Figure
    failed: Count


class Pool(Shape):
    active: Figure
    idle: Figure
    failed: Count


class Connections(Shape):
    """Specification 5.1."""

    agent_id: str
    timeframe: str
    connection_lifecycle: ConnectionLifecycle
    pooling_efficiency: PoolingEfficiency
    keep_alive_effectiveness: dict[str, Any]
    connection_errors: ConnectionErrors
    optimizations: list[dict[str, Any]]
    pool: Pool
    reasons: dict[str, str]


class SecurityEvent(Shape):
    """Specification 6.1, times in RFC 3339."""

    id: str
    agent_id: str
    event_type: Text
    severity: Text
    source_ip: Text
    destination_ip: Text
    source_port: Count
    destination_port: Count
    protocol: Text
    packets_count: Count
    bytes_transferred: Count
    duration_ms: Count
    detection_method: Text
    confidence_score: Figure
    false_positive_probability: Figure
    action_taken: Text
    blocked: bool | None
    detected_at: Text
    resolved_at: Text
    attack_class: Text
    rule_id: Text
    title: Text
    status: Text
    evidence: dict[str, Any] | None
    mitigation: Text


class DetectedAttack(Shape):
    """Specification 2.1, detect_ddos_patterns."""

    type: Text
    confidence: Figure
    affected_period: str = Field(description="RFC 3339 interval; `..` while it goes on")
    mitigation: Text


class Threats(Shape):
    workspace_id: str
    timeframe: str
    risk_score: float = Field(ge=0, le=100)
    threats: list[SecurityEvent]
    total: int
    next_offset: Count
    detected_attacks: list[DetectedAttack]
    recommended_actions: list[str]
    by_severity: dict[str, int]
    by_type: dict[str, int]


class Agent(Shape):
    agent_id: str
    workspace_id: Text
    hostname: Text
    network_id: Text
    region: Text
    version: str
    source: str = Field(description="live or replay")
    first_packet: Text
    last_packet: Text
    live: bool = Field(description="the newest packet is at most five minutes old")


class AgentHealth(Shape):
    """capture_health of the newest quarter of an hour."""

    since: Text
    until: Text
    windows: int
    degraded_windows: int
    blind_windows: int
    quality: Text
    received: Count
    dropped: Count
    interface_dropped: Count
    loss_rate: Figure = Field(description="fraction of the packets that kernel or card dropped")
    ack_gap_ratio: Figure = Field(description="largest share of ACKs for octets never captured")


class OpenEvents(Shape):
    total: int
    highest: Text = Field(description="the worst severity that is open")
    by_severity: dict[str, int]


class AgentFigures(Shape):
    """Of the newest window."""

    at: Text
    window_s: Count
    ingress_mbps: Figure
    egress_mbps: Figure
    active_connections: Count
    new_connections_per_sec: Figure
    failed_connections: Count
    packet_loss_rate: Figure = Field(description="of the network: fraction of TCP segments")
    p50_latency_ms: Figure
    p95_latency_ms: Figure
    p99_latency_ms: Figure


class FleetAgent(Agent):
    """An agent with include_health."""

    status: Text = Field(description="critical, degraded, silent or healthy; null: cannot be told")
    reason: str = Field(description="why it has that status")
    health: AgentHealth | None
    open_events: OpenEvents
    figures: AgentFigures | None
    reasons: dict[str, str] = Field(description="why a figure is null")


class FleetSummary(Shape):
    total: int
    live: int
    by_status: dict[str, int]
    by_version: dict[str, int]
    open_events: dict[str, int] = Field(description="by severity")


class Health(Shape):
    status: str
