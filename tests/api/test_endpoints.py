"""Every field of the specification is in an answer, figures are right, errors say what is wrong."""

import json
import re
from typing import Any

import numpy as np
import pytest

from sensor.api import schemas
from tests.api.made import AGENT, DNS, MINUTE, T0, WEB, WINDOWS, ask

Address = tuple[str, int]
ROOT = f"/analytics/network/{AGENT}"

# The specification's interfaces, by where they are in an answer: 1.1, 4.1, 5.1, 3.1, 6.1.
FIELDS: dict[str, dict[str, str]] = {
    f"{ROOT}/performance": {
        "": "agent_id network_id measurement_period",
        "latency_metrics": "avg_latency_ms p50_latency_ms p95_latency_ms p99_latency_ms jitter_ms"
        " packet_loss_rate",
        "bandwidth_metrics": "ingress_mbps egress_mbps peak_ingress_mbps peak_egress_mbps"
        " bandwidth_utilization burst_frequency",
        "connection_metrics": "active_connections new_connections_per_sec"
        " closed_connections_per_sec connection_errors timeout_count reset_count",
        "protocol_distribution": "http_percentage https_percentage websocket_percentage"
        " grpc_percentage tcp_percentage udp_percentage",
        "geographic_distribution": "region latency_by_region traffic_by_region"
        " error_rate_by_region",
        "series": "step_s bucket p50_ms p95_ms p99_ms jitter_ms packet_loss_rate ingress_mbps"
        " egress_mbps peak_ingress_mbps active_connections new_connections closed_connections"
        " failed_connections",
        "health": "received dropped interface_dropped degraded_windows blind_windows windows",
        "endpoints.0": "endpoint region bytes p50_ms p95_ms p99_ms connections errors",
    },
    f"{ROOT}/bandwidth": {
        "": "agent_id",
        "usage_patterns": "avg_bandwidth_mbps peak_bandwidth_mbps burst_frequency"
        " burst_duration_avg_ms sustained_throughput_mbps",
        "traffic_classification": "real_time_traffic bulk_transfer interactive_traffic"
        " background_traffic",
        "congestion_analysis": "congestion_events avg_congestion_duration_ms"
        " packet_loss_during_congestion throughput_degradation",
        "optimization_strategies": "compression_potential caching_effectiveness"
        " traffic_shaping_benefit",
        "optimization_strategies.qos_implementation": "priority_classes bandwidth_allocation",
        "cost_analysis": "current_bandwidth_cost optimized_bandwidth_cost savings_potential"
        " roi_months",
    },
    f"{ROOT}/connections": {
        "": "connection_lifecycle pooling_efficiency keep_alive_effectiveness connection_errors"
        " optimizations pool",
        "connection_lifecycle": "avg_connection_duration_ms connection_establishment_time_ms"
        " successful_connections failed_connections churn_rate reuse_rate state_transitions"
        " patterns",
        "pooling_efficiency": "idle_connection_ratio recommended_pool_size",
        "connection_errors": "timeout_rate",
        "pool": "active idle failed",
    },
    f"{ROOT}/latency": {
        "opportunities.0": "agent_id endpoint avg_p50_ms avg_p95_ms avg_p99_ms max_p99_ms"
        " avg_jitter_ms latency_status jitter_status regional_latencies"
        " optimization_recommendations",
        "opportunities.0.regional_latencies.0": "region latency_ms",
    },
    "/analytics/network/security-threats?workspace_id=default": {
        "": "risk_score detected_attacks recommended_actions threats total next_offset by_severity"
        " by_type",
        "detected_attacks.0": "type confidence affected_period mitigation",
        "threats.0": "id agent_id event_type severity source_ip destination_ip source_port"
        " destination_port protocol packets_count bytes_transferred duration_ms detection_method"
        " confidence_score false_positive_probability action_taken blocked detected_at resolved_at"
        " attack_class rule_id title status evidence mitigation",
    },
    "/analytics/network/traffic-patterns?workspace_id=default": {
        "": "analysis optimizations risk_assessment capacity_planning",
        "analysis": "traffic_patterns anomalies peak_patterns protocol_analysis geographic_patterns"
        " burst_analysis ddos_detection bottleneck_analysis",
        "analysis.ddos_detection": "risk_score detected_attacks recommended_actions",
        "analysis.ddos_detection.detected_attacks.0": "type confidence affected_period mitigation",
    },
    "/agents": {
        "0": "agent_id workspace_id hostname network_id region version source first_packet"
        " last_packet live",
    },
}
MODELS = {
    f"{ROOT}/performance": schemas.Performance,
    f"{ROOT}/bandwidth": schemas.BandwidthAnalytics,
    f"{ROOT}/connections": schemas.Connections,
    f"{ROOT}/latency": schemas.Latencies,
    "/analytics/network/security-threats?workspace_id=default": schemas.Threats,
}


