"""One event in plain words: what was measured, why that makes an event, what else it could be.

Evidence is read by name and may lack any of it; the rule's own words (weights, look-alikes) are
there when its file is.
"""

from typing import Any

from sensor.detect.rule import Rule
from sensor.model.event import evidence_of, figure, steps_of
from sensor.model.event_words import ends
from sensor.model.rows import SecurityEventRow
from sensor.programs.event_view import attack, clock
from sensor.programs.sections import Section, number, sections
from sensor.programs.units import UNKNOWN, count, duration, percent, size, sure

TOP = 10  # sources listed
FRACTIONS = ("share", "part", "ratio")  # endings of features that are shown in percent


def explanation(row: SecurityEventRow, rule: Rule | None = None) -> list[Section]:
    """In the order in which a reader asks; what is not known is left out."""
    evidence = evidence_of(row)
    return sections(
        ("What happened", happened(row, evidence)),
        ("What was measured", measured(evidence)),
        ("Which conditions held", conditions(evidence)),
        ("Top sources", top_sources(evidence)),
        ("Why this confidence", confidence(row, evidence, rule)),
        ("What it could be instead", look_alikes(rule)),
        ("What to do", steps_of(row)),
        ("What was done", done(row)),
    )


def listed(evidence: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of an array of the evidence."""
    found = evidence.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def happened(row: SecurityEventRow, evidence: dict[str, Any]) -> list[str]:
    kind = f" ({row.event_type})" if row.event_type not in (None, row.attack_class) else ""
    lines = [f"{row.title or attack(row)}: {attack(row)}{kind}, {ends(row)}."]
    if row.started_at is None:
        lines.append(f"Detected at {clock(row.detected_at)} UTC.")
    else:
        later = duration((row.detected_at - row.started_at) / 1e6)
        lines.append(f"Began at {clock(row.started_at)} UTC, detected {later} later.")
    if row.resolved_at is not None:
        lines.append(f"Ended at {clock(row.resolved_at)} UTC.")
    elif row.updated_at is not None:
        lines.append(f"Not over when last looked at, {clock(row.updated_at)} UTC.")
    lines += traffic(row, evidence)
    score = figure(evidence, "severity_score")
    of = "" if score is None else f", {score:.0f} of 100"
    lines.append(f"Severity {row.severity or UNKNOWN}{of}: the harm it does, not how sure it is.")
    if paused := figure(evidence, "reopened"):
        lines.append(f"It stopped and came back {count(int(paused), 'time')}.")
    if more := figure(evidence, "overflow"):
        lines.append(f"It stands for {number(more)} more, beyond the most that a rule keeps open.")
    if incident := evidence.get("incident_id"):
        lines.append(f"Part of incident {incident}: several attacks on one host at a time.")
    if note := evidence.get("note"):
        lines.append(f"Note: {note}.")
    return lines


def traffic(row: SecurityEventRow, evidence: dict[str, Any]) -> list[str]:
    parts = []
    if row.packets_count is not None:
        parts.append(count(row.packets_count, "packet"))
    if row.bytes_transferred is not None:
        parts.append(size(row.bytes_transferred))
    if (peak := figure(evidence, "pps_peak")) is not None:
        parts.append(f"{number(peak)} packets/s at its peak")
    return [f"Traffic: {', '.join(parts)}."] if parts else []


def measured(evidence: dict[str, Any]) -> list[str]:
    lines = []
    feature, value = evidence.get("feature"), figure(evidence, "value")
    if feature and value is not None:
        window, limit = figure(evidence, "window_s"), figure(evidence, "threshold")
        within = "" if window is None else f" within {duration(window)}"
        against = "" if limit is None else f"; the threshold is {number(limit)}"
        lines.append(f"{feature} was {shown(str(feature), value)}{within}{against}.")
    if isinstance(baseline := evidence.get("baseline"), dict):
        lines += usual(baseline)
    if isinstance(features := evidence.get("features"), dict):
        known = [f"{name} {shown(name, v)}" for name, v in features.items() if v is not None]
        if known:
            lines.append(f"In the worst window: {', '.join(known)}.")
    return lines


def shown(name: str, value: object) -> str:
    if name.endswith(FRACTIONS) and isinstance(value, int | float) and 0 <= value <= 1:
        return percent(value, 0)
    return number(value)


def usual(baseline: dict[str, Any]) -> list[str]:
    lines = []
    if (mean := figure(baseline, "mean")) is not None:
        seen, spread = figure(baseline, "n_seen"), figure(baseline, "dispersion")
        after = "" if seen is None else f", after {count(int(seen), 'window')}"
        wide = "" if spread is None else f"; its variance is {number(spread)} times the mean"
        lines.append(f"Usual here is {number(mean)}{after}{wide}.")
    if (chance := figure(baseline, "p_model")) is not None:
        p = "below 1e-300" if chance < 1e-300 else f"{chance:.2g}"
        lines.append(f"The chance of so much in a window of usual traffic, by that model: {p}.")
    return lines


def conditions(evidence: dict[str, Any]) -> list[str]:
    """Those that held, then the names of the others."""
    found = listed(evidence, "conditions")
    lines = [f"{c.get('id')}: {c.get('when', '')}" for c in found if c.get("hit", True)]
    others = [str(c.get("id")) for c in found if not c.get("hit", True)]
    return [*lines, f"Not: {', '.join(others)}."] if lines and others else lines


def top_sources(evidence: dict[str, Any]) -> list[str]:
    lines = []
    for source in listed(evidence, "top_sources")[:TOP]:
        share = figure(source, "share")
        part = "" if share is None else f" ({small(share)})"
        lines.append(f"{source.get('ip')}: {number(source.get('count'))}{part}")
    if evidence.get("spoofed") is True:
        lines.append("The addresses are forged: to block them would hit others.")
    return lines


def small(share: float) -> str:
    return "under 1 %" if 0 < share < 0.01 else percent(share, 0)


def confidence(row: SecurityEventRow, evidence: dict[str, Any], rule: Rule | None) -> list[str]:
    if row.confidence_score is None:
        return []
    lines = [f"{sure(row.confidence_score)} sure that it is this attack."]
    if rule is not None:
        lines.append(f"Before any evidence: {percent(rule.confidence.prior, 1)}.")
        lines += weighed(evidence, rule)
    chance = row.false_positive_probability
    if chance is not None:
        lines.append(
            f"In benign traffic, the rule was wrong in at most {chance:.2g} of what it looked at."
        )
    return lines


def weighed(evidence: dict[str, Any], rule: Rule) -> list[str]:
    """The rule's weights that hold in the window of the evidence, as far as it has their names."""
    scope = names_of(evidence, rule)
    lines = []
    for part in rule.confidence.evidence:
        try:
            if not part.when.truths(scope, 1)[0]:
                continue
            nats = float(part.nats.numbers(scope, 1)[0])
        except KeyError:  # of a column that the evidence does not carry
            continue
        if nats:
            lines.append(
                f"{nats:+.1f} nats {'for' if nats > 0 else 'against'} it: {part.when.text}"
            )
    return lines


def names_of(evidence: dict[str, Any], rule: Rule) -> dict[str, float]:
    """What an expression may read, by the evidence; features it lacks are not there."""
    scope: dict[str, float] = dict(rule.params)
    features = evidence.get("features")
    for source in (evidence, features if isinstance(features, dict) else {}):
        for name in source:
            if (value := figure(source, name)) is not None:
                scope[name] = value
    for condition in listed(evidence, "conditions"):
        scope[f"cond.{condition.get('id')}"] = bool(condition.get("hit", True))
    feature, baseline = evidence.get("feature"), evidence.get("baseline")
    if isinstance(baseline, dict):
        for function, name in (("p_tail", "p_model"), ("mean", "mean"), ("n_seen", "n_seen")):
            if (value := figure(baseline, name)) is not None:
                scope[f"{function}({feature})"] = value
    return scope


def look_alikes(rule: Rule | None) -> list[str]:
    found = rule.look_alikes.items() if rule else ()
    return [f"{name.replace('_', ' ')}: {text}" for name, text in found]


def done(row: SecurityEventRow) -> list[str]:
    if row.action_taken in (None, "none") and not row.blocked:
        return ["Nothing: the sensor watches."]
    return [f"{row.action_taken or UNKNOWN}; {'blocked' if row.blocked else 'not blocked'}."]
