"""Events and rules in words: what a detector really found, and what any row could hold."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from sensor._native.dtypes import TABLES
from sensor.detect.rule import Rule
from sensor.detect.series import run_test
from sensor.model.rows import SecurityEventRow, WindowRows
from sensor.programs.cli import cli
from sensor.programs.detection import shipped_rules
from sensor.programs.explain import explanation
from sensor.programs.sections import number
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import T0, US, agent, event, resolved


def words(row: SecurityEventRow, rule: Rule | None = None) -> dict[str, list[str]]:
    return {section.title: section.lines for section in explanation(row, rule)}


@pytest.fixture(scope="module")
def rule() -> Rule:
    found = shipped_rules().find("syn_flood")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def flood(rule: Rule) -> SecurityEventRow:
    """What the detector makes of the rule's own first test: 393 bare SYNs a second."""
    (row,) = run_test(rule, rule.tests[0], TABLES).events
    return row


def test_a_real_event(rule: Rule, flood: SecurityEventRow) -> None:
    said = words(flood, rule)
    [held] = [line for line in said["Which conditions held"] if line.startswith("bare: ")]
    assert held == f"bare: {rule.conditions[0].when.text}"
    [learnt] = [line for line in said["What was measured"] if "threshold" in line]
    assert learnt == f"syn_bare was 393 within 1 s; the threshold is {rule.params['floor']:g}."
    assert any("bare_share 100 %" in line for line in said["What was measured"])
    assert "The addresses are forged: to block them would hit others." in said["Top sources"]
    assert (
        f"Before any evidence: {rule.confidence.prior:.1%}.".replace("%", " %")
        in (said["Why this confidence"])
    )
    assert said["What it could be instead"][0] == f"flash crowd: {rule.look_alikes['flash_crowd']}"
    assert said["What to do"][0] == rule.mitigation_summary
    assert said["What was done"] == ["Nothing: the sensor watches."]


def test_the_weights_are_those_that_held(rule: Rule, flood: SecurityEventRow) -> None:
    """Every weight of the rule whose expression only reads features and params, by hand."""
    said = words(flood, rule)["Why this confidence"]
    evidence = json.loads(flood.evidence or "")
    features = {**rule.params, **evidence["features"]}
    checked = 0
    for part in rule.confidence.evidence:
        if part.when.statistics or not part.when.names <= set(features):
            continue
        if part.nats.names or part.nats.statistics:
            continue
        holds = eval(part.when.text, {"max": max, "min": min}, features)  # noqa: S307 - our own
        nats = float(part.nats.text)
        line = f"{nats:+.1f} nats {'for' if nats > 0 else 'against'} it: {part.when.text}"
        assert (line in said) == holds, line
        checked += 1
    assert checked >= 5


def test_what_was_learnt_and_what_came_again() -> None:
    evidence = {
        "feature": "silent", "value": 980.0, "window_s": 10, "threshold": 20.5,
        "baseline": {"mean": 1.25, "dispersion": 3, "n_seen": 200, "p_model": 1e-12},
        "features": {"silent": 980.0, "share": 0.985, "unknown": None, "rate": 12345.678},
        "conditions": [
            {"id": "surge", "when": "silent >= floor", "hit": True},
            {"id": "slow", "when": "cusum(silent) > 12", "hit": False},
        ],
        "top_sources": [
            {"ip": "192.0.2.7", "count": 900, "share": 0.9},
            {"ip": "192.0.2.8", "count": 1, "share": 0.001},
        ],
        "severity_score": 71.6, "reopened": 2, "incident_id": "77777777", "pps_peak": 1500.0,
        "overflow": 3, "note": "sensor restarted",
    }  # fmt: skip
    row = resolved(
        event(
            evidence=json.dumps(evidence), source_ip="192.0.2.7",
            mitigation="Do.\n- this\n- that\n",
            action_taken="nft_set_add", blocked=1, false_positive_probability=0.0123,
        ),
        T0 + 5 * US,
    )  # fmt: skip
    assert words(row) == {
        "What happened": [
            "SYN flood: syn_flood (dos_attack), 192.0.2.7 -> 10.0.0.1:80/tcp.",
            "Began at 2023-11-14 21:59:58 UTC, detected 2 s later.",
            "Ended at 2023-11-14 22:00:05 UTC.",
            "Traffic: 1,000 packets, 60.0 kB, 1,500 packets/s at its peak.",
            "Severity high, 72 of 100: the harm it does, not how sure it is.",
            "It stopped and came back 2 times.",
            "It stands for 3 more, beyond the most that a rule keeps open.",
            "Part of incident 77777777: several attacks on one host at a time.",
            "Note: sensor restarted.",
        ],
        "What was measured": [
            "silent was 980 within 10 s; the threshold is 20.5.",
            "Usual here is 1.25, after 200 windows; its variance is 3 times the mean.",
            "The chance of so much in a window of usual traffic, by that model: 1e-12.",
            "In the worst window: silent 980, share 98 %, rate 12,345.7.",
        ],
        "Which conditions held": ["surge: silent >= floor", "Not: slow."],
        "Top sources": ["192.0.2.7: 900 (90 %)", "192.0.2.8: 1 (under 1 %)"],
        "Why this confidence": [
            "90 % sure that it is this attack.",
            "In benign traffic, the rule was wrong in at most 0.012 of what it looked at.",
        ],
        "What to do": ["Do.", "this", "that"],
        "What was done": ["nft_set_add; blocked."],
    }


