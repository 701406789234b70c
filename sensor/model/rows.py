"""The rows that figures hand to a store. Field names are column names (docs/schema.md says more).

Times are integer microseconds since 1970 UTC, packet time unless said otherwise. None is unknown.
A store adds `seq`, the number of the row in its database, and `id` where the table has one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

SEVERITIES = ("info", "low", "medium", "high", "critical")  # of an event, ascending


class AgentRow(NamedTuple):
    """One run of one agent: a boot of the daemon, or a replay."""

    agent_id: str
    boot_id: str
    source: str  # "live" or "replay"
    workspace_id: str | None
    network_id: str | None
    region: str | None
    hostname: str | None
    version: str
    local_prefixes: str  # JSON array of CIDRs
    local_source: str  # given, learned_host, private_ranges, unknown
    first_packet: int | None
    last_packet: int | None


class MetricsRow(NamedTuple):
    """One agent x endpoint x window; up to created_at the specification's columns."""

    agent_id: str
    endpoint: str
    timestamp: int  # start of the window
    latency_avg_us: int | None
    latency_p50_us: int | None
    latency_p95_us: int | None
    latency_p99_us: int | None
    jitter_us: int | None
    packets_sent: int
    packets_received: int
    packets_lost: int | None
    packets_retransmitted: int | None
    bytes_sent: int
    bytes_received: int
    bandwidth_usage_percent: float | None
    connections_active: int
    connections_new: int
    connections_closed: int
    connections_failed: int
    timeout_errors: int
    connection_reset_errors: int
    dns_resolution_errors: int
    ssl_handshake_errors: int
    http_requests: int
    https_requests: int
    websocket_frames: int
    grpc_calls: int
    created_at: int | None  # None: the wall clock when the row is written
    boot_id: str
    network_id: str | None = None
    workspace_id: str | None = None
    region: str | None = None
    window_s: int = 60
    quality: str = "ok"
    role: str | None = None
    app: str | None = None
    name_source: str | None = None
    latency_hist: bytes | None = None
    latency_count: int = 0
    latency_sum_us: int | None = None
    latency_min_us: int | None = None
    latency_max_us: int | None = None
    jitter_count: int = 0
    jitter_sum_us: int | None = None
    packets_lost_upstream: int | None = None
    packets_lost_downstream: int | None = None
    spurious_retransmissions: int | None = None
    out_of_order: int | None = None
    zero_windows: int | None = None
    capture_gaps: int | None = None
    data_segments: int | None = None
    acks: int | None = None
    handshakes: int | None = None
    connections_one_way: int | None = None
    http_responses: int | None = None
    http_4xx: int | None = None
    http_5xx: int | None = None
    http2_requests: int | None = None
    https_requests_estimated: int = 1
    tls_client_hellos: int | None = None
    tls_fatal_alerts: int | None = None
    dns_queries: int | None = None
    dns_responses: int | None = None
    dns_nxdomain: int | None = None
    dns_servfail: int | None = None
    dns_unanswered: int | None = None
    quic_connections: int | None = None
    rtp_packets: int | None = None
    rtp_lost: int | None = None
    cache_hits: int | None = None
    cache_misses: int | None = None
    cache_bypasses: int | None = None


class ConnectionRow(NamedTuple):
    """One connection, as Zeek's conn.log would have it, and more."""

    agent_id: str
    boot_id: str
    community_id: str
    started_at: int
    ended_at: int
    duration_us: int
    protocol: str
    orig_ip: str
    orig_port: int
    resp_ip: str
    resp_port: int
    service: str | None
    endpoint: str
    conn_state: str
    history: str
    end_reason: str | None
    orig_packets: int
    orig_bytes: int
    resp_packets: int
    resp_bytes: int
    handshake_us: int | None
    rtt_min_us: int | None
    retransmissions: int
    orig_wire_bytes: int
    resp_wire_bytes: int
    missed_bytes: int
    lost_upstream: int
    lost_downstream: int
    out_of_order: int
    zero_windows: int
    handshake_responder_us: int | None
    handshake_originator_us: int | None
    server_name: str | None
    name_source: str | None
    vlan: int | None
    local_orig: int | None
    local_resp: int | None
    midstream: int
    tunnelled: int
    fragmented: int
    truncated: int
    offloaded: int


class SecurityEventRow(NamedTuple):
    """One detected event; the specification's columns, then ours.

    `id` is the event's own: a store keeps one row of each, the newest that it was given.
    """

    id: str
    agent_id: str
    event_type: str
    severity: str
    source_ip: str | None
    destination_ip: str | None
    source_port: int | None
    destination_port: int | None
    protocol: str | None
    packets_count: int | None
    bytes_transferred: int | None
    duration_ms: int | None
    detection_method: str | None
    confidence_score: float | None
    false_positive_probability: float | None
    action_taken: str | None
    blocked: int | None
    detected_at: int
    resolved_at: int | None
    boot_id: str
    attack_class: str | None = None
    rule_id: str | None = None
    title: str | None = None
    status: str | None = None
    started_at: int | None = None
    updated_at: int | None = None
    evidence: str | None = None
    mitigation: str | None = None


