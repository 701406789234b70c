"""NetworkMetrics of the specification (section 1.1), field names as it has them.

`None` is unknown and becomes `null`; it is never 0. What each figure means, its unit and its source
are in `sensor.metrics.registry`.
"""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LatencyMetrics:
    avg_latency_ms: float | None = None
    p50_latency_ms: float | None = None
    p95_latency_ms: float | None = None
    p99_latency_ms: float | None = None
    jitter_ms: float | None = None
    packet_loss_rate: float | None = None


@dataclass(frozen=True, slots=True)
class BandwidthMetrics:
    ingress_mbps: float | None = None
    egress_mbps: float | None = None
    peak_ingress_mbps: float | None = None
    peak_egress_mbps: float | None = None
    bandwidth_utilization: float | None = None
    burst_frequency: float | None = None


@dataclass(frozen=True, slots=True)
class ConnectionMetrics:
    active_connections: int | None = None
    new_connections_per_sec: float | None = None
    closed_connections_per_sec: float | None = None
    connection_errors: int | None = None
    timeout_count: int | None = None
    reset_count: int | None = None


@dataclass(frozen=True, slots=True)
class ProtocolDistribution:
    http_percentage: float | None = None
    https_percentage: float | None = None
    websocket_percentage: float | None = None
    grpc_percentage: float | None = None
    tcp_percentage: float | None = None
    udp_percentage: float | None = None


@dataclass(frozen=True, slots=True)
class GeographicDistribution:
    region: str | None = None
    latency_by_region: dict[str, float | None] = field(default_factory=dict)
    traffic_by_region: dict[str, int] = field(default_factory=dict)
    error_rate_by_region: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkMetrics:
    agent_id: str
    network_id: str
    measurement_period: str | None  # ISO 8601 interval of packet time; None without packets
    latency_metrics: LatencyMetrics = LatencyMetrics()
    bandwidth_metrics: BandwidthMetrics = BandwidthMetrics()
    connection_metrics: ConnectionMetrics = ConnectionMetrics()
    protocol_distribution: ProtocolDistribution = ProtocolDistribution()
    geographic_distribution: GeographicDistribution = field(default_factory=GeographicDistribution)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the specification."""
        return asdict(self)
