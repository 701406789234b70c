"""How sure an event is, how often benign traffic would raise it, and how much harm it does.

Two numbers, not one: `confidence_score` is the posterior of the named class given the evidence,
`false_positive_probability` that of at least one such event in a day of benign traffic.
"""

from collections.abc import Mapping
from math import expm1, log, log1p
from typing import Any

import numpy as np

from sensor.detect.calibration import TABLE
from sensor.detect.expression import Values
from sensor.detect.rule import Confidence, Rule

MOST_SURE = 0.9999  # nothing measured so far could tell a higher one from it
MOST_NATS = 12.0  # one family's weight: no single statistic makes a certainty


def posterior(rule: Confidence, scope: Mapping[str, Any], size: int) -> Values:
    """Calibrated P(attack | evidence) of every key; each family counts once, by its weightiest."""
    total = np.full(size, log(rule.prior / (1 - rule.prior)))
    families: dict[str, Values] = {}
    for i, evidence in enumerate(rule.evidence):
        truth = evidence.when.truths(scope, size)
        if not truth.any():
            continue
        nats = np.clip(np.nan_to_num(evidence.nats.numbers(scope, size)), -MOST_NATS, MOST_NATS)
        nats = np.where(truth, nats, 0.0)
        family = evidence.family or f"[{i}]"
        if (other := families.get(family)) is not None:
            nats = np.where(np.abs(nats) > np.abs(other), nats, other)
        families[family] = nats
    for nats in families.values():
        total = total + nats
    raw, mended = zip(*TABLE, strict=True)
    calibrated = np.interp(1 / (1 + np.exp(-total)), raw, mended)
    return np.asarray(np.minimum(calibrated, min(rule.cap, MOST_SURE)))


def false_positive_probability(
    rule: Rule, p_model: float | None, tested: int, tested_today: int
) -> float:
    """P(at least one event as surprising as this in a day's tests of benign traffic).

    `p_model`: product bound of the rise windows, None without a model. Where the rule's rate was
    not measured, no p below 1/`tested` is believed: so many windows say no more.
    """
    measured = rule.confidence.false_positive_rate
    floor = measured if measured is not None else 1 / max(tested, 1)
    p = min(max(p_model or 0.0, floor), 1.0)
    if p >= 1.0:
        return 1.0
    return -expm1(max(tested_today, 1) * log1p(-p))


def level(rule: Rule, score: float) -> str:
    """The word for a severity score, 0..100."""
    word = rule.levels[0][0]
    for name, least in rule.levels:
        if score >= least:
            word = name
    return word
