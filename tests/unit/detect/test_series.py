"""Tests that rule files carry, run through the real detector; they must be able to fail."""

from pathlib import Path

import pytest

from sensor.detect.loader import load_rules
from sensor.detect.series import run_tests
from tests.unit.detect.demo import TEXT, rule
from tests.unit.detect.tables import EXAMPLE_TABLES, TABLES

EXAMPLES = load_rules(Path(__file__).parent / "rules", columns=EXAMPLE_TABLES)
FLOOD = 'series = { syn_new = "0x50 1000x10 0x60" }'


@pytest.mark.parametrize("example", EXAMPLES.rules, ids=lambda r: r.id)
def test_the_examples_of_the_design_pass(example):
    for result in run_tests(example, EXAMPLE_TABLES):
        assert result.skipped or result.passed, (result.name, result.reasons)


def outcome(series, expect):
    text = f'{TEXT}\n[[test]]\nname = "t"\n{series}\nexpect = {{ {expect} }}\n'
    (result,) = run_tests(rule(text=text), TABLES)
    return result


@pytest.mark.parametrize(
    ("expect", "reason"),
    [
        ("opens = 1, open_by = 51, clear_by = 59, min_severity = 'critical'", None),
        (
            "opens = 1, max_severity = 'critical', min_confidence = 0.5, event_type = 'dos_attack'",
            None,
        ),
        ("opens = 0", "opens: 1, not 0"),
        ("opens = 2", "opens: 1, not 2"),
        ("opens = 1, open_by = 50", "open_by 50: opened at 51"),
        ("opens = 1, clear_by = 58", "clear_by 58: resolved at 59"),
        ("opens = 1, max_severity = 'high'", "max_severity high: severity critical"),
        ("opens = 1, min_confidence = 0.99", "min_confidence 0.99: confidence 0.527"),
        ("opens = 1, event_type = 'port_scan'", "event_type port_scan: event type dos_attack"),
        ("opens = 1, attack_class = 'syn_flood'", "attack_class syn_flood: class demo"),
    ],
)
def test_expectations(expect, reason):
    result = outcome(FLOOD, expect.replace("'", '"'))
    assert result.passed == (reason is None)
    if reason is not None:
        assert any(said.startswith(reason) for said in result.reasons), result.reasons


def test_an_event_that_goes_on_is_not_cleared():
    result = outcome('series = { syn_new = "1000x10" }', "opens = 1, clear_by = 9")
    assert result.reasons == ("clear_by 9: resolved at None",)


def test_one_value_is_one_window_or_one_step():
    text = TEXT.replace('window = "1s"', 'window = "10s"').replace(
        'x = "syn_new"', 'x = "syn_new / 10"'
    )
    for step, values in (("", "2000x3 0x9"), ('step = "1s"', "200x30 0x90")):
        made = f'{text}\n[[test]]\nname = "t"\n{step}\nseries = {{ syn_new = "{values}" }}\nexpect = {{ opens = 1 }}\n'
        (result,) = run_tests(rule(text=made), TABLES)
        assert result.passed, result.reasons
        assert result.events[0].packets_count == 6000


def test_a_capture_is_for_somebody_else():
    result = outcome('pcap = "synth:syn_flood"', "opens = 1")
    assert result.skipped
    assert not result.passed