HOSTILE = (
    None, "[]", "7", '"text"', "[" * 1500 + "]" * 1500,
    '{"feature": 3, "value": "many", "window_s": [], "threshold": {}, "baseline": 7}',
    '{"baseline": {"mean": true, "n_seen": "x", "p_model": 1e999, "dispersion": -1e999}}',
    '{"baseline": {"mean": 0, "n_seen": 1e300, "p_model": 0}}',
    '{"features": [1], "conditions": {"id": 1}, "top_sources": [1, null, {"ip": null}]}',
    '{"conditions": [{"id": {}, "when": 7}], "features": {"a": "b", "c": 1e999, "d": {}}}',
    '{"spoofed": "yes", "sources_estimated": "x", "reopened": 1e999, "incident_id": [1]}',
    '{"sources_estimated": 1e999, "note": {"a": "\\u001b[2J"}, "severity_score": null}',
)  # fmt: skip
EMPTY = (
    "event_type", "severity", "destination_ip", "destination_port", "protocol", "packets_count",
    "bytes_transferred", "duration_ms", "detection_method", "blocked", "action_taken", "title",
    "attack_class", "status", "started_at", "updated_at",
)  # fmt: skip


def test_whatever_a_file_holds_is_shown_and_not_obeyed(tmp_path: Path, rule: Rule) -> None:
    rows = [event(99, 9_223_372_036_854_775_807, started_at=-9_000_000_000_000_000_000)]
    for n, evidence in enumerate(HOSTILE):
        rows.append(event(3 * n, evidence=evidence, protocol="\n", title="\x1b[2J\u202e"))
        rows.append(event(3 * n + 1, evidence=evidence, mitigation="\x07\n\x00- "))
        rows.append(event(3 * n + 2, evidence=evidence, **dict.fromkeys(EMPTY)))
    path = str(tmp_path / "s.db")
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(), events=rows))
    shown = [line for row in rows for lines in words(row, rule).values() for line in lines]
    for form in ([], ["--json"], ["--ecs"], ["explain", rows[1].id], ["explain", rows[-1].id]):
        done = CliRunner().invoke(cli, ["events", "--db", path, *form])
        assert done.exit_code == 0, done.exception
        shown.append(done.output)
    assert not {"\x1b", "\x07", "\x00", "\u202e"} & set("".join(shown))
    assert "Infinity" not in shown[-3]


def test_a_rule_that_changed_since_is_no_error(rule: Rule, flood: SecurityEventRow) -> None:
    other = shipped_rules().find("slowloris")
    assert other is not None
    for changed in (replace(rule, params={}), other):
        assert words(flood, changed)["What was measured"] == words(flood)["What was measured"]


def test_numbers() -> None:
    shown = [number(n) for n in (0, 3, 0.12345, 12.3456, 123.456, 1234567.0, 1e20, 1e-7, None)]
    assert shown == ["0", "3", "0.123", "12.3", "123.5", "1,234,567", "1e+20", "1e-07", "unknown"]
    assert number(float("inf")) == "unbounded"
