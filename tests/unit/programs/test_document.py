"""The JSON document of DESIGN 4.2, key by key: other programs read it."""

import json

from sensor._native.faces import KINDS
from tests.unit.programs.made import replayed

NUMBER = (int, float)
LATENCY = {"count", "min", "mean", "p50", "p95", "p99", "max", "histogram"}
KEYS = {
    "schema": None,
    "capture": {
        "files", "packets", "bytes", "captured_bytes", "first_packet", "last_packet", "duration_s",
        "anomalies", "damaged", "local", "local_source", "health",
    },
    "packets": {"ipv4", "ipv6", "tcp", "udp", "icmp", "arp", "other"},
    "connections": {"tcp", "udp", "icmp", "states"},
    "tcp": {
        "handshakes", "resets", "retransmissions", "spurious_retransmissions", "out_of_order",
        "lost_segments", "zero_windows", "capture_gaps",
    },
    "latency_us": set(KINDS),
    "http": {"requests", "responses", "status"},
    "dns": {"queries", "responses", "nxdomain", "servfail", "errors", "unanswered"},
    "tls": {
        "client_hellos", "server_hellos", "fatal_alerts", "server_names", "server_names_complete",
    },
    "websocket": {"connections", "frames"},
    "grpc": {"calls"},
    "http2": {"requests"},
    "quic": {"connections"},
    "network_metrics": None,
    "events": None,
    "performance": {"seconds", "packets_per_second", "gigabits_per_second", "peak_rss_bytes"},
}  # fmt: skip
NETWORK_METRICS = {
    "latency_metrics": {
        "avg_latency_ms", "p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "jitter_ms",
        "packet_loss_rate",
    },
    "bandwidth_metrics": {
        "ingress_mbps", "egress_mbps", "peak_ingress_mbps", "peak_egress_mbps",
        "bandwidth_utilization", "burst_frequency",
    },
    "connection_metrics": {
        "active_connections", "new_connections_per_sec", "closed_connections_per_sec",
        "connection_errors", "timeout_count", "reset_count",
    },
    "protocol_distribution": {
        "http_percentage", "https_percentage", "websocket_percentage", "grpc_percentage",
        "tcp_percentage", "udp_percentage",
    },
    "geographic_distribution": {
        "region", "latency_by_region", "traffic_by_region", "error_rate_by_region",
    },
}  # fmt: skip


def test_every_key_is_there_and_no_other() -> None:
    document = json.loads(json.dumps(replayed()[0], allow_nan=False))
    assert set(document) == set(KEYS)
    for section, keys in KEYS.items():
        if keys is not None:
            assert set(document[section]) == keys, section
    for kind in KINDS:
        assert set(document["latency_us"][kind]) == LATENCY
    (agent,) = document["network_metrics"]
    assert set(agent) == {"agent_id", "network_id", "measurement_period", *NETWORK_METRICS}
    for section, keys in NETWORK_METRICS.items():
        assert set(agent[section]) == keys


def test_values_by_hand() -> None:
    document = replayed()[0]
    capture = document["capture"]
    assert capture["first_packet"] == "2023-11-14T22:13:20.123456789Z"
    assert capture["duration_s"] == 10.0
    assert capture["local"] == ["10.0.0.0/8"]
    assert capture["health"] == {
        "quality": "degraded", "ack_gap_ratio": 0.05, "let_go": {"flows_evicted": 4},
    }  # fmt: skip
    assert document["packets"]["other"] == 0
    assert document["connections"]["states"] == {"REJ": 1, "SF": 2}
    assert document["tcp"]["lost_segments"] == 5
    assert document["http"]["status"] == {"200": 4}
    assert document["latency_us"]["tcp_handshake"]["min"] == 20000.0
    assert document["performance"]["packets_per_second"] == 36.0
    assert document["performance"]["gigabits_per_second"] == 0.08
    (agent,) = document["network_metrics"]
    period = "2023-11-14T22:13:20.123456789Z/2023-11-14T22:13:30.123456789Z"
    assert agent["measurement_period"] == period
    assert agent["bandwidth_metrics"]["ingress_mbps"] == 0.8
    assert agent["bandwidth_metrics"]["bandwidth_utilization"] is None
    assert agent["connection_metrics"]["new_connections_per_sec"] == 0.3


def test_unknown_direction_is_null_and_not_zero() -> None:
    (agent,) = replayed(local=False)[0]["network_metrics"]
    bandwidth = agent["bandwidth_metrics"]
    assert {bandwidth[k] for k in bandwidth if k != "burst_frequency"} == {None}


def test_the_same_again_but_for_performance() -> None:
    first, second = replayed()[0], replayed()[0]
    first.pop("performance")
    second.pop("performance")
    assert json.dumps(first) == json.dumps(second)


def test_hostile_names_are_data_and_stay_escaped_in_json() -> None:
    text = json.dumps(replayed()[0])
    assert text.isascii()
    assert text.isprintable()
