"""What one window says about one key, and the numbers that an event keeps of it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from sensor.detect.expression import Truths
from sensor.detect.rule import Condition, Rule
from sensor.detect.window import Scope, Span


@dataclass(slots=True)
class Finding:
    """One key of one rule in one window: it opens an event, or goes on with one."""

    row: np.void
    slot: int
    generation: int
    hit: bool  # the trigger holds in this window
    risen: bool  # for as many windows as it must
    active: bool  # not clear
    started_ns: int  # of the first hit
    packets: float  # since the last finding of this key
    bytes: float
    score: float  # severity, 0..100
    confidence: float
    spoofed: bool
    p_model: float | None  # bound of the hits' joint tail probability; None: no model was asked
    method: str
    measured: Callable[[], dict[str, Any]]  # the numbers, for the evidence


@dataclass(slots=True)
class Outcome:
    """What a window brought for one rule."""

    span: Span
    findings: list[Finding]
    overflow: int = 0  # keys that rose too and were not looked at


def deciding(rule: Rule, hits: Truths) -> Condition:
    """The first condition of the trigger that holds."""
    which = next((i for i in rule.triggers if hits[i]), rule.triggers[0])
    return rule.conditions[which]


def method_of(rule: Rule, hits: Truths) -> str:
    """detection_method: of the conditions of the trigger that hold."""
    methods = [rule.conditions[i].method for i in rule.triggers if hits[i]]
    return "+".join(dict.fromkeys(methods)) or deciding(rule, hits).method


def measured(rule: Rule, scope: Scope, i: int, hits: Truths) -> dict[str, Any]:
    """The numbers of key `i`, as the evidence of an event shows them."""
    condition = deciding(rule, hits)
    feature = _subject(rule, condition)
    look = scope.looks.get(feature or "")
    threshold, packets = None, rule.event.packets
    if condition.threshold is not None:
        threshold = _number(condition.threshold.numbers(scope, scope.size), i)
    found: dict[str, Any] = {
        "feature": feature,
        "value": None if feature is None else _number(scope[feature], i),
        "threshold": threshold,
        "window_s": rule.window_s,
        "conditions": [
            {"id": c.id, "when": c.when.text, "hit": bool(hit)}
            for c, hit in zip(rule.conditions, hits, strict=True)
        ],
        "features": {name: _number(scope[name], i) for name, _ in rule.features},
        "baseline": None,
        "pps_peak": None,
    }
    if look is not None:
        found["baseline"] = {
            "mean": _number(look.mean, i),
            "dispersion": _number(look.dispersion, i),
            "n_seen": int(look.seen[i]),
            "p_model": _number(look.statistic("p_tail"), i),
        }
    if packets is not None:
        rate = _number(packets.numbers(scope, scope.size), i)
        found["pps_peak"] = None if rate is None else rate / rule.window_s
    for name in ("peers", "ports"):
        if name in (scope.view.dtype.names or ()):
            found[name] = _number(scope[name], i)
    return found


def _subject(rule: Rule, condition: Condition) -> str | None:
    """The feature or column that a condition is about."""
    when = condition.when
    if when.subject is not None:
        return when.subject[0]
    names = sorted(when.names - rule.params.keys())
    return next((n for n in names if not n.startswith(("cond.", "sensor."))), None)


def _number(values: Any, i: int) -> float | None:
    array = np.asarray(values)
    value = float(array if array.ndim == 0 else array[i])
    return value if isfinite(value) else None
