"""What a report shows, whatever it was made from: a replay's figures or a store."""

from dataclasses import dataclass, field
from typing import Any

from sensor._native.counters import Counter
from sensor.metrics.endpoints import Endpoint
from sensor.metrics.failures import Failure
from sensor.metrics.figures import Figures
from sensor.model.rows import SEVERITIES
from sensor.programs.document import Capture
from sensor.programs.units import count, duration, mbits, percent, size

ROWS = 5  # of each table
EVENTS = 12  # shown; the worst ones
NAMES = 6  # TLS server names shown
KIND_TITLES = {
    "tcp_handshake": "TCP handshake",
    "tcp_handshake_responder": "  to the responder",
    "tcp_handshake_originator": "  to the originator",
    "tcp_rtt": "TCP round trip",
    "tcp_ack": "TCP data to ACK",
    "tls_handshake": "TLS handshake",
    "http_response": "HTTP response",
    "dns_response": "DNS response",
    "icmp_echo": "ICMP echo",
    "quic_handshake": "QUIC handshake",
}
LOCAL_SOURCES = {
    "given": "given",
    "learned_host": "learned: in most of the packets",
    "private_ranges": "learned: private addresses talk to public ones",
}


@dataclass(slots=True)
class MixLine:
    """One protocol's part of all octets."""

    protocol: str
    octets: int
    percent: float


@dataclass(slots=True)
class LatencyLine:
    """Latency of one kind, or of one endpoint; microseconds."""

    title: str
    samples: int
    p50: float | None
    p95: float | None
    p99: float | None
    worst: float | None
    loss_rate: float | None = None


@dataclass(slots=True)
class TalkerLine:
    """Traffic with one endpoint, both directions."""

    endpoint: str
    octets: int
    packets: int
    connections: int


@dataclass(slots=True)
class EventLine:
    """One security event."""

    time: str  # of detection, UTC
    severity: str
    attack: str
    whom: str  # source and destination, as far as they are known
    confidence: float | None
    resolved: bool


@dataclass(slots=True)
class Report:
    """All that is shown; empty parts are left out."""

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)  # label, value
    events: list[EventLine] = field(default_factory=list)
    more_events: int = 0  # than `events` shows
    mix: list[MixLine] = field(default_factory=list)
    latency: list[LatencyLine] = field(default_factory=list)
    slowest: list[LatencyLine] = field(default_factory=list)
    talkers: list[TalkerLine] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    health: list[tuple[str, str]] = field(default_factory=list)
    damaged: str | None = None
    footer: str | None = None


def of_replay(document: dict[str, Any], capture: Capture, figures: Figures) -> Report:
    """The report of one replay; `document` is what --json would have printed."""
    endpoints = figures.endpoints
    shares = figures.protocols.shares()
    octets = figures.protocols.octets()
    return Report(
        title=title(capture.files),
        facts=[*capture_facts(document, capture), *traffic_facts(document)],
        events=[event_line(event) for event in worst(document["events"])],
        more_events=max(0, len(document["events"]) - EVENTS),
        mix=[
            MixLine(leaf.replace("_", " "), octets[leaf], share)
            for leaf, share in sorted(shares.items(), key=lambda item: -(item[1] or 0))
            if share
        ],
        latency=[
            LatencyLine(KIND_TITLES[kind], f["count"], f["p50"], f["p95"], f["p99"], f["max"])
            for kind, f in document["latency_us"].items()
            if f["count"]
        ],
        slowest=[slow_line(e) for e in endpoints.slowest(ROWS)],
        talkers=[talker_line(e) for e in endpoints.busiest(ROWS)],
        failures=figures.failures.most(ROWS),
        health=health_facts(document, figures),
        damaged=capture.damaged,
        footer=speed_line(document["performance"]),
    )


