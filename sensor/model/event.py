"""An event's row as a JSON document, and the parts of it that are JSON or lines of text.

Nothing here raises on what a row may hold: columns may be NULL, and evidence is read by name.
"""

import json
from typing import Any

from sensor.model.rows import SecurityEventRow
from sensor.model.time import rfc3339

TIMES = ("detected_at", "resolved_at", "started_at", "updated_at")


def evidence_of(row: SecurityEventRow) -> dict[str, Any]:
    """The measurements; empty when there are none."""
    try:
        found = json.loads(row.evidence or "{}")
    except (ValueError, RecursionError):  # a file that somebody else wrote
        return {}
    return found if isinstance(found, dict) else {}


def steps_of(row: SecurityEventRow) -> list[str]:
    """What to do, line by line: `mitigation` is text, or a JSON array of texts."""
    text = (row.mitigation or "").strip()
    if text.startswith("["):
        try:
            return [str(step) for step in json.loads(text)]
        except (ValueError, RecursionError):
            pass
    return [line.strip() for line in text.splitlines() if line.strip()]


def time_text(us: int | None) -> str | None:
    """RFC 3339 in UTC; None for None and for what no calendar has."""
    try:
        return None if us is None else rfc3339(us * 1000)
    except OverflowError:
        return None


def event_document(row: SecurityEventRow) -> dict[str, Any]:
    """The columns by name: times in RFC 3339, `blocked` a boolean, evidence an object or null,
    mitigation an array of lines."""
    return {
        **row._asdict(),
        **{name: time_text(getattr(row, name)) for name in TIMES},
        "blocked": None if row.blocked is None else bool(row.blocked),
        "evidence": evidence_of(row) or None,
        "mitigation": steps_of(row),
    }
