"""One security event while it lives: what it has seen so far, and its row."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

import numpy as np

from sensor.detect.columns import DERIVED, readable
from sensor.detect.confidence import level
from sensor.detect.counterparts import Counterparts
from sensor.detect.finding import Finding
from sensor.detect.mitigation import advice
from sensor.detect.rule import SEVERITIES, Rule
from sensor.detect.slots import Memory
from sensor.model.address import address_text
from sensor.model.endpoint import PROTOCOLS
from sensor.model.rows import SecurityEventRow

SHOWN = 8  # counterparts in the evidence
MOST_COUNT = (1 << 63) - 1


@dataclass(slots=True)
class Event:
    """An event from its opening on; all times are packet time in nanoseconds."""

    id: str
    rule: Rule
    key: tuple[str | int, ...]
    parts: Mapping[str, str | int]  # the key of the row that opened it
    started_ns: int
    detected_ns: int
    last_hit_ns: int  # end of the last hit window
    active_ns: int  # end of the last window that was not clear
    emitted_ns: int  # when it was last handed out
    status: str = "open"
    packets: float = 0
    bytes: float = 0
    score: float = 0
    confidence: float = 0
    p_event: float | None = None  # under the rule's model of normal traffic; None: without one
    method: str = ""
    spoofed: bool = False
    reopened: int = 0
    overflow: int = 0  # victims beyond max_open that this event stands for
    incident_id: str | None = None
    counterparts: Counterparts = field(default_factory=Counterparts)
    measured: dict[str, Any] = field(default_factory=dict)  # in the worst window
    columns: dict[str, float] = field(default_factory=dict)  # likewise
    # (memory, slot, generation) of the keys it is about
    members: dict[tuple[int, int, int], Memory] = field(default_factory=dict)

    @property
    def severity(self) -> str:
        """The word for the highest score so far."""
        return level(self.rule, self.score)

    def take(self, finding: Finding, end_ns: int, *, own: bool) -> bool:
        """Goes on with a window of one of its keys; whether the severity rose.

        `own`: the finding is of the event's rule, not of another one with the same key.
        """
        before = self.severity
        if finding.hit:
            self.last_hit_ns = max(self.last_hit_ns, end_ns)
        if finding.active:
            self.active_ns = max(self.active_ns, end_ns)
            if own:  # else the same packets would count twice
                self.packets += finding.packets
                self.bytes += finding.bytes
                self.counterparts.add(finding.row)
        if finding.hit:
            peak = self.measured.get("pps_peak")
            if finding.score > self.score or not self.measured:
                self.measured = finding.measured()
                self.columns = numbers_of(finding.row)
                self.method = finding.method
            now = self.measured.get("pps_peak")
            self.measured["pps_peak"] = max((p for p in (peak, now) if p is not None), default=None)
            self.score = max(self.score, finding.score)
            self.confidence = max(self.confidence, finding.confidence)
            self.spoofed = self.spoofed or finding.spoofed
        return SEVERITIES.index(self.severity) > SEVERITIES.index(before)

    def party(self, which: str) -> str | None:
        """The address that [event] names for "source" or "destination"."""
        role = self.rule.event.source if which == "source" else self.rule.event.destination
        if self.overflow or (which == "source" and self.spoofed):
            return None
        if role == "key":
            address = self.parts.get("address")
            return None if address is None else str(address)
        main = self.counterparts.main() if role == "top" else None
        return None if main is None else address_text(main)

    def victim(self) -> str | None:
        """Whom an incident is about."""
        return self.party("destination") or self.party("source")

    def _port(self) -> tuple[int | None, int | None]:
        """Source and destination port."""
        key = int(self.parts["port"]) or None if "port" in self.parts else None
        if self.rule.table == "reflection":
            return key, None
        if self.rule.table == "source":
            return None, self.counterparts.main_port()
        return None, key

    def _protocol(self) -> str | None:
        number = self.parts.get("protocol")
        if self.rule.event.protocol is not None or not number:
            return self.rule.event.protocol
        return PROTOCOLS.get(int(number), str(number))

    def evidence(self) -> dict[str, Any]:
        """What the event rests on."""
        tops = self.counterparts.by_address()[:SHOWN]
        return {
            **self.measured,
            "p_event": self.p_event,
            "key": list(self.key),
            "key_parts": dict(self.parts),
            "top_sources": [
                {
                    "ip": address_text(ip),
                    "count": count,
                    "share": round(self.counterparts.share(count), 4),
                }
                for ip, count in tops
            ],
            "sources_estimated": self.measured.get("peers"),
            "spoofed": self.spoofed,
            "severity_score": round(self.score, 1),
            "reopened": self.reopened,
            "incident_id": self.incident_id,
            "overflow": self.overflow,
        }

    def row(self, agent_id: str, boot_id: str) -> SecurityEventRow:
        """The event as it stands."""
        evidence = self.evidence()
        source_port, destination_port = (None, None) if self.overflow else self._port()
        source, destination = self.party("source"), self.party("destination")
        title = self.rule.title
        if self.overflow:
            title = f"{title} (more than {self.rule.lifecycle.max_open} at once)"
        values = {
            **self.columns,
            **evidence.get("features", {}),
            **self.rule.params,
            "dst_ip": destination,
            "src_ip": source,
            "top_source": source or (evidence["top_sources"] or [{"ip": None}])[0]["ip"],
            "dst_port": destination_port,
            "src_port": source_port,
            **{
                name: value for name, value in self.parts.items() if name in ("name", "mac", "port")
            },
        }
        return SecurityEventRow(
            id=self.id,
            agent_id=agent_id,
            event_type=self.rule.event_type,
            severity=self.severity,
            source_ip=source,
            destination_ip=destination,
            source_port=source_port,
            destination_port=destination_port,
            protocol=self._protocol(),
            packets_count=_whole(self.packets) if self.rule.event.packets else None,
            bytes_transferred=_whole(self.bytes) if self.rule.event.bytes else None,
            duration_ms=max(self.last_hit_ns - self.started_ns, 0) // 1_000_000,
            detection_method=self.method,
            confidence_score=round(self.confidence, 4),
            false_positive_probability=self.rule.confidence.false_positive_rate,
            action_taken="none",
            blocked=0,
            detected_at=self.detected_ns // 1000,
            resolved_at=self.last_hit_ns // 1000 if self.status == "resolved" else None,
            boot_id=boot_id,
            attack_class=self.rule.attack_class,
            rule_id=self.rule.id,
            title=title,
            status=self.status,
            started_at=self.started_ns // 1000,
            updated_at=max(self.active_ns, self.detected_ns) // 1000,
            evidence=json.dumps(evidence, allow_nan=False),
            mitigation=advice(self.rule.mitigation_summary, self.rule.mitigation_steps, values),
        )


def numbers_of(row: np.void) -> dict[str, float]:
    """What the row counts, by column."""
    return {name: float(row[name]) for name in readable(row.dtype) if name not in DERIVED}


def _whole(value: float) -> int:
    return min(int(value), MOST_COUNT)


def event_id(agent_id: str, rule_id: str, key: tuple[str | int, ...], started_ns: int) -> str:
    """The same for the same event of the same input, however often it is replayed."""
    return str(uuid5(UUID(agent_id), f"{rule_id}/{'/'.join(map(str, key))}/{started_ns}"))


def revived(
    row: SecurityEventRow, rule: Rule, key: tuple[str | int, ...], evidence: Mapping[str, Any]
) -> Event:
    """The event of a former run as it was left, resolved."""
    last_ns = (row.updated_at or row.detected_at) * 1000
    parts = evidence.get("key_parts")
    event = Event(
        id=row.id,
        rule=rule,
        key=key,
        parts=parts if isinstance(parts, dict) else {},
        started_ns=(row.started_at or row.detected_at) * 1000,
        detected_ns=row.detected_at * 1000,
        last_hit_ns=last_ns,
        active_ns=last_ns,
        emitted_ns=last_ns,
        status="resolved",
        packets=row.packets_count or 0,
        bytes=row.bytes_transferred or 0,
        confidence=row.confidence_score or 0,
        method=row.detection_method or "",
        spoofed=bool(evidence.get("spoofed")),
    )
    for name in ("severity_score", "reopened", "incident_id", "p_event"):
        if (value := evidence.get(name)) is not None:
            setattr(event, "score" if name == "severity_score" else name, value)
    return event
