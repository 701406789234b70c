"""From the first hit to the end of an event, on packet time."""

import json

import numpy as np
import pytest

from sensor.detect.rule import Allow
from sensor.model.address import pack_address, pack_prefix
from tests.unit.detect.demo import VICTIM, busy, detector, feed, rule
from tests.unit.detect.tables import NS, SLOT, START_NS, rows, second

US = 1_000_000


def us(seconds):
    return START_NS // 1000 + int(seconds * US)


def evidence(row):
    return json.loads(row.evidence)


def test_two_of_three_windows_open_and_hold_closes():
    found = feed(detector(rule()), [5, 5, 200, 5])
    assert not found.events  # one window is no event
    feed(found, [300, 400], start=4)
    (row,) = found.changed()
    assert (row.status, row.severity, row.attack_class) == ("open", "medium", "demo")
    assert (row.started_at, row.detected_at, row.resolved_at) == (us(2), us(5), None)
    assert (row.destination_ip, row.destination_port, row.protocol) == (VICTIM, 80, "tcp")
    assert row.packets_count == 500  # the candidate's hits too
    assert row.bytes_transferred == 500 * 60
    feed(found, [0] * 29, start=6)
    assert found.events[0].status == "open"
    feed(found, [0] * 7, start=35)
    (row,) = found.events
    assert (row.status, row.resolved_at, row.updated_at) == ("resolved", us(6), us(6))
    assert (row.duration_ms, row.severity, row.packets_count) == (4000, "medium", 900)
    assert (row.action_taken, row.blocked, row.detection_method) == ("none", 0, "threshold")
    assert row.mitigation == f"Protect {VICTIM}.\n- 400 attempts a second, {{nothing}} more"


def test_one_window_is_enough_where_the_condition_says_so():
    found = feed(detector(rule(('when = "x', 'rise = "1/1"\nwhen = "x'))), [200])
    (row,) = found.events
    assert row.started_at == us(0)
    assert row.detected_at == us(1)


def test_all_of_needs_every_condition():
    both = rule(
        ("[trigger]", '[[condition]]\nid = "odd"\nwhen = "stray_odd > 0"\n[trigger]'),
        ('any_of = ["surge"]', 'all_of = ["surge", "odd"]'),
    )
    found = feed(detector(both), [200] * 5)
    assert not found.events
    for at in (5, 6):
        found.features(busy(at, 200, stray_odd=1))
    assert len(found.events) == 1


def test_a_skipped_window_is_a_miss():
    found = feed(detector(rule()), [200, None, None, 200])
    assert not found.events
    feed(found, [200], start=4)
    assert found.events[0].started_at == us(3)


def test_hysteresis_keeps_an_event_open_below_the_threshold():
    found = feed(detector(rule()), [200, 200] + [60] * 100)
    (row,) = found.events
    assert (row.status, row.duration_ms) == ("open", 2000)
    assert row.updated_at == us(102)
    feed(found, [49] * 31, start=102)
    assert found.events[0].resolved_at == us(2)


def test_a_key_without_rows_is_clear_and_a_jump_of_time_ends_it():
    for later in (40, 365 * 86400):
        found = feed(detector(rule()), [200, 200])
        found.features(second(later, {}))
        (row,) = found.events
        assert (row.status, row.resolved_at) == ("resolved", us(2))
        assert row.duration_ms == 2000


def test_time_that_steps_back_makes_nothing_negative():
    found = feed(detector(rule()), [200] * 3, start=1000)
    feed(found, [200] * 3, start=0)
    feed(found, [0] * 40, start=3)
    (row,) = found.events
    assert row.status == "resolved"
    assert row.duration_ms >= 0
    assert row.started_at <= row.detected_at <= row.resolved_at


def test_it_reopens_within_the_merge_gap_and_not_after():
    found = feed(detector(rule()), [200] * 3 + [0] * 60 + [300] * 3)
    (row,) = found.events
    assert (row.status, evidence(row)["reopened"]) == ("open", 1)
    assert row.packets_count == 1500
    assert row.duration_ms == 66_000
    feed(found, [0] * 200 + [200] * 3, start=66)
    first, second_event = found.events
    assert (first.status, second_event.status) == ("resolved", "open")
    assert first.id != second_event.id


