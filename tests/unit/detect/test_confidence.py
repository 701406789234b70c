"""The two numbers of an event, and that more evidence never makes it less sure."""

import json
from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.detect import calibration
from sensor.detect.confidence import level, posterior
from sensor.detect.expression import compile_expression
from sensor.detect.rule import Confidence, Evidence
from tests.unit.detect.demo import detector, feed, rule

SAFE = st.floats(0, 30, allow_nan=False)


def evidence(*nats, families=None, prior=0.02, cap=1.0):
    families = families or [None] * len(nats)
    parts = tuple(
        Evidence(compile_expression(f"e{i} > 0"), compile_expression(f"{n:f}"), family)
        for i, (n, family) in enumerate(zip(nats, families, strict=True))
    )
    return Confidence(prior, parts, cap, None, None)


def sure(rule_part, *present):
    scope = {f"e{i}": np.array([float(p)]) for i, p in enumerate(present)}
    return float(posterior(rule_part, scope, 1)[0])


def test_is_the_posterior_of_its_evidence():
    odds = 0.02 / 0.98 * exp(2.0) * exp(1.5)
    assert sure(evidence(2.0, 1.5, -4.0), 1, 1, 0) == pytest.approx(odds / (1 + odds))
    assert sure(evidence(2.0), 0) == pytest.approx(0.02)


def test_no_family_makes_a_certainty_or_counts_twice():
    most = 0.02 / 0.98 * exp(12)
    assert sure(evidence(500.0), 1) == pytest.approx(most / (1 + most))
    assert sure(evidence(3.0, 2.0, families=["a", "a"]), 1, 1) == sure(evidence(3.0), 1)
    assert sure(evidence(3.0, -4.0, families=["a", "a"]), 1, 1) == sure(evidence(-4.0), 1)
    assert sure(evidence(9.0, cap=0.8), 1) == 0.8


@given(
    st.lists(st.tuples(SAFE, st.sampled_from([None, "a", "b"])), min_size=1, max_size=6), st.data()
)
def test_more_evidence_never_lowers_it(parts, data):
    made = evidence(*(n for n, _ in parts), families=[f for _, f in parts])
    present = data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
    added = data.draw(st.integers(0, len(parts) - 1))
    more = [p or i == added for i, p in enumerate(present)]
    assert sure(made, *more) >= sure(made, *present)


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_a_stronger_tail_never_lowers_it(one, two):
    tail = Evidence(compile_expression("x > 0"), compile_expression("0.5 * ln(x)"), None)
    made = Confidence(0.02, (tail,), 1.0, None, None)
    low, high = sorted((one, two))
    found = posterior(made, {"x": np.array([low, high])}, 2)
    assert found[0] <= found[1]


def test_unknown_evidence_is_none():
    part = Evidence(compile_expression("x > 0 or 1 > 0"), compile_expression("x"), None)
    found = posterior(Confidence(0.02, (part,), 1.0, None, None), {"x": np.array([np.nan])}, 1)
    assert found[0] == pytest.approx(0.02)


def test_the_calibration_is_a_curve_that_rises():
    computed, observed = zip(*calibration.TABLE, strict=True)
    assert (computed[0], computed[-1]) == (0, 1)
    assert list(computed) == sorted(set(computed))
    assert list(observed) == sorted(observed)
    assert 0 <= observed[0] <= observed[-1] <= 1


def test_an_event_gets_no_less_sure_while_it_lasts():
    made = rule(('nats = "4.0"', 'nats = "x / 100"'))
    found = feed(detector(made), [300, 900, 900, 200, 200])
    assert found.events[0].confidence_score == pytest.approx(
        1 / (1 + exp(-(log(0.02 / 0.98) + 9))), abs=1e-4
    )


def test_the_false_positive_probability_is_the_rules_own_measured_rate():
    found = feed(detector(rule()), [5] * 200 + [300, 300])
    assert found.events[0].false_positive_probability is None
    measured = replace(rule().confidence, false_positive_rate=1e-5, benign_windows=10**6)
    found = feed(detector(replace(rule(), confidence=measured)), [5] * 200 + [300, 300])
    assert found.events[0].false_positive_probability == 1e-5


def test_the_product_bound_of_two_windows_of_three():
    made = rule(("x >= floor", "x >= floor and p_tail(x) < alpha"), ("alpha = 1e-7", "alpha = 0.5"))
    found = feed(detector(made), [5] * 200 + [100, 100])
    (row,) = found.events
    p_window = 3 * exp(2 * log(1e-300))
    assert p_window <= json.loads(row.evidence)["p_event"] < 1e-10


def test_levels():
    assert [level(rule(), score) for score in (0, 29.9, 30, 60, 84, 85, 100)] == [
        "low",
        "low",
        "medium",
        "high",
        "high",
        "critical",
        "critical",
    ]
