"""The answer of the specification's section 2.1, and the text of what to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.detect.mitigation import advice, fill
from sensor.detect.risk import assess, risk_score
from tests.unit.detect.demo import VICTIM, detector, feed, rule

FLOOD = feed(detector(rule()), [400] * 5).events[0]


def test_the_risk_is_the_sum_of_severity_times_confidence_of_what_goes_on():
    assert 0.5 < FLOOD.confidence_score < 1  # and severity x / 10 = 40
    assert risk_score([FLOOD]) == pytest.approx(40 * FLOOD.confidence_score, abs=0.1)
    assert risk_score([FLOOD] * 2) == pytest.approx(80 * FLOOD.confidence_score, abs=0.1)
    assert risk_score([FLOOD] * 50) == 100
    assert risk_score([FLOOD._replace(status="resolved")]) == 0
    assert risk_score([FLOOD._replace(event_type="sensor")]) == 0
    assert risk_score([]) == 0
    assert risk_score([FLOOD._replace(evidence="[]", severity="medium")]) > 0


def test_the_assessment():
    over = FLOOD._replace(status="resolved", resolved_at=FLOOD.updated_at, attack_class="old")
    found = assess([over, FLOOD])
    assert list(found) == ["risk_score", "detected_attacks", "recommended_actions"]
    first, second = found["detected_attacks"]
    assert (first["type"], second["type"]) == ("demo", "old")  # what goes on comes first
    assert first["affected_period"] == "2023-11-14T22:13:20.000000000Z/.."
    assert second["affected_period"].endswith("2023-11-14T22:13:25.000000000Z")
    assert f"demo ({VICTIM}): Protect {VICTIM}." in found["recommended_actions"]
    assert len(found["recommended_actions"]) == 2


def test_texts_are_filled_from_names_and_nothing_else():
    values = {"share": 0.873, "n": 12345.0, "ip": "192.0.2.1", "none": None, "object": object}
    assert fill("{share:.0%} of {n:.0f} to {ip}", values) == "87% of 12345 to 192.0.2.1"
    assert fill("{n:,d} {n}", values) == "12,345 12345"
    for text in (
        "{none}",
        "{other:.0%}",
        "{ip.__class__}",
        "{0}",
        "{}",
        "{ip!r}",
        "{n:>99}",
        "{",
        "}{",
    ):
        assert fill(text, values) == text
    assert advice("A {n:d}", ("b", ""), values) == "A 12345\n- b\n- "


@given(st.text("{}:.%!rfgd_ab01[]", max_size=40), st.floats() | st.integers() | st.text(max_size=5))
def test_no_text_raises(text, value):
    assert isinstance(fill(text, {"a": value, "b": value}), str)