def test_updates_come_by_the_period_and_when_it_gets_worse():
    found = feed(detector(rule()), [200, 200])
    found.changed()
    counts = []
    for at in range(2, 33):
        found.features(busy(at, 9000 if at == 5 else 400))
        counts.append([row.severity for row in found.changed()])
    assert counts[3] == ["critical"]
    assert [i for i, c in enumerate(counts) if c] == [0, 3, 13, 23]


def test_replaying_again_gives_the_same_ids():
    one, two = (feed(detector(rule()), [200] * 4).events[0] for _ in "ab")
    assert one == two
    assert feed(detector(rule()), [200] * 4, start=1).events[0].id != one.id


def test_rows_with_the_same_key_are_one_event():
    host = rule(('"dst_ip", "dst_port"', '"dst_ip"'))
    found = detector(host)
    for at in range(3):
        keys = [{"ip": VICTIM, "port": 80 + i, "syn_new": 200} for i in range(5)]
        found.features(second(at, {"service": rows(SLOT, *keys)}))
    (row,) = found.events
    assert row.packets_count == 5 * 600


def test_rules_of_one_class_share_an_event_when_their_key_says_so():
    def variant(name):
        return rule(
            ('id = "demo"', f'id = "{name}"\nattack = {{ class = "same" }}'), ('"rule"', '"class"')
        )

    found = feed(detector(variant("one"), variant("two")), [200] * 4)
    (row,) = found.events
    assert (row.rule_id, row.attack_class, row.packets_count) == ("one", "same", 800)


def test_beyond_max_open_there_is_one_event_for_the_rest():
    found = detector(rule())
    for at in range(5):
        keys = [{"ip": f"10.0.{i // 250}.{i % 250}", "syn_new": 200 + i} for i in range(500)]
        found.features(second(at, {"service": rows(SLOT, *keys)}))
    open_rows = [row for row in found.events if row.status == "open"]
    assert len(open_rows) == 9
    (rest,) = [row for row in open_rows if "more than 8" in row.title]
    assert rest.destination_ip is None
    assert evidence(rest)["overflow"] == 492
    worst = {row.destination_ip for row in open_rows}
    assert "10.0.1.249" in worst  # the worst come first
    feed(found, [0] * 40, start=5)
    assert {row.status for row in found.events} == {"resolved"}


def test_a_source_that_holds_most_is_named_and_a_spoofed_one_is_not():
    top = {"top": "203.0.113.9", "top_port": 4444, "top_total": 100}
    for count, spoofed, expected in ((60, "", "203.0.113.9"), (40, "", None), (60, "x > 0", None)):
        made = rule(("[event]", f'[event]\nspoofed = "{spoofed}"')) if spoofed else rule()
        found = detector(made)
        for at in range(3):
            found.features(busy(at, 200, **top, top_count=count))
        (row,) = found.events
        assert row.source_ip == expected
        said = evidence(row)
        assert said["spoofed"] == bool(spoofed)
        assert said["top_sources"][0] == {
            "ip": "203.0.113.9",
            "count": 2 * count,
            "share": count / 100,
        }


def test_two_attacks_on_one_victim_are_one_incident():
    other = rule(
        ('id = "demo"', 'id = "second"'),
        ("syn_new > 0", "udp_packets > 0"),
        ('"syn_new"', '"udp_packets"'),
    )
    found = detector(rule(), other)
    for at in range(20):
        found.features(busy(at, 200, udp_packets=200 if at > 10 else 0))
    one, two = found.events
    assert one.attack_class != two.attack_class
    assert evidence(one)["incident_id"] == evidence(two)["incident_id"] == one.id
    alone = feed(detector(rule()), [200] * 3).events[0]
    assert evidence(alone)["incident_id"] is None


@pytest.mark.parametrize(
    ("allow", "silent"),
    [
        (Allow(destinations=(pack_prefix("192.0.2.0/24"),)), True),
        (Allow(destinations=(pack_prefix("192.0.3.0/24"),)), False),
        (Allow(sources=(pack_prefix("203.0.113.9"),)), True),
        (Allow(sources=(pack_prefix("203.0.113.10"),)), False),
    ],
)
def test_allow_lists(allow, silent):
    found = detector(rule(), allow=allow)
    for at in range(3):
        found.features(busy(at, 200, top="203.0.113.9", top_count=90, top_total=100))
    assert (not found.events) == silent


