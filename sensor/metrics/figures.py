"""All figures of one agent over one period: adds windows, gives NetworkMetrics."""

from sensor._native.faces import Rows, Window
from sensor.metrics.bandwidth import BandwidthFigures
from sensor.metrics.connections import ConnectionFigures
from sensor.metrics.endpoints import EndpointFigures, server_names
from sensor.metrics.failures import FailureFigures
from sensor.metrics.geography import GeographyFigures
from sensor.metrics.health import HealthFigures
from sensor.metrics.latency import LatencyFigures
from sensor.metrics.protocols import ProtocolFigures
from sensor.model.application import NAME_SNI
from sensor.model.metrics import NetworkMetrics
from sensor.model.text import decode_name
from sensor.model.time import rfc3339

SERVER_NAMES = 1000  # distinct TLS server names kept for the document


class Figures:
    """Order of windows does not matter, except for bursts, which need time to go forward."""

    def __init__(
        self, *, local_known: bool, home: str | None = None, capacity_mbps: float | None = None
    ) -> None:
        self.latency = LatencyFigures()
        self.bandwidth = BandwidthFigures(local_known=local_known, capacity_mbps=capacity_mbps)
        self.connections = ConnectionFigures()
        self.protocols = ProtocolFigures()
        self.geography = GeographyFigures(home)
        self.health = HealthFigures()
        self.endpoints = EndpointFigures()
        self.failures = FailureFigures()
        self.server_names: set[str] = set()
        self.server_names_complete = True

    def window(self, window: Window) -> None:
        """Merge one window."""
        for part in (
            self.latency,
            self.bandwidth,
            self.connections,
            self.protocols,
            self.geography,
            self.health,
            self.endpoints,
        ):
            part.add(window)
        self._name(server_names(window["endpoints"], NAME_SNI))

    def flows(self, rows: Rows, names: bytes) -> None:
        """Finished connections: the failed ones, and TLS server names."""
        self.failures.flows(rows)
        named = rows[rows["name_source"] == NAME_SNI]
        spans = zip(named["name_at"].tolist(), named["name_len"].tolist(), strict=True)
        self._name({decode_name(names[at : at + n]) for at, n in spans})

    def _name(self, seen: set[str]) -> None:
        for name in sorted(seen - self.server_names):
            if len(self.server_names) == SERVER_NAMES:
                self.server_names_complete = False
                return
            self.server_names.add(name)

    def metrics(
        self, agent_id: str, network_id: str, first_ns: int | None, last_ns: int | None
    ) -> NetworkMetrics:
        """The period is from the first packet to the last; both None when there was none."""
        period, period_s = None, 0.0
        if first_ns is not None and last_ns is not None:
            period = f"{rfc3339(first_ns)}/{rfc3339(last_ns)}"
            period_s = (last_ns - first_ns) / 1e9
        return NetworkMetrics(
            agent_id=agent_id,
            network_id=network_id,
            measurement_period=period,
            latency_metrics=self.latency.metrics(),
            bandwidth_metrics=self.bandwidth.metrics(period_s),
            connection_metrics=self.connections.metrics(period_s),
            protocol_distribution=self.protocols.metrics(),
            geographic_distribution=self.geography.metrics(),
        )