def worst(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The most severe EVENTS of them, in the order of detection."""
    ranked = sorted(events, key=lambda e: (-SEVERITIES.index(e["severity"]), e["detected_at"]))
    return sorted(ranked[:EVENTS], key=lambda e: e["detected_at"])


def event_line(event: dict[str, Any]) -> EventLine:
    source = event["source_ip"] or ("spoofed" if event["evidence"].get("spoofed") else "several")
    port = "" if event["destination_port"] is None else f" port {event['destination_port']}"
    return EventLine(
        time=event["detected_at"][11:19],
        severity=event["severity"],
        attack=(event["attack_class"] or event["event_type"]).replace("_", " "),
        whom=f"{source} → {event['destination_ip'] or 'several'}{port}",
        confidence=event["confidence_score"],
        resolved=event["resolved_at"] is not None,
    )


def speed_line(performance: dict[str, float]) -> str:
    pace = performance["packets_per_second"]
    packets = f"{pace / 1e6:.2f} million packets/s" if pace >= 1e6 else f"{pace:,.0f} packets/s"
    return (
        f"Read in {duration(performance['seconds'])}: {packets}, "
        f"{mbits(performance['gigabits_per_second'] * 1000)}, "
        f"{size(performance['peak_rss_bytes'])} of memory"
    )


def title(files: list[str]) -> str:
    if len(files) == 1:
        return files[0]
    return f"{files[0]} and {count(len(files) - 1, 'more file')}" if files else "nothing"


def capture_facts(document: dict[str, Any], capture: Capture) -> list[tuple[str, str]]:
    """Size, time, local side."""
    wire, captured = capture.wire_bytes, capture.captured_bytes
    cut = "" if captured == wire else f" ({size(captured)} captured)"
    facts = [("Packets", f"{capture.packets:,}, {size(wire)} on the wire{cut}")]
    first, last = document["capture"]["first_packet"], document["capture"]["last_packet"]
    if first is not None and last is not None:
        facts.append(("Time", f"{period_fact(first, last)}, {duration(capture.duration_ns / 1e9)}"))
    local = capture.local
    if not local.known:
        facts.append(("Local side", "unknown, so no direction: give --local CIDR"))
    elif local.source == "private_ranges":
        facts.append(("Local side", "private addresses (learned: they talk to public ones)"))
    else:
        prefixes = ", ".join(p.removesuffix("/32").removesuffix("/128") for p in local.texts())
        facts.append(("Local side", f"{prefixes} ({LOCAL_SOURCES[local.source]})"))
    return facts


def period_fact(first: str, last: str) -> str:
    """Two RFC 3339 times to the second, the day only once when it is the same."""
    until = last[11:19] if last[:10] == first[:10] else last[:19].replace("T", " ")
    return f"{first[:19].replace('T', ' ')} to {until} UTC"


def traffic_facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Bandwidth, connections, and one line for each protocol that was seen."""
    facts = []
    agent = document["network_metrics"][0] if document["network_metrics"] else {}
    bandwidth = agent.get("bandwidth_metrics", {})
    if bandwidth.get("ingress_mbps") is not None:
        for way, mean in (("In", "ingress_mbps"), ("Out", "egress_mbps")):
            rates = f"{mbits(bandwidth[mean])}, {mbits(bandwidth['peak_' + mean])} at its peak"
            facts.append((way, rates))
    made = document["connections"]
    states = ", ".join(
        f"{state} {n:,}" for state, n in sorted(made["states"].items(), key=by_number) if n
    )
    kinds = ", ".join(f"{made[k]:,} {k.upper()}" for k in ("tcp", "udp", "icmp") if made[k])
    facts.append(("Connections", (kinds or "none") + (f" ({states})" if states else "")))
    loss = agent.get("latency_metrics", {}).get("packet_loss_rate")
    for label, line in (
        ("TCP", tcp_line(document["tcp"], loss)),
        ("HTTP", http_line(document["http"])),
        ("TLS", tls_line(document["tls"])),
        ("DNS", dns_line(document["dns"])),
        ("Also", other_line(document)),
    ):
        if line:
            facts.append((label, line))
    return facts


def by_number(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def listed(*parts: tuple[int, str]) -> str:
    """``2 resets, 1 zero window``: only what is there."""
    return ", ".join(count(n, noun) for n, noun in parts if n)


def tcp_line(tcp: dict[str, int], loss: float | None) -> str:
    line = listed(
        (tcp["handshakes"], "handshake"),
        (tcp["resets"], "reset"),
        (tcp["retransmissions"], "retransmission"),
        (tcp["out_of_order"], "segment out of order"),
        (tcp["zero_windows"], "zero window"),
        (tcp["capture_gaps"], "capture gap"),
    ).replace("segment out of orders", "segments out of order")
    return f"{line}, loss {percent(loss)}" if line and loss is not None else line


def http_line(http: dict[str, Any]) -> str:
    line = listed((http["requests"], "request"), (http["responses"], "response"))
    status = ", ".join(
        f"{code} x{n:,}" for code, n in sorted(http["status"].items(), key=by_number)[:NAMES]
    )
    return f"{line} ({status})" if status else line


def tls_line(tls: dict[str, Any]) -> str:
    line = listed((tls["client_hellos"], "client hello"), (tls["fatal_alerts"], "fatal alert"))
    names = tls["server_names"]
    if names:
        more = f" and {len(names) - NAMES:,} more" if len(names) > NAMES else ""
        return f"{line or 'QUIC only'}, to {', '.join(names[:NAMES])}".replace("  ", " ") + more
    return line


def dns_line(dns: dict[str, int]) -> str:
    queries = count(dns["queries"], "query", "queries") if dns["queries"] else ""
    rest = listed(
        (dns["responses"], "response"), (dns["nxdomain"], "NXDOMAIN"), (dns["servfail"], "SERVFAIL")
    )
    unanswered = f"{dns['unanswered']:,} unanswered" if dns["unanswered"] else ""
    return ", ".join(part for part in (queries, rest, unanswered) if part)


def other_line(document: dict[str, Any]) -> str:
    return listed(
        (document["websocket"]["frames"], "WebSocket frame"),
        (document["http2"]["requests"], "HTTP/2 request"),
        (document["grpc"]["calls"], "gRPC call"),
        (document["quic"]["connections"], "QUIC connection"),
    )


def slow_line(e: Endpoint) -> LatencyLine:
    p50, p95, p99 = e.latency.percentiles_us(50, 95, 99)
    worst = None if e.latency.max_ns is None else e.latency.max_ns / 1000
    return LatencyLine(e.label, e.latency.count, p50, p95, p99, worst, e.loss_rate)


def talker_line(e: Endpoint) -> TalkerLine:
    packets = e[Counter.C_PACKETS_SENT] + e[Counter.C_PACKETS_RECEIVED]
    return TalkerLine(e.label, e.octets, packets, e[Counter.C_CONNECTIONS_NEW])


def health_facts(document: dict[str, Any], figures: Figures) -> list[tuple[str, str]]:
    """Only what a reader should know: nothing when all is well."""
    facts = []
    health = figures.health
    if health.quality != "ok":
        gaps = f"{percent(health.ack_gap_ratio)} of ACKs are for octets not captured"
        facts.append(("Quality", f"{health.quality} at its worst: {gaps}"))
    counted = {**document["capture"]["anomalies"], **document["capture"]["health"]["let_go"]}
    for name, n in sorted(counted.items(), key=by_number):
        facts.append((name.replace("_", " "), f"{n:,}"))
    return facts
