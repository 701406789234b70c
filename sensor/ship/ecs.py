"""An event, or a connection, in Elastic Common Schema 8 and 9, as a SIEM ingests it.

Only fields that ECS defines, and ours below `sensor.`; what is unknown is left out, as ECS has it.
https://www.elastic.co/docs/reference/ecs
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from typing import Any
from uuid import UUID, uuid5

from sensor.detect.risk import severity_score
from sensor.detect.rule import Rule
from sensor.model.event import evidence_of, figure, steps_of, time_text
from sensor.model.event_words import ends
from sensor.model.rows import ConnectionRow, SecurityEventRow

ECS_VERSION = "8.11.0"  # all fields used are in it and in 9
# By our protocol: IANA's keyword where it is a transport.
TRANSPORTS = {
    "tcp": "tcp",
    "udp": "udp",
    "icmp": "icmp",
    "icmp6": "ipv6-icmp",
    "sctp": "sctp",
}
FAILED = frozenset(("S0", "REJ", "RSTOS0", "RSTRH", "SH", "SHR"))  # came to nothing
DIRECTIONS: dict[tuple[int | None, int | None], str] = {
    (1, 0): "outbound",
    (0, 1): "inbound",
    (1, 1): "internal",
    (0, 0): "external",
}
IN_ECS = frozenset((
    "agent_id", "boot_id", "community_id", "started_at", "ended_at", "duration_us", "orig_ip",
    "orig_port", "resp_ip", "resp_port", "end_reason", "orig_packets", "resp_packets",
    "orig_wire_bytes", "resp_wire_bytes", "server_name", "local_orig", "local_resp",
))  # fmt: skip
ATTACK = "https://attack.mitre.org/"
# MITRE ATT&CK: tactic: name; technique: (name, tactic). One not listed goes by its id alone.
TACTICS = {
    "TA0005": "Defense Evasion",
    "TA0006": "Credential Access",
    "TA0007": "Discovery",
    "TA0010": "Exfiltration",
    "TA0011": "Command and Control",
    "TA0040": "Impact",
    "TA0043": "Reconnaissance",
}
TECHNIQUES = {
    "T1046": ("Network Service Discovery", "TA0007"),
    "T1018": ("Remote System Discovery", "TA0007"),
    "T1048": ("Exfiltration Over Alternative Protocol", "TA0010"),
    "T1071": ("Application Layer Protocol", "TA0011"),
    "T1071.001": ("Web Protocols", "TA0011"),
    "T1071.004": ("DNS", "TA0011"),
    "T1095": ("Non-Application Layer Protocol", "TA0011"),
    "T1110": ("Brute Force", "TA0006"),
    "T1110.001": ("Password Guessing", "TA0006"),
    "T1110.003": ("Password Spraying", "TA0006"),
    "T1498": ("Network Denial of Service", "TA0040"),
    "T1498.001": ("Direct Network Flood", "TA0040"),
    "T1498.002": ("Reflection Amplification", "TA0040"),
    "T1499": ("Endpoint Denial of Service", "TA0040"),
    "T1499.001": ("OS Exhaustion Flood", "TA0040"),
    "T1499.002": ("Service Exhaustion Flood", "TA0040"),
    "T1499.003": ("Application Exhaustion Flood", "TA0040"),
    "T1557": ("Adversary-in-the-Middle", "TA0006"),
    "T1557.002": ("ARP Cache Poisoning", "TA0006"),
    "T1562": ("Impair Defenses", "TA0005"),
    "T1562.010": ("Downgrade Attack", "TA0005"),
    "T1572": ("Protocol Tunneling", "TA0011"),
    "T1595": ("Active Scanning", "TA0043"),
    "T1595.001": ("Scanning IP Blocks", "TA0043"),
    "T1595.002": ("Vulnerability Scanning", "TA0043"),
}


def ecs_document(
    row: SecurityEventRow, seq: int | None = None, rule: Rule | None = None
) -> dict[str, Any]:
    """`seq`: number of the event's last change. `rule`: where its file is at hand."""
    evidence = evidence_of(row)
    score = figure(evidence, "severity_score")
    if score is None and row.severity:
        score = severity_score(row._replace(evidence=None))
    confidence = row.confidence_score
    made = {
        "@timestamp": time_text(row.detected_at),
        "ecs": {"version": ECS_VERSION},
        "message": message(row),
        "event": {
            "kind": "alert",
            "category": ["intrusion_detection", "network"],
            "type": ["denied" if row.blocked else "info"],
            "module": "sensor",
            "dataset": "sensor.events",
            "id": row.id,
            "action": row.attack_class or row.event_type,
            "severity": None if score is None else round(score),
            "risk_score": risk(score, confidence),
            "start": time_text(row.started_at),
            "end": time_text(row.resolved_at),
            "duration": None if row.duration_ms is None else row.duration_ms * 1_000_000,
            "sequence": seq,
        },
        "source": side(row.source_ip, row.source_port),
        "destination": side(row.destination_ip, row.destination_port),
        "network": {
            "type": network_type(row),
            "transport": TRANSPORTS.get(row.protocol or ""),
            "packets": row.packets_count,
            "bytes": row.bytes_transferred,
        },
        "rule": {
            "id": row.rule_id,
            "name": rule.title if rule else row.title,
            "version": str(rule.version) if rule else None,
            "description": " ".join(rule.description.split()) if rule else None,
            "category": row.attack_class,
            "ruleset": "sensor",
        },
        "threat": threat(rule.mitre if rule else ()),
        "related": {"ip": related(row, evidence)},
        "observer": {"type": "sensor", "product": "shadower-sensor", "version": own_version()},
        "agent": {"id": row.agent_id, "ephemeral_id": row.boot_id, "type": "sensor"},
        "sensor": {
            "event_type": row.event_type,
            "severity": row.severity,
            "status": row.status,
            "protocol": row.protocol,
            "updated_at": time_text(row.updated_at),
            "detection_method": row.detection_method,
            "confidence_score": confidence,
            "false_positive_probability": row.false_positive_probability,
            "action_taken": row.action_taken,
            "blocked": None if row.blocked is None else bool(row.blocked),
            "mitigation": steps_of(row),
            "evidence": evidence,
        },
    }
    known: dict[str, Any] = without_unknown(made)
    return known


