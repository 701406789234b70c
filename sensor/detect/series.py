"""Runs the tests that a rule file carries: series of windows through the real detector.

One value of a series is one `step` (the rule's window, unless the test says otherwise) of one key;
columns without a series are 0. A test with a capture is for whoever can replay one.
"""

from dataclasses import dataclass

import numpy as np

from sensor.detect.columns import Dtype, Tables
from sensor.detect.detector import WHOLE, Detector
from sensor.detect.rule import SEVERITIES, Rule, RuleSet, RuleTest
from sensor.detect.window import NS, Features
from sensor.model.address import pack_address
from sensor.model.ids import REPLAY_AGENT
from sensor.model.rows import SecurityEventRow

START_NS = 1_700_000_000 * NS  # a multiple of 100 s, so that windows up to it are whole
_KEY = {"address": np.void(pack_address("192.0.2.1")), "port": 80, "protocol": 6, "local": 1}


@dataclass(frozen=True, slots=True)
class SeriesResult:
    """What came of one embedded test."""

    rule_id: str
    name: str
    passed: bool
    skipped: bool  # it needs a capture
    reasons: tuple[str, ...]  # why it failed
    events: tuple[SecurityEventRow, ...]


def run_tests(rule: Rule, columns: Tables) -> list[SeriesResult]:
    """All embedded tests of a rule."""
    return [run_test(rule, test, columns) for test in rule.tests]


def run_test(rule: Rule, test: RuleTest, columns: Tables) -> SeriesResult:
    """One embedded test."""
    if test.pcap is not None:
        return SeriesResult(rule.id, test.name, passed=False, skipped=True, reasons=(), events=())
    events = _play(rule, test, columns)
    reasons = tuple(_failures(test, events))
    return SeriesResult(rule.id, test.name, not reasons, False, reasons, tuple(events))


def _play(rule: Rule, test: RuleTest, columns: Tables) -> list[SecurityEventRow]:
    detector = Detector(RuleSet((rule,)), agent_id=str(REPLAY_AGENT), boot_id="test")
    length = max(len(values) for values in test.series.values())
    for step in range(length):
        start_ns = START_NS + step * test.step_s * NS
        now = {name: v[step] if step < len(v) else 0.0 for name, v in test.series.items()}
        tables = {rule.table: _row(columns[rule.table], now)}
        if "sensor" in columns and rule.table != "sensor":
            named = {
                n.removeprefix("sensor."): v for n, v in now.items() if n.startswith("sensor.")
            }
            tables["sensor"] = _row(columns["sensor"], named)
        if rule.table in WHOLE:
            end_ns = start_ns + rule.window_s * NS
            detector.whole(rule.table, tables[rule.table], start_ns, end_ns)
        else:
            detector.features(Features(start_ns=start_ns, end_ns=start_ns + NS, tables=tables))
    detector.finish()
    return detector.events


def _row(dtype: Dtype, values: dict[str, float]) -> np.ndarray[tuple[int], Dtype]:
    row = np.zeros(1, dtype)
    names = dtype.names or ()
    for name, value in _KEY.items():
        if name in names:
            row[name] = value
    if "generation" in names:
        row["generation"] = 1
    if "name" in names:
        row["name"] = b"example.com"
    for name, value in values.items():
        if name in names:
            row[name] = value
    return row


def _step(test: RuleTest, time_us: int) -> int:
    """The step in which a window ended, from 0."""
    return (time_us * 1000 - START_NS - 1) // (test.step_s * NS)


def _failures(test: RuleTest, events: list[SecurityEventRow]) -> list[str]:
    expect = test.expect
    failures = []
    if len(events) != expect["opens"]:
        failures.append(f"opens: {len(events)}, not {expect['opens']}")
    if not events:
        return failures
    first = events[0]
    opened = _step(test, first.detected_at)
    resolved = None if first.resolved_at is None else _step(test, first.resolved_at)
    for key, wanted in expect.items():
        match key:
            case "open_by":
                said, good = f"opened at {opened}", opened <= int(wanted)
            case "clear_by":
                said = f"resolved at {resolved}"
                good = resolved is not None and resolved <= int(wanted)
            case "min_severity":
                said = f"severity {first.severity}"
                good = SEVERITIES.index(first.severity) >= SEVERITIES.index(str(wanted))
            case "max_severity":
                said = f"severity {first.severity}"
                good = SEVERITIES.index(first.severity) <= SEVERITIES.index(str(wanted))
            case "min_confidence":
                said = f"confidence {first.confidence_score}"
                good = (first.confidence_score or 0.0) >= float(wanted)
            case "event_type":
                said, good = f"event type {first.event_type}", first.event_type == wanted
            case "attack_class":
                said, good = f"class {first.attack_class}", first.attack_class == wanted
            case _:
                continue
        if not good:
            failures.append(f"{key} {wanted}: {said}")
    return failures
