"""One event in plain words: what was measured, why that makes an event, what else it could be.

Evidence is read by name and may lack any of it; the rule's own words (conditions, look-alikes) are
there when its file is.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Any, NamedTuple

from sensor.detect.rule import Rule
from sensor.model.event import evidence_of, steps_of
from sensor.model.rows import SecurityEventRow
from sensor.model.text import printable
from sensor.programs.event_view import attack, clock, ends, sure
from sensor.programs.units import UNKNOWN, count, duration, percent, size

FEATURES = 24  # of the window that are listed
TOP = 10  # sources
WIDE = 2000  # characters of a line that came from elsewhere
PERCENTS = ("share", "ratio", "part")  # endings of features that are fractions


class Section(NamedTuple):
    title: str
    lines: list[str]


def explanation(row: SecurityEventRow, rule: Rule | None = None) -> list[Section]:
    """In the order in which a reader asks; what is not known is left out."""
    evidence = evidence_of(row)
    sections = (
        ("What happened", happened(row, evidence)),
        ("What was measured", measured(evidence)),
        ("Conditions that held", conditions(evidence, rule)),
        ("Top sources", top_sources(evidence)),
        ("Why this confidence", certainty(row, evidence, rule)),
        ("What it could be instead", look_alikes(rule)),
        ("What to do", iter(steps_of(row))),
        ("What was done", done(row)),
    )
    made = [Section(title, [printable(line, WIDE) for line in lines]) for title, lines in sections]
    return [section for section in made if section.lines]


def number(value: object) -> str:
    """A figure with the digits that mean something; anything else as it is."""
    if value is None:
        return "unknown"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not isfinite(value):
        return "unbounded"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"


def real(evidence: dict[str, Any], name: str) -> float | None:
    """A figure of the evidence; None when there is none."""
    value = evidence.get(name)
    known = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return value if known else None


def happened(row: SecurityEventRow, evidence: dict[str, Any]) -> Iterator[str]:
    kind = f" ({row.event_type})" if row.event_type not in (None, row.attack_class) else ""
    yield f"{row.title or attack(row)}: {attack(row)}{kind}, {ends(row)}."
    if row.started_at is not None:
        waited = (row.detected_at - row.started_at) / 1e6
        yield f"It began at {clock(row.started_at)} UTC and was detected {duration(waited)} later."
    else:
        yield f"It was detected at {clock(row.detected_at)} UTC."
    if row.resolved_at is not None:
        yield f"It ended at {clock(row.resolved_at)} UTC."
    elif row.updated_at is not None:
        yield f"It still goes on, as far as is known: last looked at {clock(row.updated_at)} UTC."
    yield from traffic(row, evidence)
    score = real(evidence, "severity_score")
    scored = "" if score is None else f", {score:.0f} of 100"
    yield f"Severity {row.severity or UNKNOWN}{scored}: how much harm it can do, not how sure it is."
    if reopened := real(evidence, "reopened"):
        yield f"It paused and came back {count(int(reopened), 'time')}."
    if incident := evidence.get("incident_id"):
        yield f"It is part of incident {incident}: several attacks on one host at the same time."


def traffic(row: SecurityEventRow, evidence: dict[str, Any]) -> Iterator[str]:
    parts = []
    if row.packets_count is not None:
        parts.append(count(row.packets_count, "packet"))
    if row.bytes_transferred is not None:
        parts.append(size(row.bytes_transferred))
    peak = real(evidence, "pps_peak")
    if peak is not None:
        parts.append(f"at its peak {number(peak)} packets/s")
    if parts:
        yield f"{', '.join(parts)} took part."


def measured(evidence: dict[str, Any]) -> Iterator[str]:
    feature, value = evidence.get("feature"), real(evidence, "value")
    if feature and value is not None:
        window = real(evidence, "window_s")
        over = "" if window is None else f" in a window of {duration(window)}"
        limit = real(evidence, "threshold")
        held = "" if limit is None else f"; the threshold is {number(limit)}"
        yield f"{feature} was {number(value)}{over}{held}."
    baseline = evidence.get("baseline")
    if isinstance(baseline, dict):
        yield from usual(baseline)
    features = evidence.get("features")
    if isinstance(features, dict):
        known = [(name, value) for name, value in features.items() if value is not None]
        listed = [f"{name} {shown(name, value)}" for name, value in known[:FEATURES]]
        if listed:
            yield f"In that window: {', '.join(listed)}."


def shown(name: str, value: object) -> str:
    if name.endswith(PERCENTS) and isinstance(value, int | float) and 0 <= value <= 1:
        return percent(value, 0)
    return number(value)


def usual(baseline: dict[str, Any]) -> Iterator[str]:
    mean, seen = real(baseline, "mean"), real(baseline, "n_seen")
    if mean is not None:
        windows = "" if seen is None else f", learnt from {count(int(seen), 'window')}"
        spread = real(baseline, "dispersion")
        wide = "" if spread is None else f", with a variance of {number(spread)} times that"
        yield f"Usual here is {number(mean)}{windows}{wide}."
    chance = real(baseline, "p_model")
    if chance is not None:
        least = f"less than {1e-300:g}" if chance < 1e-300 else f"{chance:.2g}"
        yield f"By that, as much or more comes by chance with probability {least} per window."


def conditions(evidence: dict[str, Any], rule: Rule | None) -> Iterator[str]:
    """Names of the evidence, each with its expression where the rule is at hand."""
    known = {condition.id: condition.when.text for condition in rule.conditions} if rule else {}
    held = evidence.get("conditions")
    for entry in held if isinstance(held, list) else []:
        name = str(entry.get("id", UNKNOWN)) if isinstance(entry, dict) else str(entry)
        when = entry.get("when") if isinstance(entry, dict) else None
        when = when or known.get(name)
        yield f"{name}: {when}" if when else name


def top_sources(evidence: dict[str, Any]) -> Iterator[str]:
    top = evidence.get("top_sources")
    for source in top[:TOP] if isinstance(top, list) else []:
        if isinstance(source, dict):
            share = real(source, "share")
            part = "" if share is None else f", {percent(share, 0)}"
            yield f"{source.get('ip')}: {number(source.get('count'))}{part}"
    if evidence.get("spoofed") is True:
        yield "Their addresses are forged: blocking them would hit strangers."


def certainty(
    row: SecurityEventRow, evidence: dict[str, Any], rule: Rule | None
) -> Iterator[str]:
    if row.confidence_score is not None:
        yield f"{sure(row.confidence_score)} sure that it is this attack."
    if row.false_positive_probability is not None:
        rate = f"{row.false_positive_probability:.2g}"
        yield f"Benign traffic makes this rule fire with probability {rate}."
    elif row.confidence_score is not None:
        yield "How often benign traffic makes this rule fire has not been measured."


def look_alikes(rule: Rule | None) -> Iterator[str]:
    for name, text in rule.look_alikes.items() if rule else ():
        yield f"{name.replace('_', ' ')}: {' '.join(text.split())}"


def done(row: SecurityEventRow) -> Iterator[str]:
    if row.action_taken in (None, "none") and not row.blocked:
        yield "Nothing: the sensor only watches."
    else:
        yield f"{row.action_taken}; {'blocked' if row.blocked else 'not blocked'}."