def connection_document(row: ConnectionRow, seq: int) -> dict[str, Any]:
    """`seq`: its number; with the run it makes `event.id`, by which a second copy is known."""
    failed = row.conn_state in FAILED
    made = {
        "@timestamp": time_text(row.ended_at),
        "ecs": {"version": ECS_VERSION},
        "event": {
            "kind": "event",
            "category": ["network"],
            "type": ["connection", "end"],
            "module": "sensor",
            "dataset": "sensor.connections",
            "id": str(uuid5(UUID(row.agent_id), f"{row.boot_id}/{seq}")),
            "action": row.end_reason,
            "outcome": "failure" if failed else "success",
            "start": time_text(row.started_at),
            "end": time_text(row.ended_at),
            "duration": row.duration_us * 1000,
            "sequence": seq,
        },
        "source": {
            **side(row.orig_ip, row.orig_port),
            "bytes": row.orig_wire_bytes,
            "packets": row.orig_packets,
        },
        "destination": {
            **side(row.resp_ip, row.resp_port),
            "domain": row.server_name,
            "bytes": row.resp_wire_bytes,
            "packets": row.resp_packets,
        },
        "network": {
            "type": type_of_address(row.resp_ip),
            "transport": TRANSPORTS.get(row.protocol),
            "protocol": row.service,
            "community_id": row.community_id,
            "direction": DIRECTIONS.get((row.local_orig, row.local_resp)),
            "bytes": row.orig_wire_bytes + row.resp_wire_bytes,
            "packets": row.orig_packets + row.resp_packets,
        },
        "related": {"ip": list(dict.fromkeys((row.orig_ip, row.resp_ip)))},
        "observer": {"type": "sensor", "product": "shadower-sensor", "version": own_version()},
        "agent": {"id": row.agent_id, "ephemeral_id": row.boot_id, "type": "sensor"},
        "sensor": {
            name: getattr(row, name) for name in ConnectionRow._fields if name not in IN_ECS
        },
    }
    known: dict[str, Any] = without_unknown(made)
    return known


def risk(score: float | None, confidence: float | None) -> float | None:
    """Harm by certainty, 0..100."""
    return None if score is None or confidence is None else round(score * confidence, 1)


def side(ip: str | None, port: int | None) -> dict[str, Any]:
    return {"ip": ip, "address": ip, "port": port}


def message(row: SecurityEventRow) -> str | None:
    """``SYN flood: 192.0.2.1 -> 10.0.0.1:80/tcp``, as far as it is known."""
    title = row.title or row.attack_class or row.event_type
    if row.source_ip is None and row.destination_ip is None:
        return title
    return f"{title}: {ends(row)}" if title else ends(row)


def network_type(row: SecurityEventRow) -> str | None:
    if row.protocol == "arp":
        return "arp"
    return type_of_address(row.destination_ip or row.source_ip)


def type_of_address(address: str | None) -> str | None:
    try:
        return None if address is None else f"ipv{ip_address(address).version}"
    except ValueError:
        return None


def related(row: SecurityEventRow, evidence: dict[str, Any]) -> list[str]:
    """Every address that the event names, once."""
    top = evidence.get("top_sources")
    named = [s.get("ip") for s in top if isinstance(s, dict)] if isinstance(top, list) else []
    return list(dict.fromkeys(filter(None, [row.source_ip, row.destination_ip, *named])))


def threat(ids: Sequence[str]) -> dict[str, Any]:
    """ATT&CK techniques, their tactics, and sub-techniques below their technique."""
    if not ids:
        return {}
    parents = list(dict.fromkeys(technique.partition(".")[0] for technique in ids))
    children = [technique for technique in ids if "." in technique]
    tactics = list(dict.fromkeys(TECHNIQUES[i][1] for i in ids if i in TECHNIQUES))
    return {
        "framework": "MITRE ATT&CK",
        "tactic": {"id": tactics, "name": [TACTICS[tactic] for tactic in tactics]},
        "technique": {**named(parents), "subtechnique": named(children)},
    }


def named(ids: list[str]) -> dict[str, list[str]]:
    return {
        "id": ids,
        "name": [TECHNIQUES[i][0] for i in ids if i in TECHNIQUES],
        "reference": [f"{ATTACK}techniques/{i.replace('.', '/')}/" for i in ids],
    }


def own_version() -> str | None:
    try:
        return version("shadower-sensor")
    except PackageNotFoundError:
        return None


def without_unknown(value: Any) -> Any:
    """The same without None, and without objects and arrays that are empty."""
    if not isinstance(value, dict):
        return value
    kept = {key: without_unknown(inner) for key, inner in value.items()}
    return {key: inner for key, inner in kept.items() if inner not in (None, {}, [])}
