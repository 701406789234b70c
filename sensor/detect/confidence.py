"""How sure an event is, how often benign traffic would raise it, and how much harm it does.

Two numbers, not one: `confidence_score` is the posterior of the named class given the evidence,
`false_positive_probability` the rule's own rate on benign traffic: events per key and window,
upper end of the 95 % interval, measured by tests/bench/calibrate.py and shipped in the rule's file.
"""

from collections.abc import Mapping
from math import log
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


def level(rule: Rule, score: float) -> str:
    """The word for a severity score, 0..100."""
    word = rule.levels[0][0]
    for name, least in rule.levels:
        if score >= least:
            word = name
    return word