class DetectionStateRow(NamedTuple):
    """What detection would need after a restart: one per agent, the newest."""

    agent_id: str
    saved_at: int
    state: str  # JSON, see sensor.store.state


class BandwidthSecond(NamedTuple):
    """One agent x second with traffic, octets on the wire."""

    agent_id: str
    boot_id: str
    timestamp: int  # start of the second
    bytes_in: int
    bytes_out: int
    bytes_other: int
    packets_in: int
    packets_out: int
    packets_other: int
    bins_in: str  # JSON array: octets of each 100 ms
    bins_out: str
    bins_other: str


class ProtocolMixRow(NamedTuple):
    """One agent x window x leaf of the protocol partition."""

    agent_id: str
    boot_id: str
    timestamp: int
    window_s: int
    leaf: str
    bytes: int
    packets: int
    connections: int


class LatencyHistogramRow(NamedTuple):
    """One agent x window x kind of latency."""

    agent_id: str
    boot_id: str
    timestamp: int
    window_s: int
    kind: str
    count: int  # type: ignore[assignment]  # the column's name; nobody counts in a tuple
    min_us: int | None
    mean_us: float | None
    p50_us: int | None
    p95_us: int | None
    p99_us: int | None
    max_us: int | None
    histogram: bytes


class RegionalRow(NamedTuple):
    """One agent x window x region of the remote side."""

    agent_id: str
    boot_id: str
    timestamp: int
    window_s: int
    region: str
    bytes: int
    packets: int
    connections: int
    errors: int
    latency_avg_us: int | None
    latency_count: int


class CaptureHealthRow(NamedTuple):
    """How much of one window's traffic was really seen."""

    agent_id: str
    boot_id: str
    timestamp: int
    window_s: int
    quality: str
    received: int
    dropped: int | None  # None: a savefile cannot know
    interface_dropped: int | None
    truncated: int
    malformed: int
    unsupported: int
    flows_evicted: int
    flows_refused: int
    half_open_evicted: int
    endpoints_folded: int
    rows_lost: int
    ack_gap_ratio: float | None
    anomalies: str  # JSON object: name -> count
    ring_freezes: int | None = None  # this one and those that follow: None for a savefile
    interface_gaps: int | None = None
    gap_ms: int | None = None
    windows_lost: int | None = None
    batches_lost: int | None = None
    clock_step_ms: int | None = None


class TopologyNodeRow(NamedTuple):
    """What one window tells of one address; a store merges it into what it knows."""

    agent_id: str
    node: str
    ip: str | None
    mac: str | None
    name: str | None
    role: str | None  # host, service, switch, router or gateway
    vlan: int | None
    hops: int | None
    evidence: str  # JSON array
    confidence: float | None
    first_seen: int
    last_seen: int


class TopologyLinkRow(NamedTuple):
    """What one window had between two nodes; a store adds it up."""

    agent_id: str
    source: str
    target: str
    kind: str  # l2, l3 or service
    bytes: int
    packets: int
    connections: int
    errors: int
    latency_avg_us: int | None
    evidence: str  # JSON array
    confidence: float | None
    first_seen: int
    last_seen: int


class CdnRow(NamedTuple):
    """One request in the log of a CDN."""

    agent_id: str
    timestamp: int
    provider: str
    edge_location: str | None
    region: str | None
    host: str | None
    status: int | None
    cache_status: str | None  # hit, miss, bypass or unknown
    cache_detail: str | None
    origin_shield: int | None
    bytes: int | None
    origin_bytes: int | None
    response_us: int | None
    first_byte_us: int | None


@dataclass(frozen=True, slots=True)
class WindowRows:
    """All that one window leaves; a store writes it in one transaction or not at all.

    `connections` are plain tuples in the order of ConnectionRow, consumed once: they come by the
    hundred thousand. `snapshot`: a shorter look at traffic that a longer window counts again
    (live's 10-s rows); it is kept, but not added to the hours. `detection` None leaves the state
    that is kept as it is.
    """

    agent: AgentRow
    metrics: list[MetricsRow] = field(default_factory=list)
    connections: Iterable[tuple[object, ...]] = ()
    bandwidth: list[BandwidthSecond] = field(default_factory=list)
    protocols: list[ProtocolMixRow] = field(default_factory=list)
    latency: list[LatencyHistogramRow] = field(default_factory=list)
    regions: list[RegionalRow] = field(default_factory=list)
    health: list[CaptureHealthRow] = field(default_factory=list)
    events: list[SecurityEventRow] = field(default_factory=list)
    detection: DetectionStateRow | None = None
    nodes: list[TopologyNodeRow] = field(default_factory=list)
    links: list[TopologyLinkRow] = field(default_factory=list)
    topology_dropped: int = 0  # nodes and links of this window that found no room
    snapshot: bool = False
