"""An event's row as a JSON document, and the parts of it that are JSON or lines of text.

Nothing here raises on what a row may hold: columns may be NULL, and the file may be anybody's.
"""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from sensor.model.rows import SecurityEventRow
from sensor.model.time import rfc3339

TIMES = ("detected_at", "resolved_at", "started_at", "updated_at")


def event_document(row: SecurityEventRow) -> dict[str, Any]:
    """The columns by name: times in RFC 3339, `blocked` a boolean, `evidence` an object."""
    return {
        **row._asdict(),
        **{name: time_text(getattr(row, name)) for name in TIMES},
        "blocked": None if row.blocked is None else bool(row.blocked),
        "evidence": None if row.evidence is None else evidence_of(row),
    }


def evidence_of(row: SecurityEventRow) -> dict[str, Any]:
    """The measurements; empty when there are none."""
    try:
        found = json.loads(row.evidence or "{}", parse_float=finite)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def finite(text: str) -> float | None:
    """A number of JSON; None for one beyond all bounds, which JSON could not say again."""
    value = float(text)
    return value if isfinite(value) else None


def figure(evidence: Mapping[str, Any], name: str) -> float | None:
    """A number of the evidence; None when there is none."""
    value = evidence.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def steps_of(row: SecurityEventRow) -> list[str]:
    """What to do: the lines of `mitigation` without their dashes."""
    lines = (row.mitigation or "").splitlines()
    return [step for line in lines if (step := line.strip().removeprefix("- "))]


def time_text(us: int | None) -> str | None:
    """RFC 3339 in UTC; None for None and for what no calendar has."""
    try:
        return None if us is None else rfc3339(us * 1000)
    except OverflowError:
        return None