def test_an_allow_list_runs_out():
    text = '[allow]\ndestinations = ["192.0.2.10"]\nuntil = 2023-11-14\n[mitigation]'
    found = detector(rule(("[mitigation]", text)))
    feed(found, [200] * 3)  # START_NS is 2023-11-14 22:13:20 UTC
    assert not found.events
    feed(found, [200] * 3, start=2 * 3600)
    assert len(found.events) == 1


def test_the_end_of_input_leaves_open_what_went_on():
    going, over = detector(rule()), detector(rule())
    feed(going, [200] * 5)
    feed(over, [200] * 5 + [0] * 5)
    for found in (going, over):
        found.changed()
        found.finish()
    assert [row.status for row in going.changed()] == ["open"]
    assert [(row.status, row.resolved_at) for row in over.changed()] == [("resolved", us(5))]


def test_the_unfinished_second_ends_with_the_newest_packet():
    found = detector(rule(('rise = "2/3"', 'rise = "1/1"')))
    features = busy(0, 200)
    features["end_ns"] = START_NS + NS // 4
    found.features(features)
    assert found.events[0].detected_at == us(0.25)


def test_after_a_restart_open_events_are_closed_and_may_go_on():
    before = feed(detector(rule()), [200] * 5)
    open_row = before.events[0]
    after = detector(rule())
    after.restore([open_row], START_NS + 60 * NS)
    (closed,) = after.changed()
    assert (closed.id, closed.status, closed.resolved_at) == (open_row.id, "resolved", us(5))
    assert evidence(closed)["note"] == "sensor restarted"
    feed(after, [200] * 3, start=60)
    (row,) = after.changed()
    assert (row.id, row.status, evidence(row)["reopened"]) == (open_row.id, "open", 1)
    assert row.started_at == us(0)
    assert row.packets_count == 1000 + 400


def test_a_restart_does_not_learn_again():
    learning = rule(("x >= floor", "x >= floor and p_tail(x) < alpha"))
    before = feed(detector(learning), [150] * 1 + [90] * 300)
    state = json.loads(json.dumps(before.state()))
    fresh, wiser = detector(learning), detector(learning, state=state)
    for found in (fresh, wiser):
        feed(found, [130] * 4, start=10_000)
    assert len(fresh.events) == 1  # the prior knows no better
    assert not wiser.events
    assert wiser.state()["rules"]["demo"]["keys"].keys() == state["rules"]["demo"]["keys"].keys()


def test_a_slot_that_goes_to_another_key_starts_from_nothing():
    found = feed(detector(rule()), [200, 200])
    for at in range(2, 40):
        found.features(busy(at, 60, ip="198.51.100.1", generation=2))
    (row,) = found.events
    assert (row.status, row.destination_ip) == ("resolved", VICTIM)


def test_ipv6_and_tables_of_sources():
    scan = rule(
        ('table = "service"', 'table = "source"'),
        ('"rule", "dst_ip", "dst_port"', '"rule", "src_ip"'),
    )
    found = detector(scan)
    for at in range(3):
        found.features(
            busy(
                at,
                200,
                ip="2001:db8::7",
                port=0,
                table="source",
                top=VICTIM,
                top_port=22,
                top_count=9,
                top_total=10,
            )
        )
    (row,) = found.events
    assert (row.source_ip, row.destination_ip, row.destination_port) == ("2001:db8::7", VICTIM, 22)


def test_top_addresses_of_the_native_rows_are_added_up():
    many = np.dtype(
        [
            *((name, SLOT[name]) for name in SLOT.names if not name.startswith("top_count")),
            ("top_addresses", "V16", (4,)),
            ("top_ports", "<u2", (4,)),
            ("top_counts", "<u4", (4,)),
            ("top_count", "<u4"),
        ]
    )
    found = detector(rule())
    for at in range(3):
        made = np.zeros(1, many)
        made["generation"], made["syn_new"], made["top_total"] = 1, 200, 200
        for i, (ip, count) in enumerate((("10.0.0.1", 90), ("10.0.0.2", 60))):
            made["top_addresses"][0][i] = np.void(pack_address(ip))
            made["top_counts"][0][i] = count
        found.features(second(at, {"service": made}))
    tops = evidence(found.events[0])["top_sources"]
    assert [(t["ip"], t["count"], t["share"]) for t in tops] == [
        ("10.0.0.1", 180, 0.45),
        ("10.0.0.2", 120, 0.3),
    ]
