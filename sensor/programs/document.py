"""The document that `sensor replay --json` prints (DESIGN 4.2). Its keys are a contract.

Everything but `performance` is a function of the capture: no clock, no random number, no order of a
hash table.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from sensor._native.counters import Counter
from sensor._native.faces import Source
from sensor.flow.locality import Local
from sensor.metrics.connections import ConnectionFigures
from sensor.metrics.figures import Figures
from sensor.model.event import event_document
from sensor.model.metrics import NetworkMetrics
from sensor.model.rows import SecurityEventRow
from sensor.model.time import rfc3339

SCHEMA = 1
L3_L4 = ("ipv4", "ipv6", "tcp", "udp", "icmp", "arp", "other")


@dataclass(slots=True)
class Capture:
    """What the sources held, all files together."""

    files: list[str]
    local: Local
    packets: int = 0
    wire_bytes: int = 0
    captured_bytes: int = 0
    first_ns: int | None = None  # earliest and latest packet: time may go back within a file
    last_ns: int | None = None
    anomalies: dict[str, int] = field(default_factory=dict)
    damaged: str | None = None

    def add(self, source: Source) -> int:
        """Count in what a source has handed out since; gives the latest packet time of that."""
        packets, wire, captured, first, last = source.take_totals()
        if not packets:
            return 0
        self.packets += packets
        self.wire_bytes += wire
        self.captured_bytes += captured
        self.first_ns = first if self.first_ns is None else min(self.first_ns, first)
        self.last_ns = last if self.last_ns is None else max(self.last_ns, last)
        return last

    def count_anomalies(self, named: dict[str, int]) -> None:
        for name, n in named.items():
            self.anomalies[name] = self.anomalies.get(name, 0) + n

    @property
    def duration_ns(self) -> int:
        return 0 if self.first_ns is None or self.last_ns is None else self.last_ns - self.first_ns

    def document(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "packets": self.packets,
            "bytes": self.wire_bytes,
            "captured_bytes": self.captured_bytes,
            "first_packet": None if self.first_ns is None else rfc3339(self.first_ns),
            "last_packet": None if self.last_ns is None else rfc3339(self.last_ns),
            "duration_s": None if self.first_ns is None else self.duration_ns / 1e9,
            "local": self.local.texts(),
            "local_source": self.local.source,
            "anomalies": dict(sorted(self.anomalies.items())),
            "damaged": self.damaged,
        }


@dataclass(frozen=True, slots=True)
class Performance:
    """What the replay itself took."""

    seconds: float  # monotonic: reading and engine
    peak_rss_bytes: int

    def document(self, packets: int, wire_bytes: int) -> dict[str, Any]:
        rate = 1 / self.seconds if self.seconds > 0 else 0.0
        return {
            "seconds": round(self.seconds, 6),
            "packets_per_second": round(packets * rate, 1),
            "gigabits_per_second": round(wire_bytes * 8e-9 * rate, 6),
            "peak_rss_bytes": self.peak_rss_bytes,
        }


class Findings(Protocol):
    """What detection tells a store."""

    def changed(self) -> list[SecurityEventRow]: ...
    def state(self) -> dict[str, Any]: ...


class Counted(Protocol):
    """What an engine, or several, counted of everything."""

    def counters(self) -> dict[str, int]: ...
    def connections(self) -> dict[str, int]: ...
    def states(self) -> dict[str, int]: ...


def build(
    capture: Capture,
    engine: Counted,
    figures: Figures,
    metrics: list[NetworkMetrics],
    events: list[SecurityEventRow],
    performance: Performance,
) -> dict[str, Any]:
    """The whole document; `metrics` has one entry per agent."""
    frames = engine.counters()
    seen = engine.connections()
    return {
        "schema": SCHEMA,
        "capture": {**capture.document(), "health": health(frames, figures)},
        "packets": {name: frames.get(name, 0) for name in L3_L4},
        "connections": {
            **{name: seen.get(name, 0) for name in ("tcp", "udp", "icmp")},
            "states": dict(sorted(engine.states().items())),
        },
        **application(figures.connections),
        "tls": {**counts(figures.connections, TLS), **names(figures)},
        "latency_us": figures.latency.document(),
        "network_metrics": [m.to_dict() for m in metrics],
        "events": [event_document(row) for row in events],
        "performance": performance.document(capture.packets, capture.wire_bytes),
    }


# What the engine had to let go of, by its own counters: figures are of the rest.
PRESSURE = (
    "flows_evicted",
    "flows_refused",
    "half_open_evicted",
    "half_open_refused",
    "apps_refused",
    "rows_lost",
)


def health(counted: dict[str, int], figures: Figures) -> dict[str, Any]:
    """Whether the figures can be trusted: the worst window's quality, and why."""
    return {
        "quality": figures.health.quality,
        "ack_gap_ratio": figures.health.ack_gap_ratio,
        "let_go": {name: counted[name] for name in PRESSURE if counted.get(name)},
    }


TLS = {
    "client_hellos": Counter.C_TLS_CLIENT_HELLOS,
    "server_hellos": Counter.C_TLS_SERVER_HELLOS,
    "fatal_alerts": Counter.C_TLS_FATAL_ALERTS,
}
SECTIONS: dict[str, dict[str, Counter]] = {
    "dns": {
        "queries": Counter.C_DNS_QUERIES,
        "responses": Counter.C_DNS_RESPONSES,
        "nxdomain": Counter.C_DNS_NXDOMAIN,
        "servfail": Counter.C_DNS_SERVFAIL,
        "errors": Counter.C_DNS_ERRORS,
        "unanswered": Counter.C_DNS_UNANSWERED,
    },
    "websocket": {"connections": Counter.C_WS_CONNECTIONS, "frames": Counter.C_WS_FRAMES},
    "grpc": {"calls": Counter.C_GRPC_CALLS},
    "http2": {"requests": Counter.C_HTTP2_REQUESTS},
    "quic": {"connections": Counter.C_QUIC_CONNECTIONS},
}
HTTP = {"requests": Counter.C_HTTP_REQUESTS, "responses": Counter.C_HTTP_RESPONSES}
TCP = {
    "handshakes": Counter.C_HANDSHAKES,
    "resets": Counter.C_RESETS,
    "retransmissions": Counter.C_RETRANSMISSIONS,
    "spurious_retransmissions": Counter.C_SPURIOUS,
    "out_of_order": Counter.C_OUT_OF_ORDER,
    "zero_windows": Counter.C_ZERO_WINDOWS,
    "capture_gaps": Counter.C_CAPTURE_GAPS,
}


def counts(figures: ConnectionFigures, section: dict[str, Counter]) -> dict[str, int]:
    return {name: figures[counter] for name, counter in section.items()}


def application(figures: ConnectionFigures) -> dict[str, Any]:
    """TCP and the application protocols, out of the totals."""
    lost = figures[Counter.C_LOST_UPSTREAM] + figures[Counter.C_LOST_DOWNSTREAM]
    status = {str(code): int(figures.status[code]) for code in figures.status.nonzero()[0]}
    return {
        "tcp": {**counts(figures, TCP), "lost_segments": lost},
        "http": {**counts(figures, HTTP), "status": status},
        **{name: counts(figures, section) for name, section in SECTIONS.items()},
    }


def names(figures: Figures) -> dict[str, Any]:
    return {
        "server_names": sorted(figures.server_names),
        "server_names_complete": figures.server_names_complete,
    }
