"""A rule in plain words: what it watches, when it fires, what it could be mistaken for."""

from typing import Any

from sensor.detect.rule import Allow, Baseline, Condition, Rule
from sensor.model.address import prefix_text
from sensor.programs.sections import Section, number, sections
from sensor.programs.units import duration, percent

# What a row of each table is about.
TABLES = {
    "service": "each destination service (address, port, protocol)",
    "host": "each destination host",
    "source": "each source host",
    "reflection": "each receiver of answers of an amplifying protocol",
    "domain": "each DNS domain that is asked for",
    "neighbour": "each address claimed on the local network (ARP, NDP)",
    "pair": "each pair of source and service",
    "sensor": "all traffic of the sensor",
}
MODELS = {"negbin": "negative binomial", "poisson": "Poisson", "binomial": "binomial"}


def rule_document(rule: Rule) -> dict[str, Any]:
    """What is listed of a rule, in JSON."""
    return {
        "id": rule.id,
        "version": rule.version,
        "title": rule.title,
        "status": rule.status,
        "enabled": rule.enabled,
        "event_type": rule.event_type,
        "attack_class": rule.attack_class,
        "family": rule.family,
        "mitre": list(rule.mitre),
        "table": rule.table,
        "window_s": rule.window_s,
        "severity_levels": dict(rule.levels),
        "params": dict(rule.params),
        "tests": len(rule.tests),
        "file": rule.file,
        "overridden_by": list(rule.overridden_by),
    }


def rule_sections(rule: Rule) -> list[Section]:
    """All that a rule says, but its tests."""
    return sections(
        ("What it is about", about(rule)),
        ("When it fires", [*map(condition, rule.conditions), fires(rule)]),
        ("Figures it uses", [f"{name} = {e.text}" for name, e in rule.features]),
        ("What it learns", [learns(baseline) for baseline in rule.baselines]),
        ("Numbers to tune: [params]", [f"{n} = {v:g}" for n, v in rule.params.items()]),
        ("How severe: [severity.levels]", severity(rule)),
        ("How sure", sure_by(rule)),
        ("How it ends", life(rule)),
        ("Whom it leaves alone: [allow]", allowed(rule.allow)),
        (
            "What it could be instead",
            [f"{k.replace('_', ' ')}: {v}" for k, v in rule.look_alikes.items()],
        ),
        ("What to do", [*filter(None, [rule.mitigation_summary]), *rule.mitigation_steps]),
        ("References", [*rule.references, *(f"MITRE ATT&CK {t}" for t in rule.mitre)]),
        ("Files", [rule.file, *(f"overridden by {file}" for file in rule.overridden_by)]),
    )


def about(rule: Rule) -> list[str]:
    lines = [rule.description] if rule.description else []
    window = duration(rule.window_s)
    lines.append(f"Watches {TABLES.get(rule.table, rule.table)} in windows of {window}.")
    lines.append(f"Looks closer where: {rule.gate.text}")
    if rule.both_directions:
        lines.append("Off while only one direction of most connections is seen.")
    if not rule.enabled:
        lines.append("Switched off: enabled = false.")
    kind = "" if rule.event_type == rule.attack_class else f" ({rule.event_type})"
    lines.append(f"Its events have the class {rule.attack_class}{kind}.")
    return lines


def condition(c: Condition) -> str:
    return f"{c.id}: {c.when.text} (in {c.rise.hits} of {c.rise.windows} windows)"


def fires(rule: Rule) -> str:
    names = [rule.conditions[i].id for i in rule.triggers]
    if len(names) == 1:
        return f"An event opens when {names[0]} holds."
    return (
        f"An event opens when {'any' if rule.any_of else 'all'} of these hold: {', '.join(names)}."
    )


def learns(baseline: Baseline) -> str:
    per = f" per {baseline.scale_by}" if baseline.scale_by else ""
    model, half = MODELS[baseline.model], duration(baseline.half_life_s)
    return f"{baseline.feature}{per}: {model}, half-life {half}; not while an event is open."


def severity(rule: Rule) -> list[str]:
    return [*(f"{name} from {number(score)}" for name, score in rule.levels), rule.severity.text]


def sure_by(rule: Rule) -> list[str]:
    sure = rule.confidence
    lines = [f"Before any evidence: {percent(sure.prior, 1)}."]
    lines += [f"{part.nats.text} nats where {part.when.text}" for part in sure.evidence]
    if sure.cap < 1:
        lines.append(f"Never more than {percent(sure.cap, 0)}.")
    if sure.false_positive_rate is None:
        lines.append("How often benign traffic makes it fire was not measured.")
    else:
        of = "" if sure.benign_windows is None else f" ({sure.benign_windows:,} looked at)"
        rate = f"{sure.false_positive_rate:.2g}"
        lines.append(f"Benign traffic makes it fire in at most {rate} of windows{of}.")
    return lines


def life(rule: Rule) -> list[str]:
    cycle = rule.lifecycle
    return [
        f"Over after {duration(cycle.hold_s)} in which: {cycle.clear.text}",
        f"The same again within {duration(cycle.merge_gap_s)} reopens the event.",
    ]


def allowed(allow: Allow) -> list[str]:
    lines = [
        f"{what}: {', '.join(items)}"
        for what, items in (
            ("sources", [prefix_text(prefix) for prefix in allow.sources]),
            ("destinations", [prefix_text(prefix) for prefix in allow.destinations]),
            ("names", list(allow.names)),
        )
        if items
    ]
    return [*lines, f"until {allow.until}"] if lines and allow.until else lines
