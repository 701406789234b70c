"""The answers' shapes of topology, regions and CDN for OpenAPI; see schemas."""

from typing import Any

from pydantic import Field

from sensor.api.schemas import Count, Figure, Shape, Text


class Region(Shape):
    region: str = Field(description="ISO 3166-1 code, private, unknown, or the operator's name")
    name: str
    continental_region: Text = Field(description="the United Nations' sub-region of a country")
    lat: Figure = Field(description="degrees north; null for what is no country")
    lon: Figure = Field(description="degrees east")
    p50_ms: Figure = Field(description="of the newest day of the timeframe")
    p95_ms: Figure
    sample_count: int
    bytes: int | None
    error_rate: Figure = Field(description="failed of all connections, 0..1")
    best_agent_id: Text = Field(description="lowest median there, with 20 samples or more")


class TopologyNode(Shape):
    id: str
    name: str
    role: str = Field(description="host, service, switch, router or gateway")
    ip: Text
    mac: Text
    vlan: Count
    hops: Count
    segment: str
    bytes: int
    evidence: list[str]
    confidence: float = Field(ge=0, le=1)
    is_spof: bool


class TopologyEdge(Shape):
    source: str
    target: str
    kind: str = Field(description="l2 and l3: a step of a path; service: who asked whom")
    bytes: int
    connections: int
    errors: int
    latency_avg_ms: Figure
    evidence: list[str]
    confidence: float = Field(ge=0, le=1)
    is_critical: bool


class CriticalPath(Shape):
    source: str
    target: str
    kind: str
    bytes: int
    share_of_bytes: Figure
    connections: int
    errors: int
    error_rate: Figure
    is_estimate: bool = Field(description="several gateways: traffic is split evenly")


class Routing(Shape):
    avg_hops: Figure
    optimal_hops: Figure
    improvement_percentage: Figure
    reason: Text


class Topology(Shape):
    """Specification 8.1."""

    workspace_id: str
    timeframe: str
    topology_structure: dict[str, Any]
    redundancy_analysis: dict[str, Any]
    critical_paths: list[CriticalPath]
    routing: Routing
    segmentation_analysis: dict[str, Any]
    optimization_opportunities: list[dict[str, Any]]
    nodes: list[TopologyNode]
    edges: list[TopologyEdge]
    counted_since: Text = Field(description="links are added up since they were first seen")
    nodes_left_out: int
    reason: Text


class CachePerformance(Shape):
    cache_hit_ratio: Figure = Field(description="hits of hits and misses, 0..1")
    cache_miss_ratio: Figure
    cache_bypass_ratio: Figure = Field(description="of all requests, 0..1")
    origin_shield_hit_ratio: Figure


class EdgeMetrics(Shape):
    edge_location: str
    requests_served: Count
    avg_response_time_ms: Figure
    error_rate: Figure
    bandwidth_served_gb: Figure


class OriginOffload(Shape):
    requests_to_origin: Count
    requests_served_from_edge: Count
    offload_percentage: Figure
    bandwidth_savings_gb: Figure
    on_wire: dict[str, Any] = Field(description="what the agent was asked, by its packets")


class GeographicPerformance(Shape):
    region: str
    avg_latency_ms: Figure
    cache_hit_ratio: Figure
    availability: Figure


class CostEffectiveness(Shape):
    cdn_cost: Figure
    origin_bandwidth_saved: Figure
    cost_per_gb_served: Figure
    roi: Figure


class CDNAnalytics(Shape):
    """Specification 7.1."""

    agent_id: str
    timeframe: str
    available: bool = Field(
        description="whether there are logs in the timeframe, or caches said something in clear"
    )
    reason: Text
    cdn_provider: Text
    edge_locations: list[str]
    cache_performance: CachePerformance
    edge_metrics: list[EdgeMetrics]
    origin_offload: OriginOffload
    geographic_performance: list[GeographicPerformance]
    cost_effectiveness: CostEffectiveness
    availability: dict[str, Any] | None
    observed_providers: dict[str, int] = Field(description="octets by owner of endpoints' names")
    observed_caching: dict[str, int] | None = Field(
        description="cleartext responses of the newest day: hits, misses and bypasses, as the"
        " nearest cache said (RFC 9211 Cache-Status, or vendors' fields)"
    )
    reasons: dict[str, str]
