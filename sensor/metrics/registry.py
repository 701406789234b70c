"""Every figure of NetworkMetrics: its unit, how it is computed, where the definition comes from.

The reference page is made from this list; a test holds it against `sensor.model.metrics`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure. `null_when`: when it is unknown."""

    name: str
    unit: str
    help: str
    null_when: str
    source: str


HDR = "merged HDR histograms, 2 significant digits, nearest rank"
NO_SAMPLES = "no latency was measured"
NO_DIRECTION = "the local side is not known"

METRICS = (
    Metric(
        "latency_metrics.avg_latency_ms",
        "ms",
        "Mean network latency: handshakes, ACKs that were not delayed, TCP timestamps.",
        NO_SAMPLES,
        "exact sum and count",
    ),
    Metric("latency_metrics.p50_latency_ms", "ms", "Median network latency.", NO_SAMPLES, HDR),
    Metric("latency_metrics.p95_latency_ms", "ms", "95th percentile of it.", NO_SAMPLES, HDR),
    Metric("latency_metrics.p99_latency_ms", "ms", "99th percentile of it.", NO_SAMPLES, HDR),
    Metric(
        "latency_metrics.jitter_ms",
        "ms",
        "Mean of |RTT_i - RTT_(i-1)| within one flow and side.",
        "no flow has two samples",
        "RTT variation in the spirit of RFC 3393 and RFC 5481; sum and count merge",
    ),
    Metric(
        "latency_metrics.packet_loss_rate",
        "fraction 0..1",
        "TCP data segments lost before or behind the capture point, of those that were sent.",
        "no TCP data, or only one direction was captured",
        "sequence holes filled late, and retransmissions that were not spurious",
    ),
    Metric(
        "bandwidth_metrics.ingress_mbps",
        "Mbit/s",
        "Octets on the wire to the local side, mean over the period (at least a second).",
        NO_DIRECTION,
        "frame lengths without FCS, 10^6 bits",
    ),
    Metric(
        "bandwidth_metrics.egress_mbps",
        "Mbit/s",
        "The same from the local side.",
        NO_DIRECTION,
        "frame lengths without FCS, 10^6 bits",
    ),
    Metric(
        "bandwidth_metrics.peak_ingress_mbps",
        "Mbit/s",
        "The busiest second of packet time, aligned; never below the mean.",
        NO_DIRECTION,
        "per-second octets",
    ),
    Metric(
        "bandwidth_metrics.peak_egress_mbps",
        "Mbit/s",
        "The same from the local side.",
        NO_DIRECTION,
        "per-second octets",
    ),
    Metric(
        "bandwidth_metrics.bandwidth_utilization",
        "fraction 0..1",
        "The busier direction's mean over the link's capacity.",
        "the capacity is not known: always in a replay",
        "configuration, or the speed of a physical interface",
    ),
    Metric(
        "bandwidth_metrics.burst_frequency",
        "1/h",
        "Runs of 100-ms bins above twice the median of the 60 s before, and above 1 Mbit/s "
        "(or 5 % of a known capacity).",
        "less than 10 s were captured",
        "octets of all directions per 100 ms",
    ),
    Metric(
        "connection_metrics.active_connections",
        "connections",
        "Distinct connections with a packet, in the window that had most of them.",
        "never",
        "per-window count",
    ),
    Metric(
        "connection_metrics.new_connections_per_sec",
        "1/s",
        "Connections begun, over the period (at least a second); a new ISN is a new connection.",
        "never",
        "first SYN or first datagram",
    ),
    Metric(
        "connection_metrics.closed_connections_per_sec",
        "1/s",
        "Connections ended: FIN both ways, reset, idle, or end of input.",
        "never",
        "Zeek's conn_state",
    ),
    Metric(
        "connection_metrics.connection_errors",
        "count",
        "Failed (refused, unanswered), reset and timed out together.",
        "never",
        "the three counters",
    ),
    Metric(
        "connection_metrics.timeout_count",
        "count",
        "Connections without an answer, and stalled ones.",
        "never",
        "packet time",
    ),
    Metric(
        "connection_metrics.reset_count",
        "count",
        "Resets that ended an established connection.",
        "never",
        "RST before both FINs",
    ),
    *(
        Metric(
            f"protocol_distribution.{leaf}_percentage",
            "%",
            f"Octets of {text}, of all octets.",
            "there was no traffic",
            "recognised by content on any port; a partition with quic, dns, icmp and the rest",
        )
        for leaf, text in (
            ("http", "cleartext HTTP/1"),
            ("https", "TLS"),
            ("websocket", "cleartext WebSocket"),
            ("grpc", "cleartext gRPC"),
        )
    ),
    *(
        Metric(
            f"protocol_distribution.{name}_percentage",
            "%",
            f"Octets of {name.upper()}, of all octets: another cut through the same traffic.",
            "there was no traffic",
            "the transport of each leaf; DNS by its own transport",
        )
        for name in ("tcp", "udp")
    ),
    Metric(
        "geographic_distribution.region",
        "region",
        "Region of the local side.",
        NO_DIRECTION,
        "as the maps below",
    ),
    Metric(
        "geographic_distribution.latency_by_region",
        "ms",
        "Mean network latency by region of the remote side.",
        "no latency was measured with the region",
        "country of registration of the remote prefix (iptocc); private; unknown",
    ),
    Metric(
        "geographic_distribution.traffic_by_region",
        "octets",
        "Octets on the wire by region of the remote side.",
        "never",
        "country of registration of the remote prefix (iptocc); private; unknown",
    ),
    Metric(
        "geographic_distribution.error_rate_by_region",
        "fraction 0..1",
        "Failed connections among all by region of the remote side.",
        "no connection was made with the region",
        "country of registration of the remote prefix (iptocc); private; unknown",
    ),
)