def at(document: Any, path: str) -> Any:
    for part in filter(None, path.split(".")):
        document = document[int(part) if part.isdigit() else part]
    return document


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: path.replace(AGENT, "agent"))
def test_every_field_is_there(address: Address, path: str) -> None:
    status, document, _ = ask(address, path)
    assert status == 200
    for where, names in FIELDS[path].items():
        assert set(names.split()) <= set(at(document, where)), where
    if path in MODELS:
        MODELS[path].model_validate(document, strict=True)


def test_performance_is_that_of_all_samples(address: Address, made: tuple[str, Any]) -> None:
    """The newest hour, by numpy on the raw samples; a slot of two digits is 1 % wide."""
    _, found, _ = ask(address, f"{ROOT}/performance?timeframe=1h")
    since = T0 + (WINDOWS - 1) * MINUTE + 59_000_001 - 3600 * 1_000_000
    samples = np.array(
        [us for (start, _), values in made[1].items() if start >= since for us in values]
    )
    latency = found["latency_metrics"]
    assert found["sample_count"] == len(samples)
    assert latency["avg_latency_ms"] == pytest.approx(samples.mean() / 1000)
    exact = np.percentile(samples, [50, 95, 99], method="inverted_cdf") / 1000
    shown = [latency[f"p{p}_latency_ms"] for p in (50, 95, 99)]
    assert shown == pytest.approx(exact.tolist(), rel=0.01)
    assert latency["jitter_ms"] == 0.5
    assert latency["packet_loss_rate"] == pytest.approx(1 / 31)  # UDP's is not known
    assert found["connection_metrics"]["connection_errors"] == 60 * 2
    assert found["connection_metrics"]["active_connections"] == 6
    assert found["protocol_bytes"] == {"https": 60 * 9000, "dns": 60 * 1000}
    assert found["protocol_distribution"]["https_percentage"] == 90
    assert found["protocol_distribution"]["udp_percentage"] == 10
    assert found["geographic_distribution"]["error_rate_by_region"] == {"CH": 0.25}
    assert found["geographic_distribution"]["latency_by_region"] == {"CH": 9.0}
    assert {one["endpoint"] for one in found["endpoints"]} == {WEB, DNS}
    assert found["until"] == "2023-11-15T00:09:59.000001000Z"  # an old capture's end
    assert found["coverage"] == pytest.approx(1, abs=1e-4)
    assert found["bandwidth_metrics"]["bandwidth_utilization"] is None
    assert "bandwidth_metrics.bandwidth_utilization" in found["reasons"]


def test_series_has_gaps_where_there_was_nothing(address: Address) -> None:
    _, found, _ = ask(address, f"{ROOT}/performance?timeframe=6h")
    series = found["series"]
    lengths = {len(values) for name, values in series.items() if name != "step_s"}
    assert lengths == {361}
    assert sum(p is not None for p in series["p99_ms"]) == WINDOWS
    assert series["p99_ms"][0] is None
    assert series["new_connections"][-1] == 4
    assert series["ingress_mbps"][-2] == pytest.approx(30 * 12_500 * 8 / 1e6 / 60)
    assert series["peak_ingress_mbps"][-2] == pytest.approx(0.1)


def test_without_geography(address: Address) -> None:
    _, found, _ = ask(address, f"{ROOT}/performance?include_geographic=false")
    assert found["geographic_distribution"] is None


def test_optimize_latency(address: Address) -> None:
    _, found, _ = ask(address, f"{ROOT}/optimize-latency?target_p99_ms=50", "POST")
    assert found["gap_ms"] == pytest.approx(found["current_p99_ms"] - 50)
    assert found["target_met"] is False
    shares = [part["share_of_gap"] for part in found["gap_explained"]]
    assert sum(filter(None, shares)) == pytest.approx(1)
    assert {one["endpoint"] for one in found["endpoints"]} <= {WEB, DNS}
    assert all(one["expected_improvement_ms"] is None for one in found["recommendations"])
    _, met, _ = ask(address, f"{ROOT}/optimize-latency?target_p99_ms=60000&regions=CH", "POST")
    assert (met["target_met"], met["endpoints"]) == (True, [])
    _, none, _ = ask(address, f"{ROOT}/optimize-latency?regions=XX", "POST")
    assert (none["opportunities"], none["current_p99_ms"]) == ([], None)


