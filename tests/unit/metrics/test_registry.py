"""Every figure is registered: what is not described does not ship."""

import dataclasses

from sensor.metrics.registry import METRICS
from sensor.model import metrics


def test_every_field_of_network_metrics_is_described() -> None:
    sections = {
        "latency_metrics": metrics.LatencyMetrics,
        "bandwidth_metrics": metrics.BandwidthMetrics,
        "connection_metrics": metrics.ConnectionMetrics,
        "protocol_distribution": metrics.ProtocolDistribution,
        "geographic_distribution": metrics.GeographicDistribution,
    }
    fields = [f"{s}.{f.name}" for s, cls in sections.items() for f in dataclasses.fields(cls)]
    assert [m.name for m in METRICS] == fields
    assert all(m.help.endswith(".") and m.unit and m.null_when and m.source for m in METRICS)
