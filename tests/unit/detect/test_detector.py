"""The detector as the meter sees it: windows, capture modes, reloads, broken files, bounds."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.detect.detector import Detector
from sensor.detect.rule import RuleError, RuleSet
from sensor.detect.window import Sums
from tests.unit.detect.demo import VICTIM, busy, detector, feed, rule
from tests.unit.detect.tables import (
    AGENT,
    DOMAIN,
    NEIGHBOUR,
    NS,
    SENSOR,
    SLOT,
    START_NS,
    rows,
    second,
)

ONCE = ('rise = "2/3"', 'rise = "1/1"')
SLOW = ('window = "1s"', 'window = "10s"')


def test_longer_windows_add_up_counts_and_keep_levels_and_peaks():
    sums = Sums(10)
    given_rows = [
        {"ip": VICTIM, "syn_new": 5, "half_open": 7, "peers": 3.0, "scan_score": 9.0},
        {"ip": VICTIM, "syn_new": 6, "half_open": 2, "peers": 8.0, "scan_score": 4.0},
        {"ip": VICTIM, "syn_new": 1, "half_open": 4, "peers": 5.0, "scan_score": 6.0},
    ]
    for at, values in enumerate(given_rows):
        assert not sums.add(rows(SLOT, values), START_NS + at * NS, START_NS + (at + 1) * NS)
    assert not sums.closes_before(START_NS + 9 * NS)
    assert sums.closes_before(START_NS + 10 * NS)
    assert sums.add(rows(SLOT), START_NS + 9 * NS, START_NS + 9 * NS + 5)
    taken, span = sums.take()
    (row,) = taken
    assert (row["syn_new"], row["half_open"], row["peers"], row["scan_score"]) == (12, 4, 8.0, 6.0)
    assert (span.start_ns, span.end_ns) == (START_NS, START_NS + 9 * NS + 5)
    assert sums.take() is None
    # the next window begins from nothing, and a slot's next key does too
    sums.add(rows(SLOT, {"syn_new": 1}), START_NS + 10 * NS, START_NS + 11 * NS)
    sums.add(rows(SLOT, {"syn_new": 2, "generation": 2}), START_NS + 11 * NS, START_NS + 12 * NS)
    assert sums.take()[0]["syn_new"].tolist() == [2]


def test_the_counterpart_of_a_longer_window_is_its_most_frequent():
    sums = Sums(10)
    for at, (top, count) in enumerate((("10.0.0.1", 5), ("10.0.0.1", 6), ("10.0.0.2", 4))):
        given_rows = rows(SLOT, {"top": top, "top_count": count, "top_total": 10})
        sums.add(given_rows, START_NS + at * NS, START_NS + (at + 1) * NS)
    (row,) = sums.take()[0]
    assert row["top_address"].tobytes()[-1] == 1
    assert (row["top_count"], row["top_total"]) == (11, 30)


def test_windows_are_aligned_to_packet_time_and_the_last_one_counts():
    found = detector(rule(ONCE, SLOW))
    feed(found, [30] * 8, start=5)  # 5 s in one window, 3 in the next
    assert [row.packets_count for row in found.events] == [150]
    found.finish()
    (row,) = found.events
    assert row.started_at == START_NS // 1000
    assert row.packets_count == 240
    late = feed(detector(rule(ONCE, SLOW)), [30] * 3)
    assert not late.events
    late.finish()
    assert not late.events  # 90 in what there was of it
    early = feed(detector(rule(ONCE, SLOW)), [60] * 3)
    early.features(second(1000, {}))  # a jump of time ends the window too
    assert early.events[0].resolved_at == START_NS // 1000 + 3_000_000


@pytest.mark.parametrize(
    ("share", "fires"), [(0.0, True), (0.9, True), (0.95, False), (np.nan, True)]
)
def test_a_rule_that_needs_both_directions_is_off_without_them_and_says_so(share, fires):
    found = detector(rule(ONCE, ("[features]", 'needs = "both_directions"\n[features]')))
    features = busy(0, 200)
    features["tables"]["sensor"] = rows(SENSOR, {"one_way_share": share})
    found.features(features)
    assert bool(found.events) == fires
    assert bool(found.off) != fires
    if not fires:
        assert "95%" in found.off["demo"]


def test_a_broken_rule_file_is_an_event_once():
    broken = RuleError("/etc/rules.d/mine.toml", 7, "unknown column x")
    found = Detector(RuleSet((rule(),), (broken,)), agent_id=AGENT, boot_id="boot")
    found.features(second(0, {}))
    found.features(second(1, {}))
    (row,) = found.changed()
    assert (row.event_type, row.severity, row.rule_id) == ("sensor", "low", "mine")
    assert (row.status, row.detected_at) == ("resolved", START_NS // 1000 + 1_000_000)
    assert json.loads(row.evidence) == {
        "file": "/etc/rules.d/mine.toml",
        "line": 7,
        "reason": "unknown column x",
    }


def test_a_reload_keeps_what_did_not_change_and_what_was_learned():
    learning = rule(ONCE, ("x >= floor", "x >= floor and p_tail(x) < alpha"))
    found = feed(detector(learning), [90] * 200)
    tuned = rule(
        ONCE, ("x >= floor", "x >= floor and p_tail(x) < alpha"), ("floor = 100", "floor = 110")
    )
    found.reload(RuleSet((tuned,)))
    feed(found, [120] * 3, start=200)
    assert not found.events  # 120 is not far from 90: it still knows
    feed(found, [900], start=203)
    assert len(found.events) == 1
    found.reload(RuleSet(()))
    found.features(busy(204, 900))
    found.features(second(300, {}))
    assert found.events[0].status == "resolved"  # its rule is gone
    disabled = rule(ONCE, ('title = "A demo"', 'title = "A demo"\nenabled = false'))
    assert not feed(detector(disabled), [900]).events


@pytest.mark.parametrize(
    ("table", "dtype", "values", "column", "key"),
    [
        ("sensor", SENSOR, {"packets": 500}, "packets", '"rule"'),
        ("domain", DOMAIN, {"name": b"evil.example", "queries": 500}, "queries", '"rule", "name"'),
        ("neighbour", NEIGHBOUR, {"ip": VICTIM, "replies": 500}, "replies", '"rule", "dst_ip"'),
        ("host", SLOT, {"ip": VICTIM, "syn_new": 500}, "syn_new", '"rule", "dst_ip"'),
        (
            "reflection",
            SLOT,
            {"ip": VICTIM, "port": 53, "syn_new": 500},
            "syn_new",
            '"rule", "dst_ip", "refl_proto"',
        ),
    ],
)
def test_every_table(table, dtype, values, column, key):
    made = rule(
        ONCE,
        ('table = "service"', f'table = "{table}"'),
        ('x = "syn_new"', f'x = "{column}"'),
        ('gate = "syn_new > 0"', f'gate = "{column} > 0"'),
        ('packets = "syn_new"\nbytes = "syn_new * 60"', f'packets = "{column}"'),
        ('"rule", "dst_ip", "dst_port"', key),
    )
    found = detector(made)
    for at in range(2):
        found.features(second(at, {table: rows(dtype, values)}))
    (row,) = found.events
    assert row.packets_count == 1000
    assert row.destination_ip == (VICTIM if "dst_ip" in key else None)
    assert (row.source_port, row.destination_port) == (
        (53 if table == "reflection" else None),
        None,
    )


def test_an_allowed_domain_is_left_alone_with_all_below_it():
    made = rule(
        ONCE,
        ('table = "service"', 'table = "domain"'),
        ('x = "syn_new"', 'x = "queries"'),
        ('gate = "syn_new > 0"', 'gate = "queries > 0"'),
        ('packets = "syn_new"\nbytes = "syn_new * 60"', 'packets = "queries"'),
        ('"rule", "dst_ip", "dst_port"', '"rule", "name"'),
        ("[mitigation]", '[allow]\nnames = ["cdn.example"]\n[mitigation]'),
    )
    found = detector(made)
    names = [b"cdn.example", b"a.cdn.example", b"notcdn.example"]
    found.features(
        second(0, {"domain": rows(DOMAIN, *({"name": n, "queries": 500} for n in names))})
    )
    assert [json.loads(row.evidence)["key"][1] for row in found.events] == ["notcdn.example"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-100_000, 100_000) | st.integers(0, 5),
            st.lists(
                st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(0, 5000)), max_size=6
            ),
        ),
        max_size=40,
    )
)
def test_whatever_time_and_keys_do_events_are_in_order(steps):
    found = detector(rule(), rule(ONCE, SLOW, ('id = "demo"', 'id = "slow"')))
    at = 200_000
    for jump, keys in steps:
        at = max(at + jump, 0)
        unique = {slot: (generation, count) for slot, generation, count in keys}
        table = rows(
            SLOT,
            *(
                {"slot": slot, "generation": g, "ip": f"10.0.{g}.{slot}", "syn_new": n}
                for slot, (g, n) in unique.items()
            ),
        )
        found.features(second(at, {"service": table}))
    found.finish()
    for row in found.events:
        assert row.status in ("open", "resolved")
        assert (row.resolved_at is None) == (row.status == "open")
        assert row.duration_ms >= 0
        assert row.started_at <= row.detected_at
        assert row.packets_count >= 0
        assert 0 <= row.confidence_score <= 1
        json.loads(row.evidence)
    assert len({row.id for row in found.events}) == len(found.events)


def test_memory_does_not_grow_with_events():
    found = detector(rule(ONCE))
    for at in range(300):
        keys = [
            {"slot": i, "generation": at, "ip": f"10.{at // 200}.{at % 200}.{i}", "syn_new": 500}
            for i in range(60)
        ]
        found.features(second(at * 100, {"service": rows(SLOT, *keys)}))
    assert len(found.events) <= 10_000
    state = found.state()
    assert len(state["rules"]["demo"]["keys"]) <= 4096