def test_threats_page_by_page(address: Address) -> None:
    path = "/analytics/network/security-threats?workspace_id=default&timeframe=24h"
    _, first, _ = ask(address, f"{path}&limit=2")
    assert (len(first["threats"]), first["total"], first["next_offset"]) == (2, 3, 2)
    _, rest, _ = ask(address, f"{path}&limit=2&offset=2")
    assert (len(rest["threats"]), rest["next_offset"]) == (1, None)
    assert first["by_severity"] == {"medium": 0, "high": 3, "critical": 0}
    assert first["by_type"] == {"dos_attack": 3}
    for more in ("threat_types=scan", "severity_threshold=critical", "status=resolved"):
        assert ask(address, f"{path}&{more}")[1]["total"] == 0, more
    assert ask(address, f"{path}&threat_types=ddos&threat_types=scan")[1]["total"] == 3


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(
            (f"{ROOT}/performance?timeframe={wrong}", 400)
            for wrong in ("999999999h", "1h;--", "14m", "91d", "-1h", "1", "h", "1y", "%00", "")
        ),
        (f"{ROOT}/performance?include_geographic=perhaps", 422),
        ("/analytics/network/..%2F..%2Fetc%2Fpasswd/performance", 404),
        ("/analytics/network/none/performance", 422),
        ("/analytics/network/5f0d2c9e-58c5-4ac5-a8a5-000000000000/performance", 404),
        ("/analytics/network/security-threats", 422),
        ("/analytics/network/security-threats?workspace_id=nobody", 404),
        ("/analytics/network/security-threats?workspace_id=default&threat_types=all", 422),
        ("/analytics/network/security-threats?workspace_id=default&limit=1001", 422),
        ("/analytics/network/security-threats?workspace_id=default&severity_threshold=bad", 422),
        ("/no/such/page", 404),
    ],
)
def test_what_was_wrong_is_said(address: Address, path: str, status: int) -> None:
    found, document, _ = ask(address, path)
    assert found == status
    assert set(document) == {"error", "detail"}


@pytest.mark.parametrize("target", ["nan", "inf", "-inf", "0", "-5", "1e9", "x"])
def test_targets_that_are_none(address: Address, target: str) -> None:
    status, document, _ = ask(address, f"{ROOT}/optimize-latency?target_p99_ms={target}", "POST")
    assert status == 422
    assert "target_p99_ms" in json.dumps(document)


def test_etag(address: Address) -> None:
    _, _, headers = ask(address, f"{ROOT}/latency")
    assert ask(address, f"{ROOT}/latency", If_None_Match=headers["etag"])[0] == 304
    assert ask(address, f"{ROOT}/latency", If_None_Match='"other"')[0] == 200


def test_openapi_documents_every_answer(address: Address) -> None:
    _, document, _ = ask(address, "/openapi.json")
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert {"200", "400", "401", "404", "413", "422"} <= set(operation["responses"]), path
            assert "requestBody" not in operation, path  # lists are query parameters
    assert set(FIELDS) <= {re.sub(r"\{agent_id\}", AGENT, path) for path in document["paths"]} | {
        path for path in FIELDS if "?" in path
    }


def test_metrics_and_health(address: Address) -> None:
    assert ask(address, "/healthz", authorization="")[:2] == (200, {"status": "ok"})
    status, text, headers = ask(address, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert f'agent_id="{AGENT}"'.encode() in text


def test_regions_are_drawn_where_they_are(address: Address) -> None:
    status, found, _ = ask(address, "/regions?workspace_id=default&timeframe=90d")
    assert status == 200
    (swiss,) = found
    assert (swiss["region"], swiss["name"], swiss["best_agent_id"]) == ("CH", "Switzerland", AGENT)
    assert swiss["bytes"] == WINDOWS * 10_000
    assert swiss["avg_ms"] == 9.0  # of every window's row
    assert ask(address, "/regions?workspace_id=nobody")[0] == 404
    assert ask(address, "/regions?workspace_id=default", authorization="")[0] == 401


def test_topology_has_every_key_of_the_specification(address: Address) -> None:
    asked = "/analytics/network/topology-optimization?workspace_id=default"
    status, found, _ = ask(address, f"{asked}&optimization_goals=redundancy", "POST")
    assert status == 200
    assert found.keys() >= {
        "topology_structure", "redundancy_analysis", "critical_paths", "segmentation_analysis",
        "optimization_opportunities", "nodes", "edges",
    }  # fmt: skip
    assert (found["nodes"], found["reason"] is None) == ([], False)
    assert ask(address, f"{asked}&optimization_goals=magic", "POST")[0] == 422


def test_cdn_without_logs_has_every_key(address: Address) -> None:
    status, found, _ = ask(address, f"{ROOT}/cdn?timeframe=90d&cdn_price_per_gb=0.05")
    assert (status, found["available"]) == (200, False)
    assert found.keys() >= {
        "cdn_provider", "edge_locations", "cache_performance", "edge_metrics", "origin_offload",
        "geographic_performance", "cost_effectiveness",
    }  # fmt: skip
    assert set(found["cost_effectiveness"].values()) == {None}
    assert ask(address, f"{ROOT}/cdn?cdn_price_per_gb=-1")[0] == 422
