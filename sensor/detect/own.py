"""Events of the sensor itself: a rule file that cannot be used, rows that could not be written."""

import json
from typing import Any

from sensor.detect.event import event_id
from sensor.model.rows import SecurityEventRow


def own_event(
    agent_id: str,
    boot_id: str,
    rule_id: str,
    *,
    key: tuple[str | int, ...],
    severity: str,
    method: str,
    title: str,
    evidence: dict[str, Any],
    mend: str,
    started_ns: int,
    ended_ns: int,
) -> SecurityEventRow:
    """One that is over; `rule_id` says what happened, `method` which part of the sensor saw it."""
    ended_us = ended_ns // 1000
    return SecurityEventRow(
        id=event_id(agent_id, rule_id, ("sensor", *key), started_ns),
        agent_id=agent_id,
        event_type="sensor",
        severity=severity,
        source_ip=None,
        destination_ip=None,
        source_port=None,
        destination_port=None,
        protocol=None,
        packets_count=None,
        bytes_transferred=None,
        duration_ms=(ended_ns - started_ns) // 1_000_000,
        detection_method=method,
        confidence_score=1.0,
        false_positive_probability=0.0,
        action_taken="none",
        blocked=0,
        detected_at=started_ns // 1000,
        resolved_at=ended_us,
        boot_id=boot_id,
        attack_class=None,
        rule_id=rule_id,
        title=title,
        status="resolved",
        started_at=started_ns // 1000,
        updated_at=ended_us,
        evidence=json.dumps(evidence),
        mitigation=mend,
    )
